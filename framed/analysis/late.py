"""The deeper looks at a photo (faces, text, captions), taken when every photo is through the steps that show it.

Like the pipeline it derives what is left from the rows, so nothing here must survive a restart. Where a backend is not
to be had no row is written: the photo simply still lacks the step, and gets it when the backend appears.
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypedDict

import structlog
from sqlalchemy import Connection

from framed.analysis.step import LateStep, Outcome, attempted
from framed.background import end_tasks
from framed.bus import Bus
from framed.errors import FramedError
from framed.events import StepChanged
from framed.store import late as rows
from framed.store import photos
from framed.store.database import Database
from framed.store.photos import PhotoWork, StepRow
from framed.wake import woken

log = structlog.get_logger(__name__)

MAX_ATTEMPTS = 3
_BUSY_S = 0.5
_MOST_AGAIN = 1_000
_RECENT = 0.2
"""How much the last batch counts in what a photo is expected to take."""


@dataclass(frozen=True)
class Pace:
    """Seconds between looks where nothing is left; between looks at the whole library, which is when a photo that
    failed is tried again; and for which a step rests whose backend could not be had."""

    look_s: float = 30.0
    whole_s: float = 900.0
    rest_s: float = 60.0


class Outlook(TypedDict):
    """One step: how many photos lack it, when it will be through (the steps before it come first; None: not known
    yet), and why it rests, where it does."""

    step: str
    left: int
    eta_s: int | None
    problem: str | None


class LateSteps:
    """`start`, `wake` when a photo was analysed or a backend appeared, `close`."""

    def __init__(
        self,
        *,
        database: Database,
        bus: Bus,
        steps: Sequence[LateStep],
        busy: Callable[[], bool],
        refresh: Callable[[], None],
        pace: Pace = Pace(),
    ) -> None:
        """`busy`: the pipeline has photos to bring to the frames first. `refresh`: photos were reopened for it."""
        self.steps = list(steps)
        self.step_ms: Counter[str] = Counter()
        self.step_photos: Counter[str] = Counter()
        self.running: str | None = None
        self.paused = False
        self._database = database
        self._bus = bus
        self._busy = busy
        self._refresh = refresh
        self._pace = pace
        self._woken = asyncio.Event()
        self._after: dict[str, int] = {}  # by lane, the id up to which no photo lacks the step, but for these
        self._again: defaultdict[str, set[int]] = defaultdict(set)
        self._sent_back = 0  # how often; what was read before it is no reason to go past a photo
        self._whole_at = time.monotonic()
        self._rests: dict[str, tuple[float, str]] = {}  # until when, and why
        self._each_s: dict[str, float] = {}
        self._loop: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._loop = asyncio.create_task(self._run(), name="late steps")

    async def close(self) -> None:
        await end_tasks(self._loop)

    def wake(self, photo_id: int | None = None) -> None:
        """Look again: at this photo and those after it, or at every one, resting steps too."""
        if photo_id is None:
            self._after.clear()
            self._again.clear()
            self._rests.clear()
            self._sent_back += 1
        else:
            for step in self.steps:
                self._look_at(step, [photo_id])
        self._woken.set()

    async def left(self) -> dict[str, int]:
        """How many photos still lack each step that can be done now."""
        usable = [step for step in self.steps if await _possible(step)]
        return await self._database.read(lambda c: {step.name: _lack(c, step) for step in usable})

    async def outlook(self) -> list[Outlook]:
        """What is left and how long it takes, in the order in which it is done; nothing for steps that are through."""
        found: list[Outlook] = []
        eta_s: float | None = 0.0
        for name, left in (await self.left()).items():
            if not left:
                continue
            each_s = self._each_s.get(name)
            problem = self._resting(name)
            eta_s = None if eta_s is None or each_s is None or problem else eta_s + left * each_s
            found.append(
                Outlook(step=name, left=left, eta_s=round(eta_s) if eta_s is not None else None, problem=problem)
            )
        return found

    async def _run(self) -> None:
        while True:
            try:
                worked = await self._round()
            except FramedError as error:
                log.warning("the deeper analysis waits", problem=error.message)
                worked = False
            except Exception:
                log.exception("the deeper analysis failed; it is tried again")
                worked = False
            if not worked:
                self.running = None
                await self._wait(_BUSY_S if self._held() else self._pace.look_s)

    async def _wait(self, seconds: float) -> None:
        if await woken(self._woken, seconds):
            return
        now = time.monotonic()
        if now - self._whole_at >= self._pace.whole_s:  # what failed may go now
            self._whole_at = now
            self._after.clear()
            self._again.clear()

    def _held(self) -> bool:
        return self.paused or self._busy()

    def _resting(self, name: str) -> str | None:
        until, problem = self._rests.get(name, (0.0, ""))
        return problem if time.monotonic() < until else None

    def _rest(self, step: LateStep, problem: str, photos: Sequence[PhotoWork]) -> None:
        log.warning("a step rests", step=step.name, problem=problem, seconds=self._pace.rest_s)
        self._rests[step.name] = (time.monotonic() + self._pace.rest_s, problem)
        self._look_at(step, [photo.id for photo in photos])

    def _look_at(self, step: LateStep, ids: Sequence[int]) -> None:
        """Photos that were passed are remembered one by one: going back would look through all those after them."""
        for lane, _ in _lanes(step):
            again, after = self._again[lane], self._after.get(lane, 0)
            self._sent_back += any(photo_id > after for photo_id in ids)
            again.update(photo_id for photo_id in ids if photo_id <= after)
            if len(again) > _MOST_AGAIN:
                self._after[lane] = min(again) - 1
                again.clear()

    async def _round(self) -> bool:
        """One batch of the first step that has work; False where none has. One at a time: newcomers come first."""
        for step in self.steps:
            if self._held():
                return False
            if self._resting(step.name) is not None or not await _possible(step):
                continue
            batch = await self._next(step)
            if batch:
                await self._run_step(step, batch)
                return True
        return False

    async def _next(self, step: LateStep) -> list[PhotoWork]:
        """The next photos that lack the step; none where all have it, or where the pipeline wants its turn."""
        for lane, lesser in _lanes(step):
            if found := await self._next_in(step, lane, lesser):
                return found
        return []

    async def _next_in(self, step: LateStep, lane: str, lesser: bool | None) -> list[PhotoWork]:
        about: dict[str, Any] = {
            "step": step.name,
            "version": step.version,
            "needs": step.needs,
            "attempts": MAX_ATTEMPTS,
            "spares_unseen": step.spares_unseen,
            "lesser": lesser,
        }
        while not self._held():
            if again := sorted(self._again[lane])[: step.batch]:
                self._again[lane].difference_update(again)
                if found := await self._database.read(partial(rows.work_among, ids=again, **about)):
                    return found
                continue
            after, before = self._after.get(lane, 0), self._sent_back
            look = await self._database.read(partial(rows.work, limit=step.batch, after=after, **about))
            if self._sent_back == before:
                self._after[lane] = look.reached
            elif not look.photos:
                continue
            if look.photos or look.end:
                return look.photos
        return []

    async def _run_step(self, step: LateStep, batch: list[PhotoWork]) -> None:
        began = time.monotonic()
        self.running = step.name
        outcomes = await attempted(step.name, step.run, batch)
        pairs = list(zip(batch, outcomes, strict=True))
        done = [pair for pair in pairs if pair[1].state != "unavailable"]
        self._count(step, time.monotonic() - began, len(done))
        followers = self._followers(step.name)
        await self._database.write(partial(_store, step=step, done=done, followers=followers))
        for photo, outcome in done:
            self._bus.emit(StepChanged(photo.uid, step.name, outcome.state, outcome.problem))
        for follower in self.steps:
            if follower.name in followers:
                self._look_at(follower, [photo.id for photo in batch])
        if any(outcome.refresh for _, outcome in done):
            self._refresh()
        if undone := [(photo, outcome.problem) for photo, outcome in pairs if outcome.state == "unavailable"]:
            problem = undone[0][1] or f"{step.name} cannot be done now."
            self._rest(step, problem, [photo for photo, _ in undone])

    def _count(self, step: LateStep, seconds: float, photos: int) -> None:
        self.step_ms[step.name] += round(seconds * 1000)
        self.step_photos[step.name] += photos
        if photos:
            each_s = seconds / photos
            self._each_s[step.name] = self._each_s.get(step.name, each_s) * (1 - _RECENT) + each_s * _RECENT

    def _followers(self, name: str) -> set[str]:
        """The late steps that read what this one found, and those that read theirs."""
        found: set[str] = set()
        for step in self.steps:  # in the order of the list, each comes after what it needs
            if {name, *found} & set(step.needs):
                found.add(step.name)
        return found


def _lanes(step: LateStep) -> list[tuple[str, bool | None]]:
    """In which order its photos come: all by id, or lesser shots of bursts after all others."""
    return [(step.name, False), (f"{step.name}, lesser shots", True)] if step.spares_unseen else [(step.name, None)]


def _lack(connection: Connection, step: LateStep) -> int:
    return rows.count(connection, step.name, step.version, MAX_ATTEMPTS, spares_unseen=step.spares_unseen)


async def _possible(step: LateStep) -> bool:
    """Off the loop: it looks for weights on a disk."""
    return await asyncio.to_thread(step.unavailable) is None


def _store(
    connection: Connection, *, step: LateStep, done: Sequence[tuple[PhotoWork, Outcome]], followers: set[str]
) -> None:
    for photo, outcome in done:
        if outcome.store is not None:
            outcome.store(connection)
        row: Any = StepRow(step.name, step.version, outcome.state, outcome.result, outcome.problem)
        photos.set_steps(connection, photo.id, [row])
        stale = set(outcome.refresh)
        if step.name in photo.steps:  # found anew: what was made of it is out of date
            stale |= followers
        if stale:
            photos.drop_steps(connection, photo.id, stale)
        if outcome.refresh:
            photos.settle(connection, {photo.id: "pending"})
