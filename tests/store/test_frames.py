"""Rendered pictures as rows: which of them leave when they are too many."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert

from framed.store import frames as rows
from framed.store.database import Database
from framed.store.tables import frame_states, frames, photos, renders


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(tmp_path / "framed.db")
    await database.start()
    yield database
    await database.close()


def three_pictures(connection: Connection) -> None:
    connection.execute(insert(photos).values(id=1, uid="a", sha256=b"a", state="completed", added_at=0.0))
    for at, key in enumerate(("first", "second", "third")):
        rows.keep_render(
            connection,
            key,
            photo_id=1,
            sha256=key,
            ext="jpg",
            mime="image/jpeg",
            width=8,
            height=6,
            bytes=100,
            thumb=b"",
        )
        connection.execute(renders.update().where(renders.c.key == key).values(used_at=float(at)))


async def test_the_picture_that_was_not_shown_for_longest_leaves_first(database: Database) -> None:
    await database.write(three_pictures)
    await database.write(lambda c: rows.touch_render(c, "first"))

    leaving = await database.read(lambda c: rows.oldest_renders(c, 200))

    assert [row["key"] for row in leaving] == ["second", "third"]
    assert await database.read(lambda c: rows.oldest_renders(c, 300)) == []


async def test_a_removed_frame_that_comes_back_brings_no_old_report_and_knows_what_it_has_shown(
    database: Database,
) -> None:
    def life(connection: Connection) -> None:
        three_pictures(connection)
        rows.put(connection, "hall", name="Hall", source="hello", token="old")
        rows.note_shown(connection, "hall", 1, None)
        rows.set_state(
            connection, "hall", paused=True, report={"battery": 3, "on": False}, online=True, sha256="first", item="a-0"
        )
        rows.remove(connection, "hall")
        rows.put(connection, "hall", name="Hall", source="hello", token="new")

    await database.write(life)

    state = await database.read(lambda c: rows.state(c, "hall"))
    assert [state[key] for key in ("paused", "report", "online", "sha256", "item")] == [False, None, False, None, None]
    assert [row["photo_id"] for row in await database.read(lambda c: rows.recent(c, "hall", 5))] == [1]


async def test_what_a_frame_shows_never_leaves(database: Database) -> None:
    def shown(connection: Connection) -> None:
        three_pictures(connection)
        hall = {"id": "hall", "name": "Hall", "source": "config", "options": {}, "token": "t", "created_at": 0.0}
        connection.execute(insert(frames).values(**hall))
        connection.execute(insert(frame_states).values(frame_id="hall", sha256="first"))

    await database.write(shown)

    leaving = await database.read(lambda c: rows.oldest_renders(c, 0))

    assert [row["key"] for row in leaving] == ["second", "third"]
