"""Step: landscape, portrait, square or panorama, of the upright picture."""

from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from framed.analysis.step import ExaminedStep
from framed.store import photos

if TYPE_CHECKING:
    from framed.analysis.examine import Opened


def look(opened: "Opened") -> dict[str, Any]:
    return {"name": orientation(opened.width, opened.height), "aspect": round(opened.width / opened.height, 4)}


def orientation(width: int, height: int) -> str:
    """Square within 5 %; panorama from 2:1 on, as phones and cameras name theirs."""
    aspect = width / height
    if aspect >= 2.0 or aspect <= 0.5:
        return "panorama"
    if abs(aspect - 1.0) <= 0.05:
        return "square"
    return "landscape" if aspect > 1.0 else "portrait"


class OrientationStep(ExaminedStep):
    name = "orientation"
    version = 1

    def keep(self, connection: Connection, photo_id: int, result: dict[str, Any]) -> None:
        photos.set_values(connection, photo_id, {"orientation": result["name"]})
