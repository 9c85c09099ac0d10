"""The scanner against real folders: what it finds, what keeps its identity, and what it refuses to believe."""

import asyncio
import os
import random
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from framed.errors import Refused
from framed.events import FilesFound, ScanFinished
from framed.library.lane import Lane, NoAnswer
from framed.library.mounts import Mount
from framed.library.reconcile import MASS
from framed.library.scanner import Root
from tests.library.shelf import LONG_AGO, CountingDatabase, Shelf, until

MANY = MASS + 20


@pytest.fixture
async def shelf(tmp_path: Path) -> AsyncIterator[Shelf]:
    database = CountingDatabase(tmp_path / "framed.db")
    await database.start()
    folder = tmp_path / "photos"
    folder.mkdir()
    yield Shelf(folder, database)
    await database.close()


# -- finding ---------------------------------------------------------------------------------------------------------


async def test_new_photo_is_handed_out_until_it_is_read(shelf: Shelf) -> None:
    path = shelf.put("2024/a.jpg")
    scanner = shelf.scanner()
    report = await scanner.scan()
    assert (report.files, report.new, report.problems) == (1, 1, [])
    assert [event.count for event in shelf.events if isinstance(event, FilesFound)] == [1]
    [file] = await scanner.files.todo(10)
    assert (file.path, file.folder, file.root) == (path, "2024", str(shelf.folder))
    assert await shelf.read(scanner) == ["2024/a.jpg"]
    assert await scanner.files.todo(10) == []
    assert await shelf.unread() == {}


async def test_files_handed_out_already_are_passed_over(shelf: Shelf) -> None:
    shelf.put("a.jpg"), shelf.put("b.jpg")
    scanner = shelf.scanner()
    await scanner.scan()
    [first] = await scanner.files.todo(1)
    [second] = await scanner.files.todo(5, busy=[first.id])
    assert {first.name, second.name} == {b"a.jpg", b"b.jpg"}


async def test_unchanged_files_cost_no_write(shelf: Shelf) -> None:
    shelf.put("a/1.jpg"), shelf.put("b/2.jpg")
    scanner = shelf.scanner()
    await shelf.shelve(scanner)
    shelf.database.writes.clear()
    report = await scanner.scan()
    assert (report.files, report.new, report.changed, report.gone) == (2, 0, 0, 0)
    assert shelf.database.writes == ["scanned_root"]


async def test_changed_file_is_read_again_and_its_old_photo_is_gone(shelf: Shelf) -> None:
    shelf.put("a.jpg", b"one")
    scanner = shelf.scanner()
    before = await shelf.shelve(scanner)
    shelf.put("a.jpg", b"another", at=LONG_AGO + 9)
    assert (await scanner.scan()).changed == 1
    assert shelf.gone == []
    await shelf.read(scanner)
    assert shelf.gone == [before["a.jpg"]]


async def test_parked_file_is_retried_only_when_it_changes(shelf: Shelf) -> None:
    shelf.put("a.jpg")
    scanner = shelf.scanner()
    await scanner.scan()
    [file] = await scanner.files.todo(1)
    await scanner.files.park(file.id, "The file is cut short.")
    await scanner.scan()
    assert await scanner.files.todo(1) == []
    assert await shelf.unread() == {"parked": 1}
    shelf.put("a.jpg", b"whole", at=LONG_AGO + 9)
    await scanner.scan()
    assert await shelf.read(scanner) == ["a.jpg"]


@pytest.mark.parametrize("sidecar", ["a.jpg.xmp", "a.xmp", "A.XMP"])
async def test_sidecar_that_comes_changes_or_goes_has_the_photo_read_again(shelf: Shelf, sidecar: str) -> None:
    shelf.put("a.jpg")
    scanner = shelf.scanner()
    photo = await shelf.shelve(scanner)
    shelf.put(sidecar)
    await scanner.scan()
    [file] = await scanner.files.todo(1)
    assert len(file.sidecars) == (0 if sidecar == "A.XMP" else 1)
    assert await shelf.read(scanner) == ["a.jpg"]
    shelf.put(sidecar, at=LONG_AGO + 9)
    await scanner.scan()
    assert await shelf.read(scanner) == ["a.jpg"]
    (shelf.folder / sidecar).unlink()
    await scanner.scan()
    assert await shelf.read(scanner) == ["a.jpg"]
    assert await shelf.photos() == photo
    assert shelf.gone == []


GOOGLES = [
    ("IMG_1.jpg", "IMG_1.jpg.json"),
    ("IMG_1.jpg", "IMG_1.jpg.supplemental-metadata.json"),
    ("IMG_1-edited.jpg", "IMG_1.jpg.json"),
    ("IMG_1(2).jpg", "IMG_1.jpg(2).json"),
    ("IMG_1(2).jpg", "IMG_1.jpg.supplemental-metadata(2).json"),
    ("PXL_20210912_153000123.PORTRAIT.jpg", "PXL_20210912_153000123.PORTRAIT.jpg.supplement.json"),
]


@pytest.mark.parametrize(("photo", "sidecar"), GOOGLES)
async def test_googles_json_is_handed_out_with_its_photo(shelf: Shelf, photo: str, sidecar: str) -> None:
    beside = shelf.put(sidecar)
    shelf.put(photo), shelf.put("print-subscriptions.json"), shelf.put("IMG_10.jpg.json")
    scanner = shelf.scanner()
    await scanner.scan()
    [file] = await scanner.files.todo(5)
    assert file.sidecars == [beside]


async def test_sidecar_edited_while_the_photo_was_read_is_not_lost(shelf: Shelf) -> None:
    shelf.put("a.jpg"), shelf.put("a.xmp")
    scanner = shelf.scanner()
    await shelf.shelve(scanner)
    shelf.put("a.xmp", at=LONG_AGO + 9)
    await scanner.scan()
    [file] = await scanner.files.todo(1)
    shelf.put("a.xmp", at=LONG_AGO + 19)
    await scanner.scan()
    await shelf.mark_read(file, file.photo_id or 0)
    assert len(await scanner.files.todo(1)) == 1


async def test_names_that_are_no_text_are_found_and_shown(shelf: Shelf) -> None:
    names = [b"caf\xe9.jpg", "🏖️ été\nzwei.jpg".encode(), b"-rf .jpg", b"a'; drop table files;.jpg", b"*.jpg", b"%s.jpg"]
    paths = {shelf.put(b"\xff folder/" + name) for name in names}
    scanner = shelf.scanner()
    before = await scanner.scan()
    assert before.new == len(names)
    found = await scanner.files.todo(10)
    assert {file.path for file in found} == paths
    assert all(file.display.encode() for file in found)
    await shelf.read(scanner)
    assert (await scanner.scan()).new == 0


# -- rules -----------------------------------------------------------------------------------------------------------


async def test_excluded_folders_are_never_opened(shelf: Shelf) -> None:
    wanted = ["keep/a.jpg", "2023/Trip/b.jpg"]
    unwanted = [".hidden/a.jpg", "@eaDir/a.jpg", "2023/@EADIR/x.jpg", "Screenshots/a.jpg", "2023/raw/deep/a.jpg"]
    unwanted += ["keep/._a.jpg", "keep/draft.jpg", "Lib.photoslibrary/resources/x.jpg"]
    for path in [*wanted, *unwanted]:
        shelf.put(path)
    opened: list[bytes] = []

    def scandir(path: bytes) -> Any:
        opened.append(os.path.relpath(path, os.fsencode(shelf.folder)))
        return os.scandir(path)

    rules = {"exclude": ["screenshots", "*/raw", "**/draft.*"]}
    scanner = shelf.scanner(rules=rules, scandir=scandir)
    await scanner.scan()
    assert await shelf.read(scanner) == sorted(wanted)
    assert set(opened) == {b".", b"keep", b"2023", b"2023/Trip", b"Lib.photoslibrary"}


async def test_include_limits_the_root_and_prunes(shelf: Shelf) -> None:
    for path in ["2023/a.jpg", "2023/x/b.jpg", "2024/c.jpg", "d.jpg", "best.jpg"]:
        shelf.put(path)
    opened: list[bytes] = []

    def scandir(path: bytes) -> Any:
        opened.append(os.path.basename(path))
        return os.scandir(path)

    scanner = shelf.scanner(rules={"include": ["2023/**", "/best.*"]}, scandir=scandir)
    await scanner.scan()
    assert await shelf.read(scanner) == ["2023/a.jpg", "2023/x/b.jpg", "best.jpg"]
    assert b"2024" not in opened


async def test_folder_excluded_later_leaves_the_library(shelf: Shelf) -> None:
    shelf.put("a.jpg"), shelf.put("private/b.jpg")
    before = await shelf.shelve(shelf.scanner())
    await shelf.scanner(rules={"exclude": ["private"]}).scan()
    assert shelf.gone == [before["private/b.jpg"]]


@pytest.mark.parametrize("path", ["photos", "", "/a\0b"])
def test_root_must_be_a_whole_path(path: str) -> None:
    with pytest.raises(ValidationError):
        Root(path=path)


async def test_links_are_not_followed_unless_told(shelf: Shelf, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)
    (outside / "deep" / "o.jpg").write_bytes(b"out")
    (outside / "back").symlink_to(shelf.folder)
    (outside / "deep" / "up").symlink_to(outside)
    shelf.put("a/i.jpg")
    (shelf.folder / "a" / "loop").symlink_to(shelf.folder)
    (shelf.folder / "away").symlink_to(outside)
    (shelf.folder / "one.jpg").symlink_to(outside / "deep" / "o.jpg")
    (shelf.folder / "twice.jpg").symlink_to(shelf.folder / "a" / "i.jpg")
    (shelf.folder / "dead.jpg").symlink_to(outside / "none.jpg")
    await shelf.scanner().scan()
    assert sorted(await shelf.photos()) == ["a/i.jpg"]
    report = await shelf.scanner(rules={"follow_symlinks": True}).scan()
    assert sorted(await shelf.photos()) == ["a/i.jpg", "away/deep/o.jpg", "one.jpg"]
    assert report.problems == []


# -- moving ----------------------------------------------------------------------------------------------------------


async def test_moved_file_keeps_its_photo_and_is_not_read_again(shelf: Shelf) -> None:
    shelf.put("a/1.jpg"), shelf.put("b/2.jpg")
    scanner = shelf.scanner()
    before = await shelf.shelve(scanner)
    os.rename(shelf.folder / "a/1.jpg", shelf.folder / "b/other.jpg")
    report = await scanner.scan()
    assert (report.moved, report.new, report.gone) == (1, 0, 0)
    assert await shelf.photos() == {"b/other.jpg": before["a/1.jpg"], "b/2.jpg": before["b/2.jpg"]}
    assert await scanner.files.todo(5) == []
    assert shelf.gone == []


@pytest.mark.parametrize("full", [True, False])
async def test_renamed_folder_takes_its_files_along(shelf: Shelf, full: bool) -> None:
    for name in ["old/1.jpg", "old/2.jpg", "old/sub/3.jpg", "old/empty/sub/4.jpg"]:
        shelf.put(name)
    scanner = shelf.scanner()
    before = await shelf.shelve(scanner)
    os.rename(shelf.folder / "old", shelf.folder / "new")
    shelf.database.writes.clear()
    report = await scanner.scan(full=full)
    assert (report.moved, report.new, report.gone) == (4, 0, 0)
    assert await shelf.photos() == {name.replace("old", "new"): photo for name, photo in before.items()}
    assert await scanner.files.todo(5) == []
    assert (await scanner.scan()).moved == 0


async def test_renamed_folder_that_also_changed_is_compared_file_by_file(shelf: Shelf) -> None:
    for name in ["old/1.jpg", "old/2.jpg", "old/3.jpg"]:
        shelf.put(name)
    scanner = shelf.scanner()
    before = await shelf.shelve(scanner)
    os.rename(shelf.folder / "old", shelf.folder / "new")
    (shelf.folder / "new/1.jpg").unlink()
    os.rename(shelf.folder / "new/2.jpg", shelf.folder / "new/two.jpg")
    shelf.put("new/4.jpg", b"of another size")
    await scanner.scan()
    assert await shelf.read(scanner) == ["new/4.jpg"]
    assert shelf.gone == [before["old/1.jpg"]]
    assert (await shelf.photos())["new/two.jpg"] == before["old/2.jpg"]


async def test_files_that_swap_names_or_replace_another_keep_their_photos(shelf: Shelf) -> None:
    for name in ["x/a.jpg", "y/b.jpg", "c.jpg", "d.jpg"]:
        shelf.put(name)
    scanner = shelf.scanner()
    before = await shelf.shelve(scanner)
    os.rename(shelf.folder / "x/a.jpg", shelf.folder / "tmp")
    os.rename(shelf.folder / "y/b.jpg", shelf.folder / "x/a.jpg")
    os.rename(shelf.folder / "tmp", shelf.folder / "y/b.jpg")
    os.rename(shelf.folder / "c.jpg", shelf.folder / "d.jpg")
    report = await scanner.scan()
    assert (report.moved, report.gone) == (3, 1)
    after = await shelf.photos()
    assert after == {"x/a.jpg": before["y/b.jpg"], "y/b.jpg": before["x/a.jpg"], "d.jpg": before["c.jpg"]}
    assert shelf.gone == [before["d.jpg"]]
    assert await scanner.files.todo(5) == []


async def test_hard_link_is_another_file_of_the_same_photo(shelf: Shelf) -> None:
    shelf.put("a.jpg")
    scanner = shelf.scanner()
    before = await shelf.shelve(scanner)
    os.link(shelf.folder / "a.jpg", shelf.folder / "b.jpg")
    report = await scanner.scan()
    assert (report.new, report.moved) == (1, 0)
    await shelf.read(scanner)
    assert await shelf.photos() == {"a.jpg": before["a.jpg"], "b.jpg": before["a.jpg"]}
    (shelf.folder / "a.jpg").unlink()
    await scanner.scan()
    assert shelf.gone == []
    assert await shelf.photos() == {"b.jpg": before["a.jpg"]}


async def test_photo_copied_elsewhere_and_deleted_is_never_said_to_be_gone(shelf: Shelf) -> None:
    shelf.put("old/a.jpg", b"same")
    scanner = shelf.scanner()
    before = await shelf.shelve(scanner)
    shelf.put("new/b.jpg", b"same", at=LONG_AGO + 50)
    shutil.rmtree(shelf.folder / "old")
    await scanner.scan()
    assert len(await shelf.photos()) == 2
    await shelf.read(scanner)
    await scanner.scan(full=False)
    assert await shelf.photos() == {"new/b.jpg": before["old/a.jpg"]}
    assert shelf.gone == []


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_happens_the_store_ends_as_the_disk_is(shelf: Shelf, seed: int) -> None:
    chance = random.Random(seed)
    folders = ["", "a", "b", "a/x", "a/x/y", "c"]
    scanner = shelf.scanner()
    for turn in range(60):
        churn(shelf, chance, [folder for folder in folders if folder], turn)
        if turn % 3 == 2:
            await asyncio.to_thread(shelf.age)
            await scanner.scan(full=chance.random() < 0.3)
            await shelf.read(scanner)
            await scanner.scan(full=False)  # lets go what was kept until its copy had been read
            disk, held = shelf.on_disk(), await shelf.photos()
            assert held.keys() == disk.keys()
            assert len(set(held.values())) == len(set(disk.values()))
            contents = {photo: {disk[path] for path in held if held[path] == photo} for photo in held.values()}
            assert all(len(found) == 1 for found in contents.values())
            living = {photo for photo, state in (await shelf.states()).items() if state != "gone"}
            assert living == set(held.values())


def churn(shelf: Shelf, chance: random.Random, folders: list[str], turn: int) -> None:
    """Does one thing to the folder that people and programs do; none writes into a file that is there, which the
    mtimes of folders do not show."""
    known = sorted(shelf.on_disk())
    target = f"{chance.choice(folders)}/{chance.randrange(8)}.jpg"
    deed = chance.choice(["new", "new", "edit", "rename", "copy", "delete", "rename folder", "delete folder", "swap"])
    (shelf.folder / target).parent.mkdir(parents=True, exist_ok=True)
    some = shelf.folder / chance.choice(known) if known else shelf.folder / target
    if deed == "new" or len(known) < 4 or (shelf.folder / target).is_dir():
        (shelf.folder / target).unlink(missing_ok=True)
        shelf.put(target, b"%d" % turn, at=LONG_AGO + turn)
    elif deed == "edit":
        some.unlink()
        some.write_bytes(b"edited in turn %d" % turn)
    elif deed == "rename":
        os.replace(some, shelf.folder / target)
    elif deed == "copy" and some != shelf.folder / target:
        (shelf.folder / target).unlink(missing_ok=True)
        shutil.copyfile(some, shelf.folder / target)
    elif deed == "delete":
        some.unlink()
    elif deed == "rename folder" and not (shelf.folder / f"moved{turn}").exists():
        os.rename(
            some.parent if some.parent != shelf.folder else (shelf.folder / target).parent,
            shelf.folder / f"moved{turn}",
        )
    elif deed == "delete folder" and len(known) > 8 and some.parent != shelf.folder:
        shutil.rmtree(some.parent)
    elif deed == "swap" and len(known) > 1:
        other = shelf.folder / known[0]
        os.rename(some, shelf.folder / "swap")
        if other != some:
            os.rename(other, some)
        os.rename(shelf.folder / "swap", other)


async def test_root_that_now_holds_the_old_one_keeps_its_photos_unread(shelf: Shelf) -> None:
    shelf.put("2024/a.jpg"), shelf.put("2024/x/b.jpg")
    whole, shelf.folder = shelf.folder, shelf.folder / "2024"
    before = await shelf.shelve(shelf.scanner())
    shelf.folder = whole
    scanner = shelf.scanner()
    await scanner.scan()
    assert await scanner.files.todo(5) == []
    assert await shelf.photos() == {f"2024/{name}": photo for name, photo in before.items()}
    assert shelf.gone == []


async def test_file_parked_while_it_was_still_being_copied_is_read_again(shelf: Shelf) -> None:
    shelf.put("a.jpg", b"half")
    scanner = shelf.scanner()
    await scanner.scan()
    [file] = await scanner.files.todo(1)
    shelf.put("a.jpg", b"half and half", at=LONG_AGO + 9)
    await scanner.scan()
    await scanner.files.park(file.id, "The file is cut short.", seen=file.seen)
    assert await shelf.read(scanner) == ["a.jpg"]


async def test_files_move_between_roots(shelf: Shelf, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    shelf.put("trip/a.jpg"), shelf.put("trip/b.jpg"), shelf.put("c.jpg")
    scanner = shelf.scanner(str(other))
    before = await shelf.shelve(scanner)
    os.rename(shelf.folder / "trip", other / "trip")
    report = await scanner.scan(other)
    assert (report.moved, report.new) == (2, 0)
    await scanner.scan()
    assert await shelf.photos() == before
    assert shelf.gone == []


async def test_restored_backup_with_other_inodes_is_not_read_again(shelf: Shelf) -> None:
    for number in range(4):
        shelf.put(f"a/{number}.jpg")
    before = await shelf.shelve(shelf.scanner())
    shutil.copytree(shelf.folder / "a", shelf.folder / "copy")
    shutil.rmtree(shelf.folder / "a")
    os.rename(shelf.folder / "copy", shelf.folder / "a")
    await shelf.set_root(device=1)
    scanner = shelf.scanner()
    report = await scanner.scan()
    assert (report.changed, report.gone, report.problems) == (0, 0, [])
    assert await shelf.photos() == before


# -- deleting --------------------------------------------------------------------------------------------------------


async def test_deleted_photo_is_gone_and_comes_back_with_its_results(shelf: Shelf) -> None:
    shelf.put("a.jpg"), shelf.put("b.jpg")
    scanner = shelf.scanner()
    before = await shelf.shelve(scanner)
    for step, state in [("tags", "completed"), ("text", "failed")]:
        await shelf.add_step(before["a.jpg"], step, state)
    (shelf.folder / "a.jpg").unlink()
    assert (await scanner.scan()).gone == 1
    assert shelf.gone == [before["a.jpg"]]
    assert (await shelf.states())[before["a.jpg"]] == "gone"
    shelf.put("c.jpg", b"a.jpg")
    await scanner.scan()
    await shelf.read(scanner)
    assert (await shelf.photos())["c.jpg"] == before["a.jpg"]
    assert (await shelf.states())[before["a.jpg"]] == "partial"


@pytest.mark.parametrize("full", [True, False])
async def test_deleted_folder_takes_its_photos(shelf: Shelf, full: bool) -> None:
    for name in ["a.jpg", "trip/b.jpg", "trip/day/c.jpg"]:
        shelf.put(name)
    scanner = shelf.scanner()
    before = await shelf.shelve(scanner)
    shutil.rmtree(shelf.folder / "trip")
    report = await scanner.scan(full=full)
    assert report.gone == 2
    assert sorted(shelf.gone) == sorted([before["trip/b.jpg"], before["trip/day/c.jpg"]])


async def test_root_that_vanished_deletes_nothing_and_says_so(shelf: Shelf) -> None:
    shelf.put("a.jpg")
    scanner = shelf.scanner()
    before = await shelf.shelve(scanner)
    os.rename(shelf.folder, shelf.folder.with_name("elsewhere"))
    report = await scanner.scan()
    assert report.problems == [
        f"{shelf.folder} is not there; its 1 files are kept. Mount its disk or correct library.roots."
    ]
    assert await shelf.photos() == before
    assert [root.problem for root in await scanner.status()] == report.problems
    os.rename(shelf.folder.with_name("elsewhere"), shelf.folder)
    assert (await scanner.scan()).problems == []
    assert [root.problem for root in await scanner.status()] == [None]
    assert shelf.gone == []


@pytest.mark.parametrize("full", [True, False])
async def test_root_that_is_empty_deletes_nothing_unless_confirmed(shelf: Shelf, full: bool) -> None:
    shelf.put("a.jpg"), shelf.put("x/b.jpg")
    scanner = shelf.scanner()
    before = await shelf.shelve(scanner)
    shutil.rmtree(shelf.folder / "x")
    (shelf.folder / "a.jpg").unlink()
    (shelf.folder / ".stfolder").mkdir()
    report = await scanner.scan(full=full)
    assert "is empty, and 2 files were there" in report.problems[0]
    assert await shelf.photos() == before
    assert (await scanner.scan(confirm=True)).gone == 2
    assert len(shelf.gone) == 2


async def test_unreadable_folder_deletes_nothing_below(shelf: Shelf) -> None:
    for name in ["a.jpg", "locked/b.jpg", "locked/in/c.jpg"]:
        shelf.put(name)
    before = await shelf.shelve(shelf.scanner())

    def scandir(path: bytes) -> Any:
        if path.endswith(b"locked"):
            raise PermissionError(13, "Permission denied")
        return os.scandir(path)

    (shelf.folder / "a.jpg").unlink()
    scanner = shelf.scanner(scandir=scandir)
    report = await scanner.scan()
    assert report.problems == [f"{shelf.folder}/locked cannot be read (Permission denied); its photos are kept."]
    assert shelf.gone == [before["a.jpg"]]
    assert sorted(await shelf.photos()) == ["locked/b.jpg", "locked/in/c.jpg"]


async def test_disk_that_goes_during_the_scan_deletes_nothing(shelf: Shelf) -> None:
    shelf.put("a/1.jpg"), shelf.put("b/2.jpg")
    before = await shelf.shelve(shelf.scanner())
    away = shelf.folder.with_name("away")

    def scandir(path: bytes) -> Any:
        if path.endswith(b"/b"):
            os.rename(shelf.folder, away)
        return os.scandir(path)

    report = await shelf.scanner(scandir=scandir).scan()
    assert "is not there" in report.problems[0]
    assert await shelf.photos() == before


async def test_mass_deletion_waits_for_a_later_full_scan(shelf: Shelf) -> None:
    for number in range(MANY):
        shelf.put(f"a/{number}.jpg")
    shelf.put("b.jpg")
    scanner = shelf.scanner(confirm_deletion_s=600.0)
    await shelf.shelve(scanner)
    shutil.rmtree(shelf.folder / "a")
    report = await scanner.scan(full=False)
    assert f"{MANY} of the {MANY + 1} files under {shelf.folder} are missing" in report.problems[0]
    assert (await scanner.scan()).problems == report.problems
    assert (await scanner.scan(full=False)).problems == report.problems
    assert (await scanner.scan(path=shelf.folder, full=False)).gone == 0
    assert shelf.gone == []
    shelf.put("c/10.jpg")  # unread, and as large as many that are missing: by now no copy of them
    scanner.settings = scanner.settings.model_copy(update={"confirm_deletion_s": 0.0})  # as if the time were over
    assert (await scanner.scan(full=False)).gone == 0
    later = await scanner.scan()
    assert (later.gone, later.problems) == (MANY, [])
    assert len(shelf.gone) == MANY


async def test_mass_deletion_can_be_confirmed_by_a_person(shelf: Shelf) -> None:
    for number in range(MANY):
        shelf.put(f"a/{number}.jpg")
    shelf.put("b.jpg")
    scanner = shelf.scanner()
    await shelf.shelve(scanner)
    shutil.rmtree(shelf.folder / "a")
    shelf.put("c/10.jpg")  # unread, and as large as many that are missing
    await scanner.scan()
    assert (await scanner.scan(confirm=True)).gone == MANY
    assert scanner.problems == []


async def test_folder_that_stands_empty_is_taken_for_a_disk_that_went(shelf: Shelf) -> None:
    for number in range(MANY):
        shelf.put(f"nas/{number % 3}/{number}.jpg")
        shelf.put(f"own/{number}.jpg"), shelf.put(f"own/more/{number}.jpg")
    scanner = shelf.scanner()
    before = await shelf.shelve(scanner)
    shutil.rmtree(shelf.folder / "nas")
    (shelf.folder / "nas").mkdir()
    report = await scanner.scan()
    assert f"{shelf.folder}/nas is empty, and {MANY} files were there" in report.problems[0]
    await scanner.scan(full=False)
    assert await shelf.photos() == before


async def test_another_disk_with_few_of_the_files_deletes_nothing_however_often_it_is_scanned(shelf: Shelf) -> None:
    for number in range(5):
        shelf.put(f"a/{number}.jpg")
    before = await shelf.shelve(shelf.scanner())
    await shelf.set_root(device=1)
    for number in range(3):
        (shelf.folder / f"a/{number}.jpg").unlink()
    scanner = shelf.scanner(confirm_deletion_s=0.0)
    for _ in range(3):
        report = await scanner.scan()
        assert "lies on another disk than before" in report.problems[0]
    await scanner.scan(full=False)
    assert await shelf.photos() == before
    assert (await scanner.scan(confirm=True)).gone == 3


async def test_root_taken_out_of_the_configuration_takes_its_photos(shelf: Shelf, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "o.jpg").write_bytes(b"other")
    shelf.put("a.jpg")
    before = await shelf.shelve(shelf.scanner(str(other)))
    await shelf.scanner().scan()
    assert shelf.gone == [before["o.jpg"]]
    assert list(await shelf.photos()) == ["a.jpg"]


async def test_root_under_a_new_name_keeps_its_photos_unread(shelf: Shelf) -> None:
    shelf.put("x/a.jpg"), shelf.put("b.jpg")
    before = await shelf.shelve(shelf.scanner())
    renamed = shelf.folder.with_name("renamed")
    os.rename(shelf.folder, renamed)
    shelf.folder = renamed
    scanner = shelf.scanner()
    await scanner.scan()
    assert await scanner.files.todo(5) == []
    assert await shelf.photos() == before
    assert shelf.gone == []
    assert len(await scanner.status()) == 1


async def test_nested_and_doubled_roots_are_left_out_with_a_sentence(shelf: Shelf, tmp_path: Path) -> None:
    shelf.put("sub/a.jpg")
    (tmp_path / "alias").symlink_to(shelf.folder)
    scanner = shelf.scanner(str(shelf.folder / "sub"), str(shelf.folder), str(tmp_path / "alias"))
    report = await scanner.scan()
    assert report.new == 1
    assert len(report.problems) == 3
    assert any(problem.startswith(f"{shelf.folder}/sub is left out") for problem in report.problems)


# -- settling --------------------------------------------------------------------------------------------------------


async def test_file_still_being_written_is_not_handed_out(shelf: Shelf) -> None:
    now = time.time()
    shelf.put("a.jpg", b"half", at=int(now))
    scanner = shelf.scanner(settle_s=30.0, clock=lambda: now)
    await scanner.scan()
    assert await scanner.files.todo(5) == []
    shelf.put("a.jpg", b"half and the rest", at=int(now) + 1)
    now += 40
    assert await scanner.files.todo(5) == []
    now += 40
    [file_to_read] = await scanner.files.todo(5)
    assert file_to_read.size == len(b"half and the rest")


@pytest.mark.parametrize("ahead_s", [86_400, 10**9])
async def test_file_from_the_future_is_handed_out_when_two_looks_agree(shelf: Shelf, ahead_s: int) -> None:
    now = time.time()
    shelf.put("a.jpg", at=int(now) + ahead_s)
    scanner = shelf.scanner(settle_s=5.0, clock=lambda: now)
    await scanner.scan()
    assert await scanner.files.todo(5) == []
    now += 5.5
    assert len(await scanner.files.todo(5)) == 1


async def test_file_on_a_network_share_is_looked_at_twice_whatever_its_age(shelf: Shelf) -> None:
    shelf.put("a.jpg")
    later = time.time() + 3600
    for kind, count in [("nfs4", 0), ("ext4", 1)]:
        scanner = shelf.scanner(settle_s=30.0, clock=lambda: later, mounts=lambda kind=kind: [Mount(b"/", kind)])
        await scanner.scan()
        assert len(await scanner.files.todo(5)) == count
        shelf.put("a.jpg", b"changed", at=LONG_AGO + 9)


async def test_file_deleted_before_it_was_read_is_not_handed_out(shelf: Shelf) -> None:
    shelf.put("a.jpg"), shelf.put("b.jpg")
    scanner = shelf.scanner()
    await scanner.scan()
    (shelf.folder / "a.jpg").unlink()
    assert [file.name for file in await scanner.files.todo(5)] == [b"b.jpg"]


async def test_retry_waits_its_time(shelf: Shelf) -> None:
    shelf.put("a.jpg")
    now = time.time() + 60
    scanner = shelf.scanner(clock=lambda: now)
    await scanner.scan()
    [file] = await scanner.files.todo(1)
    await scanner.files.retry_later(file.id, 300)
    assert await scanner.files.todo(1) == []
    now += 301
    assert len(await scanner.files.todo(1)) == 1


# -- running ---------------------------------------------------------------------------------------------------------


async def test_running_scanner_finds_what_a_poke_points_at_and_new_folders_below(shelf: Shelf) -> None:
    shelf.put("a.jpg")
    scanner = shelf.scanner(debounce_s=0.05)
    task = asyncio.create_task(scanner.run())
    await until(lambda: any(isinstance(event, ScanFinished) for event in shelf.events))
    await shelf.read(scanner)
    shelf.put("new/deep/b.jpg")
    scanner.poke(shelf.folder)
    await until(lambda: scanner.files.todo(1))
    assert await shelf.read(scanner) == ["new/deep/b.jpg"]
    shutil.rmtree(shelf.folder / "new")
    scanner.poke(shelf.folder / "new" / "deep")
    await until(lambda: shelf.gone)
    scanner.poke("/somewhere/else")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_running_scanner_announces_files_when_they_have_settled(shelf: Shelf) -> None:
    shelf.put("a.jpg", at=int(time.time()))
    scanner = shelf.scanner(settle_s=0.3)
    task = asyncio.create_task(scanner.run())
    await until(lambda: sum(isinstance(event, FilesFound) for event in shelf.events) == 2)
    assert len(await scanner.files.todo(1)) == 1
    task.cancel()


async def test_running_scanner_finds_changes_on_its_timer_and_a_root_that_comes_late(shelf: Shelf) -> None:
    os.rmdir(shelf.folder)
    scanner = shelf.scanner(scan_interval_s=0.1, poll_interval_s=0.1)
    task = asyncio.create_task(scanner.run())
    await until(lambda: scanner.problems)
    shelf.put("a.jpg")
    await until(lambda: scanner.files.todo(1))
    await until(lambda: not scanner.problems)
    shelf.put("b.jpg")
    os.utime(shelf.folder)
    await until(lambda: _two_new(shelf))
    task.cancel()


async def _two_new(shelf: Shelf) -> bool:
    return await shelf.unread() == {"new": 2}


async def test_retries_follow_the_system_clock_when_it_is_set_back(shelf: Shelf) -> None:
    shelf.put("a.jpg")
    offset = 60.0
    scanner = shelf.scanner(clock=lambda: time.time() + offset)
    await scanner.scan()
    [file] = await scanner.files.todo(1)
    await scanner.files.retry_later(file.id, 0.3)
    shelf.events.clear()
    task = asyncio.create_task(scanner.run())
    await until(lambda: any(isinstance(event, ScanFinished) for event in shelf.events))
    offset = -3600.0
    scanner.files.look_soon()
    await until(lambda: scanner.files.todo(1))
    task.cancel()


async def test_scanner_killed_in_the_middle_leaves_rows_that_the_next_scan_completes(
    shelf: Shelf, tmp_path: Path
) -> None:
    for number in range(90):
        shelf.put(f"{number:02}/a.jpg")
        shelf.put(f"{number:02}/b.jpg")
    script = textwrap.dedent("""
        import asyncio, os, sys
        from pathlib import Path
        from framed.library.scanner import LibrarySettings, Scanner
        from framed.store.database import Database

        def scandir(path):
            if path.endswith(b"/70"):
                os._exit(9)
            return os.scandir(path)

        async def main():
            database = Database(Path(sys.argv[1]))
            await database.start()
            settings = LibrarySettings.model_validate({"roots": [sys.argv[2]]})
            await Scanner(database=database, settings=settings, suffixes=frozenset({".jpg"}), emit=print,
                          scandir=scandir).scan()

        asyncio.run(main())
    """)
    database = tmp_path / "killed.db"
    ended = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", script, str(database), str(shelf.folder)], timeout=60, check=False
    )
    assert ended.returncode == 9
    again = CountingDatabase(database)
    await again.start()
    try:
        other = Shelf(shelf.folder, again)
        before = len(await other.photos())
        assert 0 < before < 180
        report = await other.scanner().scan()
        assert (report.new, report.gone, report.changed) == (180 - before, 0, 0)
    finally:
        await again.close()


async def test_cancelled_scan_deletes_nothing(shelf: Shelf) -> None:
    shelf.put("a/1.jpg"), shelf.put("b/2.jpg")
    before = await shelf.shelve(shelf.scanner())
    (shelf.folder / "a/1.jpg").unlink()
    reached = asyncio.Event()
    loop = asyncio.get_running_loop()

    def scandir(path: bytes) -> Any:
        if path.endswith(b"/b"):
            loop.call_soon_threadsafe(reached.set)
            time.sleep(0.2)
        return os.scandir(path)

    task = asyncio.create_task(shelf.scanner(scandir=scandir).scan())
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await shelf.photos() == before


async def test_scan_of_one_folder_stays_in_the_library(shelf: Shelf) -> None:
    shelf.put("x/a.jpg"), shelf.put("y/b.jpg"), shelf.put(".hidden/c.jpg")
    scanner = shelf.scanner()
    assert (await scanner.scan(path=shelf.folder / "x")).new == 1
    assert (await scanner.scan(path=shelf.folder / "x" / "missing")).files == 1
    for path in [shelf.folder / "x/../../..", Path("/etc"), shelf.folder / ".hidden"]:
        with pytest.raises(Refused):
            await scanner.scan(path=os.fspath(path))
    with pytest.raises(Refused):
        await scanner.scan("/etc")


async def test_share_that_hangs_is_given_up_and_not_asked_again_until_it_answers() -> None:
    lane, release = Lane(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def hang() -> None:
        asyncio.run_coroutine_threadsafe(release.wait(), loop).result()

    with pytest.raises(NoAnswer):
        await lane.run(hang, limit_s=0.05)
    with pytest.raises(NoAnswer):
        await lane.run(lambda: 1)
    release.set()

    async def answers() -> bool:
        try:
            return await lane.run(lambda: True)
        except NoAnswer:
            return False

    await until(answers)


async def test_a_root_missed_by_a_scan_that_was_asked_for_is_soon_looked_for_again(shelf: Shelf) -> None:
    shelf.put("a.jpg")
    scanner = shelf.scanner(scan_interval_s=3600, poll_interval_s=0.05)
    run = asyncio.create_task(scanner.run())
    await until(lambda: any(isinstance(event, ScanFinished) for event in shelf.events))
    away = shelf.folder.with_name("away")
    shelf.folder.rename(away)
    await scanner.scan()
    assert scanner.problems
    away.rename(shelf.folder)
    await until(lambda: not scanner.problems)
    run.cancel()
