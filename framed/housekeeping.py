"""Cuts what would grow without end: caches every hour, finished jobs and the store's own statistics every night."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from framed.background import end_tasks
from framed.errors import FramedError
from framed.jobs import JobQueue
from framed.store import frames as rows
from framed.store.database import Database

log = structlog.get_logger(__name__)

TIDY_S = 3600.0


class Housekeeping:
    """`start`, `tidy` at any time, `nightly` by the schedule, `close`. Each of `caches` shrinks when it is called."""

    def __init__(
        self, *, database: Database, jobs: JobQueue, caches: Sequence[Callable[[], Awaitable[object]]]
    ) -> None:
        self._database = database
        self._jobs = jobs
        self._caches = caches
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="tidy")

    async def close(self) -> None:
        await end_tasks(self._task)

    async def tidy(self) -> None:
        for shrink in self._caches:
            try:
                await shrink()
            except Exception:  # whatever ails one, the others are kept small
                log.exception("housekeeping failed", work=getattr(shrink, "__qualname__", str(shrink)))
        try:
            await self._database.write(rows.prune_history)
        except FramedError as error:
            log.warning("what was shown long ago could not be forgotten", problem=error.message)

    async def nightly(self) -> None:
        """The store learns how its tables have grown, too."""
        await self.tidy()
        await self._jobs.prune()
        await self._database.write(lambda c: c.exec_driver_sql("pragma optimize").close())

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(TIDY_S)
            await self.tidy()
