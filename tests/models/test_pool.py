"""The pool with real child processes."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from framed.errors import BadPhoto, FramedError, HostCrashed, TimedOut, Unavailable
from framed.models.base import Call, OutOfMemory
from framed.models.pool import ComputeSettings, CrashGuard, DeviceChanged, HostPool, HostRestarted, PoolEvent
from tests.models.fake_backends import FAKES


def fake(do: str, *, host: str = "cpu", interactive: bool = False, timeout_s: float = 60.0, **inputs: Any) -> Call:
    return Call("fake", host, {"do": do, **inputs}, interactive=interactive, timeout_s=timeout_s, label=do)


@pytest.fixture
def events() -> list[PoolEvent]:
    return []


@pytest.fixture
async def pool(events: list[PoolEvent]) -> AsyncIterator[HostPool]:
    settings = ComputeSettings(cpu_hosts=1, device="cpu")
    async with HostPool(settings, FAKES, on_event=events.append) as pool:
        yield pool


async def until(holds: Callable[[], object], seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - another process is waited for, and it sets no Event here
            await asyncio.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_a_call_answers_with_arrays_bytes_and_odd_file_names(pool: HostPool) -> None:
    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    answer = await pool.run(fake("echo", image=image, path=b"/p/\xff.jpg", name="\udcff.jpg", nan=float("nan")))
    assert np.array_equal(answer["image"], image)
    assert answer["image"].flags.writeable
    assert (answer["path"], answer["name"]) == (b"/p/\xff.jpg", "\udcff.jpg")
    assert answer["nan"] != answer["nan"]


async def test_no_process_is_started_before_the_first_call(pool: HostPool) -> None:
    assert pool.status() == []
    await pool.run(fake("echo"))
    assert [(host["name"], host["state"]) for host in pool.status()] == [("cpu-1", "idle")]


async def test_an_array_of_64_megabytes_arrives(pool: HostPool) -> None:
    big = np.arange(16 << 20, dtype=np.float32)
    answer = await pool.run(fake("echo", big=big))
    assert np.array_equal(answer["big"], big)


@pytest.mark.parametrize("how", ["abort", "segfault", "kill", "exit"])
async def test_a_call_whose_host_crashes_once_succeeds_on_a_fresh_one(
    pool: HostPool, events: list[PoolEvent], tmp_path: Path, how: str
) -> None:
    first = (await pool.run(fake("look")))["pid"]
    answer = await pool.run(fake("crash", how=how, once=str(tmp_path / "crashed")))
    assert answer["pid"] != first
    assert [type(event) for event in events] == [HostRestarted]
    assert pool.status()[0]["restarts"] == 1


async def test_a_call_that_kills_two_hosts_is_given_up(pool: HostPool) -> None:
    with pytest.raises(HostCrashed, match=r"fake/cpu crash .* was killed by SIGSEGV, twice"):
        await pool.run(fake("crash", how="segfault"))
    assert (await pool.run(fake("echo", still="there"))) == {"still": "there"}


async def test_a_host_that_dies_while_idle_is_replaced(pool: HostPool, events: list[PoolEvent]) -> None:
    pid = (await pool.run(fake("look")))["pid"]
    os.kill(pid, signal.SIGKILL)
    await until(lambda: events)
    assert (await pool.run(fake("look")))["pid"] != pid


async def test_a_call_past_its_deadline_is_killed_and_tried_once_more(pool: HostPool, tmp_path: Path) -> None:
    answer = await pool.run(fake("hang", timeout_s=4.0, once=str(tmp_path / "hung")))
    assert answer["pid"] == pool.status()[0]["pid"]


async def test_a_call_late_twice_is_timed_out(pool: HostPool) -> None:
    with pytest.raises(TimedOut, match=r"0\.5 s, tried twice"):
        await pool.run(fake("hang", timeout_s=0.5))
    await until(lambda: not pool.status())


async def test_a_host_that_falls_silent_is_killed_before_the_deadline() -> None:
    async with HostPool(ComputeSettings(cpu_hosts=1, device="cpu", silence_s=2.1), FAKES) as pool:
        with pytest.raises(HostCrashed, match="silence"):
            await pool.run(fake("hold_gil"))


async def test_a_host_that_babbles_is_killed(pool: HostPool) -> None:
    with pytest.raises(HostCrashed, match="malformed"):
        await pool.run(fake("babble"))


async def test_cancel_ends_the_work_in_the_host_and_keeps_the_host(pool: HostPool, tmp_path: Path) -> None:
    started = tmp_path / "started"
    call = asyncio.create_task(pool.run(fake("wait_for", path=str(tmp_path / "never"), started=str(started))))
    await until(started.exists)
    pid = pool.status()[0]["pid"]
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert (await pool.run(fake("look")))["pid"] == pid


async def test_a_host_deaf_to_cancel_is_killed(pool: HostPool, events: list[PoolEvent], tmp_path: Path) -> None:
    started = tmp_path / "started"
    call = asyncio.create_task(pool.run(fake("hang", once=str(started))))
    await until(started.exists)
    pid = pool.status()[0]["pid"]
    assert pid
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert not alive(pid)
    assert events == []  # wanted by the daemon: no crash


async def test_cancelling_a_call_that_waits_leaves_the_queue_in_order(pool: HostPool, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    running = asyncio.create_task(pool.run(fake("wait_for", path=str(gate))))
    leaving = asyncio.create_task(pool.run(fake("echo", n=1)))
    staying = asyncio.create_task(pool.run(fake("echo", n=2)))
    await until(lambda: pool.queued()["cpu"] == 2)
    leaving.cancel()
    gate.touch()
    assert await staying == {"n": 2}
    await running
    assert pool.queued()["cpu"] == 0


async def test_interactive_calls_overtake_queued_background_ones(pool: HostPool, tmp_path: Path) -> None:
    gate, order = tmp_path / "gate", list[str]()

    async def run(name: str, call: Call) -> None:
        await pool.run(call)
        order.append(name)

    async with asyncio.TaskGroup() as group:
        group.create_task(run("running", fake("wait_for", path=str(gate))))
        await until(lambda: pool.status() and pool.status()[0]["state"] == "busy")
        group.create_task(run("background 1", fake("echo")))
        group.create_task(run("background 2", fake("echo")))
        await until(lambda: pool.queued()["cpu"] == 2)
        group.create_task(run("interactive", fake("echo", interactive=True)))
        await until(lambda: pool.queued()["cpu"] == 3)
        gate.touch()
    assert order == ["running", "interactive", "background 1", "background 2"]


async def test_background_calls_beyond_the_limit_wait_outside_the_queue(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    async with HostPool(ComputeSettings(cpu_hosts=1, queue_limit=2), FAKES) as pool:
        calls = [asyncio.create_task(pool.run(fake("wait_for", path=str(gate)))) for _ in range(6)]
        await until(lambda: pool.status() and pool.status()[0]["state"] == "busy")
        assert pool.queued()["cpu"] == 1
        gate.touch()
        await asyncio.gather(*calls)


async def test_cpu_hosts_work_side_by_side(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    async with HostPool(ComputeSettings(cpu_hosts=2), FAKES) as pool:
        calls = [asyncio.create_task(pool.run(fake("wait_for", path=str(gate)))) for _ in range(2)]
        await until(lambda: [host["state"] for host in pool.status()] == ["busy", "busy"])
        gate.touch()
        pids = {(await call)["pid"] for call in calls}
    assert len(pids) == 2


async def test_progress_comes_through_at_most_five_times_a_second(pool: HostPool) -> None:
    heard: list[tuple[float, str | None]] = []
    began = time.monotonic()
    await pool.run(fake("steps", count=2000), progress=lambda fraction, note: heard.append((fraction, note)))
    assert heard[0] == (0.0, "step 0")
    assert heard[-1] == (1.0, None)
    assert len(heard) <= 2 + 5 * (time.monotonic() - began)


async def test_a_progress_callback_that_fails_does_not_harm_the_call(pool: HostPool) -> None:
    def broken(fraction: float, note: str | None) -> None:
        raise RuntimeError("full")

    assert await pool.run(fake("steps", count=2), progress=broken)


async def test_errors_of_the_tree_arrive_as_themselves(pool: HostPool) -> None:
    with pytest.raises(BadPhoto) as caught:
        await pool.run(fake("fail", kind="local"))
    assert (type(caught.value), caught.value.message, caught.value.field) == (BadPhoto, "This is no picture.", "path")


async def test_any_other_error_tells_its_type_and_nothing_from_inside(pool: HostPool) -> None:
    with pytest.raises(FramedError) as caught:
        await pool.run(fake("fail", kind="odd"))
    assert caught.value.code == "internal"
    assert "KeyError" in caught.value.message
    assert "secret" not in caught.value.message


@pytest.mark.parametrize("what", ["list", "object"])
async def test_an_answer_the_wire_cannot_carry_fails_the_call_alone(pool: HostPool, what: str) -> None:
    with pytest.raises(FramedError, match="failed unexpectedly"):
        await pool.run(fake("answer_with", what=what))
    assert pool.status()[0]["restarts"] == 0


async def test_nan_is_a_value(pool: HostPool) -> None:
    assert np.isnan((await pool.run(fake("answer_with", what="nan")))["x"]).all()


async def test_a_cpu_host_that_wants_too_much_memory_says_so_and_lives(pool: HostPool) -> None:
    pid = (await pool.run(fake("look")))["pid"]
    with pytest.raises(OutOfMemory):
        await pool.run(fake("hog"))
    assert (await pool.run(fake("look")))["pid"] == pid


async def test_a_full_device_is_emptied_of_other_models_and_the_call_tried_again(pool: HostPool) -> None:
    inputs = {"do": "look"}
    await pool.run(Call("fake", "model", inputs, {"name": "a"}))
    await pool.run(Call("fake", "model", {"do": "device_full", "unless_alone": True}, {"name": "b"}))
    assert (await pool.run(Call("fake", "model", inputs, {"name": "b"})))["loaded"] == ["b"]
    with pytest.raises(OutOfMemory):
        await pool.run(Call("fake", "model", {"do": "device_full", "unless_alone": False}, {"name": "b"}))


async def test_a_batch_that_does_not_fit_is_halved_until_it_does() -> None:
    async with HostPool(ComputeSettings(device="cpu"), FAKES) as pool:
        paths, names = [f"p{n}" for n in range(7)], [f"n{n}" for n in range(7)]
        inputs = {"do": "fits", "paths": paths, "names": names, "most": 2}
        answer = await pool.run(Call("fake", "model", inputs))
        assert answer["said"] == [f"n{n} in p{n}" for n in range(7)]
        assert answer["rows"].shape == (7, 2)
        assert answer["rows"].max() == 2
        assert pool.memory_short["fake"] > 0
        assert pool.status()[0]["restarts"] == 0


async def test_one_photo_that_does_not_fit_gets_a_new_host_and_is_then_given_up() -> None:
    async with HostPool(ComputeSettings(device="cpu"), FAKES) as pool:
        before = (await pool.run(fake("look", host="model")))["pid"]
        with pytest.raises(OutOfMemory):
            await pool.run(Call("fake", "model", {"do": "fits", "paths": ["p"], "most": 0}))
        assert (await pool.run(fake("look", host="model")))["pid"] != before


async def test_what_no_device_memory_holds_runs_on_the_cpu_and_this_is_said(
    events: list[PoolEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("framed.models.pool.has_driver", lambda: True)
    async with HostPool(ComputeSettings(device="cuda:0"), FAKES, on_event=events.append) as pool:
        answer = await pool.run(Call("fake", "model", {"do": "fits_on_cpu", "paths": ["p"]}))
        assert answer["device"] == "cpu"
        assert "more memory than the device has" in (pool.on_cpu or "")
    assert [event.device for event in events if isinstance(event, DeviceChanged)] == ["cpu"]


async def test_a_lost_device_ends_the_host(pool: HostPool) -> None:
    with pytest.raises(HostCrashed, match="exit code 70"):
        await pool.run(fake("device_lost", host="model"))


async def test_models_fall_back_to_the_cpu_after_three_crashes_on_the_device(events: list[PoolEvent]) -> None:
    settings = ComputeSettings(device="cuda:0")
    async with HostPool(settings, FAKES, on_event=events.append) as pool:
        for _ in range(2):
            with pytest.raises(HostCrashed):
                await pool.run(fake("crash", host="model", how="exit"))
        answer = await pool.run(fake("look", host="model"))
    assert answer["device"] == "cpu"
    assert [event.device for event in events if isinstance(event, DeviceChanged)] == ["cpu"]


async def test_models_over_the_budget_leave_by_least_recent_use() -> None:
    async with HostPool(ComputeSettings(device="cpu", model_budget_mb=200), FAKES) as pool:
        for name in ("a", "b", "a", "c"):
            answer = await pool.run(Call("fake", "model", {"do": "look"}, {"name": name}))
    assert answer["loaded"] == ["a", "c"]


async def test_a_kept_model_is_the_last_to_leave() -> None:
    settings = ComputeSettings(device="cpu", model_budget_mb=200, keep_loaded=["kept"])
    async with HostPool(settings, FAKES) as pool:
        await pool.run(Call("kept", "model", {"do": "look"}, {"name": "kept"}))
        for name in ("a", "b", "c"):
            answer = await pool.run(Call("fake", "model", {"do": "look"}, {"name": name}))
    assert answer["loaded"] == ["kept", "c"]


async def test_each_task_may_keep_its_model_for_its_own_time() -> None:
    settings = ComputeSettings(device="cpu", idle_unload_s=2, keep_loaded=["kept"], unload_after={"fake": 0.5})
    async with HostPool(settings, FAKES) as pool:
        await pool.run(Call("fake", "model", {"do": "look"}, {"name": "soon"}))
        async with asyncio.timeout(20):
            loaded: list[str] = []
            while loaded != ["kept"]:
                loaded = (await pool.run(Call("kept", "model", {"do": "look"}, {"name": "kept"})))["loaded"]


async def test_a_model_nobody_asks_for_is_unloaded_though_its_host_works_on() -> None:
    async with HostPool(ComputeSettings(device="cpu", idle_unload_s=2), FAKES) as pool:
        await pool.run(Call("fake", "model", {"do": "look"}, {"name": "rests"}))
        async with asyncio.timeout(20):
            loaded: list[str] = []
            while loaded != ["works"]:
                loaded = (await pool.run(Call("fake", "model", {"do": "look"}, {"name": "works"})))["loaded"]


async def test_idle_hosts_of_every_kind_end_and_start_again_when_wanted(events: list[PoolEvent]) -> None:
    kinds = ("cpu", "light", "model")
    settings = ComputeSettings(cpu_hosts=1, cpu_idle_s=0.2, light_idle_s=0.2, idle_unload_s=0.2, device="cpu")

    async def pids(pool: HostPool) -> list[int]:
        found = await asyncio.gather(*(pool.run(fake("look", host=host)) for host in kinds))
        return [answer["pid"] for answer in found]

    async with HostPool(settings, FAKES, on_event=events.append) as pool:
        first = await pids(pool)
        await until(lambda: len(pool.status()) < 3 or any(host["state"] == "stopping" for host in pool.status()))
        second = await pids(pool)  # of one that is just ending the place is taken when it has
        assert set(second) != set(first)
        await until(lambda: not pool.status())
    assert not any(map(alive, first + second))
    assert events == []  # nobody is told of a crash


async def test_a_cpu_host_is_renewed_after_its_number_of_calls() -> None:
    async with HostPool(ComputeSettings(cpu_hosts=1, cpu_recycle_calls=2), FAKES) as pool:
        pids = [(await pool.run(fake("look")))["pid"] for _ in range(4)]
    assert pids[0] == pids[1] != pids[2] == pids[3]


async def test_an_unknown_backend_and_one_that_cannot_be_imported_fail_with_a_reason(pool: HostPool) -> None:
    with pytest.raises(Unavailable, match="no backend 'x' for fake; there are: cpu, model, light, gone"):
        await pool.run(Call("fake", "x", {}))
    with pytest.raises(FramedError, match="ModuleNotFoundError"):
        await pool.run(Call("fake", "gone", {}))


async def test_close_leaves_no_child_even_under_a_deaf_call() -> None:
    pool = HostPool(ComputeSettings(cpu_hosts=2), FAKES)
    await pool.start()
    calls = [asyncio.create_task(pool.run(fake("hang"))) for _ in range(5)]
    await until(lambda: [host["state"] for host in pool.status()] == ["busy", "busy"])
    pids = [host["pid"] for host in pool.status() if host["pid"]]
    began = time.monotonic()
    await pool.close()
    assert time.monotonic() - began < 30  # a deaf call sleeps for ten minutes
    assert len(pids) == 2
    assert not any(map(alive, pids))
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [Unavailable] * 5
    with pytest.raises(Unavailable):
        await pool.run(fake("echo"))


async def test_close_during_a_start_leaves_no_child() -> None:
    pool = HostPool(ComputeSettings(cpu_hosts=1), FAKES)
    await pool.start()
    call = asyncio.create_task(pool.run(fake("echo")))
    await until(pool.status)
    await pool.close()
    with pytest.raises(Unavailable):
        await call
    assert pool.status() == []


async def test_hosts_that_only_crash_are_left_alone_for_a_while() -> None:
    async with HostPool(ComputeSettings(cpu_hosts=1), FAKES) as pool:
        for _ in range(3):
            with pytest.raises(HostCrashed):
                await pool.run(fake("crash", how="exit"))
        with pytest.raises(Unavailable, match="keep crashing"):
            await pool.run(fake("echo"))


def test_the_crash_guard_pauses_longer_each_time_and_forgets_with_an_answer() -> None:
    now = [0.0]
    guard = CrashGuard(lambda: now[0])
    for _ in range(5):
        guard.crashed()
    assert guard.pause_s == 0
    guard.crashed()
    assert guard.pause_s == 5
    now[0] = 6.0
    assert guard.pause_s == 0
    guard.crashed()
    assert guard.pause_s == 10
    guard.answered()
    assert guard.pause_s == 0
    guard.crashed()
    assert guard.pause_s == 0


def test_crashes_spread_over_minutes_are_no_loop() -> None:
    now = [0.0]
    guard = CrashGuard(lambda: now[0])
    for _ in range(30):
        guard.crashed()
        now[0] += 13.0
    assert guard.pause_s == 0


_PARENT = """
import asyncio, sys
from tests.models.fake_backends import FAKES
from framed.models.base import Call
from framed.models.pool import ComputeSettings, HostPool

async def main():
    async with HostPool(ComputeSettings(cpu_hosts=1, device="cpu"), FAKES) as pool:
        pids = [(await pool.run(Call("fake", host, {"do": "look"})))["pid"] for host in ("cpu", "model", "light")]
        heavy = {"torch", "PIL", "scipy", "tokenizers", "transformers"} & set(sys.modules)
        print(*pids, ",".join(heavy) or "clean", flush=True)
        await pool.run(Call("fake", "cpu", {"do": "hang"}))

asyncio.run(main())
"""


def _daemon() -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", _PARENT],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        text=True,
    )


async def test_hosts_die_with_a_daemon_killed_by_force_and_it_imports_nothing_heavy() -> None:
    daemon = _daemon()
    try:
        assert daemon.stdout
        words: list[str] = []
        while len(words) != 4 or not words[0].isdigit():  # the log goes to stdout too
            words = (await asyncio.to_thread(daemon.stdout.readline)).split()
        *pids, heavy = words
        assert heavy == "clean"
        assert all(alive(int(pid)) for pid in pids)
    finally:
        daemon.kill()
        daemon.wait()
        if daemon.stdout:
            daemon.stdout.close()
    await until(lambda: not any(alive(int(pid)) for pid in pids))
