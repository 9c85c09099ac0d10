"""What a host process may do, and what it tells the daemon."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from framed.models.base import Call, HostKind
from framed.models.child import Child, HostDied, Launch
from framed.models.pool import ComputeSettings, HostPool
from tests.models.fake_backends import FAKES


@pytest.fixture
async def pool() -> AsyncIterator[HostPool]:
    async with HostPool(ComputeSettings(cpu_hosts=1, device="cpu", model_threads=2), FAKES) as pool:
        yield pool


async def look(pool: HostPool, host: HostKind) -> dict[str, Any]:
    return await pool.run(Call("fake", host, {"do": "look"}))


async def test_passwords_of_the_daemon_do_not_reach_a_host(pool: HostPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAMED_MQTT_PASSWORD", "secret")
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    monkeypatch.setenv("PYTHONSTARTUP", "secret")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    environment = (await look(pool, "cpu"))["environment"]
    assert "secret" not in environment.values()
    assert environment["CUDA_VISIBLE_DEVICES"] == ""
    assert environment["HF_HUB_OFFLINE"] == "1"


async def test_hosts_take_no_more_threads_than_told(pool: HostPool) -> None:
    assert (await look(pool, "cpu"))["environment"]["OMP_NUM_THREADS"] == "1"
    assert (await look(pool, "model"))["environment"]["OMP_NUM_THREADS"] == "2"


async def test_a_cpu_host_is_limited_and_steps_back(pool: HostPool) -> None:
    seen = await look(pool, "cpu")
    assert seen["address_space"] == 3072 << 20
    assert seen["files"] == 256
    assert seen["nice"] >= 5
    assert "NoNewPrivs:\t1" in seen["status"]


async def test_a_light_host_answers_people_and_does_not_step_back(pool: HostPool) -> None:
    assert (await look(pool, "light"))["nice"] < 5


@pytest.mark.parametrize("act", ["connect", "listen", "execute", "trace"])
async def test_a_cpu_host_reaches_no_network_and_starts_no_program(pool: HostPool, act: str) -> None:
    answer = await pool.run(Call("fake", "cpu", {"do": "escape", "act": act}))
    assert answer == {"stopped": "PermissionError"}


async def test_what_a_host_prints_lands_in_the_log_line_by_line_without_control_characters(pool: HostPool) -> None:
    with capture_logs() as logged:
        await pool.run(Call("fake", "cpu", {"do": "print_lines", "count": 3}))
        await pool.close()
    lines = [entry["line"] for entry in logged if entry["event"] == "compute host printed"]
    assert lines == ["line 0  [2J", "line 1  [2J", "line 2  [2J"]


async def test_a_flood_of_lines_is_cut(pool: HostPool) -> None:
    with capture_logs() as logged:
        await pool.run(Call("fake", "cpu", {"do": "print_lines", "count": 5000}))
        await pool.close()
    assert sum(entry["event"] == "compute host printed" for entry in logged) == 200
    assert sum("prints too much" in entry["event"] for entry in logged) == 1


async def test_a_crash_leaves_its_stack_in_the_log(pool: HostPool) -> None:
    with capture_logs() as logged:
        await asyncio.gather(pool.run(Call("fake", "cpu", {"do": "crash", "how": "segfault"})), return_exceptions=True)
    assert any("Segmentation fault" in entry.get("line", "") for entry in logged)
    assert any("in crash" in entry.get("line", "") for entry in logged)


async def test_a_failing_backend_leaves_its_traceback_in_the_log_and_what_the_call_was_about(pool: HostPool) -> None:
    with capture_logs() as logged:
        call = Call("fake", "cpu", {"do": "fail", "kind": "odd"}, label="photo 7")
        await asyncio.gather(pool.run(call), return_exceptions=True)
    (entry,) = [entry for entry in logged if entry["event"] == "a backend failed"]
    assert "KeyError: 'a secret of the inside'" in entry["traceback"]
    assert entry["call"] == "fake/cpu photo 7"


async def test_the_status_tells_memory_calls_and_models(pool: HostPool) -> None:
    await look(pool, "model")
    (host,) = pool.status()
    assert (host["name"], host["kind"], host["state"], host["calls"]) == ("model-1", "model", "idle", 1)
    assert host["loaded"] == ["fake/model"]
    assert 10 < host["rss_mb"] < 500


def _start(sock: socket.socket, parent: int) -> "subprocess.Popen[bytes]":
    fd = str(sock.fileno())
    command = [sys.executable, "-m", "framed.models.host", "--kind", "light", "--fd", fd, "--parent", str(parent)]
    return subprocess.Popen(command, pass_fds=(sock.fileno(),), cwd=Path(__file__).parents[2])


def test_a_host_ends_when_its_socket_closes() -> None:
    ours, theirs = socket.socketpair()
    process = _start(theirs, os.getpid())
    theirs.close()
    assert ours.recv(4)  # it is ready
    ours.close()
    assert process.wait(30) == 0


def test_a_host_whose_daemon_died_before_it_began_ends_at_once() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert _start(theirs, 1).wait(60) == 0


async def test_a_program_that_cannot_be_started_is_a_death_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[str] = []
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    child = Child("cpu-1", Launch("cpu"), lambda _, reason, ending: ended.append(f"{ending}: {reason}"))
    with pytest.raises(HostDied, match="cannot be started"):
        await child.start()
    assert len(ended) == 1
    assert ended[0].startswith("crashed: cannot be started")
