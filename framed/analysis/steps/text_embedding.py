"""Step: the vector of the photo's meaning, which plain-word requests are compared with."""

from collections.abc import Sequence

import numpy as np
from sqlalchemy import Connection

from framed.analysis.step import BatchStep, Outcome
from framed.errors import Unavailable
from framed.models.base import Call, Compute
from framed.models.catalogue import choose
from framed.store import vectors
from framed.store.photos import PhotoWork


class TextEmbeddingStep(BatchStep):
    name = "text_embedding"
    version = 1
    needs = ("description",)
    batch = 32

    def __init__(self, compute: Compute, backend: str = "auto") -> None:
        self._compute = compute
        self._backend = backend

    async def run(self, photos: Sequence[PhotoWork]) -> list[Outcome]:
        try:
            chosen = choose("text_embedding", self._backend)
            texts = [photo.results["description"]["meaning"] for photo in photos]
            answer = await self._compute.run(
                Call(task="text_embedding", backend=chosen.backend, inputs={"texts": texts})
            )
        except Unavailable as error:
            return [Outcome("unavailable", problem=error.message) for _ in photos]
        outcomes = []
        for photo, vector in zip(photos, answer["vectors"], strict=True):
            if not np.isfinite(vector).all():
                outcomes.append(Outcome("failed", problem=f"{chosen.backend} gave no numbers for this description."))
                continue

            def store(
                connection: Connection,
                photo_id: int = photo.id,
                row: "np.ndarray[tuple[int], np.dtype[np.float32]]" = vector,
            ) -> None:
                vectors.put(connection, chosen.model_id, [(photo_id, row)])

            outcomes.append(Outcome("completed", {"model": chosen.model_id}, store=store))
        return outcomes
