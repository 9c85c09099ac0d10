"""What kind of picture a file holds: a photo, a screenshot, a document or a drawing.

What is known about the file comes first, the pixels second: a photo that lost its metadata is still a photo.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

KindName = Literal["photo", "screenshot", "document", "drawing"]
Array = NDArray[np.float32]


class KindFacts(BaseModel):
    format: str = ""
    """As Pillow names it: JPEG, PNG, HEIF …"""
    width: int
    height: int
    camera_make: str | None = None
    has_exif: bool = False
    """A camera's settings are there: exposure, aperture, ISO."""
    screenshot_hint: bool = False
    """The file's name or comment says that it is one."""
    file_name: str = ""
    software: str | None = None
    tags: dict[str, float] = Field(default_factory=dict)


class Kind(BaseModel):
    name: KindName
    score: float
    """0 to 1, against the other kinds."""
    why: str
    """The strongest reason, in words for a person."""


# width × height of whole screens, portrait. Camera pictures come in some of these sizes too; they are not in here.
_PHONES = frozenset(
    (int(width), int(height))
    for width, height in (
        size.split("x")
        for size in (
            "640x1136 750x1334 750x1624 828x1792 1125x2436 1242x2208 1242x2688 1170x2532 1179x2556 1206x2622 1284x2778 "
            "1290x2796 1320x2868 1080x2160 1080x2220 1080x2280 1080x2310 1080x2316 1080x2340 1080x2376 1080x2400 "
            "1080x2408 1080x2412 1080x2424 1080x2460 1080x2520 1440x2880 1440x2960 1440x3040 1440x3088 1440x3120 "
            "1440x3200 1280x2856 1344x2992 1008x2244 1220x2712 720x1440 720x1520 720x1560 720x1600 720x1612 1620x2160 "
            "1640x2360 1668x2224 1668x2388 1488x2266 2048x2732 1600x2560 1848x2960"
        ).split()
    )
)
_DESKTOPS = frozenset(
    (int(width), int(height))
    for width, height in (
        size.split("x")
        for size in (
            "1366x768 1440x900 1536x864 1600x900 1680x1050 1920x1080 1920x1200 2560x1440 2560x1600 3440x1440 3840x2160 "
            "2880x1800 3024x1964 3456x2234 2560x1664 2880x1864 1280x720 1280x800 2256x1504 2736x1824 5120x2880 "
            "3840x1080 1080x1920 2160x1440"
        ).split()
    )
)

_SOFTWARE: tuple[tuple[KindName, re.Pattern[str]], ...] = (
    (
        "screenshot",
        re.compile(r"screen ?(shot|capture|clip)|snipping|snagit|greenshot|flameshot|spectacle|sharex|lightshot", re.I),
    ),
    ("document", re.compile(r"scan|camscanner|office lens|paperport|vuescan|naps2|simple-scan|docscan", re.I)),
    (
        "drawing",
        re.compile(
            r"illustrator|inkscape|matplotlib|krita|procreate|clip studio|coreldraw|autodesk|gnuplot|graphviz", re.I
        ),
    ),
)
_SCAN_NAMES = re.compile(
    r"(^|[\W_])(scans?|scanned|camscanner|receipt|invoice|rechnung|quittung|kassenbon)([\W_\d]|$)", re.I
)


@dataclass
class _Evidence:
    """Sums of what speaks for each kind, in log odds, and the strongest reason for each."""

    weights: dict[KindName, float] = field(
        default_factory=lambda: {"photo": 1.0, "screenshot": -1.0, "document": -1.0, "drawing": -1.0}
    )
    reasons: dict[KindName, tuple[float, str]] = field(default_factory=dict)

    def add(self, kind: KindName, weight: float, why: str) -> None:
        self.weights[kind] += weight
        if weight > self.reasons.get(kind, (0.0, ""))[0]:
            self.reasons[kind] = (weight, why)

    def verdict(self) -> Kind:
        best = max(self.weights, key=lambda kind: self.weights[kind])
        total = sum(math.exp(weight - self.weights[best]) for weight in self.weights.values())
        why = self.reasons.get(best, (0.0, "nothing says that it is anything else"))[1]
        return Kind(name=best, score=round(1 / total, 3), why=why)


def kind(rgb: NDArray[np.uint8], facts: KindFacts) -> Kind:
    """Of an upright (H, W, 3) picture of about 512 px."""
    evidence = _Evidence()
    _weigh_file(facts, evidence)
    _weigh_pixels(_look(rgb), facts, evidence)
    _weigh_tags(facts.tags, evidence)
    return evidence.verdict()


def _weigh_file(facts: KindFacts, evidence: _Evidence) -> None:
    from_camera = bool(facts.camera_make) or facts.has_exif
    if facts.screenshot_hint:
        evidence.add("screenshot", 7, "its name or comment calls it a screenshot")
    if from_camera:
        evidence.add("photo", 5, f"a camera took it ({facts.camera_make})" if facts.camera_make else "a camera took it")
    for name, pattern in _SOFTWARE:
        if facts.software and pattern.search(facts.software):
            evidence.add(name, 5, f"it was made with {facts.software}")
    if _SCAN_NAMES.search(facts.file_name):
        evidence.add("document", 3, "its name calls it a scan or a receipt")
    if from_camera:
        return
    lossless = facts.format.upper() in {"PNG", "BMP", "GIF", "TIFF"}
    size = (facts.width, facts.height)
    if size in _PHONES or size[::-1] in _PHONES:
        evidence.add("screenshot", 4 if lossless else 1.5, "it has the size of a phone's screen and no camera")
    elif size in _DESKTOPS:
        evidence.add("screenshot", 0.8 if lossless else 0.2, "it has the size of a computer's screen and no camera")
    if lossless:
        evidence.add("photo", -0.7, "")
        evidence.add("screenshot", 0.4, "it is a lossless file and no camera took it")
        if facts.height > 2.4 * facts.width:
            evidence.add("screenshot", 2.5, "it is as long as only a scrolled page is")
    if facts.format.upper() == "GIF":
        evidence.add("drawing", 1, "it is a GIF")


def _weigh_pixels(look: _Look, facts: KindFacts, evidence: _Evidence) -> None:
    graphic, text = look.graphic, look.text
    evidence.add("photo", 2.0 - 4.5 * graphic, "its surfaces have a camera's fine variation")
    evidence.add("screenshot", graphic * (0.8 + 2.2 * text), "flat areas and lines of text, as on a screen")
    evidence.add("drawing", graphic * (2.6 - 2.4 * text), "flat areas of few colours, without lines of text")
    # On exactly flat white a page and a screen look the same, and the shape decides; a camera's view of a page has
    # nothing flat.
    written = text * look.paper
    evidence.add("document", written * (5.5 - 4 * graphic), "lines of dark text on light paper")
    long, short = max(facts.width, facts.height), max(1, min(facts.width, facts.height))
    if written > 0.5 and 1.27 < long / short < 1.45 and long >= 1000:
        evidence.add("document", 2.0, "lines of text on a sheet of paper's shape")


def _weigh_tags(tags: dict[str, float], evidence: _Evidence) -> None:
    evidence.add("screenshot", 1.5 * tags.get("website", 0.0), "it looks like a web page")
    evidence.add("document", 1.0 * tags.get("text", 0.0), "it looks like a page of text")
    if any(tags.get(word, 0.0) > 0.6 for word in ("animal", "food", "landscape", "vehicle", "clothes")):
        evidence.add("photo", 0.5, "it shows something to photograph")


@dataclass(frozen=True)
class _Look:
    graphic: float
    """0: a camera's picture; 1: made of exactly flat areas."""
    text: float
    """How surely there are several lines of text."""
    paper: float
    """How light and colourless it is."""


def _look(rgb: NDArray[np.uint8]) -> _Look:
    red, green, blue = (rgb[..., channel].astype(np.int32) for channel in range(3))
    luma = ((299 * red + 587 * green + 114 * blue) / np.float32(255_000)).astype(np.float32)
    code = red << 16 | green << 8 | blue
    few = _few_colours(rgb, code)
    graphic = float(np.clip((_flat_share(code) - 0.12) / 0.2, 0, 1)) * few
    return _Look(graphic=graphic, text=_text(luma), paper=_paper(rgb, luma))


def _paper(rgb: NDArray[np.uint8], luma: Array) -> float:
    sampled, light = rgb[::3, ::3], luma[::3, ::3]
    colour = float(np.mean(sampled.max(axis=2).astype(np.int16) - sampled.min(axis=2))) / 255
    middle = float(np.median(light))
    # Paper is nearly one shade, ink the small rest of it.
    even = float((np.abs(light - middle) < 0.14).mean())
    clips = np.clip(((0.11 - colour) / 0.05, (middle - 0.5) / 0.15, (even - 0.25) / 0.12), 0, 1)
    return float(clips.prod())


def _flat_share(code: NDArray[np.int32]) -> float:
    """How much of the picture is in blocks of 6 × 6 px that hold one colour exactly."""
    rows, columns = code.shape[0] // 6, code.shape[1] // 6
    if not rows or not columns:
        return 0.0
    blocks = code[: rows * 6, : columns * 6].reshape(rows, 6, columns, 6)
    same = (blocks == blocks[:, :1, :, :1]).all(axis=3).all(axis=1)
    return float(same.mean())


def _few_colours(rgb: NDArray[np.uint8], code: NDArray[np.int32]) -> float:
    """1 where a drawn picture's colours are, 0 where a photo's are.

    A cactus before a black cloth is flat too, and a burnt sky; but what is not flat in them has hundreds of colours,
    in black and white a hundred greys.
    """
    sampled = rgb[::2, ::2]
    if np.percentile(sampled.max(axis=2) - sampled.min(axis=2), 98) <= 6:
        return float(np.clip((90 - _most_frequent(rgb[..., 1], 256)) / 40, 0, 1))
    five = code >> 9 & 0x7C00 | code >> 6 & 0x3E0 | code >> 3 & 0x1F
    return float(np.clip((450 - _most_frequent(five, 32768)) / 250, 0, 1))


def _most_frequent(values: NDArray[Any], of: int) -> int:
    """How many different values make up nine tenths of all."""
    counts = np.sort(np.bincount(values.ravel(), minlength=of))[::-1]
    return int(np.searchsorted(np.cumsum(counts), 0.9 * counts.sum())) + 1


def _text(luma: Array) -> float:
    """Lines of text: in strips down the picture, rows with many fine strokes take turns with rows without."""
    if min(luma.shape) < 48:
        return 0.0
    strokes = np.abs(np.diff(luma, axis=1)) > 0.14
    found = [_lines(strip) for strip in np.array_split(strokes, 4, axis=1)]
    return float(np.mean(sorted(found)[1:]))


def _lines(strokes: NDArray[np.bool_]) -> float:
    rows = strokes.mean(axis=1)
    busy = float(np.percentile(rows, 92))
    if busy < 0.12:
        return 0.0
    inked = rows > 0.35 * busy
    lines = int((np.diff(inked.astype(np.int8)) == 1).sum())
    between = rows[~inked]
    clear = 1 - float(between.mean()) / busy if between.size else 0.0
    share = float(inked.mean())
    if share > 0.85:
        return 0.0
    return float(np.clip((lines - 2) / 5, 0, 1) * np.clip((clear - 0.85) / 0.1, 0, 1))
