"""Late step: how beautiful a trained model finds the photo. What the household likes is `handlers.liking`'s."""

import os
from collections.abc import Callable, Sequence

import numpy as np
from sqlalchemy import Connection

from framed.analysis.previews import Previews
from framed.analysis.step import LateStep, Outcome
from framed.errors import Unavailable
from framed.models.base import Call, Compute
from framed.models.catalogue import choose
from framed.store import photos as store_photos
from framed.store.photos import PhotoWork


class AestheticsStep(LateStep):
    name = "aesthetics"
    version = 1
    needs = ("preview",)
    batch = 16

    def __init__(self, compute: Compute, previews: Previews, backend: str = "auto") -> None:
        self._compute = compute
        self._previews = previews
        self._backend = backend

    def unavailable(self) -> str | None:
        try:
            choose(self.name, self._backend)
        except Unavailable as error:
            return error.message
        return None

    async def run(self, photos: Sequence[PhotoWork]) -> list[Outcome]:
        backend = choose(self.name, self._backend).backend
        paths = [os.fsencode(await self._previews.ensure(photo)) for photo in photos]
        answer = await self._compute.run(
            Call(task=self.name, backend=backend, inputs={"paths": paths}, timeout_s=300.0)
        )
        outcomes = []
        for photo, score, rating in zip(photos, answer["scores"], answer["ratings"], strict=True):
            if not np.isfinite(score):
                outcomes.append(Outcome("failed", problem=f"{backend} gave no number for this picture."))
                continue
            kept = round(float(score), 4)
            result = {"score": kept, "rating": round(float(rating), 2), "backend": backend}
            outcomes.append(Outcome("completed", result, store=_storing(photo.id, kept)))
        return outcomes


def _storing(photo_id: int, score: float) -> Callable[[Connection], None]:
    """Until the next night's lesson mixes the household's own taste in."""
    return lambda connection: store_photos.set_values(connection, photo_id, {"aesthetic": score})
