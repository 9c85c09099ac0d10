"""Playlists as rows: what is composed anew never writes over what was changed meanwhile."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection

from framed.store import playlists as rows
from framed.store.database import Database
from framed.store.playlists import Item, Playlist

FIRST = [Item(photo, 0.5, ["2019"]) for photo in (1, 2, 3)]


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(tmp_path / "framed.db")
    await database.start()
    await database.write(lambda c: _fill(c))
    yield database
    await database.close()


def _fill(connection: Connection) -> None:
    for photo in range(1, 6):
        connection.exec_driver_sql(
            "insert into photos (id, uid, sha256, state, added_at) values (?, ?, ?, 'completed', 0)",
            (photo, f"photo{photo}", bytes([photo]) * 32),
        )
    rows.put(connection, id="sea", name="Sea", plan={"text": "sea"}, items=FIRST, relaxed=[], left_out={})


async def listed(database: Database) -> Playlist:
    found = await database.read(lambda c: rows.get(c, "sea"))
    assert found is not None
    return found


async def photos(database: Database) -> list[int]:
    return [item.photo_id for item in (await listed(database)).items]


async def test_what_was_composed_anew_is_kept_where_nobody_changed_the_list(database: Database) -> None:
    read = await listed(database)
    new = [*FIRST, Item(4, 0.5, [])]

    assert await database.write(lambda c: rows.replace(c, read, new, {"text": "the sea"}))

    assert await photos(database) == [1, 2, 3, 4]
    assert (await listed(database)).plan == {"text": "the sea"}


async def test_a_photo_that_left_the_list_while_it_was_composed_does_not_come_back(database: Database) -> None:
    read = await listed(database)
    await database.write(lambda c: rows.without_photo(c, 2, ["sea"]))

    assert not await database.write(lambda c: rows.replace(c, read, [*FIRST, Item(4, 0.5, [])], {"text": "sea"}))

    assert await photos(database) == [1, 3]


async def test_a_list_that_is_gone_meanwhile_stays_gone(database: Database) -> None:
    read = await listed(database)
    await database.write(lambda c: rows.remove(c, "sea"))

    assert not await database.write(lambda c: rows.replace(c, read, FIRST, {"text": "sea"}))

    assert await database.read(lambda c: rows.get(c, "sea")) is None
