"""Delivers each event to the listeners of its class, in order per listener, never holding up the one who emits."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import structlog

from framed.background import end_tasks

log = structlog.get_logger(__name__)
E = TypeVar("E")

_LONG_QUEUE = 10_000


@dataclass
class _Listener:
    name: str
    hear: Callable[[Any], Awaitable[None]]
    queue: "asyncio.Queue[object]" = field(default_factory=asyncio.Queue)
    task: "asyncio.Task[None] | None" = None


class Bus:
    """`on` before `start`; `emit` at any time on the event loop (it only queues); `close` after the last emit.

    A listener that raises is logged with its event and goes on with the next.
    """

    def __init__(self) -> None:
        self._listeners: dict[type, list[_Listener]] = {}
        self._running = False

    def on(self, event: type[E], hear: Callable[[E], Awaitable[None]]) -> None:
        name = getattr(hear, "__qualname__", repr(hear))
        listener = _Listener(name, hear)
        self._listeners.setdefault(event, []).append(listener)
        if self._running:
            self._start(listener)

    def emit(self, event: object) -> None:
        for listener in self._listeners.get(type(event), ()):
            listener.queue.put_nowait(event)
            if listener.queue.qsize() == _LONG_QUEUE:
                log.warning("a listener lags", listener=listener.name, event=type(event).__name__, waiting=_LONG_QUEUE)

    def waiting(self, event: type) -> int:
        """How many events of this class are not heard yet, by the slowest listener."""
        return max((listener.queue.qsize() for listener in self._listeners.get(event, ())), default=0)

    def start(self) -> None:
        self._running = True
        for listener in self._all():
            self._start(listener)

    async def settle(self) -> None:
        """Returns once everything emitted so far has been heard."""
        for listener in self._all():
            await listener.queue.join()

    async def close(self) -> None:
        self._running = False
        await end_tasks(*[listener.task for listener in self._all()])

    def _all(self) -> list[_Listener]:
        return [listener for listeners in self._listeners.values() for listener in listeners]

    def _start(self, listener: _Listener) -> None:
        listener.task = asyncio.create_task(self._deliver(listener), name=f"bus:{listener.name}")

    @staticmethod
    async def _deliver(listener: _Listener) -> None:
        while True:
            event = await listener.queue.get()
            try:
                await listener.hear(event)
            except Exception:
                log.exception("a listener failed", listener=listener.name, event=type(event).__name__)
            finally:
                listener.queue.task_done()
