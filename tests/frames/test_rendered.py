"""Which picture comes first: the sharp one, or a stand-in where many wait at once."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from framed.frames.registry import FrameConfig, Registry
from framed.frames.rendered import CROWD, RenderedPictures
from framed.models.base import Call, Progress
from framed.store import photos as photo_rows
from framed.store.database import Database
from framed.store.tables import photos

PHOTOS = CROWD + 3


class Hosts:
    """Compute hosts that say what they were asked, and answer once they may."""

    def __init__(self) -> None:
        self.asked: asyncio.Queue[tuple[int, bool]] = asyncio.Queue()
        self.may_answer = asyncio.Event()

    async def run(self, call: Call, *, progress: Progress | None = None) -> dict[str, Any]:
        panel, rough = call.inputs["panel"], call.inputs["rough"]
        self.asked.put_nowait((panel["width"], rough))
        await self.may_answer.wait()
        name = f"{call.label}-{panel['width']}"
        file = Path(call.inputs["output_dir"].decode()) / name[:2] / f"{name}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        size = {"width": panel["width"], "height": panel["height"], "bytes": 1}
        return {"sha256": name, "ext": "jpg", "mime": "image/jpeg", "thumb": b"" if rough else b"small", **size}


class Previews:
    """Every photo has its preview already."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "preview.jpg"
        self._file.touch()

    def path(self, uid: str, size: str = "preview") -> Path:
        return self._file

    async def ensure(self, photo: photo_rows.PhotoWork, size: str = "preview", *, interactive: bool = False) -> Path:
        return self._file


class Wall:
    def __init__(self, database: Database, folder: Path) -> None:
        self.hosts = Hosts()
        self._database = database
        self.rendered = RenderedPictures(
            database=database, compute=self.hosts, previews=Previews(folder), folder=folder / "out", max_bytes=10**9
        )
        self.frames: Registry
        self.cards: list[dict[str, Any]] = []

    async def hang(self) -> None:
        frames = [
            FrameConfig(id="large", width=1920, height=1080),
            FrameConfig(id="small", width=800, height=480),
            FrameConfig(id="inked", width=1600, height=1200, palette="spectra6"),
            FrameConfig(id="asleep"),
        ]
        self.frames = Registry(database=self._database, configured=frames, interval_s=600, fit="cover", default="")

        def write(connection: Any) -> None:
            for number in range(1, PHOTOS + 1):
                values = {"uid": f"photo{number}", "sha256": bytes([number]), "state": "completed", "added_at": 0.0}
                connection.execute(insert(photos).values(id=number, **values))

        await self._database.write(write)
        await self.frames.load()
        await self.frames.hello("asleep", {"width": 1920, "height": 1080, "sleeps": True}, "hello")
        found = await self._database.read(lambda c: photo_rows.cards(c, range(1, PHOTOS + 1)))
        self.cards = [found[number] for number in sorted(found)]

    async def asked(self, frame: str, photos: int) -> list[tuple[dict[str, Any], bool]]:
        """The answers for so many photos, all asked for by people at once, one after the other in this order."""
        gets = []
        for card in self.cards[:photos]:
            gets.append(asyncio.create_task(self.rendered.get(self.frames.get(frame), card, quick="in a crowd")))
            await self.hosts.asked.get()
        self.hosts.may_answer.set()
        return await asyncio.gather(*gets)


@pytest.fixture
async def wall(tmp_path: Path) -> AsyncIterator[Wall]:
    database = Database(tmp_path / "framed.db")
    await database.start()
    made = Wall(database, tmp_path)
    await made.hang()
    yield made
    await made.rendered.close()
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

    wall.hosts.may_answer.set()
    await first
    await waiting

    picture = await wall.rendered.sharp(frame, wall.cards[0])
    assert picture["width"] == 1920
    assert await wall.rendered.get(frame, wall.cards[0], quick="always") == (
        await wall.rendered.kept(picture["key"]),
        False,
    )
