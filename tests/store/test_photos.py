"""What becomes of photos that are to be described anew, and who belongs to whom."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, select, update

from framed.store import photos as rows
from framed.store.database import Database
from framed.store.tables import photos


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(tmp_path / "framed.db")
    await database.start()
    yield database
    await database.close()


def made(connection: Connection, count: int) -> list[int]:
    return [rows.intake(connection, bytes([number] * 32), {})[0] for number in range(count)]


async def test_a_photo_that_is_gone_is_described_anew_only_when_it_returns(database: Database) -> None:
    def tell(connection: Connection) -> tuple[list[str], list[int]]:
        here, gone = made(connection, 2)
        done = [rows.StepRow(step, 1, "completed", {}) for step in ("metadata", "description", "text_embedding")]
        for photo, state in ((here, "completed"), (gone, "gone")):
            rows.set_steps(connection, photo, done)
            rows.set_values(connection, photo, {"state": state})
        rows.redescribe(connection, [here, gone])
        states = connection.execute(select(photos.c.state).order_by(photos.c.id)).scalars()
        return list(states), [len(rows.steps_of(connection, photo)) for photo in (here, gone)]

    assert await database.write(tell) == (["pending", "gone"], [1, 1])


async def test_a_photos_family_is_its_burst_and_what_it_duplicates(database: Database) -> None:
    def tell(connection: Connection) -> list[list[int]]:
        first, second, copy, other = made(connection, 4)
        connection.execute(update(photos).where(photos.c.id.in_((first, second))).values(burst=first))
        rows.set_values(connection, copy, {"duplicate_of": first})
        assert rows.of_burst(connection, first) == [first, second]
        found = [sorted(rows.family_of(connection, photo)) for photo in (first, copy, other, 99)]
        return [[(first, second, copy, other).index(photo) for photo in family] for family in found]

    assert await database.write(tell) == [[0, 1, 2], [0, 2], [], []]
