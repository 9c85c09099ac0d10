"""The scanner and the watcher of its folders at work, together: a change of the folders begins them anew."""

import asyncio

from framed.background import Background, end_tasks
from framed.library.formats import SUFFIXES
from framed.library.scanner import Scanner
from framed.library.watcher import Watcher

_WATCHED_FIRST_S = 5.0
"""So long the first look waits for the watches: what changes behind it is then told by an event. A folder whose
watches take longer is looked at once more when it has them."""


class Scanning:
    """May be started again after `close`."""

    def __init__(self, scanner: Scanner, background: Background) -> None:
        self._scanner = scanner
        self._background = background
        self._task: asyncio.Task[None] | None = None
        self._watcher: Watcher | None = None

    async def start(self) -> None:
        watcher = self._watcher = Watcher(scanner=self._scanner, suffixes=SUFFIXES)
        watching = asyncio.create_task(watcher.__aenter__(), name="watch photo folders first")
        try:
            await asyncio.wait([watching], timeout=_WATCHED_FIRST_S)
            watcher.looked_at = True
            self._task = self._background.start(self._scanner.run(), "scanner")
            await watching
        except asyncio.CancelledError:
            watching.cancel()
            raise

    async def close(self) -> None:
        if self._watcher is not None:
            await self._watcher.__aexit__()
        await end_tasks(self._task)
        self._watcher = self._task = None
