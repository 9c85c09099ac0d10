"""Keeps the store's files equal to the photo folders: when to look where."""

import asyncio
import math
import os
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import partial

import structlog
from pydantic import BaseModel, ConfigDict, Field

from framed.errors import CannotStore, FramedError, Refused
from framed.events import FilesFound, PhotoGone, ScanFinished
from framed.library.lane import Lane, NoAnswer, RootUnfit
from framed.library.mounts import Mount, mount_of, read_mounts, within
from framed.library.reconcile import Conditions, Pass, ScanReport
from framed.library.waiting import GLANCE_S, MISSING_S, WaitingFiles
from framed.library.walk import Root as Root
from framed.library.walk import Scandir, Walker, display, int64
from framed.store import files as stored
from framed.store import settings as remembered
from framed.store.database import Database
from framed.store.files import Gone

log = structlog.get_logger(__name__)

AnyPath = str | bytes | os.PathLike[str]

_RULES = "library.rules"
_WITHOUT_ROOM_S = 5.0
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

    @property
    def followed(self) -> frozenset[bytes]:
        """The photo folders whose links lead out of them with their owner's leave."""
        return frozenset(os.fsencode(root.path) for root in self.roots if root.follow_symlinks)


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
        scandir: Scandir = os.scandir,
        clock: Callable[[], float] = time.time,
        mounts: Callable[[], list[Mount]] = read_mounts,
    ) -> None:
        self.settings = settings
        self.scanning = False
        self._database = database
        self._emit = emit
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
        self.files = WaitingFiles(
            database=database,
            emit=emit,
            say_gone=self._say_gone,
            lane_of=self._lane_of,
            settle_s=settings.settle_s,
            clock=clock,
        )

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
        await self.prepare()
        before = self._watched
        self.settings, self.files.settle_s = settings, settings.settle_s
        self._watch(settings.roots)
        for watched in before.values():
            async with watched.lock:  # a pass that a person asked for ends first
                continue
        self._ready = False
        await self.prepare()

    def _lane_of(self, root: bytes) -> Lane:
        watched = self._watched.get(root)
        return watched.lane if watched is not None else self._other_lane

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
        await self.prepare()
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
                    await self.files.open_parked(watched.id, watched.walker, watched.lane)
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
            return await watched.lane.run(lambda: mount_of(watched.path, self._mounts()), limit_s=GLANCE_S)
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
        watched.wake.set()  # a scan that was asked for has moved the times at which the next passes are due
        if check.unsettled:
            self.files.look_soon()
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
                reals[path] = await watched.lane.run(partial(os.path.realpath, path), limit_s=GLANCE_S)
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

    async def prepare(self) -> None:
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
            status = await watched.lane.run(partial(os.stat, watched.path), limit_s=GLANCE_S)
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
        await self.prepare()
        async with asyncio.TaskGroup() as tasks:
            for watched in self._watched.values():
                tasks.create_task(self._keep(watched), name=f"scan {watched.root.path}")
            tasks.create_task(self.files.announce_due(), name="files due")

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
        watched = self._watched.get(os.fsencode(root))  # None: another root covers it
        if watched is not None and watched.polled != polled:
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
                    _WITHOUT_ROOM_S if isinstance(error, CannotStore) else MISSING_S
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

    async def status(self) -> list[RootStatus]:
        await self.prepare()
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


def _sentence(problems: list[str]) -> str | None:
    """The first problems as one text for the root's row."""
    more = [f"And {len(problems) - 3} more."] if len(problems) > 3 else []
    return " ".join([*problems[:3], *more]) or None


def _figures(report: ScanReport) -> dict[str, float]:
    names = ("files", "new", "changed", "moved", "gone", "skipped")
    return {name: getattr(report, name) for name in names} | {"seconds": round(report.seconds, 2)}
