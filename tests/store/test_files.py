"""Questions about files: their plans use the indexes, and photos go and come back with their files."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event, select

from framed.store import files as stored
from framed.store.files import FileValues, FolderChange
from framed.store.tables import files, photos
from tests.library.shelf import CountingDatabase, Shelf


@pytest.fixture
async def shelf(tmp_path: Path) -> AsyncIterator[Shelf]:
    database = CountingDatabase(tmp_path / "framed.db")
    await database.start()
    yield Shelf(tmp_path, database)
    await database.close()


def values(name: bytes, inode: int = 1, retry_at: float | None = None) -> FileValues:
    return FileValues(name, 10, 20, inode, None, retry_at)


async def fill(shelf: Shelf, *names: bytes) -> dict[bytes, int]:
    def work(connection: Connection) -> dict[bytes, int]:
        root = stored.add_root(connection, b"/photos")
        change = FolderChange(root, b"", None, 1)
        change.added = [values(name, number) for number, name in enumerate(names)]
        stored.apply(connection, [change])
        return {row.name: row.id for row in connection.execute(select(files.c.id, files.c.name))}

    return await shelf.database.write(work)  # type: ignore[no-any-return]


async def add_photo(shelf: Shelf, uid: str, state: str = "completed") -> int:
    row = {"uid": uid, "sha256": uid.encode(), "state": state, "added_at": 0.0}
    query = photos.insert().values(row).returning(photos.c.id)
    return int(await shelf.database.write(lambda c: c.execute(query).scalar_one()))


QUESTIONS: dict[str, Any] = {
    "todo": lambda c: stored.todo(c, 5, now=1.0, busy=[3]),
    "next_retry": lambda c: stored.next_retry(c, now=1.0),
    "count_due": lambda c: stored.count_due(c, now=1.0),
    "files_at_inodes": lambda c: stored.files_at_inodes(c, [1, 2]),
    "folders_under": lambda c: stored.folders_under(c, 1, b"a"),
    "files_in": lambda c: stored.files_in(c, [1, 2]),
    "orphaned": lambda c: stored.orphaned(c, {1, 2}, now=1.0),
}


@pytest.mark.parametrize("question", QUESTIONS)
async def test_no_question_walks_a_whole_table(shelf: Shelf, question: str) -> None:
    def plans(connection: Connection) -> list[str]:
        asked: list[tuple[str, Any]] = []

        def note(_c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
            asked.append((statement, parameters))

        event.listen(connection, "before_cursor_execute", note)
        try:
            QUESTIONS[question](connection)
        finally:
            event.remove(connection, "before_cursor_execute", note)
        rows = [connection.exec_driver_sql(f"explain query plan {text}", values) for text, values in asked]
        return [row[3] for result in rows for row in result]

    found = await shelf.database.read(plans)
    assert found
    assert [step for step in found if step.startswith("SCAN") and "USING INDEX" not in step] == []


async def test_names_may_be_swapped_in_one_write(shelf: Shelf) -> None:
    ids = await fill(shelf, b"a", b"b")
    moved = FolderChange(1, b"", 1, 2)
    moved.moved = [(ids[b"a"], values(b"b"), False), (ids[b"b"], values(b"a"), True)]
    await shelf.database.write(lambda c: stored.apply(c, [moved], list(ids.values())))
    rows = await shelf.database.read(lambda c: stored.files_in(c, [1]))
    assert {name: row.id for name, row in rows[1].items()} == {b"a": ids[b"b"], b"b": ids[b"a"]}


async def test_photo_is_gone_with_its_last_file_only(shelf: Shelf) -> None:
    ids = await fill(shelf, b"a", b"b")
    photo = await add_photo(shelf, "p")
    for file in ids.values():
        await shelf.database.write(lambda c, file=file: stored.mark_read(c, file, photo, now=1.0))
    first = await shelf.database.write(lambda c: stored.remove(c, {ids[b"a"]: 1}, now=5.0))
    assert (first.files, first.gone) == (1, [])
    second = await shelf.database.write(lambda c: stored.remove(c, {ids[b"b"]: 1}, now=5.0))
    assert second.gone == [(photo, "p")]
    row = await shelf.database.read(lambda c: c.execute(select(photos.c.state, photos.c.gone_at)).one())
    assert tuple(row) == ("gone", 5.0)


async def test_file_that_moved_meanwhile_is_not_removed(shelf: Shelf) -> None:
    ids = await fill(shelf, b"a")
    removed = await shelf.database.write(lambda c: stored.remove(c, {ids[b"a"]: 99}, now=5.0))
    assert removed.files == 0


@pytest.mark.parametrize(
    ("steps", "state"),
    [
        ({}, "pending"),
        ({"tags": "completed"}, "pending"),
        ({"tags": "completed", "text": "skipped"}, "completed"),
        ({"tags": "completed", "text": "unavailable"}, "partial"),
        ({"tags": "failed", "text": "failed"}, "failed"),
    ],
)
async def test_photo_comes_back_in_the_state_its_steps_say(shelf: Shelf, steps: dict[str, str], state: str) -> None:
    photo = await add_photo(shelf, "p", "gone")
    for step, outcome in steps.items():
        await shelf.add_step(photo, step, outcome)
    assert await shelf.database.write(lambda c: stored.restore(c, photo, steps=["tags", "text"]))
    assert await shelf.states() == {photo: state}
    assert not await shelf.database.write(lambda c: stored.restore(c, photo))


async def test_parking_a_file_that_broke_lets_its_photo_go(shelf: Shelf) -> None:
    ids = await fill(shelf, b"a")
    photo = await add_photo(shelf, "p")
    await shelf.database.write(lambda c: stored.mark_read(c, ids[b"a"], photo, now=1.0))
    gone = await shelf.database.write(lambda c: stored.park(c, ids[b"a"], "It is cut short.", now=1.0))
    assert gone == [(photo, "p")]


async def test_retry_written_under_a_wrong_clock_is_due(shelf: Shelf) -> None:
    ids = await fill(shelf, b"a")
    await shelf.database.write(lambda c: stored.retry_later(c, ids[b"a"], 10**10))
    assert len(await shelf.database.read(lambda c: stored.todo(c, 5, now=1000.0))) == 1
