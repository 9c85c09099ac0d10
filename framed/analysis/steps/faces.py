"""Late step: the faces in the picture, and who they are where that is known."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray
from sqlalchemy import Connection

from framed.analysis.clusters import LIMITS, quality
from framed.analysis.look import PreviewLook
from framed.analysis.step import Outcome
from framed.models.catalogue import Choice
from framed.store import faces as rows
from framed.store.photos import PhotoWork

log = structlog.get_logger(__name__)


class FacesStep(PreviewLook):
    name = "faces"
    version = 1
    needs = ("preview", "metadata")
    batch = 8
    timeout_s = (120.0, 15.0)

    def together(self, chosen: Choice) -> int:
        """One model for many crops, where it is one; the cpu hosts take a photo each."""
        return self.batch if chosen.host == "model" else 1

    def outcomes(self, photos: Sequence[PhotoWork], answer: dict[str, Any], chosen: Choice) -> list[Outcome]:
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
