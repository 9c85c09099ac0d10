"""How a photo is looked at for text, whichever backend reads it: a glance, a reading, a finer reading of the original.

The defaults of OCR are for documents. A photo is looked at in three steps instead, each only where the one before found
a reason: a small look whether anything might be text, a reading at 960 px, and a finer one of the original.
"""

from __future__ import annotations

import sys
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from framed.errors import BadPhoto, Unavailable
from framed.models.base import Backend, Context
from framed.models.ocr_scripts import Line, ScriptReader, read_again, unmixed
from framed.models.upright import ORIGINALS, upright

GLANCE_PX = 480
LIKELY = 0.05
"""The detector's surest pixel in the small look. Landscapes, flowers and portraits stayed under it, a photo with a shop
sign or a label was over it (28 real photos); a small look costs a quarter of a reading."""
READ_PX = 960
FINE_PX = 2000
SURE = 0.75
"""Lines under it were noise: letters that a texture resembles, or that a reader makes of a script it does not know
(Armenian, Georgian and Cyrillic signs had up to 0.72, Hebrew more). Of 115 lines in 45 photos two had less."""
_MARGIN = 0.08
"""Shares of the picture around the lines of the first reading: smaller print stands beside larger."""
_MOST_LINES = 300

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Found:
    """A line as its first reader has it: the corners around it as (n, 2) in pixels, and its pixels, cut out and
    straightened."""

    line: Line
    corners: ArrayLike
    cut_out: Pixels


class TextLook(Backend):
    """``{"path": preview, "original": path or None}`` (bytes) or ``{"pixels": uint8 (H, W, 3)}`` →
    ``{"lines": [{"text", "score", "box": [x, y, w, h]}], "looked": pixels of the finest look, "scripts": those that
    could be read beside the reader's own, a space between them, "broken": those whose weights are none, each as
    `script@which`}``, from top to bottom; a box is in shares of the upright picture; no lines where there is no text.

    The option `scripts` is `ocr_scripts.here()`, or some of it.

    `original` is opened for the finer look and may be a format that cannot be read here: then the preview has to do.
    BadPhoto: the preview cannot be read.
    """

    task: ClassVar[str] = "ocr"

    @abstractmethod
    def likely(self, bgr: Pixels) -> bool:
        """Whether the detector, with the longer side at `GLANCE_PX`, is `LIKELY` sure of any pixel at least."""

    @abstractmethod
    def read(self, bgr: Pixels, side: int) -> Sequence[Found]:
        """Detection with the longer side at most `side`, and what stands there."""

    def load(self, options: dict[str, Any], device: str) -> None:
        self._others, broken = _readers(options.get("scripts", {}))
        self._broken = " ".join(broken)

    def run(self, inputs: dict[str, Any], context: Context) -> dict[str, Any]:
        given = inputs.get("pixels")
        pixels = given if given is not None else upright(inputs["path"], FINE_PX)
        if min(pixels.shape[:2]) < 8 or not self.likely(_bgr(pixels)):
            return self._answer([], min(GLANCE_PX, max(pixels.shape[:2])))
        context.progress(0.2)
        lines = self._lines(pixels, READ_PX)
        looked = min(READ_PX, max(pixels.shape[:2]))
        if lines:
            context.progress(0.5)
            fine = _finer(inputs.get("original"), pixels)
            if max(fine.shape[:2]) > READ_PX * 1.2:
                lines = _together(lines, self._read_around(fine, lines))
                looked = min(FINE_PX, max(fine.shape[:2]))
        return self._answer(lines[:_MOST_LINES], looked)

    def _answer(self, lines: list[dict[str, Any]], looked: int) -> dict[str, Any]:
        scripts = " ".join(reader.script for reader in self._others)
        return {"lines": lines, "looked": looked, "scripts": scripts, "broken": self._broken}

    def _lines(self, pixels: Pixels, side: int) -> list[dict[str, Any]]:
        height, width = pixels.shape[:2]
        lines = []
        found = self.read(_bgr(pixels), side)
        read = [Line(unmixed(each.line.text), each.line.score) for each in found]
        if self._others:
            read = read_again(read, [each.cut_out for each in found], self._others)
        for line, corners in zip(read, (np.asarray(each.corners) for each in found), strict=True):
            said = " ".join(line.text.split())
            if line.score < SURE or sum(character.isalnum() for character in said) < 2:
                continue
            low, high = corners.min(axis=0), corners.max(axis=0)
            box = [low[0] / width, low[1] / height, (high[0] - low[0]) / width, (high[1] - low[1]) / height]
            lines.append({"text": said, "score": round(line.score, 3), "box": [round(float(v), 4) for v in box]})
        return lines

    def unload(self) -> None:
        del self._others

    def _read_around(self, pixels: Pixels, lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The finer look, only at the part of the picture that holds text: detection costs by the pixel."""
        boxes = np.array([line["box"] for line in lines])
        low = np.clip(boxes[:, :2].min(axis=0) - _MARGIN, 0, 1)
        high = np.clip((boxes[:, :2] + boxes[:, 2:]).max(axis=0) + _MARGIN, 0, 1)
        height, width = pixels.shape[:2]
        left, top, right, bottom = (
            int(v) for v in (low[0] * width, low[1] * height, high[0] * width, high[1] * height)
        )
        found = self._lines(pixels[top:bottom, left:right], FINE_PX)
        across, down = (right - left) / width, (bottom - top) / height
        for line in found:
            x, y, w, h = line["box"]
            box = [left / width + x * across, top / height + y * down, w * across, h * down]
            line["box"] = [round(v, 4) for v in box]
        return found


def _readers(scripts: Mapping[str, str]) -> tuple[list[ScriptReader], list[str]]:
    """And what cannot be had, as `script@which`: it costs its own script and no other."""
    found, broken = [], []
    for script, which in scripts.items():
        try:
            found.append(ScriptReader(script))
        except Unavailable as error:
            # To the daemon's log: a host apart has no structlog.
            print(f"{script} cannot be read: {error.message}", file=sys.stderr, flush=True)
            broken.append(f"{script}@{which}")
    return found, broken


def _bgr(pixels: Pixels) -> Pixels:
    return np.ascontiguousarray(pixels[:, :, ::-1])


def _together(coarse: list[dict[str, Any]], fine: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The finer reading, and of the coarser one what the finer lost: large letters that outgrew the detector."""
    kept = [line for line in coarse if not any(_overlap(line["box"], other["box"]) > 0.3 for other in fine)]
    return sorted([*fine, *kept], key=lambda line: (round(line["box"][1], 2), line["box"][0]))


def _overlap(a: list[float], b: list[float]) -> float:
    """The share of the smaller box that both cover."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    smaller = min(a[2] * a[3], b[2] * b[3])
    return max(width, 0.0) * max(height, 0.0) / smaller if smaller > 0 else 0.0


def _finer(original: bytes | None, preview: Pixels) -> Pixels:
    if not original:
        return preview
    try:
        found = upright(original, FINE_PX, ORIGINALS)
    except BadPhoto:
        return preview  # RAW, or gone since: the preview is what there is
    return found if max(found.shape[:2]) > max(preview.shape[:2]) else preview
