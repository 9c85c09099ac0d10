"""Step: technical quality: sharpness, exposure, contrast, noise, resolution."""

from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from framed.analysis.step import ExaminedStep
from framed.store import photos

if TYPE_CHECKING:
    from framed.analysis.examine import Opened


def look(opened: "Opened") -> dict[str, Any]:
    from framed.analysis.quality import quality

    return quality(opened.px512, opened.width, opened.height).model_dump(mode="json")


class QualityStep(ExaminedStep):
    name = "quality"
    version = 1

    def keep(self, connection: Connection, photo_id: int, result: dict[str, Any]) -> None:
        photos.set_values(connection, photo_id, {"quality": float(result["score"])})
