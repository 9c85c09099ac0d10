"""Late step: the vector of the picture itself, in the space that plain words are looked up in (OpenCLIP)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection

from framed.analysis.look import PreviewLook
from framed.analysis.step import Outcome
from framed.models.catalogue import Choice
from framed.models.openclip_profiles import by_model
from framed.store import vectors
from framed.store.photos import PhotoWork

_CALL = 8
"""A request's words wait for the same model host, and overtake the calls of a batch that have not begun."""
_PACKAGED = "Without OpenCLIP's weights photos are found by what is said of them: framed models pull openclip-fast"


class ImageEmbeddingStep(PreviewLook):
    """The packaged likeness features are made by the tags step, so without OpenCLIP there is nothing to do here."""

    name = "image_embedding"
    version = 1
    batch = 32

    def needless(self, chosen: Choice) -> str | None:
        return None if by_model(chosen.model_id) else _PACKAGED

    def together(self, chosen: Choice) -> int:
        return _CALL

    def outcomes(self, photos: Sequence[PhotoWork], answer: dict[str, Any], chosen: Choice) -> list[Outcome]:
        return [_outcome(photo, row, chosen) for photo, row in zip(photos, answer["vectors"], strict=True)]


def _outcome(photo: PhotoWork, vector: "np.ndarray[tuple[int], np.dtype[np.float32]]", chosen: Choice) -> Outcome:
    if not np.isfinite(vector).all():
        return Outcome("failed", problem=f"{chosen.backend} gave no numbers for this picture.")

    def store(connection: Connection) -> None:
        vectors.put(connection, chosen.model_id, [(photo.id, vector)])

    others = photo.results.get("traits", {}).get("model") not in (None, chosen.model_id)
    refresh = ("traits",) if others else ()  # what another model saw in it is compared again in the new one's space
    return Outcome("completed", {"model": chosen.model_id}, store=store, refresh=refresh)
