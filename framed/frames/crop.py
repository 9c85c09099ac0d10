"""Which part of a photo fills a panel: faces first, then what catches the eye, then the middle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from framed.frames.base import Box
from framed.frames.palette import Floats, lab

_AIR = 0.14  # of a face's side, kept free around it
_HAIR = 0.35  # of a face's height, kept free above it: detectors box from brow to chin
_EYE_LINE = 0.40  # where in the window's height faces are wanted
_PULL = 0.75  # how far the window moves from the middle towards faces that it holds anyway
_MAP_SIDE = 96
_UPPER_THIRD = 0.42  # where the middle of a tall photo's subject usually is
_CENTRE_BIAS = 0.22


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a picture in its pixels, with fractions; ``keeps_faces`` is False where a face is cut."""

    x: float
    y: float
    width: float
    height: float
    keeps_faces: bool = True

    @property
    def edges(self) -> tuple[float, float, float, float]:
        return self.x, self.y, self.x + self.width, self.y + self.height

    def share(self, size: tuple[int, int]) -> Box:
        width, height = size
        return Box(
            x=round(self.x / width, 5),
            y=round(self.y / height, 5),
            w=round(self.width / width, 5),
            h=round(self.height / height, 5),
        )

    def lost_share(self, size: tuple[int, int]) -> float:
        return round(max(0.0, 1 - self.width * self.height / (size[0] * size[1])), 5)


@dataclass(frozen=True, slots=True)
class _Span:
    """A box along the one axis on which the window can move, in shares of the picture."""

    start: float
    end: float
    weight: float

    @property
    def middle(self) -> float:
        return (self.start + self.end) / 2


def choose_window(image: Image.Image, panel_size: tuple[int, int], focus: Sequence[Box]) -> Window:
    """The largest window of the panel's shape, moved along the one axis where there is room."""
    width, height = image.size
    aspect = panel_size[0] / panel_size[1]
    across = width / height > aspect
    length = height * aspect / width if across else width / aspect / height
    length = min(length, 1.0)
    spans = [_span(box, across) for box in focus]
    start, kept = _start(image, across, length, spans)
    if across:
        return Window(start * width, 0, length * width, height, kept)
    return Window(0, start * height, width, length * height, kept)


def _span(box: Box, across: bool) -> _Span:
    start, side = (box.x, box.w) if across else (box.y, box.h)
    if box.weight < 1:
        return _Span(start, min(start + side, 1.0), box.weight)
    before = _AIR if across else _HAIR
    return _Span(max(start - before * side, 0.0), min(start + (1 + _AIR) * side, 1.0), box.weight)


def _start(image: Image.Image, across: bool, length: float, spans: Sequence[_Span]) -> tuple[float, bool]:
    """Where the window begins, as a share of the picture, and whether it holds every face."""
    room = 1 - length
    faces = [span for span in spans if span.weight >= 1]
    if not spans:
        return _liveliest(image, across, length), True
    held = faces or spans
    first, last = min(span.start for span in held), max(span.end for span in held)
    middle = sum(span.middle * span.weight for span in spans) / max(sum(span.weight for span in spans), 1e-9)
    wanted = _PULL * (middle - length * (0.5 if across else _EYE_LINE)) + (1 - _PULL) * room / 2
    fits = last - first <= length + 1e-9
    if fits:
        wanted = min(max(wanted, last - length), first)
    return min(max(wanted, 0.0), room), fits or not faces


def _liveliest(image: Image.Image, across: bool, length: float) -> float:
    """Start of the window that holds most of what catches the eye, with a bias to where subjects usually are."""
    room = 1 - length
    if room < 0.01:
        return room / 2
    profile = _energy(image).sum(axis=0 if across else 1)
    count = profile.size
    total = np.concatenate([[0.0], np.cumsum(profile / max(float(profile.sum()), 1e-9))])
    starts = np.linspace(0, room, 65)
    inside = np.interp((starts + length) * count, np.arange(count + 1), total) - np.interp(
        starts * count, np.arange(count + 1), total
    )
    tall = image.height > image.width
    middle = _UPPER_THIRD if tall and not across else 0.5
    rest = min(max(middle - length / 2, 0.0), room)
    off_centre = (starts - rest) / max(room, 1e-9)
    return float(starts[int(np.argmax(inside - _CENTRE_BIAS * off_centre**2))])


def _energy(image: Image.Image) -> Floats:
    """Edges plus colours unlike the rest, on a small copy; square roots keep gravel and grass from deciding alone."""
    scale = _MAP_SIDE / max(image.size)
    size = max(2, round(image.width * scale)), max(2, round(image.height * scale))
    colours = lab(np.asarray(image.resize(size, Image.Resampling.BOX, reducing_gap=1.0)))
    down, right = np.gradient(colours, axis=(0, 1))
    edges = np.sqrt(np.sqrt((down**2 + right**2).sum(axis=-1)))
    unlike = np.sqrt(np.linalg.norm(colours - np.median(colours, axis=(0, 1)), axis=-1))
    energy: Floats = (edges / max(float(edges.mean()), 1e-6) + 1.3 * unlike / max(float(unlike.mean()), 1e-6)).astype(
        np.float32
    )
    return energy
