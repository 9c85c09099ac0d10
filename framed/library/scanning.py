"""The scanner and the watcher of its folders at work, together: a change of the folders begins them anew."""

import asyncio

import structlog

from framed.background import Background, end_tasks
from framed.errors import CannotStore
from framed.library.formats import SUFFIXES
from framed.library.scanner import Scanner
from framed.library.watcher import Watcher

log = structlog.get_logger(__name__)

_WATCHED_FIRST_S = 5.0
"""So long the first look waits for the watches: what changes behind it is then told by an event. A folder whose
watches take longer is looked at once more when it has them."""


class Scanning:
    """May be started again after `close`. `start` waits for no folder: one that does not answer, or is large, must not
    keep frames from their pictures."""

    def __init__(self, scanner: Scanner, background: Background, *, without_room_s: float = 5.0) -> None:
        self._scanner = scanner
        self._background = background
        self._without_room_s = without_room_s
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = self._background.start(self._run(), "scanner")

    async def _run(self) -> None:
        await self._prepared()
        watcher = Watcher(scanner=self._scanner, suffixes=SUFFIXES)
        watching = asyncio.create_task(watcher.__aenter__(), name="watch photo folders first")
        try:
            await asyncio.wait([watching], timeout=_WATCHED_FIRST_S)
            watcher.looked_at = True
            await self._scanner.run()
        finally:
            await end_tasks(watching)
            await watcher.__aexit__()

    async def _prepared(self) -> None:
        """A root within another one is left out then, and needs no watch."""
        while True:
            try:
                return await self._scanner.prepare()
            except CannotStore as error:
                log.warning("the photo folders wait for room", problem=error.message)
                await asyncio.sleep(self._without_room_s)

    async def close(self) -> None:
        await end_tasks(self._task)
        self._task = None
        self._scanner.rescan()  # what changes until it is started again is told by no event
