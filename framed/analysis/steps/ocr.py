"""Late step: the text in the picture, which a photo is then found by."""

from collections.abc import Sequence
from typing import Any

from framed.analysis.look import PreviewLook
from framed.analysis.step import Outcome
from framed.models import ocr_scripts
from framed.models.catalogue import Choice
from framed.store.photos import PhotoWork

_MOST_CHARACTERS = 4_000


class OcrStep(PreviewLook):
    name = "ocr"
    version = 2
    batch = 8
    timeout_s = (180.0, 0.0)

    def together(self, chosen: Choice) -> int:
        return 1

    def options(self, chosen: Choice) -> dict[str, Any]:
        """Scripts whose weights are there are read without being asked for; a reader with more of them is another."""
        return {"scripts": ocr_scripts.here()}

    def inputs(self, photos: Sequence[PhotoWork], paths: list[bytes]) -> dict[str, Any]:
        return {"path": paths[0], "original": _original(photos[0])}

    def outcomes(self, photos: Sequence[PhotoWork], answer: dict[str, Any], chosen: Choice) -> list[Outcome]:
        (photo,) = photos
        text = " ".join(line["text"] for line in answer["lines"])[:_MOST_CHARACTERS]
        before = photo.results.get("ocr", {}).get("text", "")
        result = {
            "text": text,
            "lines": answer["lines"],
            "looked": answer["looked"],
            "scripts": answer.get("scripts", ""),
            "broken": answer.get("broken", ""),
            "backend": chosen.backend,
        }
        return [Outcome("completed", result, refresh=("description", "text_embedding") if text != before else ())]


def _original(photo: PhotoWork) -> bytes | None:
    if not photo.paths:
        return None
    return b"/".join(part for part in photo.paths[0] if part)
