"""How a loop that looks for work waits for it."""

import asyncio

import pytest

from framed.wake import woken


async def test_what_was_set_while_the_loop_worked_wakes_it_once() -> None:
    event = asyncio.Event()
    event.set()

    assert await woken(event, 5)
    assert not await woken(event, 0.01)


async def test_it_is_set_while_somebody_waits() -> None:
    event = asyncio.Event()
    asyncio.get_running_loop().call_soon(event.set)

    assert await woken(event, 5)


async def test_a_loop_that_is_ended_in_the_moment_of_its_wake_ends() -> None:
    event = asyncio.Event()

    async def loop() -> None:
        while True:
            await woken(event, 60)

    task = asyncio.create_task(loop())
    await asyncio.sleep(0)
    event.set()
    await asyncio.sleep(0)  # the wake is on its way
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(40):
            await task
