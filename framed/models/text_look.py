"""How a photo is looked at for text, whichever backend reads it: a glance, a reading, a finer reading of the original.

The defaults of OCR are for documents. A photo is looked at in steps instead, each only where the one before found a
reason: a small look where anything might be text, a reading of those parts at 960 px, of the whole where they hold
words, and a finer one of the original.
"""

from __future__ import annotations

import math
import sys
from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from framed.errors import BadPhoto, Unavailable
from framed.models.base import Backend, Context
from framed.models.ocr_scripts import Line, ScriptReader, read_again, unmixed
from framed.models.text_turn import Found, Pixels, Turn, reading_order, right_way_up
from framed.models.upright import ORIGINALS, upright

GLANCE_PX = 480
LIKELY = 0.05
"""How sure the detector is in the small look, at least, where there is a text. Signs with letters of 16 of 1,440 pixels
had 0.98, but what is smaller, blurred or pale has less; half of real photos have such a place somewhere."""
READ_PX = 960
FINE_PX = 2000
SURE = 0.75
"""Lines under it were noise: letters that a texture resembles, or that a reader makes of a script it does not know
(Armenian, Georgian and Cyrillic signs had up to 0.72, Hebrew more). Of 115 lines in 45 photos two had less."""
_MARGIN = 0.08
"""Shares of the picture around what was seen: smaller print stands beside larger, and a glance sees parts of lines."""
_MOST_LINES = 300

_PERHAPS = 0.5
"""A line of a part that is read no better than that is no reason to look at the whole picture."""
_WHOLE = 0.5
"""Shares of the picture from which on reading its parts spares nothing."""


class Part(NamedTuple):
    """Of a picture, in shares of its width and height."""

    left: float
    top: float
    right: float
    bottom: float


WHOLE = Part(0.0, 0.0, 1.0, 1.0)


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
    def glance(self, bgr: Pixels) -> Sequence[Part]:
        """Where the detector, with the longer side at `GLANCE_PX`, is `LIKELY` sure of a text at least."""

    @abstractmethod
    def read(self, bgr: Pixels, side: int) -> Sequence[Found]:
        """Detection with the longer side at most `side`, and what stands there."""

    def reread(self, cut_outs: Sequence[Pixels]) -> Sequence[Line]:
        """What stands in lines that were cut out before. A backend that cannot say leaves them as they were read."""
        return [Line("", 0.0)] * len(cut_outs)

    def load(self, options: dict[str, Any], device: str) -> None:
        self._others, broken = _readers(options.get("scripts", {}))
        self._broken = " ".join(broken)

    def run(self, inputs: dict[str, Any], context: Context) -> dict[str, Any]:
        given = inputs.get("pixels")
        pixels = given if given is not None else upright(inputs["path"], FINE_PX)
        longer = max(pixels.shape[:2])
        parts = _joined(self.glance(_bgr(pixels))) if min(pixels.shape[:2]) >= 8 else []
        if not parts:
            return self._answer([], min(GLANCE_PX, longer))
        context.progress(0.2)
        lines: list[dict[str, Any]] = []
        if parts == [WHOLE] or any(self._read_part(pixels, part, READ_PX / longer, _PERHAPS) for part in parts):
            lines = self._read_part(pixels, WHOLE, READ_PX / longer)
        looked = min(READ_PX, longer)
        if lines:
            context.progress(0.5)
            fine = _finer(inputs.get("original"), pixels)
            if max(fine.shape[:2]) > READ_PX * 1.2:
                lines = _together(lines, self._read_part(fine, _around(lines), 1.0))
                looked = min(FINE_PX, max(fine.shape[:2]))
        return self._answer(_in_order(lines)[:_MOST_LINES], looked)

    def _answer(self, lines: list[dict[str, Any]], looked: int) -> dict[str, Any]:
        scripts = " ".join(reader.script for reader in self._others)
        return {"lines": lines, "looked": looked, "scripts": scripts, "broken": self._broken}

    def _read_part(self, pixels: Pixels, part: Part, scale: float, sure: float = SURE) -> list[dict[str, Any]]:
        """The lines there, as the answer has them, and the `turn` of each; the picture is shrunk by `scale`, if at all.
        Detection costs by the pixel."""
        height, width = pixels.shape[:2]
        left, top = int(part.left * width), int(part.top * height)
        bottom, right = max(int(part.bottom * height), top + 1), max(int(part.right * width), left + 1)
        seen = pixels[top:bottom, left:right]
        found = self.read(_bgr(seen), min(math.ceil(max(seen.shape[:2]) * min(scale, 1.0)), FINE_PX))
        found = right_way_up(found, self.reread)
        read = [Line(unmixed(each.line.text), each.line.score) for each in found]
        if self._others:
            read = read_again(read, [each.cut_out for each in found], self._others)
        lines = []
        for line, each in zip(read, found, strict=True):
            said, corners = " ".join(line.text.split()), np.asarray(each.corners)
            if line.score < sure or sum(character.isalnum() for character in said) < 2:
                continue
            low, high = corners.min(axis=0), corners.max(axis=0)
            box = [(left + low[0]) / width, (top + low[1]) / height, *((high - low) / (width, height))]
            box = [round(float(v), 4) for v in box]
            lines.append({"text": said, "score": round(line.score, 3), "box": box, "turn": each.turn})
        return lines

    def unload(self) -> None:
        del self._others


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


def _joined(parts: Sequence[Part]) -> list[Part]:
    """Those parts and a margin around them, what meets made one; the whole picture where they are most of it."""
    joined: list[Part] = []
    for part in parts:
        grown = _grown(part)
        while meeting := next((other for other in joined if _meet(grown, other)), None):
            joined.remove(meeting)
            grown = Part(*map(min, grown[:2], meeting[:2]), *map(max, grown[2:], meeting[2:]))
        joined.append(grown)
    share = sum((part.right - part.left) * (part.bottom - part.top) for part in joined)
    return [WHOLE] if share > _WHOLE else joined


def _grown(part: Part) -> Part:
    return Part(
        max(part.left - _MARGIN, 0.0),
        max(part.top - _MARGIN, 0.0),
        min(part.right + _MARGIN, 1.0),
        min(part.bottom + _MARGIN, 1.0),
    )


def _meet(a: Part, b: Part) -> bool:
    return a.left < b.right and b.left < a.right and a.top < b.bottom and b.top < a.bottom


def _around(lines: Sequence[dict[str, Any]]) -> Part:
    boxes = np.array([line["box"] for line in lines])
    low, high = boxes[:, :2].min(axis=0), (boxes[:, :2] + boxes[:, 2:]).max(axis=0)
    return _grown(Part(*low.tolist(), *high.tolist()))


def _together(coarse: list[dict[str, Any]], fine: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The finer reading, and of the coarser one what the finer lost: large letters that outgrew the detector."""
    kept = [line for line in coarse if not any(_overlap(line["box"], other["box"]) > 0.3 for other in fine)]
    return [*fine, *kept]


def _in_order(lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """As they are read, which way up most of the writing is."""
    letters: Counter[Turn] = Counter()
    for line in lines:
        letters[line["turn"]] += len(line["text"])
    turn = letters.most_common(1)[0][0] if letters else 0
    found = sorted(lines, key=lambda line: reading_order(line["box"], turn))
    return [{name: value for name, value in line.items() if name != "turn"} for line in found]


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
