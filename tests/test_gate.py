"""Whose page it is that shows a token: the frame's own, and nobody's where tokens are missing; what pages hear."""

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from framed.frames.registry import Registry
from framed.gate import FramesPort, HealthPort, Hub
from framed.store.database import Database


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[tuple[FramesPort, Registry]]:
    database, nobody = Database(tmp_path / "framed.db"), SimpleNamespace()
    await database.start()
    registry = Registry(database=database, configured=(), interval_s=60, fit="cover", default="")
    await registry.load()
    for frame in ("hall", "kitchen"):
        await registry.add(frame, None, "added")
    more: Any = dict.fromkeys(("player", "rendered", "handler", "router", "hub"), nobody)
    yield FramesPort(database=database, registry=registry, **more), registry
    await database.close()


async def test_a_token_is_its_own_frames_and_no_others(house: tuple[FramesPort, Registry]) -> None:
    gate, registry = house
    for frame in ("hall", "kitchen"):
        token = registry.get(frame).token
        assert gate.frame_of(token) == frame
        assert gate.check(frame, token)
    assert not gate.check("hall", registry.get("kitchen").token)


@pytest.mark.parametrize("token", ["", " ", "ö", "\udcff", "x" * 24])
async def test_another_token_is_nobodys(house: tuple[FramesPort, Registry], token: str) -> None:
    gate, _ = house
    assert gate.frame_of(token) is None
    assert not gate.check("hall", token)
    assert not gate.check("cellar", token)


async def test_what_happens_while_a_page_is_told_the_library_is_heard_after_it() -> None:
    hub = Hub()

    async def library() -> dict[str, Any]:
        hub.tell("console", "job", {"id": "a"})
        return {"photos": 3}

    port: Any = HealthPort(health=library, library=library, metrics=bytes, hub=hub)
    events = port.events()

    heard = [await anext(events), await anext(events)]
    await events.aclose()

    assert [(event.event, event.data) for event in heard] == [("library", {"photos": 3}), ("job", {"id": "a"})]
