"""Late step: the text in the picture, which a photo is then found by."""

import asyncio
import os
from collections.abc import Sequence
from typing import Any

import structlog

from framed.analysis.previews import Previews
from framed.analysis.step import LateStep, Outcome
from framed.errors import FramedError, Unavailable
from framed.models.base import Call, Compute
from framed.models.catalogue import choose
from framed.store.photos import PhotoWork

log = structlog.get_logger(__name__)

_MOST_CHARACTERS = 4_000


class OcrStep(LateStep):
    name = "ocr"
    version = 1
    needs = ("preview",)
    batch = 8

    def __init__(self, compute: Compute, previews: Previews, backend: str = "auto") -> None:
        self._compute = compute
        self._previews = previews
        self._backend = backend

    def unavailable(self) -> str | None:
        try:
            choose("ocr", self._backend)
        except Unavailable as error:
            return error.message
        return None

    async def run(self, photos: Sequence[PhotoWork]) -> list[Outcome]:
        backend = choose("ocr", self._backend).backend
        return list(await asyncio.gather(*(self._read(photo, backend) for photo in photos)))

    async def _read(self, photo: PhotoWork, backend: str) -> Outcome:
        try:
            preview = await self._previews.ensure(photo)
            inputs: dict[str, Any] = {"path": os.fsencode(preview), "original": _original(photo)}
            answer = await self._compute.run(
                Call(task="ocr", backend=backend, inputs=inputs, timeout_s=180.0, label=photo.uid)
            )
        except Unavailable:
            raise
        except FramedError as error:  # this photo's alone: the others of the batch keep what was read in them
            return Outcome("failed", problem=error.message)
        try:
            lines, looked = answer["lines"], answer["looked"]
            text = " ".join(line["text"] for line in lines)[:_MOST_CHARACTERS]
        except (KeyError, TypeError):
            log.exception("an answer is no text", backend=backend, photo=photo.uid)
            return Outcome("failed", problem=f"{backend} gave an answer that is no text.")
        before = photo.results.get("ocr", {}).get("text", "")
        result = {"text": text, "lines": lines, "looked": looked, "backend": backend}
        refresh = ("description", "text_embedding") if text != before else ()
        return Outcome("completed", result, refresh=refresh)


def _original(photo: PhotoWork) -> bytes | None:
    if not photo.paths:
        return None
    return b"/".join(part for part in photo.paths[0] if part)
