"""Step: one sentence about the photo, the words it is found by, and its meaning for the text embedding."""

from collections.abc import Sequence
from typing import Any, Literal

from sqlalchemy import Connection

from framed.analysis.step import BatchStep, Outcome
from framed.store import photos as store_photos
from framed.store import traits
from framed.store.photos import PhotoWork


class DescriptionStep(BatchStep):
    name = "description"
    version = 3
    needs = ("metadata", "kind", "colours", "quality", "orientation", "places", "tags")
    batch = 64

    def __init__(self, hemisphere: Literal["north", "south"]) -> None:
        self._hemisphere = hemisphere

    async def run(self, photos: Sequence[PhotoWork]) -> list[Outcome]:
        return [self._describe(photo) for photo in photos]

    def _describe(self, photo: PhotoWork) -> Outcome:
        from framed.analysis.describe import describe, written
        from framed.analysis.traits import MEASURED_VALUES, of_facts

        facts = facts_of(photo, self._hemisphere)
        said = describe(facts)
        by = "file" if written(facts) else photo.results["caption"]["backend"] if facts.seen else "assembled"
        result = {"caption": said.caption, "meaning": said.meaning, "by": by}
        again = _out_of_date(photo, facts)
        measured = of_facts(photo.results)

        def store(connection: Connection) -> None:
            store_photos.set_values(connection, photo.id, {"caption": said.caption})
            store_photos.set_text(connection, photo.id, said.search_text)
            if again:
                store_photos.drop_steps(connection, photo.id, ["caption"])
            traits.put(connection, photo.id, measured, measured=True, measured_values=MEASURED_VALUES)

        return Outcome("completed", result, store=store)


def _out_of_date(photo: PhotoWork, facts: Any) -> bool:
    """A model's caption that says a name which is no longer theirs, or was spared because of one that is gone."""
    from framed.analysis.describe import written

    if photo.steps.get("caption", (0, "", 0))[1] == "skipped":
        return written(facts) is None
    return bool(photo.results.get("caption", {}).get("text")) and facts.seen is None


def _seen(photo: PhotoWork, people: Sequence[str]) -> str | None:
    """A model's caption, unless it says a name that was handed in and has been taken back since."""
    from framed.analysis.captions import names

    found = photo.results.get("caption", {})
    text: str = found.get("text") or ""
    gone = [name for name in found.get("names", []) if name not in people and names(text, name)]
    return text if text and not gone else None


def _traits(photo: PhotoWork) -> list[str]:
    """What measurements and sentences said, in the words that people may use for it."""
    from framed.analysis.traits import of_facts, search_words

    said = photo.results.get("traits", {}).get("traits", [])
    return search_words([value for _, value, _ in (*said, *of_facts(photo.results))])


def facts_of(photo: PhotoWork, hemisphere: Literal["north", "south"]) -> Any:
    from framed.analysis.describe import DescriptionFacts

    meta = photo.results.get("metadata", {})
    root_folder_name = photo.paths[0] if photo.paths else (b"", b"", b"")
    names = [region["name"] for region in meta.get("people", []) if region.get("name")] + photo.people
    return DescriptionFacts(
        people=list(dict.fromkeys(names)),
        tags=[(name, score) for name, score in photo.results.get("tags", {}).get("tags", [])],
        also_tags=[name for name, _ in photo.results.get("traits", {}).get("tags", [])],
        traits=_traits(photo),
        kind=photo.results.get("kind", {}).get("name", "photo"),
        places=photo.results.get("places", {}).get("places", []),
        taken_local=meta.get("taken_local"),
        taken_precision=meta.get("taken_precision"),
        title=meta.get("title"),
        caption=meta.get("caption"),
        keywords=[*photo.user_tags, *meta.get("keywords", [])],
        colours=[entry["name"] for entry in photo.results.get("colours", {}).get("palette", [])],
        orientation=photo.results.get("orientation", {}).get("name"),
        folder=root_folder_name[1].decode(errors="replace"),
        file_name=root_folder_name[2].decode(errors="replace"),
        camera=" ".join(part for part in (meta.get("camera_make"), meta.get("camera_model")) if part) or None,
        quality=photo.results.get("quality", {}).get("words", []),
        hemisphere=hemisphere,
        text=photo.results.get("ocr", {}).get("text") or None,
        seen=_seen(photo, names),
    )
