"""Step: what is in the picture, in everyday words, and the features that likeness is measured by."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
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

LIKENESS = "efficientnet-lite2-features"


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
        from framed.analysis.tag_words import words

        try:
            backend = choose("tags", self._backend).backend
            paths = [await self._previews.ensure(photo) for photo in photos]
            answer = await self._compute.run(
                Call(task="tags", backend=backend, inputs={"paths": [str(path).encode() for path in paths]})
            )
        except Unavailable as error:
            return [Outcome("unavailable", problem=error.message) for _ in photos]
        outcomes = []
        for photo, scores, features in zip(photos, answer["scores"], answer["features"], strict=True):
            if not np.isfinite(scores).all():
                outcomes.append(Outcome("failed", problem=f"The tagger {backend} gave no numbers for this picture."))
                continue
            found = words(scores)
            scored = [[tag.name, round(float(tag.score), 3)] for tag in found]
            store = _storing(photo.id, scored, features)
            outcomes.append(Outcome("completed", {"tags": scored, "backend": backend}, store=store))
        return outcomes


def _storing(photo_id: int, found: list[Any], features: NDArray[np.float16]) -> Callable[[Connection], None]:
    def store(connection: Connection) -> None:
        store_photos.set_tags(connection, photo_id, dict(found), "model")
        vectors.put(connection, LIKENESS, [(photo_id, features.astype(np.float32))])

    return store
