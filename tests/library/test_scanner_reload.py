"""Photo folders change while framed runs: new ones are scanned, removed ones and what patterns leave out are gone."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from framed.library.reconcile import MASS
from framed.library.scanner import LibrarySettings, Root
from tests.library.shelf import CountingDatabase, Shelf


@pytest.fixture
async def shelf(tmp_path: Path) -> AsyncIterator[Shelf]:
    database = CountingDatabase(tmp_path / "framed.db")
    await database.start()
    folder = tmp_path / "photos"
    folder.mkdir()
    yield Shelf(folder, database)
    await database.close()


def naming(*roots: Root) -> LibrarySettings:
    return LibrarySettings(settle_s=0.0, roots=list(roots))


async def test_a_root_that_is_named_no_longer_goes_and_comes_back_whole(shelf: Shelf, tmp_path: Path) -> None:
    shelf.put("a.jpg")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "b.jpg").write_bytes(b"b")
    first, other = Root(path=str(shelf.folder)), Root(path=str(tmp_path / "other"))
    scanner = shelf.scanner(other)
    photos = await shelf.shelve(scanner)

    await scanner.reconfigure(naming(first))
    assert shelf.gone == [photos["b.jpg"]]
    assert [root.path for root in scanner.roots] == [first.path]
    assert (await scanner.scan()).files == 1

    await scanner.reconfigure(naming(first, other))
    assert (await scanner.scan()).new == 1
    assert await shelf.read(scanner) == [f"{tmp_path}/other/b.jpg"]
    assert (await shelf.photos())["b.jpg"] == photos["b.jpg"]


async def test_what_edited_patterns_leave_out_goes_at_once_however_much_it_is(shelf: Shelf) -> None:
    for number in range(MASS + 5):
        shelf.put(f"private/{number}.jpg")
    shelf.put("open.jpg")
    photos = await shelf.shelve(shelf.scanner())

    scanner = shelf.scanner()
    await scanner.reconfigure(naming(Root(path=str(shelf.folder), exclude=["private/"])))

    assert sorted(shelf.gone) == sorted(photo for path, photo in photos.items() if path.startswith("private"))
    assert list(await shelf.photos()) == ["open.jpg"]
    await scanner.reconfigure(naming(Root(path=str(shelf.folder))))
    assert (await scanner.scan()).new == MASS + 5


async def test_patterns_that_were_edited_while_framed_was_stopped_hold_from_the_start(shelf: Shelf) -> None:
    shelf.put("a.jpg"), shelf.put("b.png")
    await shelf.shelve(shelf.scanner())

    await shelf.scanner(rules={"include": ["*.png"]}).status()

    assert list(await shelf.photos()) == ["b.png"]


async def test_a_root_that_stays_as_it_was_is_not_scanned_anew(shelf: Shelf, tmp_path: Path) -> None:
    shelf.put("a.jpg")
    (tmp_path / "other").mkdir()
    root = Root(path=str(shelf.folder))
    scanner = shelf.scanner()
    await shelf.shelve(scanner)
    before = scanner._watched[scanner.roots[0].path.encode()].full_at

    await scanner.reconfigure(naming(root, Root(path=str(tmp_path / "other"))))

    due = {watched.root.path: watched.full_at for watched in scanner._watched.values()}
    assert due == {root.path: before, str(tmp_path / "other"): 0.0}
