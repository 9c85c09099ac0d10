"""What happens to the machine and not to framed: disks that are full, folders that are closed, clocks that jump."""

import json
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from framed.app import App
from framed.config import load
from tests.flows.conftest import settings, until, write_photo
from tests.flows.disks import filled, mounted
from tests.library.pictures import cat, encoded

pytestmark = [pytest.mark.models, pytest.mark.timeout(300), pytest.mark.asyncio(loop_scope="module")]

DAY = 86_400.0


@dataclass
class Clock:
    """The system's clock with somebody's hand on it."""

    ahead: float = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@dataclass
class House:
    app: App
    home: Path
    clock: Clock = field(default_factory=Clock)

    @property
    def album(self) -> Path:
        return self.home / "photos"

    def add(self, name: str, turn: int) -> None:
        (self.album / name).write_bytes(encoded(cat().rotate(turn), "JPEG", quality=90))

    async def ask(self, verb: str, **payload: Any) -> dict[str, Any]:
        answer = await self.app.router.call(verb, payload)
        assert answer["status"] in ("ok", "accepted"), answer
        found: dict[str, Any] = answer["data"]
        return found

    async def analysed(self, photos: int) -> None:
        async def done() -> bool:
            library = await self.app.system.library_payload()
            return bool(library["analysed"] == photos and not library["pending"] and not library["failed"])

        await until(done, 90)

    async def says(self, words: str) -> None:
        async def said() -> bool:
            return words in (await self.ask("health")).get("problem", "")

        await until(said)

    async def is_well(self) -> None:
        async def well() -> bool:
            return "problem" not in await self.ask("health")

        await until(well, 90)

    async def shown(self) -> dict[str, Any]:
        row = await self.app.database.read(
            lambda c: c.exec_driver_sql("select show from frame_states where frame_id = 'kitchen'").scalar()
        )
        return dict(json.loads(row))

    async def fetched(self) -> bytes:
        async with aiohttp.ClientSession() as http, http.get((await self.shown())["url"]) as response:
            assert response.status == 200
            return await response.read()


@pytest.fixture(scope="module")
def disks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = tmp_path_factory.mktemp("luck")
    with mounted(home / "data", "48m"), mounted(home / "data" / "cache", "3m"):
        yield home


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(disks: Path) -> AsyncIterator[House]:
    write_photo("coffee.png", disks / "photos" / "coffee.jpg", taken="2021:12:25 09:30:00")
    write_photo("chelsea.png", disks / "photos" / "cat.jpg", taken="2019:07:14 10:00:00")
    clock = Clock()
    async with App(load(None, settings(disks, disks / "photos")), clock=clock) as running:
        house = House(running, disks, clock)
        await house.analysed(2)
        await house.ask("ask", text="photos on the kitchen frame")
        yield house


async def test_a_full_cache_disk_costs_no_photo(house: House) -> None:
    with filled(house.home / "data" / "cache"):
        house.add("one.jpg", 1)
        house.add("two.jpg", 2)
        await house.says("disk that holds framed's data is full")
        library = await house.app.system.library_payload()
        assert (library["failed"], library["pending"]) == (0, 2)
        assert await house.fetched()

    await house.analysed(4)
    await house.is_well()


async def test_a_full_data_disk_stops_nothing_but_writing(house: House) -> None:
    before = await house.shown()
    with filled(house.home / "data"):
        house.add("three.jpg", 3)
        refused = await house.app.router.call("photo/favourite", {"id": before["photo"]})
        assert refused["error"]["code"] == "busy", refused
        assert "disk that holds framed's data is full; free some space" in refused["error"]["message"]
        moved = await house.app.router.call("frame/cmd", {"frame": "kitchen", "action": "next"})
        assert moved["status"] == "error", moved
        assert "is full" in moved["error"]["message"]
        await house.says("disk that holds framed's data is full")
        async with aiohttp.ClientSession() as http:
            async with http.get(f"http://127.0.0.1:{house.app.web.port}/healthz") as response:
                assert response.status == 200
        assert await house.shown() == before
        assert await house.fetched()
        assert (await house.ask("ask", text="cats", dry_run=True))["count"]

    await house.analysed(5)
    await house.is_well()
    assert (await house.ask("photo/favourite", id=before["photo"]))["favourite"]
    await house.ask("frame/cmd", frame="kitchen", action="next")
    assert (await house.shown())["rev"] > before["rev"]
