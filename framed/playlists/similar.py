"""Photos that are like one photo: by their looks, by who is in them, or by being nearly the same picture."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from framed.analysis.clusters import LIMITS
from framed.analysis.pdq import DUPLICATE_BITS, MIN_QUALITY, NEAR_BITS
from framed.models.embedding_efficientnet import FEATURES
from framed.playlists.calibration import sample_of
from framed.playlists.index import LibraryIndex
from framed.playlists.spaces import VectorSpace
from framed.store import likeness as rows
from framed.store import vectors
from framed.store.database import Database

By = Literal["auto", "embedding", "face", "hash"]

LOOKS_ALIKE = 0.5
"""Cosine of EfficientNet's features from which two pictures look alike."""
_APART = 2.5
"""Of another model: deviations above what this photo has in common with a sample of the library."""
_FEW = 20
_USUAL_FACE = 0.5
_SPARE = 3
"""So many times the wanted number are looked at: copies and hidden ones are left out of it."""


@dataclass(frozen=True)
class Alike:
    photo: int
    score: float
    why: str


@dataclass(frozen=True)
class Similar:
    """`by`: what they were found by; `problem`: why there was nothing to compare by."""

    by: By
    found: list[Alike]
    problem: str | None = None


class Lookalikes:
    def __init__(self, *, database: Database, index: LibraryIndex) -> None:
        self._database = database
        self._index = index

    async def of(self, photo: int, by: By, limit: int) -> Similar:
        """The most alike first. `auto` is by looks, and by hash where no model has looked at the photo."""
        if by == "hash":
            return await self._database.read(lambda c: self._by_hash(c, photo, limit))
        if by == "face":
            return await self._database.read(lambda c: self._by_face(c, photo, limit))
        for space in await self._spaces():
            found = await self._database.read(lambda c, space=space: self._by_looks(c, space, photo, limit))  # type: ignore[misc]
            if found is not None:
                return Similar("embedding", found)
        if by == "auto":
            return await self.of(photo, "hash", limit)
        return Similar("embedding", [], "No model has looked at this photo yet.")

    async def _spaces(self) -> list[VectorSpace]:
        """OpenCLIP's, where it is in use, then the packaged features."""
        packaged = await self._index.space(FEATURES)
        return [self._index.images, packaged] if self._index.images is not None else [packaged]

    def _by_looks(self, connection: Connection, space: VectorSpace, photo: int, limit: int) -> list[Alike] | None:
        """None where the photo has no vector in this space."""
        _, own = vectors.get(connection, space.model, [photo])
        if not len(own):
            return None
        ids, products = space.nearest(connection, self._shown(), own[0])
        close = products >= self._line(connection, space, own[0])
        found = [
            Alike(int(i), float(v), "looks alike")
            for i, v in zip(ids[close], products[close], strict=True)
            if i != photo
        ]
        return self._once(connection, photo, found[: _SPARE * limit])[:limit]

    @staticmethod
    def _line(connection: Connection, space: VectorSpace, own: NDArray[np.float32]) -> float:
        if space.model == FEATURES:
            return LOOKS_ALIKE
        sample = sample_of(connection, space)
        if len(sample) < _FEW:
            return -1.0
        low, middle, high = np.percentile(sample @ own, (25, 50, 75))
        return float(middle + _APART * (high - low) / 1.349)

    def _by_hash(self, connection: Connection, photo: int, limit: int) -> Similar:
        ids, words = rows.hashes(connection, MIN_QUALITY)
        own = words[ids == photo]
        if not len(own):
            return Similar("hash", [], "This picture has too little detail to be told by its hash.")
        away = np.bitwise_count(words ^ own[0]).sum(axis=1, dtype=np.int64)
        shown = self._shown()
        near = (away <= NEAR_BITS) & (ids != photo) & (ids < len(shown))
        near[near] = shown[ids[near]]
        order = np.lexsort((ids[near], away[near]))[:limit]
        found = [
            Alike(
                int(i), 1 - int(bits) / 256, "the same picture" if bits <= DUPLICATE_BITS else "nearly the same picture"
            )
            for i, bits in zip(ids[near][order], away[near][order], strict=True)
        ]
        return Similar("hash", found)

    def _by_face(self, connection: Connection, photo: int, limit: int) -> Similar:
        """Photos of the people in it, those of most of them first; then faces that are very like."""
        models = rows.faces_like(connection, photo)
        if not models:
            return Similar("face", [], "No face was found in this photo.")
        best: dict[int, tuple[float, int, set[int]]] = {}
        for faces in models:
            mine = faces.photo == photo
            likeness = faces.vectors @ faces.vectors[mine].T
            line = LIMITS[faces.model].join if faces.model in LIMITS else _USUAL_FACE
            same = np.isin(faces.person, faces.person[mine]) & (faces.person > 0)
            for row in np.flatnonzero(~mine & (same | (likeness.max(axis=1) >= line))).tolist():
                value, who = float(likeness[row].max()), int(faces.person[row]) if same[row] else 0
                before = best.get(int(faces.photo[row]), (0.0, 0, set()))
                people = before[2] | ({who} if who else set())
                best[int(faces.photo[row])] = (max(value, before[0]), len(people), people)
        shown = self._shown()
        ranked = sorted(best.items(), key=lambda item: (-item[1][1], -item[1][0], item[0]))
        ranked = [item for item in ranked if item[0] < len(shown) and shown[item[0]]]
        called = rows.names(connection, sorted({who for _, (_, _, people) in ranked for who in people}))
        found = [Alike(i, value, _who(people, called)) for i, (value, _, people) in ranked]
        return Similar("face", self._once(connection, photo, found[: _SPARE * limit])[:limit])

    def _shown(self) -> NDArray[np.bool_]:
        return self._index.columns.ready & ~self._index.columns.hidden

    @staticmethod
    def _once(connection: Connection, photo: int, found: list[Alike]) -> list[Alike]:
        """A picture shows once, whatever copies there are, and the one asked about not at all."""
        leaders = rows.leaders(connection, [photo, *(alike.photo for alike in found)])
        seen, left = {leaders.get(photo, photo)}, []
        for alike in found:
            leader = leaders.get(alike.photo, alike.photo)
            if leader not in seen:
                seen.add(leader)
                left.append(alike)
        return left


def _who(people: set[int], called: dict[int, str]) -> str:
    known = sorted(called[who] for who in people if who in called)
    if known:
        return " and ".join(known)
    return "the same person" if people else "a face like it"
