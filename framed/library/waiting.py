"""Files that wait to be read: handed out once they rest, then marked as read, put aside, or tried again later."""

import asyncio
import contextlib
import os
import stat
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial

import structlog

from framed.events import FilesFound
from framed.library.lane import Lane, NoAnswer
from framed.library.sidecars import sidecar_paths
from framed.library.walk import Walker, display, seen
from framed.store import files as stored
from framed.store.database import Database
from framed.store.files import Gone, WaitingFile

log = structlog.get_logger(__name__)

GLANCE_S = 5.0
MISSING_S = 60.0
"""When a file that is not there now, or a photo folder that failed, is looked for again."""
_TODO_S = 30.0
_CLOCK_CHECK_S = 30.0
_CLOCK_JUMP_S = 5.0


@dataclass(frozen=True)
class FileToRead:
    """`path` opens the file; `root`, `folder` and `display` are for people. `photo_id` is what it held before."""

    id: int
    path: bytes
    name: bytes
    root: str
    folder: str
    display: str
    size: int
    mtime_ns: int
    sidecars: list[bytes]
    seen: tuple[int, int, int, int | None]  # for `files.mark_read` and `park`
    photo_id: int | None


class WaitingFiles:
    """`lane_of` gives the thread in which a photo folder may be touched; `settle_s` is how long a file has to rest."""

    def __init__(
        self,
        *,
        database: Database,
        emit: Callable[[object], None],
        say_gone: Callable[[list[Gone]], None],
        lane_of: Callable[[bytes], Lane],
        settle_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.settle_s = settle_s
        self._database = database
        self._emit = emit
        self._say_gone = say_gone
        self._lane_of = lane_of
        self._clock = clock
        self._retry_soon = asyncio.Event()

    def look_soon(self) -> None:
        """When the next file is due has changed."""
        self._retry_soon.set()

    async def announce_due(self) -> None:
        """Says when files have settled or their retry has come; keeps retries right when the system clock jumps."""
        loop = asyncio.get_running_loop()
        offset = self._clock() - loop.time()
        while True:
            self._retry_soon.clear()
            try:
                offset = await self._follow_clock(offset)
                at = await self._database.read(partial(stored.next_retry, now=self._clock()))
                wait = min(at - self._clock(), _CLOCK_CHECK_S) if at is not None else _CLOCK_CHECK_S
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(max(wait, 0.0)):
                        await self._retry_soon.wait()
                        continue
                if at is not None and self._clock() >= at:
                    self._emit(FilesFound(await self._database.read(partial(stored.count_due, now=self._clock()))))
            except Exception:  # the next round tries again
                log.exception("files that are due could not be announced")
                await asyncio.sleep(_CLOCK_CHECK_S)

    async def _follow_clock(self, offset: float) -> float:
        """Retries are stored in wall time: they move with a clock that was set. Gives wall time less loop time."""
        jump = self._clock() - asyncio.get_running_loop().time() - offset
        if abs(jump) < _CLOCK_JUMP_S:
            return offset
        log.info("the system clock jumped", seconds=round(jump))
        await self._database.write(partial(stored.shift_retries, seconds=jump))
        return offset + jump

    async def todo(self, limit: int, *, busy: Collection[int] = ()) -> list[FileToRead]:
        """Files to read now, newest found first; `busy` are ids that were handed out and are not marked yet.

        Each is looked at once more: one that was written to since waits for another look.
        """
        ready: list[FileToRead] = []
        while len(ready) < limit:
            now = self._clock()
            passed_over = [*busy, *(file.id for file in ready)]
            query = partial(stored.todo, limit=limit - len(ready), now=now, busy=passed_over)
            waiting = await self._database.read(query)
            if not waiting:
                break
            looks: list[tuple[int, int, int, float]] = []
            for root in {file.root for file in waiting}:
                inside = [file for file in waiting if file.root == root]
                try:
                    found, late = await self._lane_of(root).run(
                        partial(self._look_once_more, inside, now), limit_s=_TODO_S
                    )
                except NoAnswer:
                    found, late = [], [(file.id, file.size, file.mtime_ns, now + MISSING_S) for file in inside]
                ready.extend(found)
                looks.extend(late)
            if not looks:
                break
            await self._database.write(partial(stored.note_look, looks=looks))
            self.look_soon()
        return ready

    def _look_once_more(
        self, waiting: list[WaitingFile], now: float
    ) -> tuple[list[FileToRead], list[tuple[int, int, int, float]]]:
        """Blocks. The files that are as they were stored, and what to store of the others."""
        ready: list[FileToRead] = []
        looks: list[tuple[int, int, int, float]] = []
        for file in waiting:
            path = os.path.join(file.root, file.folder, file.name)
            try:
                status = os.stat(path)
            except OSError:
                status = None
            if status is None or not stat.S_ISREG(status.st_mode):
                looks.append((file.id, file.size, file.mtime_ns, now + MISSING_S))  # the next scan misses it too
                continue
            seen_now = seen(status)
            if (seen_now.size, seen_now.mtime_ns) != (file.size, file.mtime_ns):
                looks.append((file.id, seen_now.size, seen_now.mtime_ns, now + self.settle_s))
                continue
            sidecars = sidecar_paths(path) if file.sidecar_ns is not None else []
            ready.append(
                FileToRead(
                    id=file.id,
                    path=path,
                    name=file.name,
                    root=display(file.root),
                    folder=display(file.folder),
                    display=display(path),
                    size=file.size,
                    mtime_ns=file.mtime_ns,
                    sidecars=sidecars,
                    seen=(file.size, file.mtime_ns, file.inode, file.sidecar_ns),
                    photo_id=file.photo_id,
                )
            )
        return ready, looks

    async def park(
        self,
        file_id: int,
        problem: str,
        *,
        seen: tuple[int, int, int, int | None] | None = None,
        again_s: float | None = None,
    ) -> None:
        """Puts the file aside until it changes; `problem` is the sentence people see, `seen` that of its FileToRead.

        With `again_s` it is handed out again after that time too, at the first pass that finds that it can be opened.
        """
        now = self._clock()
        again_at = None if again_s is None else now + again_s
        park = partial(stored.park, file_id=file_id, problem=problem, now=now, seen=seen, again_at=again_at)
        self._say_gone(await self._database.write(park))

    async def open_parked(self, root_id: int, walker: Walker, lane: Lane) -> None:
        """Files put aside because they could not be opened are handed out again where they can."""
        waiting = await self._database.read(partial(stored.parked_due, root_id=root_id, now=self._clock()))
        if not waiting:
            return
        opened = await lane.run(
            lambda: [file for file, path in waiting if _readable(walker.path(path))], limit_s=_TODO_S
        )
        if opened:
            await self._database.write(partial(stored.unpark, ids=opened))
            self._emit(FilesFound(len(opened)))

    async def retry_later(self, file_id: int, seconds: float) -> None:
        """Hands the file out again after `seconds`, a day at most."""
        at = self._clock() + min(seconds, stored.RETRY_MAX_S)
        await self._database.write(partial(stored.retry_later, file_id=file_id, at=at))
        self.look_soon()


def _readable(path: bytes) -> bool:
    return os.path.isfile(path) and os.access(path, os.R_OK)
