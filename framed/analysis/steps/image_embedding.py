"""Late step: the vector of the picture itself, in the space that plain words are looked up in (OpenCLIP)."""

import asyncio
import os
from collections.abc import Sequence

import numpy as np
from sqlalchemy import Connection

from framed.analysis.previews import Previews
from framed.analysis.step import LateStep, Outcome
from framed.errors import Unavailable
from framed.models.base import Call, Compute
from framed.models.catalogue import Choice, choose
from framed.models.openclip_profiles import by_model
from framed.store import vectors
from framed.store.photos import PhotoWork

_CALL = 8
"""Photos in one call. A batch is several, so that a request's words, which wait for the same model host, overtake."""
_PACKAGED = "Without OpenCLIP's weights photos are found by what is said of them: framed models pull openclip-fast"


class ImageEmbeddingStep(LateStep):
    """The packaged likeness features are made by the tags step, so without OpenCLIP there is nothing to do here."""

    name = "image_embedding"
    version = 1
    needs = ("preview",)
    batch = 32

    def __init__(self, compute: Compute, previews: Previews, backend: str = "auto") -> None:
        self._compute = compute
        self._previews = previews
        self._backend = backend

    def unavailable(self) -> str | None:
        try:
            return None if by_model(choose(self.name, self._backend).model_id) else _PACKAGED
        except Unavailable as error:
            return error.message

    async def run(self, photos: Sequence[PhotoWork]) -> list[Outcome]:
        chosen = choose(self.name, self._backend)
        parts = [photos[at : at + _CALL] for at in range(0, len(photos), _CALL)]
        done = await asyncio.gather(*(self._embed(part, chosen) for part in parts))
        return [outcome for part in done for outcome in part]

    async def _embed(self, photos: Sequence[PhotoWork], chosen: Choice) -> list[Outcome]:
        paths = [os.fsencode(await self._previews.ensure(photo)) for photo in photos]
        answer = await self._compute.run(
            Call(task=self.name, backend=chosen.backend, inputs={"paths": paths}, timeout_s=300.0)
        )
        return [_outcome(photo, row, chosen) for photo, row in zip(photos, answer["vectors"], strict=True)]


def _outcome(photo: PhotoWork, vector: "np.ndarray[tuple[int], np.dtype[np.float32]]", chosen: Choice) -> Outcome:
    if not np.isfinite(vector).all():
        return Outcome("failed", problem=f"{chosen.backend} gave no numbers for this picture.")

    def store(connection: Connection) -> None:
        vectors.put(connection, chosen.model_id, [(photo.id, vector)])

    others = photo.results.get("traits", {}).get("model") not in (None, chosen.model_id)
    refresh = ("traits",) if others else ()  # what another model saw in it is compared again in the new one's space
    return Outcome("completed", {"model": chosen.model_id}, store=store, refresh=refresh)
