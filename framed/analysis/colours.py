"""The colours of a picture, in the words people use for them."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

Array = NDArray[np.float32]


class Colour(BaseModel):
    name: str
    hex: str
    """``#rrggbb``."""
    share: float
    """Of the picture's area, 0 to 1."""


class Colours(BaseModel):
    palette: list[Colour]
    """At most five, largest share first, each with another name."""
    dominant: str
    """The name a person would give the picture's colour: a vivid one counts for more than grey of the same area."""
    brightness: float
    saturation: float
    warm: float
    """-1 (all blue) to 1 (all orange); near 0 where neither prevails."""
    monochrome: bool
    """Without colour, or of one faint tint all over (sepia)."""


# What people call these, in sRGB. A name that covers a wide range, from pale to deep blue, has several anchors.
_ANCHORS: dict[str, str] = {
    "black": "050505 161616 1a1412 0e141c",
    "grey": "3c3c3c 5a5a5a 808080 a6a6a6 c4c4c4 4a4f56 8a9299 75706a 9a948c",
    "white": "ffffff f4f4f4 e6e6e6 f6f1ea e9eef3",
    "red": "d81e1e a81414 ef3b36 7d1212 c43a3a b5333c",
    "orange": "f07d18 ff9a2e d9661c e8823f c96b1e",
    "yellow": "f6d91c ffea4a e8c62c fff08a d8c21e",
    "gold": "c89b2c b4862a d4ae4a",
    "brown": "6b4423 8a5a33 4a2f1b a0704a 5a4632 7a5c45 36261a 93653a",
    "beige": "d9c7a5 e8dac0 c8b48f cbb59b e3cfb4 d6b49a",
    "green": "2e8b2e 4caf50 1e5a22 7fb04a 556b2f 8fbf6a 2c3a1c 6f8f2f 5d7a3a a9cf6a 8a9a5b 224411 1a3316 c2dba8",
    "teal": "148a8a 2aa79b 0c5558 3fb5b5 5fa8a8",
    "blue": "1e5fd0 3a86e0 6fb0ee 123a80 a3cdf2 4a78a8 0b2550 87aed0 2f55a0 5d8fc9 87ceeb b8d8ee",
    "purple": "7a2fb0 9b59b6 5b2a86 b48ad8 3b1f5a 8666a8 6c4a8c",
    "pink": "f06aa6 f7a8c4 e83e8c fbd0dc d9578f e090a8 c8507a ffc0cb f0b8bc dda0a8",
}


def colours(rgb_small: NDArray[np.uint8]) -> Colours:
    """Of an upright (H, W, 3) sRGB picture of about 160 px; larger ones are sampled."""
    pixels = _sampled(rgb_small)
    lab = oklab(pixels)
    chroma = np.hypot(lab[:, 1], lab[:, 2])
    names, nearest = _nearest_names(lab)
    monochrome = bool(_is_monochrome(lab, chroma))
    if monochrome:
        nearest = _without_colour(lab, names)
    palette = _palette(pixels, lab, names[nearest])
    return Colours(
        palette=palette,
        dominant=_dominant(palette),
        brightness=round(float(lab[:, 0].mean()), 3),
        saturation=round(float(np.minimum(chroma / 0.2, 1).mean()), 3),
        warm=round(_warmth(lab), 3),
        monochrome=monochrome,
    )


def oklab(pixels: NDArray[np.uint8]) -> Array:
    """(N, 3) sRGB bytes → lightness 0 to 1, green–red, blue–yellow (Ottosson, "A perceptual color space")."""
    linear = _linear_table()[pixels]
    cone = linear @ np.array(
        [
            [0.41222147, 0.21190350, 0.08830246],
            [0.53633254, 0.68069955, 0.28171884],
            [0.05144599, 0.10739696, 0.62997870],
        ],
        dtype=np.float32,
    )
    lab: Array = np.cbrt(cone) @ np.array(
        [
            [0.21045426, 1.97799850, 0.02590404],
            [0.79361779, -2.42859221, 0.78277177],
            [-0.00407205, 0.45059371, -0.80867577],
        ],
        dtype=np.float32,
    )
    return lab


@cache
def _linear_table() -> Array:
    value = np.arange(256, dtype=np.float32) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4).astype(np.float32)


@cache
def _anchors() -> tuple[NDArray[np.str_], Array]:
    pairs = [(name, code) for name, codes in _ANCHORS.items() for code in codes.split()]
    pixels = np.array([list(bytes.fromhex(code)) for _, code in pairs], dtype=np.uint8)
    return np.array([name for name, _ in pairs]), oklab(pixels)


def _sampled(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    step = max(1, round(max(rgb.shape[:2]) / 80))
    return np.ascontiguousarray(rgb[::step, ::step].reshape(-1, 3))


def _nearest_names(lab: Array) -> tuple[NDArray[np.str_], NDArray[np.intp]]:
    names, anchors = _anchors()
    weight = np.array([0.75, 1.6, 1.6], dtype=np.float32)  # hue tells names apart more than lightness does
    points, targets = lab * weight, anchors * weight
    # |p - t|² without |p|², which is the same for every target.
    return names, np.argmin((targets**2).sum(axis=1) - 2 * points @ targets.T, axis=1)


def _is_monochrome(lab: Array, chroma: Array) -> bool:
    strongest = np.percentile(chroma, 98)
    if strongest < 0.025:
        return True
    # One faint tint that is the same wherever the picture is neither black nor white, and light and shadow in it:
    # an old print, not a wall or a sky.
    light = lab[:, 0]
    middle = (light > 0.2) & (light < 0.9)
    if strongest > 0.09 or middle.mean() < 0.3 or np.percentile(light, 95) - np.percentile(light, 5) < 0.25:
        return False
    tint = lab[middle, 1:]
    return bool(np.percentile(np.hypot(*(tint - tint.mean(axis=0)).T), 95) < 0.025)


def _without_colour(lab: Array, names: NDArray[np.str_]) -> NDArray[np.intp]:
    first = {name: int(np.flatnonzero(names == name)[0]) for name in ("black", "grey", "white")}
    lightness = lab[:, 0]
    return np.where(lightness < 0.28, first["black"], np.where(lightness > 0.9, first["white"], first["grey"]))


def _palette(pixels: NDArray[np.uint8], lab: Array, names: NDArray[np.str_]) -> list[Colour]:
    found = []
    for name in np.unique(names):
        members = names == name
        share = float(members.mean())
        if share < 0.02:
            continue
        # The median is a colour that is in the picture; a mean of light and dark blue often is not.
        red, green, blue = np.median(pixels[members], axis=0).astype(int)
        found.append(Colour(name=str(name), hex=f"#{red:02x}{green:02x}{blue:02x}", share=round(share, 3)))
    return sorted(found, key=lambda colour: (-colour.share, colour.name))[:5]


def _dominant(palette: list[Colour]) -> str:
    quiet = {"black", "grey", "white"}
    return max(palette, key=lambda colour: colour.share * (0.5 if colour.name in quiet else 1)).name


def _warmth(lab: Array) -> float:
    """Along the axis from blue to orange in the a–b plane, weighed by how colourful each pixel is."""
    along = 0.45 * lab[:, 1] + 0.89 * lab[:, 2]
    return float(np.clip(along / 0.12, -1, 1).mean())
