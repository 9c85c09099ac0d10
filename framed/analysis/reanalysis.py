"""Analyses photos again: what is older than the request is out of date, and the pipeline is waited for to do it anew.

It may be broken off and begun again at any point: what was redone since the request is not redone a second time. What
was found before holds until then, and for good where it cannot be done again.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from framed.analysis.step import Step, dependents
from framed.store import photos as rows
from framed.store.database import Database

CHUNK = 500
_LOOK_S = 0.5


class Pipeline(Protocol):
    """What is needed of `analysis.pipeline`."""

    steps: list[Step]

    def wake(self) -> None: ...


class Reanalysis:
    def __init__(self, *, database: Database, pipeline: Pipeline) -> None:
        self._database = database
        self._pipeline = pipeline

    async def run(
        self, *, step: str | None, photo: str | None, since: float, progress: Callable[[float, str | None], None]
    ) -> dict[str, Any]:
        """`step` with all that builds on it, or every step; of one photo or of all that were there at `since`.
        Gives how many photos; of how many something failed, and how many wait for their files: what was known of those
        holds."""
        steps = [known.name for known in self._pipeline.steps]
        if step is not None:
            steps = [step, *dependents(self._pipeline.steps, {step})]
        total = await self._outdate(steps, photo, since)
        await self._wait(total, photo, since, progress)
        # A photo that was just being finished while its steps were put out of date has been closed without them.
        if await self._database.write(lambda c: rows.reopen_lacking(c, steps, uid=photo, since=since)):
            await self._wait(total, photo, since, progress)
        failed, waiting = await self._database.read(lambda c: rows.not_redone(c, steps, uid=photo, since=since))
        return {"photos": total, "failed": failed, "waiting": waiting}

    async def _outdate(self, steps: list[str], photo: str | None, since: float) -> int:
        total, last = 0, 0
        while True:
            found = await self._database.write(
                lambda c, last=last: rows.reopen_older(c, steps, uid=photo, since=since, after=last, limit=CHUNK)  # type: ignore[misc]
            )
            if not found:
                return total
            total, last = total + len(found), found[-1]
            self._pipeline.wake()

    async def _wait(
        self, total: int, photo: str | None, since: float, progress: Callable[[float, str | None], None]
    ) -> None:
        self._pipeline.wake()
        while left := await self._database.read(lambda c: rows.count_open(c, uid=photo, since=since)):
            progress(max(0.0, 1 - left / max(total, 1)), f"{total - left:,} of {total:,} photos")
            await asyncio.sleep(_LOOK_S)
