"""PDQ: the perceptual hash that says which files show the same picture.

After "The TMK+PDQF Video-Hashing Algorithm and the PDQ Image-Hashing Algorithm" (Meta, ThreatExchange `hashing.pdf`):
luminance, two Jarosz box-filter passes, 64×64 samples, 16×16 DCT without the mean, one bit per coefficient above the
median.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL import Image

DUPLICATE_BITS = 8
"""At most this far apart is the same picture: catches 98 % of re-encoded and resized copies."""
NEAR_BITS = 31
"""At most this far apart is nearly the same picture: all copies and light crops; Meta's own matching threshold."""
MIN_QUALITY = 50
"""Below it a picture has too little detail for its hash to mean anything: flat pictures match each other."""

CANONICAL_SIDE = 512
"""Hashes of one file made at different sizes differ by up to 18 bits, so every hash is made at this one."""

_GRID = 64
_COEFFICIENTS = 16


def canonical(image: Image.Image) -> NDArray[np.uint8]:
    """The pixels that a photo is hashed from. ``image`` is upright already (EXIF orientation applied)."""
    from PIL import Image

    scale = CANONICAL_SIDE / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    # Small pictures are enlarged too: a 320 px copy is then 0 to 8 bits from its original instead of 2 to 24.
    small = image.convert("RGB").resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)
    return np.asarray(small, dtype=np.uint8)


def pdq(rgb512: NDArray[np.uint8]) -> tuple[bytes, int]:
    """The 32 bytes of the hash and its quality, 0 to 100, of an (H, W, 3) picture made by ``canonical``.

    Of the ``pdqhash`` package where it is installed: the same hash within two bits.
    """
    return by_package(rgb512) if _has_pdqhash() else by_numpy(rgb512)


@cache
def _has_pdqhash() -> bool:
    return importlib.util.find_spec("pdqhash") is not None


def by_package(rgb: NDArray[np.uint8]) -> tuple[bytes, int]:
    import pdqhash

    bits, quality = pdqhash.compute(np.ascontiguousarray(rgb))
    return np.packbits(np.asarray(bits, dtype=np.uint8)).tobytes(), int(quality)


def by_numpy(rgb: NDArray[np.uint8]) -> tuple[bytes, int]:
    luma = rgb @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    height, width = luma.shape
    row_window, column_window = (-(-size // (2 * _GRID)) for size in (height, width))
    for _ in range(2):
        luma = _box_filter(_box_filter(luma, column_window, axis=1), row_window, axis=0)
    rows, columns = (((np.arange(_GRID) + 0.5) * size / _GRID).astype(np.intp) for size in (height, width))
    samples = luma[np.ix_(rows, columns)]
    basis = _dct_basis()
    coefficients = basis @ samples @ basis.T
    bits = coefficients > _lower_median(coefficients)
    return np.packbits(bits.ravel()[::-1]).tobytes(), _gradient_quality(samples)


def _box_filter(values: NDArray[Any], window: int, *, axis: int) -> NDArray[Any]:
    """Running mean of ``window`` values, one further ahead than behind where it is even, shorter at the borders."""
    length = values.shape[axis]
    ahead = (window + 2) // 2
    at = np.arange(length)
    end = np.minimum(at + ahead, length)
    begin = np.maximum(at + ahead - window, 0)
    padding = [(0, 0), (0, 0)]
    padding[axis] = (1, 0)
    sums = np.cumsum(np.pad(values, padding), axis=axis, dtype=np.float64)
    counts = (end - begin).reshape((-1, 1) if axis == 0 else (1, -1))
    mean: NDArray[Any] = (sums.take(end, axis=axis) - sums.take(begin, axis=axis)) / counts
    return mean


@cache
def _dct_basis() -> NDArray[np.float64]:
    frequencies = np.arange(1, _COEFFICIENTS + 1)[:, None]
    basis: NDArray[np.float64] = np.sqrt(2 / _GRID) * np.cos(
        np.pi / (2 * _GRID) * frequencies * (2 * np.arange(_GRID) + 1)
    )
    return basis


def _lower_median(values: NDArray[np.float64]) -> float:
    flat = values.ravel()
    return float(np.partition(flat, flat.size // 2 - 1)[flat.size // 2 - 1])


def _gradient_quality(samples: NDArray[Any]) -> int:
    """Sum of the truncated steps between neighbours in percent, scaled so that pictures with detail reach 100."""
    steps = sum(int(np.abs(np.trunc(np.diff(samples, axis=axis) * 100 / 255)).sum()) for axis in (0, 1))
    return min(100, steps // 90)
