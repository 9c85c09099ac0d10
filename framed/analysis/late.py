"""The deeper looks at a photo (faces, text, captions), taken when every photo is through the steps that show it.

Like the pipeline it derives what is left from the rows, so nothing here must survive a restart. Where a backend is not
to be had no row is written: the photo simply still lacks the step, and gets it when the backend appears.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import structlog
from sqlalchemy import Connection

from framed.analysis.step import LateStep, Outcome
from framed.bus import Bus
from framed.errors import FramedError, Unavailable
from framed.events import StepChanged
from framed.store import late as rows
from framed.store import photos
from framed.store.database import Database
from framed.store.photos import PhotoWork, StepRow

log = structlog.get_logger(__name__)

MAX_ATTEMPTS = 3
_LOOK_AGAIN_S = 30.0
_BUSY_S = 0.5
_REST_S = 60.0


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
    ) -> None:
        """`busy`: the pipeline has photos to bring to the frames first. `refresh`: photos were reopened for it."""
        self.steps = list(steps)
        self.step_ms: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        self._database = database
        self._bus = bus
        self._busy = busy
        self._refresh = refresh
        self._woken = asyncio.Event()
        self._after: dict[str, int] = {}
        self._rests_until: dict[str, float] = {}
        self._loop: asyncio.Task[None] | None = None
        self.running: str | None = None
        self.paused = False

    async def start(self) -> None:
        self._loop = asyncio.create_task(self._run(), name="late steps")

    async def close(self) -> None:
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)

    def wake(self) -> None:
        """Look again from the first photo on."""
        self._after.clear()
        self._woken.set()

    async def left(self) -> dict[str, int]:
        """How many photos still lack each step that can be done now."""
        usable = {step.name: step.version for step in self.steps if step.unavailable() is None}
        return await self._database.read(
            lambda c: {name: rows.count(c, name, version, MAX_ATTEMPTS) for name, version in usable.items()}
        )

    async def _run(self) -> None:
        while True:
            self._woken.clear()
            try:
                worked = await self._round()
            except FramedError as error:
                log.warning("the deeper analysis waits", problem=error.message)
                worked = False
            except Exception:
                log.exception("the deeper analysis failed; it is tried again")
                worked = False
            if not worked:
                try:
                    await asyncio.wait_for(self._woken.wait(), _BUSY_S if self._busy() else _LOOK_AGAIN_S)
                except TimeoutError:
                    continue  # a wake may have been missed

    async def _round(self) -> bool:
        """One batch of the first step that has work; False where none has. One at a time: newcomers come first."""
        for step in self.steps:
            if self.paused or self._busy():
                return False
            if step.unavailable() is not None or time.monotonic() < self._rests_until.get(step.name, 0.0):
                continue
            batch = await self._database.read(
                partial(
                    rows.work,
                    step=step.name,
                    version=step.version,
                    needs=step.needs,
                    attempts=MAX_ATTEMPTS,
                    limit=step.batch,
                    after=self._after.get(step.name, 0),
                )
            )
            if batch:
                try:
                    await self._run_step(step, batch)
                except Unavailable as error:
                    log.warning("a step rests", step=step.name, problem=error.message)
                    self._rests_until[step.name] = time.monotonic() + _REST_S
                    continue
                self._after[step.name] = max(photo.id for photo in batch)
                return True
            self.running = None
        return False

    async def _run_step(self, step: LateStep, batch: list[PhotoWork]) -> None:
        began = time.monotonic()
        self.running = step.name
        try:
            outcomes = await step.run(batch)
        except Unavailable:
            raise
        except Exception as error:
            if len(batch) > 1:
                for photo in batch:  # one bad photo must not cost the others theirs
                    await self._run_step(step, [photo])
                return
            if not isinstance(error, FramedError):
                log.exception("a step failed", step=step.name, photo=batch[0].uid)
            problem = error.message if isinstance(error, FramedError) else f"{step.name} failed on this photo."
            outcomes = [Outcome("failed", problem=problem)]
        self.step_ms[step.name] += round((time.monotonic() - began) * 1000)
        self.done[step.name] += len(batch)
        await self._database.write(partial(_store, step=step, batch=batch, outcomes=outcomes))
        for photo, outcome in zip(batch, outcomes, strict=True):
            self._bus.emit(StepChanged(photo.uid, step.name, outcome.state, outcome.problem))
        if any(outcome.refresh for outcome in outcomes):
            self._refresh()


def _store(connection: Connection, *, step: LateStep, batch: Sequence[PhotoWork], outcomes: Sequence[Outcome]) -> None:
    for photo, outcome in zip(batch, outcomes, strict=True):
        if outcome.store is not None:
            outcome.store(connection)
        row: Any = StepRow(step.name, step.version, outcome.state, outcome.result, outcome.problem)
        photos.set_steps(connection, photo.id, [row])
        if outcome.refresh:
            photos.drop_steps(connection, photo.id, outcome.refresh)
            photos.set_values(connection, photo.id, {"state": "pending"})
