"""Turns file events into hints for the scanner, and polls where there are none. The only importer of watchdog."""

import asyncio
import contextlib
import logging
import os
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import structlog
from watchdog import events as happened
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver, ObservedWatch

from framed.library import sidecars
from framed.library.lane import Lane, NoAnswer
from framed.library.mounts import Mount, mount_of, mounts_below, read_mounts
from framed.library.walk import Root, display

log = structlog.get_logger(__name__)

# Not opened and closed-unwritten: framed reads every photo, and would wake itself.
_EVENTS: list[type[happened.FileSystemEvent]] = [
    happened.FileCreatedEvent,
    happened.FileModifiedEvent,
    happened.FileMovedEvent,
    happened.FileDeletedEvent,
    happened.FileClosedEvent,
    happened.DirCreatedEvent,
    happened.DirMovedEvent,
    happened.DirDeletedEvent,
]
_GATHER_S = 0.2
_SHARE = 0.9
"""Of the watches one user may have: other programs want some too."""


class Scans(Protocol):
    """What the watcher asks of the scanner; called on the event loop."""

    @property
    def roots(self) -> list[Root]: ...
    def poke(self, path: str | bytes) -> None: ...
    def rescan(self, root: str | bytes | None = None) -> None: ...
    def poll(self, root: str | bytes, polled: bool) -> None: ...


@dataclass(frozen=True)
class WatchStatus:
    root: str
    mode: str  # events, poll, off, waiting
    reason: str | None


@dataclass
class _Root:
    root: Root
    path: bytes
    lane: Lane
    watch: ObservedWatch | None = None
    mode: str = "waiting"
    reason: str | None = None
    inode: int | None = None
    retry_at: float = 0.0


class Watcher:
    """`async with watcher:` watches until left. Whatever goes wrong with events ends in polling and one log line."""

    def __init__(
        self,
        *,
        scanner: Scans,
        suffixes: frozenset[str],
        mounts: Callable[[], list[Mount]] = read_mounts,
        watch_limit: Path = Path("/proc/sys/fs/inotify/max_user_watches"),
        observer: Callable[[], BaseObserver] = Observer,
        recheck_s: float = 30.0,
        retry_s: float = 3600.0,
    ) -> None:
        self._scanner = scanner
        self._suffixes = tuple(
            "." + suffix.lower().lstrip(".") for suffix in (*suffixes, *map(os.fsdecode, sidecars.SUFFIXES))
        )
        self._mounts = mounts
        self._watch_limit = watch_limit
        self._new_observer = observer
        self._recheck_s = recheck_s
        self._retry_s = retry_s
        self._roots: list[_Root] = []
        self._observer: BaseObserver | None = None
        self._counting = asyncio.Lock()
        self._tasks: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._hints: set[bytes] = set()
        self._hints_lock = threading.Lock()
        self._overflow = _OverflowHandler(self._overflowed)
        self.looked_at = False
        """Whether the scanner has begun to look: what changed before a watch came is then unknown."""

    async def __aenter__(self) -> "Watcher":
        self._loop = asyncio.get_running_loop()
        self._roots = [_Root(root, os.fsencode(root.path), Lane()) for root in self._scanner.roots]
        # Its warning names every known watch, once for each folder it comes upon twice: tens of kilobytes a line.
        warnings.filterwarnings("ignore", category=RuntimeWarning, module="watchdog")
        logging.getLogger("watchdog").addHandler(self._overflow)
        await self._tend()
        self.looked_at = True
        self._tasks = asyncio.create_task(self._run(), name="watch photo folders")
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._tasks is not None:
            self._tasks.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._tasks
        logging.getLogger("watchdog").removeHandler(self._overflow)
        observer, self._observer = self._observer, None
        if observer is not None:
            with contextlib.suppress(NoAnswer):  # its threads are daemons, and a stop may take five seconds
                await Lane().run(lambda: _stop(observer), limit_s=3.0)

    def status(self) -> list[WatchStatus]:
        return [WatchStatus(each.root.path, each.mode, each.reason) for each in self._roots]

    # -- which root is watched how -------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._recheck_s)
            await self._tend()

    async def _tend(self) -> None:
        """Watches roots that have come, forgets those that went; side by side, so that none waits for another."""
        await asyncio.gather(*(self._tend_safely(each) for each in self._roots))

    async def _tend_safely(self, each: _Root) -> None:
        try:
            await self._tend_root(each)
        except NoAnswer:
            self._fall_back(each, f"{each.root.path} does not answer.")
        except Exception:  # the scanner's timer goes on; the next round tries again
            log.exception("a photo folder could not be watched", root=each.root.path)

    async def _tend_root(self, each: _Root) -> None:
        if each.root.watch == "off":
            each.mode = "off"
            return
        if each.root.watch == "poll":
            self._poll(each, None)
            return
        inode = await each.lane.run(lambda: _inode(each.path), limit_s=10.0)
        if each.watch is not None and inode != each.inode:
            await self._unwatch(each)  # deleted, or another disk was mounted over it
        if inode is None:
            each.mode, each.reason = "waiting", f"{each.root.path} is not there."
            return
        assert self._loop is not None
        if each.watch is None and self._loop.time() >= each.retry_at:
            each.inode = inode
            await self._decide(each)

    async def _decide(self, each: _Root) -> None:
        mounts = await each.lane.run(self._mounts)
        mount = await each.lane.run(lambda: mount_of(each.path, mounts))
        remote_below = await each.lane.run(lambda: [below for below in mounts_below(each.path, mounts) if below.remote])
        if each.root.watch == "auto" and mount.remote:
            self._poll(each, f"{each.root.path} is on {mount.kind}, which sends no file events; it is polled.")
        elif reason := await self._watch(each):
            self._fall_back(each, reason)
        else:
            each.mode, each.reason = "events", None
            if each.root.follow_symlinks:
                each.reason = f"What links under {each.root.path} lead to is polled."
            elif remote_below:
                each.reason = f"{display(remote_below[0].point)} is on {remote_below[0].kind}; it is polled."
            self._scanner.poll(each.path, each.reason is not None)
            log.info("photo folder is watched", root=each.root.path, polled=each.reason)
            if self.looked_at:
                self._scanner.rescan(each.path)

    async def _watch(self, each: _Root) -> str | None:
        """Starts the events of a root; gives why they are not to be had."""
        folders = await each.lane.run(lambda: _count_folders(each.path))
        async with self._counting:  # what other roots take meanwhile would pass for this one's
            return await self._watch_all(each, folders)

    async def _watch_all(self, each: _Root, folders: int) -> str | None:
        limit = _number(self._watch_limit)
        others = await each.lane.run(_watches_held)
        if limit is not None and folders + others > limit * _SHARE:
            return _raise_limit(each.root.path, folders, limit)
        try:
            each.watch = await each.lane.run(lambda: self._schedule(each), limit_s=60.0)
        except OSError as error:
            return (
                f"{each.root.path} cannot be watched ({error.strerror or error}). More watchers are allowed by: "
                "sudo sysctl fs.inotify.max_user_instances=1024"
            )
        held = await each.lane.run(_watches_held)
        if limit is not None and held - others < folders * _SHARE:  # watchdog passes over folders it is refused
            await self._unwatch(each)
            return _raise_limit(each.root.path, folders, limit)
        return None

    def _schedule(self, each: _Root) -> ObservedWatch:
        """Blocks: walks the folders below the root."""
        if self._observer is None:
            observer = self._new_observer()
            observer.start()
            self._observer = observer
        hints = _Hints(self._hint, self._suffixes)
        # Links are not followed: watchdog has no guard against loops, so what lies behind them is polled.
        return self._observer.schedule(hints, os.fsdecode(each.path), recursive=True, event_filter=_EVENTS)

    async def _unwatch(self, each: _Root) -> None:
        watch, each.watch = each.watch, None
        each.mode, each.reason = "waiting", f"{each.root.path} went."
        if self._observer is not None and watch is not None:
            observer = self._observer
            with contextlib.suppress(KeyError):  # its thread ended with the folder
                await each.lane.run(lambda: observer.unschedule(watch))

    def _poll(self, each: _Root, reason: str | None) -> None:
        if each.mode != "poll":
            log.info("photo folder is polled", root=each.root.path, reason=reason)
        each.mode, each.reason = "poll", reason
        assert self._loop is not None
        each.retry_at = self._loop.time() + self._retry_s
        self._scanner.poll(each.path, True)

    def _fall_back(self, each: _Root, reason: str) -> None:
        if reason != each.reason:
            log.warning("photo folder is polled, events are not to be had", root=each.root.path, reason=reason)
        each.mode = "poll"
        self._poll(each, reason)

    # -- events, in watchdog's threads ---------------------------------------------------------------------------

    def _hint(self, folder: bytes) -> None:
        with self._hints_lock:
            first = not self._hints
            self._hints.add(folder)
        if first:
            self._call(self._pass_on_later)

    def _overflowed(self) -> None:
        self._call(self._rescan)

    def _call(self, work: Callable[[], None]) -> None:
        assert self._loop is not None
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits for it any more
            self._loop.call_soon_threadsafe(work)

    # -- events, on the loop -------------------------------------------------------------------------------------

    def _pass_on_later(self) -> None:
        assert self._loop is not None
        self._loop.call_later(_GATHER_S, self._pass_on)

    def _pass_on(self) -> None:
        with self._hints_lock:
            hints, self._hints = self._hints, set()
        for folder in hints:
            self._scanner.poke(folder)

    def _rescan(self) -> None:
        log.warning("file events were lost, every photo folder is scanned")
        for each in self._roots:
            if each.watch is not None:
                self._scanner.rescan(each.path)


class _Hints(happened.FileSystemEventHandler):
    """Gives the folders in which something happened to a photo, a sidecar or a folder."""

    def __init__(self, hint: Callable[[bytes], None], suffixes: tuple[str, ...]) -> None:
        self._hint = hint
        self._suffixes = suffixes

    def on_any_event(self, event: happened.FileSystemEvent) -> None:
        for path in (event.src_path, event.dest_path):
            if path and (event.is_directory or os.fsdecode(path).lower().endswith(self._suffixes)):
                self._hint(os.path.dirname(os.fsencode(path)))


class _OverflowHandler(logging.Handler):
    """watchdog tells of lost events by its log alone."""

    def __init__(self, overflowed: Callable[[], None]) -> None:
        super().__init__(logging.WARNING)
        self._overflowed = overflowed

    def emit(self, record: logging.LogRecord) -> None:
        if "overflow" in record.getMessage().lower():
            self._overflowed()


def _stop(observer: BaseObserver) -> None:
    observer.stop()
    observer.join(5.0)


def _inode(path: bytes) -> int | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_ino ^ status.st_dev << 64


def _count_folders(path: bytes) -> int:
    """Every folder below, excluded ones too: watchdog asks for a watch on each."""
    return sum(1 for _ in os.walk(path))


def _watches_held() -> int:
    """The inotify watches of this process, as the kernel counts them."""
    held = 0
    for entry in Path("/proc/self/fdinfo").iterdir() if os.path.isdir("/proc/self/fdinfo") else ():
        with contextlib.suppress(OSError):  # closed since it was listed
            held += entry.read_bytes().count(b"inotify wd:")
    return held


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None  # not Linux


def _raise_limit(root: str, folders: int, limit: int) -> str:
    wanted = max(524_288, 1 << (folders * 2).bit_length())
    return (
        f"{root} has {folders:,} folders and this machine allows {limit:,} watches, so it is polled. More are allowed "
        f"by: echo fs.inotify.max_user_watches={wanted} | sudo tee /etc/sysctl.d/60-framed.conf && sudo sysctl --system"
    )
