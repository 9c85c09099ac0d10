"""What every face backend says of a face beside who it is: place, points, size, sharpness, open eyes.

The five points are, as seen in the picture: left eye, right eye, tip of the nose, left and right corner of the mouth.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from framed.models.upright import upright

PREVIEW_PX = 1440
MOST_FACES = 200
"""A photo of a stadium is not a photo of two thousand people that somebody knows."""
_EYE_SHUT, _EYE_OPEN = 0.15, 0.25
"""Height to width of an eye by its landmarks. Soukupová and Čech (CVWW 2016) put a blink under 0.2; open eyes of the
portraits measured here had 0.25 to 0.4."""

Pixels = NDArray[np.uint8]
Points = NDArray[np.float32]


def opened(path: bytes) -> Pixels:
    """The upright picture as RGB, at most `PREVIEW_PX` at its longer side. BadPhoto: it cannot be read."""
    return upright(path, PREVIEW_PX)


def scaled(pixels: Pixels, longer: int) -> Pixels:
    """The picture made smaller to this longer side; as it is where it is no larger."""
    from PIL import Image

    height, width = pixels.shape[:2]
    if max(width, height) <= longer:
        return pixels
    by = longer / max(width, height)
    size = (max(1, round(width * by)), max(1, round(height * by)))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))


def described(
    pixels: Pixels, box: tuple[float, float, float, float], points: Points, score: float, eyes_open: float | None = None
) -> dict[str, Any]:
    """One face of the answer. `box` is left, top, right, bottom and `points` (5, 2), both in pixels."""
    height, width = pixels.shape[:2]
    left, top = min(max(box[0], 0.0), width), min(max(box[1], 0.0), height)
    right, bottom = min(max(box[2], left), width), min(max(box[3], top), height)
    shares = points / np.array([width, height], np.float32)
    return {
        "box": [round(v, 5) for v in (left / width, top / height, (right - left) / width, (bottom - top) / height)],
        "points": [[round(float(x), 5), round(float(y), 5)] for x, y in shares],
        "score": round(score, 3),
        "pixels": round(min(right - left, bottom - top)),
        "sharpness": round(sharpness(pixels[int(top) : int(bottom) + 1, int(left) : int(right) + 1]), 3),
        "turned": round(turned(points), 3),
        "eyes_open": None if eyes_open is None else round(eyes_open, 3),
        "child": None,
    }


def sharpness(crop: Pixels) -> float:
    """0 (smeared) to 1 (crisp): how much of the detail of a face at 112 pixels a slight blur would take."""
    from PIL import Image

    if min(crop.shape[:2]) < 4:
        return 0.0
    small = np.asarray(Image.fromarray(crop).convert("L").resize((112, 112), Image.Resampling.BILINEAR), np.float32)
    blurred = (
        small[1:-1, 1:-1] * 4
        + 2 * (small[:-2, 1:-1] + small[2:, 1:-1] + small[1:-1, :-2] + small[1:-1, 2:])
        + (small[:-2, :-2] + small[:-2, 2:] + small[2:, :-2] + small[2:, 2:])
    ) / 16
    lost = float(np.abs(small[1:-1, 1:-1] - blurred).mean())
    contrast = float(small.std()) + 8.0  # a flat crop has no detail to lose
    return float(min(1.0, lost / contrast * 16))


def turned(points: Points) -> float:
    """0 looks at the camera, 1 away from it: how far the nose is from the middle between the eyes."""
    eyes = points[1] - points[0]
    span = float(np.hypot(*eyes))
    if span < 1e-6:
        return 1.0
    along = float((points[2] - (points[0] + points[1]) / 2) @ eyes) / span**2
    return float(min(1.0, abs(along) * 2))


def openness(eye: Points) -> float:
    """0 shut to 1 open, of the six landmarks round an eye (corner, two above, corner, two below)."""
    across = float(np.hypot(*(eye[3] - eye[0])))
    if across < 1e-6:
        return 0.0
    tall = (float(np.hypot(*(eye[5] - eye[1]))) + float(np.hypot(*(eye[4] - eye[2])))) / 2
    return float(np.clip((tall / across - _EYE_SHUT) / (_EYE_OPEN - _EYE_SHUT), 0.0, 1.0))


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of length 1; what is not finite stays so, for the caller to see."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: NDArray[np.float32] = (vectors / length).astype(np.float32)
    return found
