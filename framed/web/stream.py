"""Server-sent events: heartbeats, bounded connections, a clean end."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog
from aiohttp import web

from framed.background import end_tasks
from framed.web.api import dumps
from framed.web.ports import ServerEvent

log = structlog.get_logger(__name__)

WRITE_S = 20.0  # a client that has not read for so long is gone
RETRY_MS = 3000


class Place:
    """One open stream. `ended` is set when it has to stop, `crowded` says that newer ones took its place."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self.crowded = False


class Connections:
    """The open streams under one name, oldest first. One too many ends the oldest, which may be a dead Wi-Fi
    connection that TCP has not given up: refusing the new one would lock the living page out."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open: OrderedDict[Place, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    @asynccontextmanager
    async def one_more(self) -> AsyncGenerator[Place]:
        place = Place()
        self._open[place] = None
        if len(self._open) > self._limit:
            oldest, _ = self._open.popitem(last=False)
            oldest.crowded = True
            oldest.ended.set()
        try:
            yield place
        finally:
            self._open.pop(place, None)

    def end_all(self) -> None:
        for place in self._open:
            place.ended.set()


async def serve_events(
    request: web.Request,
    source: AsyncIterator[ServerEvent],
    *,
    first: AsyncIterator[ServerEvent],
    place: Place,
    heartbeat_s: float,
    allowed: Callable[[], bool] = lambda: True,
) -> web.StreamResponse:
    """Send `first`, then `source` with a heartbeat in between, until the client goes or its place ends.

    `allowed` is asked before each event: what is said after a link was revoked holds the new one.
    `source` is asked for its first event before `first` is made, so that nothing between the two is lost.
    """
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )
    following = asyncio.ensure_future(anext(source))
    ending = asyncio.create_task(place.ended.wait(), name="stream end")
    try:
        await asyncio.sleep(0)
        snapshot = [event async for event in first]  # fails as a plain error, before the stream has begun
        await response.prepare(request)
        await _write(response, f"retry: {RETRY_MS}\n\n")
        for event in snapshot:
            await _write(response, as_text(event))
        while not place.ended.is_set():
            done, _ = await asyncio.wait({following, ending}, timeout=heartbeat_s, return_when=asyncio.FIRST_COMPLETED)
            if not allowed():
                break
            if following in done:
                event = following.result()
                following = asyncio.ensure_future(anext(source))
                await _write(response, as_text(event))
            elif not done:
                # the comment keeps proxies awake, the event lets a page see that the line still lives
                await _write(response, ": heartbeat\nevent: tick\ndata: {}\n\n")
        await _write(response, as_text(ServerEvent(event="bye", data={"crowded": place.crowded})))
    except (ConnectionError, TimeoutError, StopAsyncIteration) as end:
        log.debug("stream ended", path=request.path, reason=type(end).__name__)
    except Exception:
        if not response.prepared:
            raise
        log.exception("stream failed", path=request.path)  # too late for an error answer: the page connects again
    finally:
        await end_tasks(ending, following)
        close = getattr(source, "aclose", None)
        if close is not None:
            await close()
    return response


def as_text(event: ServerEvent) -> str:
    return f"event: {event.event}\ndata: {dumps(dict(event.data))}\n\n"


async def _write(response: web.StreamResponse, text: str) -> None:
    async with asyncio.timeout(WRITE_S):
        await response.write(text.encode())
