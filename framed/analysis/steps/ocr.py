"""Late step: the text in the picture, which a photo is then found by."""

import asyncio
import os
from collections.abc import Sequence
from typing import Any

from framed.analysis.previews import Previews
from framed.analysis.step import LateStep, Outcome
from framed.errors import BadPhoto, Unavailable
from framed.models.base import Call, Compute
from framed.models.catalogue import choose
from framed.store.photos import PhotoWork

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
        except BadPhoto as error:
            return Outcome("failed", problem=error.message)
        lines = answer["lines"]
        text = " ".join(line["text"] for line in lines)[:_MOST_CHARACTERS]
        before = photo.results.get("ocr", {}).get("text", "")
        result = {"text": text, "lines": lines, "looked": answer["looked"], "backend": backend}
        refresh = ("description", "text_embedding") if text != before else ()
        return Outcome("completed", result, refresh=refresh)


def _original(photo: PhotoWork) -> bytes | None:
    if not photo.paths:
        return None
    return b"/".join(part for part in photo.paths[0] if part)
