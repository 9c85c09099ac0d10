"""Which picture comes first: the sharp one, or a stand-in where many wait at once."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from framed.frames.rendered import CROWD
from framed.store.database import Database
from tests.frames.wall import PHOTOS, Wall


@pytest.fixture
async def wall(tmp_path: Path) -> AsyncIterator[Wall]:
    database = Database(tmp_path / "framed.db")
    await database.start()
    made = Wall(database, tmp_path)
    await made.hang()
    yield made
    await made.stop()
    await database.close()


async def test_only_those_behind_a_crowd_get_a_stand_in(wall: Wall) -> None:
    answers = await wall.asked("large", PHOTOS)

    assert [rough for _, rough in answers] == [False] * CROWD + [True] * (PHOTOS - CROWD)
    assert all(picture["width"] < 1920 for picture, rough in answers if rough)


async def test_in_a_crowd_a_small_panel_waits_for_a_smaller_picture_too(wall: Wall) -> None:
    answers = await wall.asked("small", PHOTOS)

    assert [picture["width"] for picture, _ in answers] == [800] * CROWD + [480] * (PHOTOS - CROWD)


@pytest.mark.parametrize("frame", ["inked", "asleep"])
async def test_a_frame_that_is_slow_to_change_or_asleep_gets_its_picture_once(wall: Wall, frame: str) -> None:
    answers = await wall.asked(frame, PHOTOS)
    assert not any(rough for _, rough in answers)

    picture, rough = await wall.rendered.get(wall.frames.get(frame), wall.cards[0], quick="always")
    assert not rough
    assert picture["thumb"] == b"small"


async def test_the_sharp_pictures_wait_for_every_stand_in(wall: Wall) -> None:
    frame = wall.frames.get("large")
    first = asyncio.create_task(wall.rendered.get(frame, wall.cards[0], quick="always"))
    assert await wall.hosts.asked.get() == (720, True)
    waiting = asyncio.create_task(wall.rendered.stand_ins_done())
    await asyncio.sleep(0)
    assert not waiting.done()

    wall.hosts.rough.set()
    await first
    await waiting

    wall.hosts.sharp.set()
    picture = await wall.rendered.sharp(frame, wall.cards[0])
    assert picture["width"] == 1920
    assert await wall.rendered.get(frame, wall.cards[0], quick="always") == (
        await wall.rendered.kept(picture["key"]),
        False,
    )


async def test_a_stand_in_that_a_stop_left_on_the_wall_becomes_sharp_after_the_start(wall: Wall) -> None:
    wall.hosts.rough.set()
    await wall.player.play("large", "all", quick=True)
    assert (await wall.shows.told.get())["w"] == 720
    assert [await wall.hosts.asked.get() for _ in range(2)] == [(720, True), (1920, False)]
    await wall.stop()

    wall.hosts.sharp.set()
    wall.start()
    await wall.player.republish("large")

    stands, sharp = await wall.shows.told.get(), await wall.shows.told.get()
    assert (stands["w"], sharp["w"]) == (720, 1920)
    assert stands["item"] == sharp["item"]
