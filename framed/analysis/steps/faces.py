"""Late step: the faces in the picture, and who they are where that is known."""

import asyncio
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray
from sqlalchemy import Connection

from framed.analysis.clusters import LIMITS, quality
from framed.analysis.previews import Previews
from framed.analysis.step import LateStep, Outcome
from framed.errors import BadPhoto, FramedError, Unavailable
from framed.models.base import Call, Compute
from framed.models.catalogue import Choice, choose
from framed.store import faces as rows
from framed.store.photos import PhotoWork

log = structlog.get_logger(__name__)


class FacesStep(LateStep):
    name = "faces"
    version = 1
    needs = ("preview", "metadata")
    batch = 8

    def __init__(self, compute: Compute, previews: Previews, backend: str = "auto") -> None:
        self._compute = compute
        self._previews = previews
        self._backend = backend

    def unavailable(self) -> str | None:
        try:
            choose("faces", self._backend)
        except Unavailable as error:
            return error.message
        return None

    @property
    def model(self) -> str | None:
        """The model that would look now."""
        try:
            return choose("faces", self._backend).model_id
        except Unavailable:
            return None

    async def run(self, photos: Sequence[PhotoWork]) -> list[Outcome]:
        chosen = choose("faces", self._backend)
        if chosen.host == "model":  # one model, many crops at a time
            return await self._look(photos, chosen)
        return list(await asyncio.gather(*(self._look_at_one(photo, chosen) for photo in photos)))

    async def _look_at_one(self, photo: PhotoWork, chosen: Choice) -> Outcome:
        try:
            return (await self._look([photo], chosen))[0]
        except Unavailable:
            raise
        except FramedError as error:  # this photo's alone: the others of the batch keep what was found in them
            return Outcome("failed", problem=error.message)

    async def _look(self, photos: Sequence[PhotoWork], chosen: Choice) -> list[Outcome]:
        try:
            paths = [os.fsencode(await self._previews.ensure(photo)) for photo in photos]
        except BadPhoto as error:
            if len(photos) > 1:
                raise  # the photos are then looked at one by one
            return [Outcome("failed", problem=error.message)]
        answer = await self._compute.run(
            Call(
                task="faces",
                backend=chosen.backend,
                inputs={"paths": paths},
                timeout_s=120.0 + 15.0 * len(photos),
                label=photos[0].uid,
            )
        )
        outcomes, start = [], 0
        for photo, found in zip(photos, answer["photos"], strict=True):
            end = start + len(found["faces"])
            outcomes.append(_outcome(photo, found, answer["vectors"][start:end], chosen))
            start = end
        return outcomes


def _outcome(photo: PhotoWork, found: dict[str, Any], vectors: NDArray[np.float32], chosen: Choice) -> Outcome:
    if found["problem"]:
        return Outcome("failed", problem=found["problem"])
    sure = LIMITS[chosen.model_id].sure
    kept: list[rows.Found] = []
    for face, vector in zip(found["faces"], vectors, strict=True):
        if not (np.isfinite(vector).all() and np.isfinite(face["box"]).all()):
            log.warning("a face without numbers is left out", photo=photo.uid, backend=chosen.backend)
            continue
        worth = quality(
            pixels=face["pixels"], sharpness=face["sharpness"], turned=face["turned"], score=face["score"], sure=sure
        )
        kept.append(
            rows.Found(
                box=face["box"],
                points=face["points"],
                score=face["score"],
                quality=round(worth, 3),
                vector=vector,
                child=face["child"],
                eyes_open=face["eyes_open"],
            )
        )
    if found["faces"] and not kept:
        return Outcome("failed", problem=f"{chosen.backend} gave no numbers for the faces of this photo.")
    named = [region for region in photo.results.get("metadata", {}).get("people", []) if region.get("name")]

    def store(connection: Connection) -> None:
        rows.put(connection, photo.id, chosen.model_id, kept, named)

    eyes = [face.eyes_open for face in kept if face.eyes_open is not None]
    result = {
        "count": len(kept),
        "eyes_open": round(min(eyes), 3) if eyes else None,
        "model": chosen.model_id,
        "backend": chosen.backend,
    }
    return Outcome("completed", result, store=store)
