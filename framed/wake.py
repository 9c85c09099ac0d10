"""How a loop that looks for work waits for it."""

import asyncio


async def woken(event: asyncio.Event, seconds: float) -> bool:
    """Waits until `event` is set, at most so many seconds, and clears it; whether it was set.

    An event that was set while the loop was at work counts: it looks once more than it must, never once too few.
    `asyncio.wait_for` is no substitute: until Python 3.12 it loses a cancellation that comes with the event
    (https://github.com/python/cpython/issues/86296), and the loop would never end.
    """
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    event.clear()
    return True
