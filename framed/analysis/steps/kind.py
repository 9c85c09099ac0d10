"""Step: photo, screenshot, document or drawing."""

from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from framed.analysis.step import ExaminedStep
from framed.store import photos

if TYPE_CHECKING:
    from framed.analysis.examine import Opened


def look(opened: "Opened") -> dict[str, Any]:
    from framed.analysis.kind import KindFacts, kind

    meta = opened.metadata
    facts = KindFacts(
        format=opened.decoded.format,
        width=opened.width,
        height=opened.height,
        camera_make=meta.camera_make,
        has_exif=meta.camera_make is not None or meta.f_number is not None or meta.iso is not None,
        screenshot_hint=meta.screenshot_hint,
        file_name=opened.name,
        software=meta.software,
    )
    return kind(opened.px512, facts).model_dump(mode="json")


class KindStep(ExaminedStep):
    name = "kind"
    version = 1

    def keep(self, connection: Connection, photo_id: int, result: dict[str, Any]) -> None:
        photos.set_values(connection, photo_id, {"kind": result["name"]})
