"""The vectors of one model as a search looks at them: sign bits of all in memory, exact values of the likeliest.

Two models' vectors are never in one space.
"""

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from framed.playlists.signs import SignBits, candidates
from framed.store import vectors

Ids = NDArray[np.int64]
Vectors = NDArray[np.float32]

_MEAN_OVER = 50_000  # vectors that the mean is taken over; more do not move it


class VectorSpace:
    """Rows are photo ids. `build` once, `read` for changed photos; readers hold a snapshot, as in `LibraryIndex`."""

    def __init__(self, model: str, size: int) -> None:
        self.model = model
        self.signs = SignBits(size)
        self._mean_over = 0

    def build(self, connection: Connection, size: int) -> None:
        sums, count = np.zeros(0, np.float64), 0
        for _, block in vectors.every(connection, self.model):
            added = block.astype(np.float32).sum(axis=0)
            sums = sums + added if count else added.astype(np.float64)
            count += len(block)
            if count >= _MEAN_OVER:
                break
        if not count:
            return
        signs = SignBits(size)
        signs.centre((sums / count).astype(np.float32))
        for ids, block in vectors.every(connection, self.model):
            inside = ids < size
            signs.put(ids[inside], block[inside].astype(np.float32))
        self.signs, self._mean_over = signs, count

    def grow(self, size: int) -> None:
        self.signs = self.signs.grown(size)

    def read(self, connection: Connection, ids: list[int]) -> None:
        """Reads the vectors of these photos again."""
        if ids and max(ids) >= self.signs.size:
            self.grow(int(max(ids) * 1.5) + 1024)
        found, rows = vectors.get(connection, self.model, ids)
        if not len(found):
            return
        if self.signs.mean is None or (
            self._mean_over < _MEAN_OVER and int(self.signs.known.sum()) + len(found) > 2 * self._mean_over
        ):
            self.build(connection, self.signs.size)  # the first vectors say nothing about the later ones' mean
            return
        self.signs.put(found, rows)

    def known(self, mask: NDArray[np.bool_]) -> Ids:
        """The photos of the mask that have a vector here."""
        size = min(len(mask), self.signs.size)
        return np.flatnonzero(mask[:size] & self.signs.known[:size])

    def nearest(self, connection: Connection, mask: NDArray[np.bool_], vector: Vectors) -> tuple[Ids, Vectors]:
        """The nearest photos of the mask and their exact products with the vector, best first."""
        vector = vector.astype(np.float32)
        ids = self.known(mask)
        ids = self.signs.likeliest(ids, vector, candidates(len(ids)))
        found, rows = vectors.get(connection, self.model, ids.tolist())
        products = rows @ vector if len(found) else np.empty(0, np.float32)
        order = np.argsort(-products, kind="stable")
        return found[order], products[order]
