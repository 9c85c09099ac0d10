"""A web server on a free port of this machine, with everything behind it in memory."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from framed.web.ports import FrameState
from framed.web.server import WebOptions, WebServer
from tests.web.fakes import ADMIN, HALL, KITCHEN, Folder, Gate, Tokens, Verbs, Vitals


@dataclass
class House:
    """The server and what stands behind it."""

    server: WebServer
    pictures: Folder
    gate: Gate
    tokens: Tokens
    api: Verbs
    health: Vitals
    make: Callable[..., WebServer]

    def at(self, path: str = "/") -> str:
        return f"http://127.0.0.1:{self.server.port}{path}"

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {ADMIN}"}


@pytest.fixture
def options() -> dict[str, Any]:
    return {}


@asynccontextmanager
async def open_house(folder: Path, options: dict[str, Any]) -> AsyncIterator[House]:
    pictures, api, health = Folder(folder), Verbs(), Vitals()
    gate = Gate(
        pictures,
        FrameState(frame="kitchen", name="Kitchen", width=1280, height=800),
        FrameState(frame="hall", name="Hall", width=800, height=480),
    )
    tokens = Tokens(kitchen=KITCHEN, hall=HALL)

    def make(**changes: Any) -> WebServer:
        all_options = {"host": "127.0.0.1", "port": 0, "grace_s": 0.0, **options, **changes}
        return WebServer(
            options=WebOptions(**all_options),
            api=api,
            pictures=pictures,
            gate=gate,
            tokens=tokens,
            health=health,
            admin_token=ADMIN,
        )

    house = House(make(), pictures, gate, tokens, api, health, make)
    await house.server.start()
    try:
        yield house
    finally:
        await house.server.close()


@pytest.fixture
async def house(tmp_path: Path, options: dict[str, Any]) -> AsyncIterator[House]:
    async with open_house(tmp_path, options) as house:
        yield house


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    """A client that keeps no cookies of its own and follows no redirect unasked."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield session
