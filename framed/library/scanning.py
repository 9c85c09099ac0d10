"""The scanner and the watcher of its folders at work, together: a change of the folders begins them anew."""

import asyncio

from framed.background import Background, end_tasks
from framed.library.formats import SUFFIXES
from framed.library.scanner import Scanner
from framed.library.watcher import Watcher


class Scanning:
    """May be started again after `close`."""

    def __init__(self, scanner: Scanner, background: Background) -> None:
        self._scanner = scanner
        self._background = background
        self._task: asyncio.Task[None] | None = None
        self._watcher: Watcher | None = None

    async def start(self) -> None:
        self._task = self._background.start(self._scanner.run(), "scanner")
        self._watcher = Watcher(scanner=self._scanner, suffixes=SUFFIXES)
        await self._watcher.__aenter__()

    async def close(self) -> None:
        if self._watcher is not None:
            await self._watcher.__aexit__()
        await end_tasks(self._task)
        self._watcher = self._task = None
