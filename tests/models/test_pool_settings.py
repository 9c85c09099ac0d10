"""The pool under new settings: hosts of the old ones end when they are free, and no call is lost."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from framed.models.base import Call
from framed.models.pool import ComputeSettings, HostPool, PoolEvent
from tests.models.fake_backends import FAKES

SETTINGS = ComputeSettings(cpu_hosts=2, device="cpu")


def fake(do: str, *, host: str = "cpu", interactive: bool = True, **inputs: Any) -> Call:
    return Call("fake", host, {"do": do, **inputs}, interactive=interactive, timeout_s=60.0, label=do)


def changed(**settings: Any) -> ComputeSettings:
    return SETTINGS.model_copy(update=settings)


@pytest.fixture
def events() -> list[PoolEvent]:
    return []


@pytest.fixture
async def pool(events: list[PoolEvent]) -> AsyncIterator[HostPool]:
    async with HostPool(SETTINGS, FAKES, on_event=events.append) as pool:
        yield pool


async def until(holds: Callable[[], object], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - another process is waited for, and it sets no Event here
            await asyncio.sleep(0.01)


async def test_a_host_that_other_limits_hold_for_is_replaced_and_the_others_stay(
    pool: HostPool, events: list[PoolEvent]
) -> None:
    cpu, model = await pool.run(fake("look")), await pool.run(fake("look", host="model"))

    pool.reconfigure(changed(cpu_address_space_mb=2048))
    again, kept = await pool.run(fake("look")), await pool.run(fake("look", host="model"))

    assert again["pid"] != cpu["pid"]
    assert again["address_space"] == 2048 << 20
    assert kept["pid"] == model["pid"]
    assert events == []  # nothing has crashed


async def test_a_call_that_runs_is_done_on_its_host_which_ends_then(pool: HostPool, tmp_path: Path) -> None:
    started, go = tmp_path / "started", tmp_path / "go"
    call = asyncio.create_task(pool.run(fake("wait_for", host="model", path=str(go), started=str(started))))
    await until(started.exists)

    pool.reconfigure(changed(keep_loaded=["fake"]))
    waiting = asyncio.create_task(pool.run(fake("look", host="model")))
    go.touch()

    assert (await call)["pid"] != (await waiting)["pid"]
    assert not psutil.pid_exists((await call)["pid"])


async def test_fewer_and_more_hosts_decode(pool: HostPool, tmp_path: Path) -> None:
    async def together(count: int, name: str) -> set[int]:
        calls = [
            asyncio.create_task(
                pool.run(fake("wait_for", path=str(tmp_path / f"{name} go"), started=str(tmp_path / f"{name}{n}")))
            )
            for n in range(count)
        ]
        await until(lambda: all((tmp_path / f"{name}{n}").exists() for n in range(count)))
        (tmp_path / f"{name} go").touch()
        return {answer["pid"] for answer in await asyncio.gather(*calls)}

    two = await together(2, "two")
    pool.reconfigure(changed(cpu_hosts=1))
    await until(lambda: len(pool.status()) == 1)
    (one,) = await together(1, "one")
    pool.reconfigure(changed(cpu_hosts=3))
    three = await together(3, "three")

    assert one in two
    assert one in three
    assert len(three) == 3


async def test_every_host_starts_anew_where_it_is_asked_for(
    pool: HostPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await pool.run(fake("look", host="light"))
    monkeypatch.setenv("FRAMED_MODELS", str(tmp_path))

    pool.reconfigure(SETTINGS, anew=True)
    after = await pool.run(fake("look", host="light"))

    assert after["pid"] != before["pid"]
    assert after["environment"]["FRAMED_MODELS"] == str(tmp_path)


async def test_the_same_settings_change_nothing(pool: HostPool) -> None:
    before = await pool.run(fake("look"))

    pool.reconfigure(changed())

    assert (await pool.run(fake("look")))["pid"] == before["pid"]
