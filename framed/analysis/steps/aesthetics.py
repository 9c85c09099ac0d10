"""Late step: how beautiful a trained model finds the photo. What the household likes is `handlers.liking`'s."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection

from framed.analysis.look import PreviewLook
from framed.analysis.step import Outcome
from framed.models.catalogue import Choice
from framed.store import photos as store_photos
from framed.store.photos import PhotoWork


class AestheticsStep(PreviewLook):
    name = "aesthetics"
    version = 1
    batch = 16

    def outcomes(self, photos: Sequence[PhotoWork], answer: dict[str, Any], chosen: Choice) -> list[Outcome]:
        rated = zip(photos, answer["scores"], answer["ratings"], strict=True)
        return [_outcome(photo, float(score), float(rating), chosen.backend) for photo, score, rating in rated]


def _outcome(photo: PhotoWork, score: float, rating: float, backend: str) -> Outcome:
    if not np.isfinite(score):
        return Outcome("failed", problem=f"{backend} gave no number for this picture.")
    kept = round(score, 4)
    result = {"score": kept, "rating": round(rating, 2), "backend": backend}
    return Outcome("completed", result, store=_storing(photo.id, kept))


def _storing(photo_id: int, score: float) -> Callable[[Connection], None]:
    """Until the next night's lesson mixes the household's own taste in."""
    return lambda connection: store_photos.set_values(connection, photo_id, {"aesthetic": score})
