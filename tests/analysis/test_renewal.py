"""A better backend gets the photos that a lesser one looked at; what somebody asks anew is forgotten, and only that."""

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select

from framed.analysis.renewal import Renewal
from framed.analysis.step import Step
from framed.store.database import Database
from framed.store.tables import photo_steps, photos

COUNT = 7


class Tags(Step):
    name, version = "tags", 1


class Description(Step):
    name, version, needs = "description", 1, ("tags",)


class Hash(Step):
    name, version = "hash", 1


def _fill(connection: Connection) -> None:
    for place in range(1, COUNT + 1):
        connection.execute(
            insert(photos).values(
                id=place, uid=f"{place:016x}", sha256=bytes([place]) * 32, state="completed", added_at=0.0
            )
        )
        for step in ("tags", "description", "hash", "ocr", "caption"):
            connection.execute(
                insert(photo_steps).values(
                    photo_id=place, step=step, version=1, state="completed", attempts=1, at=0, result={"backend": "old"}
                )
            )


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Any]:
    database = Database(tmp_path / "framed.db")
    await database.start()
    await database.write(_fill)
    woken: list[str] = []
    pipeline: Any = SimpleNamespace(steps=[Hash(), Tags(), Description()], wake=lambda: woken.append("pipeline"))
    late: Any = SimpleNamespace(
        steps=[SimpleNamespace(name="ocr"), SimpleNamespace(name="caption")], wake=lambda: woken.append("late")
    )
    renewal = Renewal(database=database, pipeline=pipeline, late=lambda: late)
    yield SimpleNamespace(database=database, renewal=renewal, woken=woken)
    await database.close()


async def steps(database: Database, photo: int = 1) -> set[str]:
    query = select(photo_steps.c.step).where(photo_steps.c.photo_id == photo)
    return set(await database.read(lambda c: c.execute(query).scalars().all()))


async def outdated(database: Database, photo: int = 1) -> set[str]:
    query = select(photo_steps.c.step).where(photo_steps.c.photo_id == photo, photo_steps.c.version == 0)
    return set(await database.read(lambda c: c.execute(query).scalars().all()))


async def states(database: Database) -> set[str]:
    return set(await database.read(lambda c: c.execute(select(photos.c.state)).scalars().all()))


async def test_another_tagger_tags_every_photo_anew_and_what_builds_on_tags_follows(house: Any) -> None:
    assert await house.renewal.follow("tags", "new") == COUNT
    assert await outdated(house.database) == {"tags", "description"}  # what was found holds until there is better
    assert await states(house.database) == {"pending"}
    assert "pipeline" in house.woken


async def test_another_reader_of_text_leaves_photos_on_show_meanwhile(house: Any) -> None:
    assert await house.renewal.follow("ocr", "new") == COUNT
    assert await outdated(house.database) == {"ocr"}  # what was read holds until it is read again
    assert await states(house.database) == {"completed"}
    assert "late" in house.woken
    assert await house.renewal.follow("ocr", "new") == 0


@pytest.mark.parametrize(("task", "backend"), [("tags", "old"), ("ocr", "old"), ("caption", "new"), ("places", "new")])
async def test_nothing_is_done_twice_by_the_same_backend_and_captions_are_kept(
    house: Any, task: str, backend: str
) -> None:
    assert await house.renewal.follow(task, backend) == 0
    assert await steps(house.database) == {"hash", "tags", "description", "ocr", "caption"}
    assert await outdated(house.database) == set()


async def test_only_what_was_asked_for_is_done_anew(house: Any) -> None:
    assert await house.renewal.ask_anew(["caption"], f"{2:016x}", since=1.0) == 1
    assert await outdated(house.database, 2) == {"caption"}
    assert await outdated(house.database, 1) == set()
    assert await house.renewal.ask_anew(["caption", "ocr"], None, since=1.0) == COUNT
    assert await outdated(house.database, 1) == {"caption", "ocr"}
    assert await steps(house.database, 1) == {"hash", "tags", "description", "ocr", "caption"}


async def test_what_was_found_since_it_was_asked_for_is_not_done_anew(house: Any) -> None:
    assert await house.renewal.ask_anew(["caption"], None, since=0.0) == COUNT
    assert await outdated(house.database) == set()
