"""Step: what is in the picture, in everyday words, and the features that likeness is measured by."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray
from sqlalchemy import Connection

from framed.analysis.previews import Previews
from framed.analysis.step import BatchStep, Outcome
from framed.errors import Unavailable
from framed.models.base import Call, Compute
from framed.models.catalogue import choose
from framed.store import photos as store_photos
from framed.store import vectors
from framed.store.photos import PhotoWork

log = structlog.get_logger(__name__)

LIKENESS = "efficientnet-lite2-features"
_LIKENESS_BACKEND = "efficientnet"
"""Whichever model tags, this one's features are made: the thresholds of bursts and variety are measured on them, and it
costs a twentieth of any other tagger."""


class TagsStep(BatchStep):
    name = "tags"
    version = 1
    needs = ("preview",)
    batch = 16

    def __init__(self, compute: Compute, previews: Previews, backend: str = "auto") -> None:
        self._compute = compute
        self._previews = previews
        self._backend = backend

    async def run(self, photos: Sequence[PhotoWork]) -> list[Outcome]:
        if self._backend == "off":  # named, so that another backend takes these photos up
            return [Outcome("skipped", {"tags": [], "backend": "off"}) for _ in photos]
        try:
            backend = choose("tags", self._backend).backend
            paths = [str(await self._previews.ensure(photo)).encode() for photo in photos]
            scores, features = await self._look(backend, paths)
        except Unavailable as error:
            return [Outcome("unavailable", problem=error.message) for _ in photos]
        outcomes = []
        for at, (photo, row) in enumerate(zip(photos, scores, strict=True)):
            if not np.isfinite(row).all():
                outcomes.append(Outcome("failed", problem=f"The tagger {backend} gave no numbers for this picture."))
                continue
            scored = [[tag.name, round(float(tag.score), 3)] for tag in _words(backend, row)]
            store = _storing(photo.id, scored, None if features is None else features[at])
            outcomes.append(Outcome("completed", {"tags": scored, "backend": backend}, store=store))
        return outcomes

    async def _look(self, backend: str, paths: list[bytes]) -> tuple[NDArray[np.float32], NDArray[np.float16] | None]:
        """The tagger's scores and the likeness features, which only the small tagger makes beside its own."""
        if backend == _LIKENESS_BACKEND:
            answer = await self._call(backend, paths)
            return answer["scores"], answer["features"]
        answer, features = await asyncio.gather(self._call(backend, paths), self._features(paths))
        return answer["scores"], features

    async def _features(self, paths: list[bytes]) -> NDArray[np.float16] | None:
        try:
            found: NDArray[np.float16] = (await self._call(_LIKENESS_BACKEND, paths))["features"]
        except Unavailable as error:
            log.warning("photos are tagged without likeness features", problem=error.message)
            return None
        return found

    async def _call(self, backend: str, paths: list[bytes]) -> dict[str, Any]:
        return await self._compute.run(
            Call(task="tags", backend=backend, inputs={"paths": paths}, timeout_s=120.0 + 60.0 * len(paths))
        )


def _words(backend: str, scores: NDArray[np.float32]) -> Sequence[Any]:
    from framed.analysis import ram_words, tag_words

    return ram_words.words(scores) if backend == "ramplus" else tag_words.words(scores)


def _storing(photo_id: int, found: list[Any], features: NDArray[np.float16] | None) -> Callable[[Connection], None]:
    def store(connection: Connection) -> None:
        store_photos.set_tags(connection, photo_id, dict(found), "model")
        if features is not None:
            vectors.put(connection, LIKENESS, [(photo_id, features.astype(np.float32))])

    return store
