"""The watcher: real events become scans, and without events there is polling and a sentence."""

import asyncio
import contextlib
import errno
import logging
import os
import shutil
import threading
import warnings
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from watchdog.observers import Observer

from framed.background import Background
from framed.errors import CannotStore
from framed.events import ScanFinished
from framed.library.mounts import Mount, mount_of, mounts_below, read_mounts
from framed.library.scanner import Root
from framed.library.scanning import Scanning
from framed.library.watcher import Watcher
from tests.library.shelf import SUFFIXES, CountingDatabase, Shelf, until


class Hints:
    """A scanner that only notes what it is told."""

    def __init__(self, *roots: Root) -> None:
        self.roots = list(roots)
        self.poked: set[bytes] = set()
        self.rescanned: list[Any] = []
        self.polled: dict[Any, bool] = {}

    def poke(self, path: str | bytes) -> None:
        self.poked.add(os.fsencode(path))

    def rescan(self, root: str | bytes | None = None) -> None:
        self.rescanned.append(root)

    def poll(self, root: str | bytes, polled: bool) -> None:
        self.polled[root] = polled


def local() -> list[Mount]:
    return [Mount(b"/", "ext4")]


@pytest.fixture
async def shelf(tmp_path: Path) -> AsyncIterator[Shelf]:
    database = CountingDatabase(tmp_path / "framed.db")
    await database.start()
    folder = tmp_path / "photos"
    folder.mkdir()
    yield Shelf(folder, database)
    await database.close()


async def test_photo_dropped_into_a_folder_is_scanned_at_once(shelf: Shelf) -> None:
    shelf.put("old/a.jpg")
    scanner = shelf.scanner(debounce_s=0.05, scan_interval_s=3600)
    run = asyncio.create_task(scanner.run())
    async with Watcher(scanner=scanner, suffixes=SUFFIXES, mounts=local) as watcher:
        assert [(each.mode, each.reason) for each in watcher.status()] == [("events", None)]
        await until(lambda: any(isinstance(event, ScanFinished) for event in shelf.events))
        await shelf.read(scanner)
        shelf.put("old/b.jpg"), shelf.put("new/deep/c.jpg")
        await until(lambda: _new(shelf, 2))
        before = await shelf.photos()
        assert sorted(await shelf.read(scanner)) == ["new/deep/c.jpg", "old/b.jpg"]
        os.rename(shelf.folder / "old", shelf.folder / "renamed")
        await until(lambda: _lies(shelf, "renamed/a.jpg"))
        assert (await shelf.photos())["renamed/a.jpg"] == before["old/a.jpg"]
        (shelf.folder / "renamed" / "a.jpg").unlink()
        await until(lambda: shelf.gone)
    run.cancel()
    assert shelf.gone == [before["old/a.jpg"]]


async def _new(shelf: Shelf, count: int) -> bool:
    return await shelf.unread() == {"new": count}


async def _lies(shelf: Shelf, path: str) -> bool:
    return path in await shelf.photos()


async def test_only_photos_sidecars_and_folders_wake_the_scanner(tmp_path: Path) -> None:
    for name in ["a", "b", "c", "d"]:
        (tmp_path / name).mkdir()
    hints = Hints(Root(path=str(tmp_path)))
    async with Watcher(scanner=hints, suffixes=SUFFIXES, mounts=local):
        (tmp_path / "a" / "notes.txt").write_text("x")
        (tmp_path / "b" / "IMG.JPG").write_bytes(b"x")
        (tmp_path / "c" / "img.xmp").write_text("x")
        (tmp_path / "d" / "part").write_bytes(b"x")
        os.rename(tmp_path / "d" / "part", tmp_path / "d" / os.fsdecode(b"\xff.png"))
        await until(lambda: len(hints.poked) == 3)
        assert hints.poked == {os.fsencode(tmp_path / name) for name in "bcd"}
        hints.poked.clear()
        (tmp_path / "b" / "IMG.JPG").read_bytes()
        (tmp_path / "c" / "img.xmp").unlink()
        await until(lambda: hints.poked)
        assert hints.poked == {os.fsencode(tmp_path / "c")}


async def test_what_changes_behind_the_first_look_is_told_by_an_event(shelf: Shelf) -> None:
    shelf.put("old/a.jpg")
    listed = False

    @contextlib.contextmanager
    def scandir(path: bytes) -> Iterator[Iterator[os.DirEntry[bytes]]]:
        nonlocal listed
        with os.scandir(path) as entries:
            yield entries
        if path.endswith(b"/old") and not listed:
            listed = True
            shelf.put("old/b.jpg")

    scanner = shelf.scanner(debounce_s=0.05, scan_interval_s=3600, scandir=scandir)
    scanning = Scanning(scanner, Background())
    await scanning.start()
    await until(lambda: _new(shelf, 2))
    await scanning.close()
    assert listed


async def test_what_changes_while_the_scanning_pauses_is_found_when_it_goes_on(shelf: Shelf) -> None:
    shelf.put("old/a.jpg")
    scanner = shelf.scanner(debounce_s=0.05, scan_interval_s=3600)
    scanning = Scanning(scanner, Background())
    await scanning.start()
    await until(lambda: _new(shelf, 1))
    await until(lambda: any(isinstance(event, ScanFinished) for event in shelf.events))

    await scanning.close()
    await scanner.reconfigure(scanner.settings)
    shelf.put("old/b.jpg")
    await scanning.start()

    await until(lambda: _new(shelf, 2))
    await scanning.close()


async def test_a_root_that_does_not_answer_keeps_neither_the_start_nor_the_other_roots(shelf: Shelf) -> None:
    shelf.put("old/a.jpg")
    inner, hung = shelf.folder / "old", shelf.folder.parent / "hung"
    answers = threading.Event()

    @contextlib.contextmanager
    def scandir(path: bytes) -> Iterator[Iterator[os.DirEntry[bytes]]]:
        if path.startswith(os.fsencode(hung)):
            answers.wait(60)
        with os.scandir(path) as entries:
            yield entries

    hung.mkdir()
    scanner = shelf.scanner(str(inner), str(hung), debounce_s=0.05, scan_interval_s=3600, scandir=scandir)
    scanning = Scanning(scanner, Background())
    with capture_logs() as said:
        await scanning.start()
        await until(lambda: _new(shelf, 1))
        await until(lambda: _watched(said, 2))
        answers.set()
        await scanning.close()
    assert {line["root"] for line in said if "photo folder is" in line["event"]} == {str(shelf.folder), str(hung)}


async def test_a_disk_that_is_full_at_the_start_does_not_end_the_scanning_for_good() -> None:
    class Full(Hints):
        tries, runs = 0, asyncio.Event()

        async def prepare(self) -> None:
            self.tries += 1
            if self.tries == 1:
                raise CannotStore("The disk is full.")

        async def run(self) -> None:
            self.runs.set()

    scanner: Any = Full()
    scanning = Scanning(scanner, Background(), without_room_s=0.0)
    await scanning.start()
    async with asyncio.timeout(20):
        await scanner.runs.wait()
    await scanning.close()
    assert scanner.tries == 2


async def _watched(said: Sequence[Any], count: int) -> bool:
    return sum(line["event"] == "photo folder is watched" for line in said) == count


async def test_what_changed_before_the_watches_came_is_looked_at_again(tmp_path: Path) -> None:
    hints, go_on = Hints(Root(path=str(tmp_path))), threading.Event()

    def slow() -> list[Mount]:
        go_on.wait(30)
        return local()

    watcher = Watcher(scanner=hints, suffixes=SUFFIXES, mounts=slow)
    watching = asyncio.create_task(watcher.__aenter__())
    watcher.looked_at = True
    go_on.set()
    await watching
    await watcher.__aexit__()
    assert hints.rescanned == [os.fsencode(tmp_path)]


async def test_lost_events_have_everything_scanned_again(tmp_path: Path) -> None:
    hints = Hints(Root(path=str(tmp_path)))
    async with Watcher(scanner=hints, suffixes=SUFFIXES, mounts=local):
        logging.getLogger("watchdog.observers.inotify_c").warning("Inotify queue overflowed; events were lost")
        await until(lambda: hints.rescanned)
        assert hints.rescanned == [os.fsencode(tmp_path)]
    logging.getLogger("watchdog.observers.inotify_c").warning("Inotify queue overflowed; events were lost")
    await asyncio.sleep(0)
    assert len(hints.rescanned) == 1


async def test_lost_events_really_are_said_by_watchdogs_log(tmp_path: Path) -> None:
    from watchdog.observers.inotify_c import InotifyConstants, InotifyEvent

    hints = Hints(Root(path=str(tmp_path)))
    made: list[Any] = []

    def observer() -> Any:
        made.append(Observer())
        return made[0]

    async with Watcher(scanner=hints, suffixes=SUFFIXES, mounts=local, observer=observer):
        overflow = InotifyEvent(-1, InotifyConstants.IN_Q_OVERFLOW, 0, b"")  # type: ignore[arg-type]  # what the kernel sends
        await asyncio.to_thread(made[0]._inotify_fd.handle_event, overflow)
        await until(lambda: hints.rescanned)


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "smb3", "fuse.sshfs", "9p", "virtiofs"])
async def test_network_file_systems_are_polled(tmp_path: Path, kind: str) -> None:
    hints = Hints(Root(path=str(tmp_path)))
    mounts = [Mount(b"/", "ext4"), Mount(os.fsencode(tmp_path), kind)]
    async with Watcher(scanner=hints, suffixes=SUFFIXES, mounts=lambda: mounts) as watcher:
        assert hints.polled == {os.fsencode(tmp_path): True}
        [status] = watcher.status()
        assert (status.mode, kind in (status.reason or "")) == ("poll", True)


async def test_network_share_mounted_inside_a_watched_root_is_polled_as_well(tmp_path: Path) -> None:
    hints = Hints(Root(path=str(tmp_path)))
    mounts = [Mount(b"/", "ext4"), Mount(os.fsencode(tmp_path / "nas"), "nfs4")]
    async with Watcher(scanner=hints, suffixes=SUFFIXES, mounts=lambda: mounts) as watcher:
        assert hints.polled == {os.fsencode(tmp_path): True}
        assert watcher.status()[0].mode == "events"


@pytest.mark.parametrize(("watch", "polled"), [("poll", True), ("off", None)])
async def test_root_may_ask_for_polling_or_for_nothing(tmp_path: Path, watch: Any, polled: bool | None) -> None:
    hints = Hints(Root(path=str(tmp_path), watch=watch))
    async with Watcher(scanner=hints, suffixes=SUFFIXES, mounts=local) as watcher:
        assert hints.polled.get(os.fsencode(tmp_path)) is polled
        assert watcher.status()[0].mode == watch


async def test_too_many_folders_for_the_kernel_are_polled_with_the_command_that_helps(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / "photos" / str(number)).mkdir(parents=True)
    (tmp_path / "limit").write_text("15\n")
    hints = Hints(Root(path=str(tmp_path / "photos")))
    async with Watcher(scanner=hints, suffixes=SUFFIXES, mounts=local, watch_limit=tmp_path / "limit") as watcher:
        [status] = watcher.status()
    assert status.mode == "poll"
    assert status.reason is not None
    assert "has 21 folders and this machine allows 15 watches" in status.reason
    assert "fs.inotify.max_user_watches=524288" in status.reason
    assert hints.polled == {os.fsencode(tmp_path / "photos"): True}


async def test_events_that_cannot_be_had_end_in_polling(tmp_path: Path) -> None:
    def observer() -> Any:
        raise OSError(errno.EMFILE, "inotify instance limit reached")

    hints = Hints(Root(path=str(tmp_path)))
    async with Watcher(scanner=hints, suffixes=SUFFIXES, mounts=local, observer=observer) as watcher:
        assert "inotify instance limit reached" in (watcher.status()[0].reason or "")
        assert hints.polled == {os.fsencode(tmp_path): True}


async def test_root_that_comes_later_or_comes_back_is_watched(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    hints = Hints(Root(path=str(folder)))
    async with Watcher(scanner=hints, suffixes=SUFFIXES, mounts=local, recheck_s=0.05) as watcher:
        assert watcher.status()[0].mode == "waiting"
        for _ in range(2):
            folder.mkdir()
            await until(lambda: watcher.status()[0].mode == "events")
            await until(lambda: hints.rescanned)
            (folder / "a.jpg").write_bytes(b"x")
            await until(lambda: hints.poked)
            shutil.rmtree(folder)
            await until(lambda: watcher.status()[0].mode == "waiting")
            hints.poked.clear()
            hints.rescanned.clear()


async def test_folders_that_come_all_at_once_raise_no_warnings(tmp_path: Path) -> None:
    hints = Hints(Root(path=str(tmp_path)))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        async with Watcher(scanner=hints, suffixes=SUFFIXES, mounts=local):
            for number in range(30):
                folder = tmp_path / f"{number}" / "x" / "y"
                folder.mkdir(parents=True)
                (folder / "a.jpg").write_bytes(b"x")
            await until(lambda: os.fsencode(tmp_path) in hints.poked)
            await until(lambda: len(hints.poked) >= 30)
    assert [warning for warning in caught if "watchdog" in warning.filename] == []


def test_mount_table_is_read_with_its_escapes_and_the_longest_point_wins(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(
        "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
        "40 22 0:35 / /mnt/my\\040nas rw,relatime shared:2 master:3 - nfs4 host:/x rw\n"
        "41 22 0:36 / /mnt/my\\040nas/deep rw - fuse.sshfs host:/y rw\n"
        "nonsense\n"
    )
    mounts = read_mounts(table)
    assert mount_of(b"/mnt/my nas/2024", mounts) == Mount(b"/mnt/my nas", "nfs4")
    assert mount_of(b"/mnt/my nasty", mounts).kind == "ext4"
    assert [mount.kind for mount in mounts_below(b"/mnt", mounts)] == ["nfs4", "fuse.sshfs"]
    assert read_mounts(tmp_path / "none") == []
