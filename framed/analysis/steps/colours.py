"""Step: the picture's colours in everyday words."""

from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from framed.analysis.step import ExaminedStep
from framed.store import photos

if TYPE_CHECKING:
    from framed.analysis.examine import Opened


def look(opened: "Opened") -> dict[str, Any]:
    from framed.analysis.colours import colours

    return colours(opened.px160).model_dump(mode="json")


class ColoursStep(ExaminedStep):
    name = "colours"
    version = 1

    def keep(self, connection: Connection, photo_id: int, result: dict[str, Any]) -> None:
        photos.set_values(connection, photo_id, {"monochrome": bool(result["monochrome"])})
