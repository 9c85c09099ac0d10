"""What happens to the machine and not to framed: disks that are full, folders that are closed, clocks that jump."""

import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import aiohttp
import pytest
import pytest_asyncio
import yaml

from framed.app import App
from framed.config import load
from tests.flows.conftest import UNSEEING, free_port, settings, until, write_photo
from tests.flows.disks import filled, mounted
from tests.library.pictures import cat, encoded
from tests.peers import require_peer

pytestmark = [pytest.mark.models, pytest.mark.asyncio(loop_scope="module")]

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

        await until(done)

    async def says(self, words: str) -> None:
        async def said() -> bool:
            return words in (await self.ask("health")).get("problem", "")

        await until(said)

    async def is_well(self) -> None:
        async def well() -> bool:
            return "problem" not in await self.ask("health")

        await until(well)

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


@pytest.mark.parametrize("jump", [DAY, -365 * DAY])
async def test_a_clock_jump_loses_nothing_and_storms_nothing(house: House, jump: float) -> None:
    await house.app.router.call("frame/set", {"frame": "kitchen", "interval_s": 5})
    before = await house.shown()
    photos = (await house.app.system.library_payload())["analysed"]
    asked = {"dry_run": True, "transaction": f"jump{abs(int(jump))}"}
    answered = await house.app.router.call("ask", {"text": "cats", **asked})

    house.clock.ahead += jump
    began = time.monotonic()
    house.add(f"after {jump}.jpg", 20 if jump > 0 else 40)

    async def moved() -> bool:
        return bool((await house.shown())["rev"] > before["rev"])

    await until(moved)
    await house.analysed(photos + 1)
    again = await house.app.router.call("ask", {"text": "coffee", **asked})
    assert again == json.loads(json.dumps(answered, default=str))
    job = (await house.ask("library/rescan"))["job"]

    async def done() -> bool:
        return bool((await house.ask("job/get", id=job))["state"] == "succeeded")

    await until(done)
    assert (await house.ask("health"))["uptime_s"] < 600
    last = (await house.shown())["rev"]

    async def goes_on() -> bool:
        return bool((await house.shown())["rev"] > last)

    await until(goes_on)
    assert (await house.shown())["rev"] - before["rev"] <= (time.monotonic() - began) / 5 + 3  # no flood of pictures
    await house.app.router.call("frame/set", {"frame": "kitchen", "interval_s": 300})


class Bound:
    """framed as a process that permissions bind, root or not."""

    def __init__(self, home: Path) -> None:
        self.home = home
        given = settings(home, home / "photos")
        self.port = free_port()
        given["http"]["port"] = self.port
        given["models"] = UNSEEING
        given["library"] |= {"scan_interval_s": 1.0, "poll_interval_s": 1.0}
        (home / "config.yaml").write_text(yaml.safe_dump(given))

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "framed", "run", "--config", str(self.home / "config.yaml")]
        if os.geteuid() == 0:
            lost = "-dac_override,-dac_read_search"
            command = [require_peer("setpriv"), f"--bounding-set={lost}", f"--inh-caps={lost}", *command]
        with (self.home / "log").open("wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(60)

    async def ask(self, verb: str, **payload: Any) -> dict[str, Any]:
        """The data of the answer; empty while the daemon is not up."""
        try:
            headers = {"Authorization": f"Bearer {(self.home / 'data' / 'token').read_text().strip()}"}
            async with aiohttp.ClientSession(headers=headers) as http:
                async with http.post(f"http://127.0.0.1:{self.port}/api/v1/{verb}", json=payload) as response:
                    found: dict[str, Any] = (await response.json())["data"]
                    return found
        except (FileNotFoundError, aiohttp.ClientConnectionError):
            return {}

    async def analysed(self, photos: int) -> None:
        async def done() -> bool:
            library = (await self.ask("health")).get("library", {})
            return bool(library.get("analysed") == photos and not library["pending"])

        await until(done)


async def test_what_may_not_be_read_is_said_and_read_once_it_may(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    (photos / "closed").mkdir(parents=True)
    for turn, name in enumerate(("open.jpg", "locked.jpg", "closed/inside.jpg")):
        (photos / name).write_bytes(encoded(cat().rotate(turn), "JPEG"))
        os.utime(photos / name, (1_500_000_000, 1_500_000_000))
    (photos / "locked.jpg").chmod(0)
    (photos / "closed").chmod(0)
    with Bound(tmp_path) as daemon:
        await daemon.analysed(1)

        async def said() -> bool:
            listed = (await daemon.ask("photo/list", state="failed"))["items"]
            return [item["problem"] for item in listed] == [
                "locked.jpg may not be read: its permissions do not allow framed to. Let everybody read it."
            ]

        await until(said)
        assert f"{photos}/closed cannot be read (Permission denied)" in (await daemon.ask("health"))["problem"]

        (photos / "locked.jpg").chmod(0o644)
        (photos / "closed").chmod(0o755)
        await daemon.analysed(3)

        async def well() -> bool:
            return "problem" not in await daemon.ask("health")

        await until(well)
        assert (await daemon.ask("photo/list", state="failed"))["items"] == []
        (photos / "closed").chmod(0)
        await daemon.ask("library/rescan")
        await until(lambda: _unreadable(daemon))
        assert (await daemon.ask("health"))["library"]["photos"] == 3  # a folder that was closed loses nothing
        (photos / "closed").chmod(0o755)


async def _unreadable(daemon: Bound) -> bool:
    return "closed cannot be read" in (await daemon.ask("health")).get("problem", "")
