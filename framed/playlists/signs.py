"""Which photos are likely nearest to a query's vector: the sign bits of all vectors in memory, scanned in one go.

48 bytes a photo for 384 dimensions. The query keeps its values, rounded to sixteen steps, so that a scan adds up the
query's values where a photo's bit is set (RaBitQ's estimate without its rotation, which gained nothing here). Measured
on made-up libraries like really embedded ones (bench/library.py), exact cosines of the best `candidates` taken after:

    100,000 photos, 1,000 candidates           recall@50 1.000 (bits against bits: 0.996, worst query 0.86)
    1,000,000 photos, 1,000 / 2,000 / 3,100    recall@50 0.984 / 0.994 / 0.998 (worst 0.72 / 0.88 / 0.94)

A scan takes 3 to 5 ms of CPU at 100,000 and 31 ms at 1,000,000. With filters that leave 10, 1 and 0.1 % of either:
0.9985 or more.
A whole int8 matrix would be exact to 0.3 % too, but takes 38 MB and 17 ms where these are 5 MB.
"""

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Ids = NDArray[np.int64]

_PLANES = 4
_BLOCK = 16_384  # rows at a time: what is summed stays in the processor's cache


def candidates(among: int) -> int:
    """How many of the likeliest must be compared exactly, so that the nearest fifty are among them."""
    return 600 + among // 400


class SignBits:
    """Rows are photo ids. `centre` first, then `put`; a row that was never put is not `known`."""

    def __init__(self, size: int) -> None:
        self.known: NDArray[np.bool_] = np.zeros(size, np.bool_)
        self.mean: Vectors | None = None
        self._words: NDArray[np.uint64] = np.zeros((0, size), np.uint64)  # word by word, each for all photos
        self._set: NDArray[np.int16] = np.zeros(size, np.int16)  # how many bits of each photo are set

    @property
    def size(self) -> int:
        return len(self.known)

    def centre(self, mean: Vectors) -> None:
        """Signs are taken against the mean of the vectors, or most bits would be alike; forgets all rows."""
        self.mean = mean
        self._words = np.zeros((len(mean) // 64, self.size), np.uint64)
        self.known[:] = False

    def grown(self, size: int) -> "SignBits":
        bigger = SignBits(size)
        bigger.mean = self.mean
        bigger._words = np.zeros((len(self._words), size), np.uint64)
        bigger._words[:, : self.size] = self._words
        bigger.known[: self.size] = self.known
        bigger._set[: self.size] = self._set
        return bigger

    def put(self, ids: Ids, vectors: Vectors) -> None:
        assert self.mean is not None
        words = np.packbits(vectors > self.mean, axis=1).view(np.uint64)
        self._words[:, ids] = words.T
        self._set[ids] = np.bitwise_count(words).sum(axis=1, dtype=np.int16)
        self.known[ids] = True

    def drop(self, ids: Ids) -> None:
        self.known[ids] = False

    def likeliest(self, ids: Ids, vector: Vectors, most: int) -> Ids:
        """At most so many of `ids` (all known), the nearest to the vector by estimate, in no order."""
        if len(ids) <= most:
            return ids
        planes, zero = _quantised(vector)
        near = np.empty(len(ids), np.int16)
        every = len(ids) > self.size // 2  # reading all in order is then quicker than picking
        if every:
            near = self._nearness(slice(None), planes, zero)[ids]
        else:
            for start in range(0, len(ids), _BLOCK):
                near[start : start + _BLOCK] = self._nearness(ids[start : start + _BLOCK], planes, zero)
        found: Ids = ids[np.argpartition(near, len(ids) - most)[len(ids) - most :]]
        return found

    def by_nearness(self, ids: Ids, vector: Vectors) -> Ids:
        """`ids` with the nearest by estimate first; those without a vector last."""
        inside = ids[ids < self.size]
        if self.mean is None or not len(inside):
            return ids
        near = self._nearness(inside, *_quantised(vector)).astype(np.int32)
        near[~self.known[inside]] = np.iinfo(np.int32).min // 2
        found: Ids = inside[np.argsort(-near, kind="stable")]
        return found

    def _nearness(self, which: "slice | Ids", planes: NDArray[np.uint64], zero: int) -> NDArray[np.int16]:
        """The sum of the query's values over the set bits, in its steps."""
        if isinstance(which, slice):
            parts = [self._summed(self._words[:, at : at + _BLOCK], planes) for at in range(0, self.size, _BLOCK)]
            near = np.concatenate(parts)
        else:
            near = self._summed(self._words[:, which], planes)
        near -= np.int16(zero) * self._set[which]
        return near

    @staticmethod
    def _summed(words: NDArray[np.uint64], planes: NDArray[np.uint64]) -> NDArray[np.int16]:
        summed = np.zeros(words.shape[1], np.int16)  # at most 15 times the dimensions, far from its limit
        for place, plane in enumerate(planes):
            counted = np.zeros(words.shape[1], np.int16)
            for word, part in zip(words, plane, strict=True):
                counted += np.bitwise_count(word & part)
            counted <<= place
            summed += counted
        return summed


def _quantised(vector: Vectors) -> tuple[NDArray[np.uint64], int]:
    """The vector's values in sixteen steps as four bit planes of 64-bit words, and which step stands for zero."""
    low, high = float(vector.min()), float(vector.max())
    step = (high - low) / (2**_PLANES - 1) or 1.0
    steps = np.rint((vector - low) / step).astype(np.uint8)
    planes = [np.packbits((steps >> place) & 1).view(np.uint64) for place in range(_PLANES)]
    return np.array(planes), round(-low / step)
