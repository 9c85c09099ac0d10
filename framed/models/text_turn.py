"""Which way up lines of text stand in a photo: the two readings of its longest lines decide for all of them.

A detector finds a line at any angle and hands it over lying down, but not which of its two ends is the beginning. One
that stood upright is laid down as if it ran downwards; one that runs upwards is then upside down, as is all of a photo
that was scanned or taken the wrong way up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from framed.models.ocr_scripts import Line

Pixels = NDArray[np.uint8]
Turn = Literal[0, 90, 180, 270]
Reread = Callable[[Sequence[Pixels]], Sequence[Line]]

_TALL = 1.5
"""Heights of a width from which on detectors' followers lay a line down."""
_JURY = 3
_CLEAR = 0.9
"""Lines that are the right way up are read so surely, in print that a photo shows well; upside down none was."""
_LETTERS = 3
_FEW = 2
"""Where all that is read is less, nothing is written: textures are read as single letters, words either way as more."""
_ALIKE = frozenset("0OoIlHNSsXxZz")
"""Characters that are themselves upside down: rows of them, which textures are read as, tell nothing."""


@dataclass(frozen=True)
class Found:
    """A line as its first reader has it: the corners around it as (n, 2) in pixels, clockwise from the upper left where
    they are four, and its pixels, cut out and laid down. `turn`: degrees clockwise by which its letters are turned."""

    line: Line
    corners: ArrayLike
    cut_out: Pixels
    turn: Turn = 0


def right_way_up(found: Sequence[Found], reread: Reread) -> list[Found]:
    """The lines, read from their other end where that is their beginning; `reread` says what stands in lines."""
    tall = [at for at, each in enumerate(found) if _is_tall(each)]
    unclear = [at for at, each in enumerate(found) if at not in set(tall) and each.line.score < _CLEAR]
    lines = [replace(each, turn=90) if at in set(tall) else each for at, each in enumerate(found)]
    for some in (tall, unclear):
        if some:
            _vote(lines, some, reread)
    return lines


def _vote(lines: list[Found], some: Sequence[int], reread: Reread) -> None:
    longest = sorted(some, key=lambda at: len(lines[at].line.text), reverse=True)
    jury, rest = longest[:_JURY], longest[_JURY:]
    if len(lines[jury[0]].line.text) < _FEW:
        return
    other = [_from_the_other_end(lines[at], line) for at, line in _read(lines, jury, reread)]
    if sum(map(_said, other)) <= sum(_said(lines[at]) for at in jury):
        return
    other += [_from_the_other_end(lines[at], line) for at, line in _read(lines, rest, reread)]
    for at, each in zip(longest, other, strict=True):
        if _said(each) >= _said(lines[at]):  # books stand either way on one shelf
            lines[at] = each


def _read(lines: Sequence[Found], some: Sequence[int], reread: Reread) -> list[tuple[int, Line]]:
    if not some:
        return []
    return list(zip(some, reread([_half_turned(lines[at].cut_out) for at in some]), strict=True))


def _said(found: Found) -> float:
    """How much was read, by how sure it is."""
    letters = [character for character in found.line.text if character.isalnum()]
    return found.line.score * len(letters) if len(letters) >= _LETTERS and not _ALIKE.issuperset(letters) else 0.0


def _from_the_other_end(found: Found, line: Line) -> Found:
    return replace(found, line=line, cut_out=_half_turned(found.cut_out), turn=270 if found.turn == 90 else 180)


def _half_turned(pixels: Pixels) -> Pixels:
    return np.ascontiguousarray(np.rot90(pixels, 2))


def _is_tall(found: Found) -> bool:
    corners = np.asarray(found.corners, dtype=np.float32)
    if len(corners) != 4:
        return False
    sides = np.linalg.norm(corners - np.roll(corners, -1, axis=0), axis=1)
    return bool(max(sides[1], sides[3]) >= _TALL * max(sides[0], sides[2]))


def reading_order(box: Sequence[float], turn: Turn) -> tuple[float, float]:
    """What lines sort by: rows from the top of the writing, then along the row. `box` is [x, y, w, h] in shares."""
    x, y, w, h = box
    row, along = {0: (y, x), 90: (-x - w, y), 180: (-y - h, -x - w), 270: (x, -y - h)}[turn]
    return round(row, 2), along
