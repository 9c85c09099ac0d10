"""Learns what the household likes from its favourites, hides and skips, and scores every photo by it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray
from sqlalchemy import Connection

from framed.analysis.liking import Head, learn
from framed.analysis.steps.bursts import choose_best
from framed.analysis.steps.tags import LIKENESS
from framed.bus import Bus
from framed.events import PhotoChanged
from framed.jobs import Job, JobQueue, Progress
from framed.store import liking as rows
from framed.store import vectors
from framed.store.database import Database

log = structlog.get_logger(__name__)

_SOON_S = 120.0
"""An evening of hearts and skips is learned from once, not photo by photo."""
_CHUNK = 2_000
_OWN_SHARE = 0.6
"""How much the household's own taste counts beside a trained model's opinion."""


@dataclass
class _Lesson:
    """Decisions with their vectors, and ordinary photos to measure them against."""

    vectors: NDArray[np.float32]
    liked: NDArray[np.float32]
    strength: NDArray[np.float32]
    ordinary: NDArray[np.float32]


class Liking:
    def __init__(
        self, *, database: Database, bus: Bus, jobs: JobQueue, when_scored: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        self._database = database
        self._bus = bus
        self._jobs = jobs
        self.when_scored = when_scored

    def listen(self) -> None:
        self._jobs.works("learn_liking", self._learn)
        self._bus.on(PhotoChanged, self._decided)

    async def nightly(self) -> None:
        """Photos that came during the day are scored too."""
        await self._jobs.add("learn_liking", {}, dedupe_key="all", priority=90)

    async def _decided(self, event: PhotoChanged) -> None:
        if event.what in ("favourite", "hidden"):
            await self._jobs.add("learn_liking", {}, dedupe_key="all", priority=90, delay_s=_SOON_S)

    async def _learn(self, job: Job, progress: Progress) -> dict[str, Any]:
        lesson = await self._database.read(_lesson)
        head = await asyncio.to_thread(learn, LIKENESS, lesson.vectors, lesson.liked, lesson.strength, lesson.ordinary)
        progress(0.3, "learned")
        scores = await self._database.read(lambda c: _scores(c, head))
        for start in range(0, len(scores), _CHUNK):
            part = scores[start : start + _CHUNK]
            await self._database.write(lambda c, part=part: rows.set_scores(c, part))  # type: ignore[misc]
            progress(0.3 + 0.6 * (start + len(part)) / len(scores), "scored")
        await self._best_of_bursts()
        if self.when_scored is not None:
            await self.when_scored()
        decisions = len(lesson.liked)
        log.info("learned what is liked", decisions=decisions, auc=head.auc if head else None, photos=len(scores))
        return {"decisions": decisions, "learned": head is not None, "auc": head.auc if head else None}

    async def _best_of_bursts(self) -> None:
        found = list(await self._database.read(rows.bursts))
        for start in range(0, len(found), _CHUNK):
            part = found[start : start + _CHUNK]
            await self._database.write(lambda c, part=part: _choose(c, part))  # type: ignore[misc]


def _choose(connection: Connection, bursts: list[int]) -> None:
    for burst in bursts:
        choose_best(connection, burst)


def _lesson(connection: Connection) -> _Lesson:
    decided = rows.decisions(connection)
    ids, found = vectors.get(connection, LIKENESS, list(decided))
    liked = np.array([decided[photo][0] for photo in ids.tolist()], np.float32)
    strength = np.array([decided[photo][1] for photo in ids.tolist()], np.float32)
    _, ordinary = next(vectors.every(connection, LIKENESS), (None, np.empty((0, 0), np.float16)))
    return _Lesson(found, liked, strength, ordinary.astype(np.float32))


def _scores(connection: Connection, head: Head | None) -> list[tuple[int, float | None]]:
    """Of every photo with likeness features: taste and a model's opinion, as far as there are such."""
    judged = rows.judged(connection)
    scores: list[tuple[int, float | None]] = []
    for ids, block in vectors.every(connection, LIKENESS):
        own = head.scores(block.astype(np.float32)).tolist() if head else [None] * len(ids)
        for photo, taste in zip(ids.tolist(), own, strict=True):
            model = judged.get(photo)
            if taste is None or model is None:
                both = model if taste is None else taste
            else:
                both = _OWN_SHARE * taste + (1 - _OWN_SHARE) * model
            scores.append((photo, None if both is None else round(float(both), 4)))
    return scores
