"""One running framed for a module: real broker, real pictures, two frames, and a clock that a test may set."""

import asyncio
import json
import shutil
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import aiomqtt
import pytest
import pytest_asyncio
from PIL import Image

from framed.app import App
from framed.config import load
from tests.flows.conftest import analysed, free_port, until, write_photo


@dataclass
class Home:
    folder: Path
    app: App = field(init=False)
    ahead_s: float = 0.0

    @property
    def album(self) -> Path:
        return self.folder / "photos"

    def clock(self) -> float:
        return time.time() + self.ahead_s

    async def ask(self, verb: str, **payload: Any) -> dict[str, Any]:
        """The data of the answer; an error fails the test with its sentence."""
        answer = await self.app.router.call(verb, payload)
        assert answer["status"] in ("ok", "accepted"), answer["error"]["message"]
        found: dict[str, Any] = answer["data"]
        return found

    async def refused(self, verb: str, **payload: Any) -> dict[str, Any]:
        answer = await self.app.router.call(verb, payload)
        assert answer["status"] == "error"
        found: dict[str, Any] = answer["error"]
        return found

    async def over_http(self, verb: str, **payload: Any) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.app.token}"}
        url = f"http://127.0.0.1:{self.app.web.port}/api/v1/{verb}"
        async with aiohttp.ClientSession(headers=headers) as http, http.post(url, json=payload) as response:
            answer: dict[str, Any] = await response.json()
        assert answer["status"] == "ok", answer
        found: dict[str, Any] = answer["data"]
        return found

    def mqtt(self) -> aiomqtt.Client:
        end = self.app.endpoint
        assert end is not None
        password = end.password.get_secret_value()
        return aiomqtt.Client(end.host, end.port, username=end.username, password=password, timeout=40)

    async def over_mqtt(self, verb: str, **payload: Any) -> dict[str, Any]:
        async with self.mqtt() as client, asyncio.timeout(60):
            await client.subscribe(f"framed/response/{verb}", qos=1)
            await client.publish(f"framed/request/{verb}", json.dumps(payload), qos=1)
            async for message in client.messages:
                answer: dict[str, Any] = json.loads(message.payload)
                assert answer["status"] == "ok", answer
                found: dict[str, Any] = answer["data"]
                return found
        raise AssertionError(verb)

    async def retained(self, topic: str) -> dict[str, Any]:
        async with self.mqtt() as client, asyncio.timeout(60):
            await client.subscribe(topic, qos=1)
            async for message in client.messages:
                if message.payload:
                    found: dict[str, Any] = json.loads(message.payload)
                    return found
        raise AssertionError(topic)

    async def uid(self, name: str) -> str:
        listed = await self.ask("photo/list", state="all")
        return next(item["photo"] for item in listed["items"] if Path(item["path"]).name == name)

    async def names(self, playlist: str) -> list[str]:
        return [Path(item["path"]).name for item in (await self.ask("playlist/get", id=playlist))["items"]]

    async def found(self, text: str) -> list[str]:
        return sorted(Path(item["path"]).name for item in (await self.ask("photo/search", text=text))["items"])

    async def refreshed(self) -> None:
        """Has the playlists look for new photos now, and waits until they have."""
        job = await self.app.jobs.add("playlist_refresh", {}, dedupe_key="now")

        async def done() -> bool:
            return (await self.ask("job/get", id=job))["state"] == "succeeded"

        await until(done)


PHOTOS = {
    "cat.jpg": ("chelsea.png", "2019:07:14 10:00:00"),
    "coffee.jpg": ("coffee.png", "2021:12:25 09:30:00"),
    "eileen.jpg": ("astronaut.png", "2020:05:05 15:00:00"),
    "rocket.jpg": ("rocket.jpg", "2022:01:01 12:00:00"),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def home(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Home]:
    made = Home(tmp_path_factory.mktemp("home"))
    for name, (source, taken) in PHOTOS.items():
        write_photo(source, made.album / name, taken=taken)
    with Image.open(made.album / "rocket.jpg") as picture:
        picture.resize((picture.width // 2, picture.height // 2)).save(made.album / "rocket-small.jpg", quality=90)
    (made.album / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    options = {
        "data_dir": str(made.folder / "data"),
        "library": {"roots": [{"path": str(made.album)}], "settle_s": 0.1, "debounce_s": 0.2},
        "http": {"host": "127.0.0.1", "port": 0},
        "mqtt": {"port": free_port()},
        "compute": {"cpu_hosts": 1},
        "models": {"ocr": "off", "faces": "off"},  # the slow looks; no handler's test is about them
        "frames": [
            {"id": "kitchen", "width": 320, "height": 240},
            {"id": "hall", "width": 240, "height": 320, "filter": "no cats"},
        ],
    }
    async with App(load(None, options), clock=made.clock) as made.app:
        await analysed(made.app, len(PHOTOS) + 1)
        yield made
    await asyncio.to_thread(shutil.rmtree, made.folder, ignore_errors=True)
