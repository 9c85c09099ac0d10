"""The cpu host's look at one file: read once, decode once, run every examined step on the same picture."""

from __future__ import annotations

import hashlib
import importlib
import os
import sys
import time
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from framed.errors import BadPhoto, CannotStore, FramedError, PhotoChanging
from framed.library import files
from framed.models.base import Backend, Context

if TYPE_CHECKING:
    from framed.library.metadata import Metadata

PREVIEW_PX = 1440
THUMB_PX = 480


@dataclass
class Opened:
    """One picture in the hands of the examined steps. The arrays are upright sRGB, uint8, height × width × 3."""

    data: bytes
    name: str
    sidecars: list[bytes]
    file_time: datetime | None
    preview_path: bytes
    thumb_path: bytes
    limits: files.Limits
    full_size: tuple[int, int] | None = None
    results: dict[str, dict[str, Any]] = field(default_factory=dict)

    @cached_property
    def decoded(self) -> files.Decoded:
        return files.open_photo(self.data, self.name, self.limits, (PREVIEW_PX, PREVIEW_PX), contain=True)

    @property
    def width(self) -> int:
        return self.full_size[0] if self.full_size else self.decoded.width

    @property
    def height(self) -> int:
        return self.full_size[1] if self.full_size else self.decoded.height

    @cached_property
    def preview(self) -> Any:
        """The picture at preview size (a PIL image), the source of every smaller one."""
        return files.thumbnail(self.decoded.image, (PREVIEW_PX, PREVIEW_PX))

    @cached_property
    def px512(self) -> NDArray[np.uint8]:
        """The canonical path of every hash: never computed from another size."""
        from framed.analysis.pdq import canonical

        return canonical(self.preview)

    @cached_property
    def px160(self) -> NDArray[np.uint8]:
        return np.asarray(files.thumbnail(self.preview, (160, 160)))

    @cached_property
    def metadata(self) -> Metadata:
        from framed.library.metadata import read_metadata

        return read_metadata(self.data, self.name, self.sidecars, self.file_time)


class Examine(Backend):
    """inputs: path, name, sidecars (paths), steps (names), preview and thumb (paths to write), limits; `only`: the uid
    of the photo that the file must hold, or it is PhotoChanging.

    Gives sha256, size, mtime_ns, width, height, format, notes, and for each step `results[step]` or
    `problems[step]`, with `ms[step]`. BadPhoto: the file as a whole cannot be read.
    """

    task: ClassVar[str] = "examine"
    name: ClassVar[str] = "pillow"
    host: ClassVar[Any] = "cpu"

    @classmethod
    def available(cls) -> str | None:
        return None

    def load(self, options: dict[str, Any], device: str) -> None:
        self._looks: dict[str, Any] = {}

    def run(self, inputs: dict[str, Any], context: Context) -> dict[str, Any]:
        limits = files.Limits.model_validate(inputs.get("limits") or {})
        path: bytes = inputs["path"]
        began = time.perf_counter()
        data = files.read_bytes(path, limits)
        try:
            stat = os.stat(path)
        except OSError as error:
            raise PhotoChanging(f"{files.display_name(path)} was moved or removed while it was read.") from error
        opened = Opened(
            data=data,
            name=inputs["name"],
            sidecars=_sidecars(inputs.get("sidecars") or (), limits),
            file_time=datetime.fromtimestamp(stat.st_mtime).astimezone(),
            preview_path=inputs["preview"],
            thumb_path=inputs["thumb"],
            limits=limits,
            full_size=tuple(inputs["full_size"]) if inputs.get("full_size") else None,
        )
        sha256 = hashlib.sha256(data).digest()
        if inputs.get("only", uid := sha256.hex()[:16]) != uid:
            raise PhotoChanging(f"{files.display_name(path)} holds another picture now.")
        if inputs.get("by_content"):
            # The picture's own hash names its files in the cache; the daemon does not know it before this call.
            opened.preview_path = _named(inputs["preview"], sha256)
            opened.thumb_path = _named(inputs["thumb"], sha256)
        answer: dict[str, Any] = {
            "sha256": sha256,
            "size": len(data),
            "mtime_ns": stat.st_mtime_ns,
            "width": opened.width,
            "height": opened.height,
            "format": opened.decoded.format,
            "notes": list(opened.decoded.notes),
            "results": opened.results,
            "problems": {},
            "ms": {"read": round((time.perf_counter() - began) * 1000, 2)},
        }
        for step in inputs["steps"]:
            context.check()
            began = time.perf_counter()
            try:
                opened.results[step] = self._look(step)(opened)
            except CannotStore:
                raise  # no fault of the photo
            except FramedError as error:
                answer["problems"][step] = error.message
            except MemoryError as error:
                raise BadPhoto(files.too_much(inputs["name"])) from error
            except Exception as error:  # one step's bug must not cost the photo the others
                answer["problems"][step] = f"{step} failed on this picture ({type(error).__name__})."
                print(f"step {step} failed: {error!r}", file=sys.stderr)
            answer["ms"][step] = round((time.perf_counter() - began) * 1000, 2)
        return answer

    def _look(self, step: str) -> Any:
        if step not in self._looks:
            self._looks[step] = importlib.import_module(f"framed.analysis.steps.{step}").look
        return self._looks[step]


def _sidecars(paths: Any, limits: files.Limits) -> list[bytes]:
    """Those that can be read: an empty or vanished sidecar costs the photo nothing."""
    found = []
    for path in paths:
        try:
            found.append(files.read_bytes(path, limits))
        except BadPhoto as error:
            print(f"sidecar passed over: {error.message}", file=sys.stderr)
    return found


def _named(folder: bytes, sha256: bytes) -> bytes:
    uid = sha256.hex()[:16].encode()
    return folder + b"/" + uid[:2] + b"/" + uid + b".jpg"
