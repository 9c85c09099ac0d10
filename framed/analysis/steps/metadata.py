"""Step: what the file says about itself, and what that means for search (time, people, keywords, rating)."""

from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from framed.analysis.step import ExaminedStep
from framed.store import photos

if TYPE_CHECKING:
    from framed.analysis.examine import Opened


def look(opened: "Opened") -> dict[str, Any]:
    return opened.metadata.model_dump(mode="json", exclude_defaults=True)


def together(first: dict[str, Any], copy: dict[str, Any]) -> dict[str, Any]:
    """What two files of the same content say: they differ by their names, sidecars and file times. The one read first
    goes before, a copy adds what it lacks; of two dates the better told one counts, of two file times the earlier."""
    said = {**copy, **first}
    words: dict[str, str] = {}
    for word in (*first.get("keywords", []), *copy.get("keywords", [])):
        words.setdefault(word.lower(), word)
    if words:
        said["keywords"] = list(words.values())
    if _told(copy) < _told(first):
        said = {key: value for key, value in said.items() if not key.startswith("taken_")}
        said |= {key: value for key, value in copy.items() if key.startswith("taken_")}
    return said


def _told(meta: dict[str, Any]) -> tuple[int, str]:
    """How well a date is told, the best first."""
    source = meta.get("taken_source")
    if source in ("file", None):
        return (2 if source else 3), meta.get("taken_local", "")
    return (1 if source == "filename" else 0), ""


class MetadataStep(ExaminedStep):
    name = "metadata"
    version = 1

    def keep(self, connection: Connection, photo_id: int, result: dict[str, Any]) -> None:
        from datetime import UTC, datetime

        taken = result.get("taken_local")
        wall = int(datetime.fromisoformat(taken).replace(tzinfo=UTC).timestamp()) if taken else None
        camera = " ".join(part for part in (result.get("camera_make"), result.get("camera_model")) if part)
        photos.set_values(
            connection,
            photo_id,
            {
                "taken": wall,
                "taken_offset_min": result.get("taken_offset_min"),
                "taken_source": result.get("taken_source"),
                "taken_precision": result.get("taken_precision", "second"),
                "latitude": result.get("latitude"),
                "longitude": result.get("longitude"),
                "camera": camera or None,
                "title": result.get("title"),
                "rating": result.get("rating"),
            },
        )
        regions: dict[str, list[float] | None] = {}
        for region in result.get("people", []):
            box = [region.get(key) for key in ("x", "y", "w", "h")]
            complete = None if any(side is None for side in box) else box
            regions[region["name"]] = complete or regions.get(region["name"])
        photos.set_people(connection, photo_id, regions.items(), "metadata")
        keywords = {word.lower(): 1.0 for word in result.get("keywords", []) if 0 < len(word) <= 60}
        photos.set_tags(connection, photo_id, keywords, "keyword")
