"""Keeps the store's files equal to the photo folders: when to look where, and which files are ready to be read."""

import asyncio
import contextlib
import math
import os
import stat
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import partial

import structlog
from pydantic import BaseModel, ConfigDict, Field

from framed.errors import CannotStore, FramedError, Refused
from framed.events import FilesFound, PhotoGone, ScanFinished
from framed.library.mounts import Mount, mount_of, read_mounts, within
from framed.library.reconcile import Conditions, Lane, NoAnswer, Pass, RootUnfit, ScanReport
from framed.library.walk import Root as Root
from framed.library.walk import Scandir, Walker, display, int64, seen, sidecar_paths
from framed.store import files as stored
from framed.store import settings as remembered
from framed.store.database import Database
from framed.store.files import Counts, Gone, WaitingFile

log = structlog.get_logger(__name__)

AnyPath = str | bytes | os.PathLike[str]

_RULES = "library.rules"
_MISSING_S = 60.0
_WITHOUT_ROOM_S = 5.0
_GLANCE_S = 5.0
_TODO_S = 30.0
_CLOCK_CHECK_S = 30.0
_CLOCK_JUMP_S = 5.0
_DUTY = 20
"""A timed pass that took long is not repeated before this many times as long has gone by."""
_HINT_DUTY = 4
"""The same for folders that never rest."""


class LibrarySettings(BaseModel):
    """Times in seconds. A timed pass looks at the mtimes of folders; a full one at every file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    roots: list[Root] = []
    scan_interval_s: float = Field(default=600.0, gt=0)
    full_scan_interval_s: float = Field(default=86_400.0, gt=0)
    poll_interval_s: float = Field(default=60.0, gt=0)
    settle_s: float = Field(default=2.0, ge=0)
    debounce_s: float = Field(default=2.0, ge=0)
    confirm_deletion_s: float = Field(default=1800.0, ge=0)


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
    seen: tuple[int, int, int, int | None]  # for `mark_read` and `park`
    photo_id: int | None


@dataclass(frozen=True)
class ParkedFile:
    id: int
    path: bytes
    display: str
    problem: str


@dataclass(frozen=True)
class RootStatus:
    path: str
    files: int
    last_scan_at: float | None
    problem: str | None
    polled: bool


@dataclass
class _Watched:
    """A configured root while framed runs."""

    root: Root
    walker: Walker
    lane: Lane = field(default_factory=Lane)
    id: int = 0
    device: int | None = None
    polled: bool = False
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    dirty: dict[bytes, float] = field(default_factory=dict)  # folder: when to look, on the loop's clock
    rest_until: float = 0.0
    full_at: float = 0.0
    quick_at: float = 0.0
    held_since: float | None = None
    held_problem: str | None = None
    problem: str | None = None
    looked: bool = False  # a full pass was tried since the start
    closed: set[bytes] = field(default_factory=set)  # folders that could not be read

    @property
    def path(self) -> bytes:
        return self.walker.top


class Scanner:
    """`run` keeps the library up to date until cancelled; `scan` looks now. Neither blocks the event loop."""

    def __init__(
        self,
        *,
        database: Database,
        settings: LibrarySettings,
        suffixes: frozenset[str],
        emit: Callable[[object], None],
        steps: Collection[str] = (),
        scandir: Scandir = os.scandir,
        clock: Callable[[], float] = time.time,
        mounts: Callable[[], list[Mount]] = read_mounts,
    ) -> None:
        self.settings = settings
        self.scanning = False
        self._database = database
        self._emit = emit
        self._steps = frozenset(steps)
        self._clock = clock
        self._mounts = mounts
        self._suffixes = suffixes
        self._scandir = scandir
        self.refused: list[str] = []
        self._watched: dict[bytes, _Watched] = {}
        self._watch(settings.roots)
        self._ready = False
        self._ready_lock = asyncio.Lock()
        self._stale: list[stored.StoredRoot] = []
        self._active = 0
        self._other_lane = Lane()
        self._retry_soon = asyncio.Event()

    def _watch(self, roots: Sequence[Root]) -> None:
        """A root that is as it was keeps what is known of it."""
        before, self._watched, self.refused = self._watched, {}, []
        for root in roots:
            walker = Walker(root, self._suffixes, self._scandir)
            known = before.get(walker.top)
            if walker.top in self._watched:
                self.refused.append(f"{root.path} is named twice in library.roots; the first one counts.")
            elif known is not None and known.root == root:
                self._watched[walker.top] = known
            else:
                self._watched[walker.top] = _Watched(root, walker, polled=root.watch == "poll")

    async def reconfigure(self, settings: LibrarySettings) -> None:
        """Other settings were read: to be called while `run` is not running, which then goes on with them.

        New roots are scanned, the photos of roots that are named no longer are gone, and so are those that changed
        patterns leave out.
        """
        await self._prepare()
        before = self._watched
        self.settings = settings
        self._watch(settings.roots)
        for watched in before.values():
            async with watched.lock:  # a pass that a person asked for ends first
                continue
        self._ready = False
        await self._prepare()

    @property
    def roots(self) -> list[Root]:
        return [watched.root for watched in self._watched.values()]

    @property
    def problems(self) -> list[str]:
        return [*self.refused, *(watched.problem for watched in self._watched.values() if watched.problem)]

    # -- scanning ------------------------------------------------------------------------------------------------

    async def scan(
        self,
        root: AnyPath | None = None,
        path: AnyPath | None = None,
        *,
        full: bool = True,
        confirm: bool = False,
    ) -> ScanReport:
        """Looks now: at everything, at one root, or at one folder (`full`: and all below it).

        `full=False` trusts the mtimes of folders. `confirm` says that what is missing was deleted on purpose.
        Refused: the root or path is not part of the library.
        """
        await self._prepare()
        if path is not None:
            watched, folder = self._place(os.fsencode(path))
            return await self._scan(watched, folder=folder or None, full=full, confirm=confirm)
        if root is not None:
            return await self._scan(self._root(os.fsencode(root)), full=full, confirm=confirm)
        report = ScanReport(problems=list(self.refused))
        started = time.monotonic()
        for watched in self._watched.values():
            report.add(await self._scan(watched, full=full, confirm=confirm))
        report.seconds = time.monotonic() - started
        return report

    def check(self, path: AnyPath) -> None:
        """Refused: the path lies in no photo folder."""
        self._place(os.fsencode(path))

    def _root(self, path: bytes) -> _Watched:
        watched = self._watched.get(os.path.normpath(path))
        if watched is None:
            raise Refused(f"{display(path)} is not one of the photo folders.")
        return watched

    def _place(self, path: bytes) -> tuple[_Watched, bytes]:
        path = os.path.normpath(path)
        for top, watched in self._watched.items():
            if within(path, top):
                return watched, os.path.relpath(path, top) if path != top else b""
        raise Refused(f"{display(path)} lies in none of the photo folders.")

    async def _scan(
        self,
        watched: _Watched,
        *,
        folder: bytes | None = None,
        folders: Collection[bytes] = (),
        full: bool = True,
        confirm: bool = False,
    ) -> ScanReport:
        """One pass over a root, or over parts of it; the outcome is stored, said and emitted."""
        whole = full and folder is None and not folders
        async with watched.lock:
            self._active += 1
            self.scanning = True
            started = time.monotonic()
            interval = self.settings.full_scan_interval_s
            if whole:
                watched.full_at = math.inf  # a call for another full scan from here on is kept
            try:
                mount = await self._mount(watched)
                if not mount.steady_times:
                    interval = self.settings.scan_interval_s
                check = self._pass(watched, self._conditions(watched, mount, whole, confirm))
                fit = await self._look(check, watched, folder, folders, full)
                if fit:
                    await self._open_parked(watched)
            except asyncio.CancelledError:
                watched.full_at = 0.0  # what this pass did not come to is for the next one
                raise
            finally:
                self._active -= 1
                self.scanning = self._active > 0
                if whole:
                    next_full = self._after(interval, time.monotonic() - started)
                    watched.full_at, watched.looked = min(watched.full_at, next_full), True
        report = check.close()
        report.seconds = time.monotonic() - started
        await self._conclude(watched, check, report, whole=whole, fit=fit, everything=folder is None and not folders)
        return report

    async def _mount(self, watched: _Watched) -> Mount:
        try:
            return await watched.lane.run(lambda: mount_of(watched.path, self._mounts()), limit_s=_GLANCE_S)
        except NoAnswer:
            return Mount(b"", "unknown")

    def _pass(self, watched: _Watched, conditions: Conditions) -> Pass:
        return Pass(
            database=self._database,
            walker=watched.walker,
            lane=watched.lane,
            root_id=watched.id,
            device=watched.device,
            conditions=conditions,
            configured=frozenset(self._watched),
            clock=self._clock,
            say_gone=self._say_gone,
        )

    def _conditions(self, watched: _Watched, mount: Mount, whole: bool, confirm: bool) -> Conditions:
        held = watched.held_since
        now = asyncio.get_running_loop().time()
        return Conditions(
            steady_inodes=mount.steady_inodes,
            remote=mount.remote,
            settle_s=self.settings.settle_s,
            whole=whole,
            held=held is not None,
            held_long_enough=whole and held is not None and now - held >= self.settings.confirm_deletion_s,
            confirmed=confirm,
        )

    async def _look(
        self, check: Pass, watched: _Watched, folder: bytes | None, folders: Collection[bytes], full: bool
    ) -> bool:
        """Runs the pass; False where the root is not fit for it, and the report says why."""
        try:
            await check.begin()
            if folder is not None:
                folders = [await self._listed_for(watched, folder)]
            if folder is not None and full and folders == [folder]:
                await check.full(folder)
            elif folders:
                await check.folders(folders)
            elif full:
                await check.full()
            else:
                await check.quick()
                await check.folders(watched.closed)  # their mtimes do not tell that they may be read now
            if folder is None and not folders:
                watched.closed = check.unreadable
            await check.remove_vanished()
        except NoAnswer:
            check.report.problems.append(f"{watched.root.path} does not answer; its photos are kept.")
            return False
        except RootUnfit as error:
            check.report.problems.append(str(error))
            return False
        return True

    async def _listed_for(self, watched: _Watched, folder: bytes) -> bytes:
        nearest = await watched.lane.run(partial(watched.walker.nearest, folder))
        if nearest is None:
            raise Refused(f"{display(watched.walker.path(folder))} is left out by the rules of its photo folder.")
        return nearest

    async def _conclude(
        self, watched: _Watched, check: Pass, report: ScanReport, *, whole: bool, fit: bool, everything: bool
    ) -> None:
        loop = asyncio.get_running_loop()
        if check.held:
            watched.held_since = watched.held_since or loop.time()
            watched.held_problem = check.held
            watched.full_at = min(watched.full_at, loop.time() + self.settings.confirm_deletion_s + 1)
        elif fit and whole:
            watched.held_since = watched.held_problem = None
        if fit and check.other_disk and not whole:
            watched.full_at = 0.0
            watched.wake.set()
        elif fit and whole:
            watched.device = check.device
        if watched.held_problem and watched.held_problem not in report.problems:
            report.problems.append(watched.held_problem)
        await self._store_outcome(watched, report, fit=fit, everything=everything)
        if not fit:
            watched.full_at = min(watched.full_at, loop.time() + self._interval(watched))  # it may be mounted late
        if whole:
            await self._drop_stale()
        if not everything:
            watched.rest_until = loop.time() + report.seconds * _HINT_DUTY
        for folder in check.restless:
            watched.dirty.setdefault(folder, max(loop.time() + self.settings.settle_s, watched.rest_until))
        if check.unsettled:
            self._retry_soon.set()
        if report.new or report.changed:
            self._emit(FilesFound(report.new + report.changed))
        if everything:
            self._emit(ScanFinished(report.seconds, report.files, list(report.problems)))
            log.info("photo folder scanned", root=watched.root.path, **_figures(report))

    async def _store_outcome(self, watched: _Watched, report: ScanReport, *, fit: bool, everything: bool) -> None:
        """A look at some folders says nothing about the trouble that the last whole pass met."""
        problem = _sentence(report.problems)
        if not fit or everything:
            if problem and problem != watched.problem:
                log.warning("photo folder has a problem", root=watched.root.path, problem=problem)
            watched.problem = problem
        if fit and everything:
            stamp = partial(
                stored.scanned_root,
                root_id=watched.id,
                device=watched.device,
                at=self._clock(),
                problem=problem,
            )
            await self._database.write(stamp)
        elif not fit:
            await self._database.write(partial(stored.root_problem, root_id=watched.id, problem=problem))

    def _after(self, interval_s: float, took_s: float) -> float:
        return asyncio.get_running_loop().time() + max(interval_s, took_s * _DUTY)

    def _say_gone(self, gone: list[Gone]) -> None:
        for photo in gone:
            self._emit(PhotoGone(photo.uid, photo.photo_id))

    # -- roots that come and go ----------------------------------------------------------------------------------

    async def _leave_out_nested(self) -> None:
        """Drops roots that another one covers, by their real paths; `refused` says which."""
        reals: dict[bytes, bytes] = {}
        for path, watched in self._watched.items():
            try:
                reals[path] = await watched.lane.run(partial(os.path.realpath, path), limit_s=_GLANCE_S)
            except NoAnswer:
                reals[path] = path
        kept: list[bytes] = []
        for path in sorted(reals, key=lambda path: len(reals[path])):
            above = next((other for other in kept if within(reals[path], reals[other])), None)
            if above is None:
                kept.append(path)
            else:
                del self._watched[path]
                self.refused.append(f"{display(path)} is left out: it lies in {display(above)}, which is scanned.")

    async def _prepare(self) -> None:
        """Gives every configured root its row; the photos of roots that are configured no longer are gone."""
        async with self._ready_lock:
            if self._ready:
                return
            await self._leave_out_nested()
            rows = {row.path: row for row in await self._database.read(stored.all_roots)}
            for path, watched in self._watched.items():
                row = rows.get(path)
                watched.id = row.id if row else await self._database.write(partial(stored.add_root, path=path))
                watched.device = row.device if row else None
            await self._follow_rules([watched for path, watched in self._watched.items() if path in rows])
            new = [watched for path, watched in self._watched.items() if path not in rows]
            devices = {await self._device(watched) for watched in new}
            for path, row in rows.items():
                if path in self._watched:
                    continue
                if row.device in devices - {None}:
                    self._stale.append(row)  # perhaps the same folder under another name: its files may move over
                else:
                    await self._drop(row)
            for sentence in self.refused:
                log.warning("photo folder left out", problem=sentence)
            self._ready = True

    async def _follow_rules(self, known: Sequence[_Watched]) -> None:
        """Files that patterns leave out since these were edited go at once: no lost disk looks like that."""
        before: dict[str, list[str]] = await self._database.read(lambda c: remembered.get(c, _RULES)) or {}
        rules = {watched.root.path: _rules(watched.root) for watched in self._watched.values()}
        for watched in known:
            if before.get(watched.root.path, []) != rules[watched.root.path]:
                await self._leave_out(watched)
        if rules != before:
            await self._database.write(lambda c: remembered.put(c, _RULES, rules))

    async def _leave_out(self, watched: _Watched) -> None:
        last = 0
        while batch := await self._database.read(partial(stored.files_after, root_id=watched.id, after=last)):
            last = batch[-1][0]
            out = await asyncio.to_thread(_left_out, watched.walker, batch)
            removed = await self._database.write(partial(stored.remove, vanished=out, now=self._clock(), wait=False))
            self._say_gone(removed.gone)

    async def _device(self, watched: _Watched) -> int | None:
        try:
            status = await watched.lane.run(partial(os.stat, watched.path), limit_s=_GLANCE_S)
        except (OSError, NoAnswer):
            return None  # the first scan says what is wrong with it
        return int64(status.st_dev)

    async def _drop(self, row: stored.StoredRoot) -> None:
        while batch := await self._database.read(partial(stored.some_files, root_id=row.id)):
            removed = await self._database.write(partial(stored.remove, vanished=batch, now=self._clock(), wait=False))
            self._say_gone(removed.gone)
        await self._database.write(partial(stored.drop_root, root_id=row.id))
        log.info("photo folder is no longer configured", root=display(row.path))

    async def _drop_stale(self) -> None:
        while self._stale and all(watched.looked for watched in self._watched.values()):
            await self._drop(self._stale.pop())

    # -- running -------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Scans every root at once, then on the timers and where `poke` says; until cancelled."""
        await self._prepare()
        async with asyncio.TaskGroup() as tasks:
            for watched in self._watched.values():
                tasks.create_task(self._keep(watched), name=f"scan {watched.root.path}")
            tasks.create_task(self._announce_due(), name="files due")

    def poke(self, path: AnyPath) -> None:
        """Something happened in this folder: it is listed `debounce_s` later, and again until it is quiet."""
        try:
            watched, folder = self._place(os.fsencode(path))
        except Refused:
            log.debug("an event outside the photo folders", path=repr(path))
            return
        now = asyncio.get_running_loop().time()
        if folder not in watched.dirty:
            watched.dirty[folder] = max(now + self.settings.debounce_s, watched.rest_until)
            watched.wake.set()

    def rescan(self, root: AnyPath | None = None) -> None:
        """Events were lost: every file of the root, or of all, is looked at again."""
        for path, watched in self._watched.items():
            if root is None or path == os.fsencode(root):
                watched.full_at = 0.0
                watched.wake.set()

    def poll(self, root: AnyPath, polled: bool) -> None:
        """Whether the root is looked at every `poll_interval_s`, because no events come from it."""
        watched = self._watched[os.fsencode(root)]
        if watched.polled != polled:
            watched.polled = polled
            watched.quick_at = min(watched.quick_at, asyncio.get_running_loop().time() + self._interval(watched))
            watched.wake.set()

    def _interval(self, watched: _Watched) -> float:
        settings = self.settings
        if watched.problem:
            return min(settings.poll_interval_s, settings.scan_interval_s)
        return settings.poll_interval_s if watched.polled else settings.scan_interval_s

    async def _keep(self, watched: _Watched) -> None:
        loop = asyncio.get_running_loop()
        while True:
            now = loop.time()
            try:
                await self._due_pass(watched, now)
            except Exception as error:  # whatever it was must not end the watch over this root
                watched.full_at = watched.quick_at = loop.time() + (
                    _WITHOUT_ROOM_S if isinstance(error, CannotStore) else _MISSING_S
                )
                if isinstance(error, FramedError):
                    log.error("a scan failed", root=watched.root.path, problem=error.message)
                else:
                    log.exception("a scan failed", root=watched.root.path)
            await self._sleep(watched)

    async def _due_pass(self, watched: _Watched, now: float) -> None:
        if now >= watched.full_at:
            watched.dirty.clear()
            await self._scan(watched)
            watched.quick_at = self._after(self._interval(watched), 0.0)
        elif now >= watched.quick_at:
            report = await self._scan(watched, full=False)
            watched.quick_at = self._after(self._interval(watched), report.seconds)
        elif due := [folder for folder, when in watched.dirty.items() if when <= now]:
            for folder in due:
                del watched.dirty[folder]
            nearest = await watched.lane.run(lambda: {watched.walker.nearest(folder) for folder in due})
            if folders := sorted(folder for folder in nearest if folder is not None):
                await self._scan(watched, folders=folders)

    async def _sleep(self, watched: _Watched) -> None:
        until = min(watched.full_at, watched.quick_at, *watched.dirty.values())
        try:
            async with asyncio.timeout_at(until):
                await watched.wake.wait()
        except TimeoutError:
            return  # a pass is due
        watched.wake.clear()

    async def _announce_due(self) -> None:
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

    # -- reading -------------------------------------------------------------------------------------------------

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
                    found, late = await self._lane(root).run(
                        partial(self._look_once_more, inside, now), limit_s=_TODO_S
                    )
                except NoAnswer:
                    found, late = [], [(file.id, file.size, file.mtime_ns, now + _MISSING_S) for file in inside]
                ready.extend(found)
                looks.extend(late)
            if not looks:
                break
            await self._database.write(partial(stored.note_look, looks=looks))
            self._retry_soon.set()
        return ready

    def _lane(self, root: bytes) -> Lane:
        watched = self._watched.get(root)
        return watched.lane if watched is not None else self._other_lane

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
                looks.append((file.id, file.size, file.mtime_ns, now + _MISSING_S))  # the next scan misses it too
                continue
            seen_now = seen(status)
            if (seen_now.size, seen_now.mtime_ns) != (file.size, file.mtime_ns):
                looks.append((file.id, seen_now.size, seen_now.mtime_ns, now + self.settings.settle_s))
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

    async def mark_read(
        self, file_id: int, photo_id: int, *, seen: tuple[int, int, int, int | None] | None = None
    ) -> bool:
        """The file holds this photo; True when the photo was gone and is back. `seen` is that of its FileToRead: where
        the file changed meanwhile it is handed out again."""
        mark = partial(
            stored.mark_read,
            file_id=file_id,
            photo_id=photo_id,
            now=self._clock(),
            seen=seen,
            steps=self._steps,
        )
        back, gone = await self._database.write(mark)
        self._say_gone(gone)
        return back

    async def park(
        self,
        file_id: int,
        problem: str,
        *,
        seen: tuple[int, int, int, int | None] | None = None,
        again_s: float | None = None,
    ) -> None:
        """Puts the file aside until it changes; `problem` is the sentence people see, `seen` as in `mark_read`.

        With `again_s` it is handed out again after that time too, at the first pass that finds that it can be opened.
        """
        now = self._clock()
        again_at = None if again_s is None else now + again_s
        park = partial(stored.park, file_id=file_id, problem=problem, now=now, seen=seen, again_at=again_at)
        self._say_gone(await self._database.write(park))

    async def _open_parked(self, watched: _Watched) -> None:
        """Files put aside because they could not be opened are handed out again where they can."""
        waiting = await self._database.read(partial(stored.parked_due, root_id=watched.id, now=self._clock()))
        if not waiting:
            return
        opened = await watched.lane.run(
            lambda: [file for file, path in waiting if _readable(watched.walker.path(path))], limit_s=_TODO_S
        )
        if opened:
            await self._database.write(partial(stored.unpark, ids=opened))
            self._emit(FilesFound(len(opened)))

    async def retry_later(self, file_id: int, seconds: float) -> None:
        """Hands the file out again after `seconds`, a day at most."""
        at = self._clock() + min(seconds, stored.RETRY_MAX_S)
        await self._database.write(partial(stored.retry_later, file_id=file_id, at=at))
        self._retry_soon.set()

    async def parked(self, limit: int) -> list[ParkedFile]:
        rows = await self._database.read(partial(stored.parked, limit=limit))
        found = []
        for row in rows:
            path = os.path.join(row.root, row.folder, row.name)
            found.append(ParkedFile(row.id, path, display(path), row.problem))
        return found

    async def counts(self) -> Counts:
        return await self._database.read(stored.counts)

    async def paths_of(self, photo_id: int) -> list[bytes]:
        """Files that hold the photo and can be read now, the surest first."""
        rows = await self._database.read(partial(stored.files_of, photo_id=photo_id))
        found: list[bytes] = []
        for row in rows:
            path = os.path.join(row.root, row.folder, row.name)
            with contextlib.suppress(NoAnswer):  # another copy may lie on a disk that does
                if await self._lane(row.root).run(partial(_readable, path), limit_s=_GLANCE_S):
                    found.append(path)
        return found

    async def status(self) -> list[RootStatus]:
        await self._prepare()
        rows = {row.id: row for row in await self._database.read(stored.all_roots)}
        found = []
        for watched in self._watched.values():
            row = rows[watched.id]
            count = await self._database.read(partial(stored.files_under_root, root_id=watched.id))
            found.append(RootStatus(watched.root.path, count, row.last_scan_at, row.problem, watched.polled))
        return found


def _rules(root: Root) -> list[str]:
    return [*root.include, "exclude:", *root.exclude, str(root.default_excludes)]


def _left_out(walker: Walker, batch: Sequence[tuple[int, int, bytes, bytes]]) -> dict[int, int]:
    return {file: folder for file, folder, path, name in batch if not walker.allows(path, name)}


def _readable(path: bytes) -> bool:
    return os.path.isfile(path) and os.access(path, os.R_OK)


def _sentence(problems: list[str]) -> str | None:
    """The first problems as one text for the root's row."""
    more = [f"And {len(problems) - 3} more."] if len(problems) > 3 else []
    return " ".join([*problems[:3], *more]) or None


def _figures(report: ScanReport) -> dict[str, float]:
    names = ("files", "new", "changed", "moved", "gone", "skipped")
    return {name: getattr(report, name) for name in names} | {"seconds": round(report.seconds, 2)}
