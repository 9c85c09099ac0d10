"""Opens a picture upright, at the size at which somebody wants to look at it."""

from __future__ import annotations

import io
import warnings

import numpy as np
from numpy.typing import NDArray

from framed.errors import BadPhoto

PREVIEWS = ("JPEG", "PNG", "WEBP")
ORIGINALS = (*PREVIEWS, "TIFF", "HEIF")
_MAX_PIXELS = 250_000_000
"""A phone's 200 million fit, of which a JPEG gives an eighth a side at next to no cost."""


def upright(path: bytes, side: int, formats: tuple[str, ...] = PREVIEWS) -> NDArray[np.uint8]:
    """RGB as (H, W, 3), turned as its EXIF says, at most `side` pixels at its longer side. BadPhoto: it is of another
    format, broken or too large."""
    from PIL import Image, ImageOps

    if "HEIF" in formats:
        from pillow_heif import register_heif_opener

        register_heif_opener()
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = _MAX_PIXELS // 2  # Pillow warns from here on and refuses at twice as many
    try:
        with open(path, "rb") as file:
            data = file.read()
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data), formats=formats) as image:
            image.draft("RGB", (side, side))
            turned = ImageOps.exif_transpose(image).convert("RGB")
        turned.thumbnail((side, side), Image.Resampling.BICUBIC)
        return np.asarray(turned)
    except Image.DecompressionBombError as error:
        raise BadPhoto("This picture has too many pixels to be looked at.") from error
    except (OSError, SyntaxError, ValueError, MemoryError) as error:
        raise BadPhoto("This picture cannot be read.") from error
    finally:
        Image.MAX_IMAGE_PIXELS = before
