"""What an OpenCLIP image tower is shown of a photo: one square, or for very long pictures several side by side."""

from __future__ import annotations

import io
import math
import os
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from framed.errors import BadPhoto

if TYPE_CHECKING:
    from PIL import Image

LONG = 2.0
"""A picture this many times longer than wide is seen in squares from end to end: a centre crop of a panorama or of a
phone's screenshot loses more than half of it, a squeeze distorts it beyond what the model was trained on. 16:9 is not
long yet."""
MOST_SQUARES = 5

Resize = Literal["shortest", "squash"]


def views(photo: bytes | NDArray[np.uint8], px: int, resize: Resize) -> list[NDArray[np.uint8]]:
    """(px, px, 3) squares of an upright preview, by its path or pixels. BadPhoto: it cannot be read."""
    from PIL import Image

    if isinstance(photo, np.ndarray):
        return squares(Image.fromarray(photo), px, resize)
    try:
        with open(photo, "rb") as file:
            data = file.read()
        with Image.open(io.BytesIO(data), formats=["JPEG", "WEBP", "PNG"]) as image:
            image.draft("RGB", (2 * px, 2 * px))  # both sides stay at least so long
            return squares(image.convert("RGB"), px, resize)
    except (OSError, SyntaxError, ValueError) as error:
        raise BadPhoto(f"The preview {os.path.basename(photo).decode(errors='replace')} cannot be read.") from error


def squares(image: Image.Image, px: int, resize: Resize) -> list[NDArray[np.uint8]]:
    """As open_clip would show it (`transform.py`: shortest side and centre crop, or squeezed), long pictures apart."""
    width, height = image.size
    long, short = max(width, height), min(width, height)
    if long > LONG * short:
        count = min(math.ceil(long / short), MOST_SQUARES)
        starts = [place * (long - short) / (count - 1) for place in range(count)]
        boxes = [(at, 0, at + short, short) if width > height else (0, at, short, at + short) for at in starts]
        return [_resized(image, (px, px), box) for box in boxes]
    if resize == "squash":
        return [_resized(image, (px, px), (0, 0, width, height))]
    # Shrunk whole and cropped then, as torchvision does it: a crop first would see other pixels at its edges.
    longer = int(px * long / short)
    size = (longer, px) if width >= height else (px, longer)
    whole = _resized(image, size, (0, 0, width, height))
    left, top = round((size[0] - px) / 2), round((size[1] - px) / 2)
    return [np.ascontiguousarray(whole[top : top + px, left : left + px])]


def _resized(image: Image.Image, size: tuple[int, int], box: tuple[float, float, float, float]) -> NDArray[np.uint8]:
    from PIL import Image

    return np.asarray(image.resize(size, Image.Resampling.BICUBIC, box=box, reducing_gap=3.0))
