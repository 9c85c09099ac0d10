"""PDQ: the perceptual hash that says which files show the same picture.

After "The TMK+PDQF Video-Hashing Algorithm and the PDQ Image-Hashing Algorithm" (Meta, ThreatExchange `hashing.pdf`):
luminance, two Jarosz box-filter passes, 64×64 samples, 16×16 DCT without the mean, one bit per coefficient above the
median.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

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
_BANDS = 16
_MAX_BUCKET = 5_000

Implementation = Literal["auto", "pdqhash", "numpy"]


def canonical(image: Image.Image) -> NDArray[np.uint8]:
    """The pixels that a photo is hashed from. ``image`` is upright already (EXIF orientation applied)."""
    from PIL import Image

    scale = CANONICAL_SIDE / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    # Small pictures are enlarged too: a 320 px copy is then 0 to 8 bits from its original instead of 2 to 24.
    small = image.convert("RGB").resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)
    return np.asarray(small, dtype=np.uint8)


def pdq(rgb512: NDArray[np.uint8], *, implementation: Implementation = "auto") -> tuple[bytes, int]:
    """The 32 bytes of the hash and its quality, 0 to 100, of an (H, W, 3) picture made by ``canonical``.

    ``auto`` takes the ``pdqhash`` package where it is installed: the same hash within two bits.
    """
    if implementation == "pdqhash" or (implementation == "auto" and _has_pdqhash()):
        return _pdq_package(rgb512)
    return _pdq_numpy(rgb512)


def distance(a: bytes, b: bytes) -> int:
    """How many of the 256 bits differ; two unrelated pictures are near 128."""
    return (int.from_bytes(a) ^ int.from_bytes(b)).bit_count()


def distances(matrix: NDArray[np.uint8], hash_: bytes) -> NDArray[np.uint16]:
    """How far each row of an (N, 32) matrix is from one hash: 9 ms for 100,000 rows."""
    words = np.ascontiguousarray(matrix).view(np.uint64)
    one = np.frombuffer(hash_, dtype=np.uint64)
    counts: NDArray[np.uint16] = np.bitwise_count(words ^ one).sum(axis=1, dtype=np.uint16)
    return counts


def near_pairs(matrix: NDArray[np.uint8], max_distance: int = NEAR_BITS) -> NDArray[np.int64]:
    """Index pairs (P, 2), first < second, of the rows of an (N, 32) matrix at most ``max_distance`` apart.

    Only pairs that agree in at least one of sixteen 16-bit bands are compared: all pairs up to 15 bits apart are found,
    96 % of those 24 to 31 apart. A band value shared by more than 5,000 rows is skipped (flat pictures; leave out what
    is below MIN_QUALITY).
    """
    words = np.ascontiguousarray(matrix).view(np.uint64)
    bands = np.ascontiguousarray(matrix).view(np.uint16)
    found: list[NDArray[np.int64]] = []
    for band in range(_BANDS):
        found.extend(_pairs_of_band(words, bands, band, max_distance))
    if not found:
        return np.empty((0, 2), dtype=np.int64)
    pairs = np.concatenate(found)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def _pairs_of_band(
    words: NDArray[np.uint64], bands: NDArray[np.uint16], band: int, max_distance: int
) -> list[NDArray[np.int64]]:
    order = np.argsort(bands[:, band], kind="stable")
    values = bands[order, band]
    starts = np.flatnonzero(np.diff(values, prepend=~values[:1]))
    sizes = np.diff(starts, append=len(values))
    # How many rows of the same bucket follow each row, in sorted order.
    following = np.repeat(starts + sizes, sizes) - np.arange(len(values)) - 1
    following[np.repeat(sizes > _MAX_BUCKET, sizes)] = 0
    found: list[NDArray[np.int64]] = []
    step, at = 1, np.flatnonzero(following)
    while len(at):
        left, right = order[at], order[at + step]
        near = np.bitwise_count(words[left] ^ words[right]).sum(axis=1, dtype=np.uint16) <= max_distance
        near &= ~(bands[left, :band] == bands[right, :band]).any(axis=1)  # an earlier band has found this pair
        # The sort is stable, so `left` is the smaller index already.
        found.append(np.stack([left[near], right[near]], axis=1).astype(np.int64))
        step += 1
        at = at[following[at] >= step]
    return found


@cache
def _has_pdqhash() -> bool:
    return importlib.util.find_spec("pdqhash") is not None


def _pdq_package(rgb: NDArray[np.uint8]) -> tuple[bytes, int]:
    import pdqhash

    bits, quality = pdqhash.compute(np.ascontiguousarray(rgb))
    return np.packbits(np.asarray(bits, dtype=np.uint8)).tobytes(), int(quality)


def _pdq_numpy(rgb: NDArray[np.uint8]) -> tuple[bytes, int]:
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
