"""Which frames have a page open: a reload is no absence, and a page that polls is there as long as it asks."""

import asyncio
from collections import Counter

import structlog

from framed.background import end_tasks
from framed.errors import FramedError
from framed.web.ports import FrameGate

log = structlog.get_logger(__name__)

POLLING_S = 200.0  # three polls of a page that cannot stream


class Presence:
    def __init__(self, gate: FrameGate, *, grace_s: float) -> None:
        self._gate = gate
        self._grace_s = grace_s
        self._pages: Counter[str] = Counter()
        self._online: set[str] = set()
        self._leaving: dict[str, asyncio.Task[None]] = {}

    async def arrived(self, frame: str) -> None:
        self._pages[frame] += 1
        await self._here(frame)

    def left(self, frame: str) -> None:
        self._pages[frame] -= 1
        if self._pages[frame] <= 0:
            del self._pages[frame]
            self._leave_in(frame, self._grace_s)

    async def polled(self, frame: str) -> None:
        await self._here(frame)
        if not self._pages[frame]:
            self._leave_in(frame, POLLING_S)

    async def close(self) -> None:
        """Forget who was here without saying so: a server that stops is no frame's absence."""
        leaving = list(self._leaving.values())
        await end_tasks(*leaving)

    async def _here(self, frame: str) -> None:
        task = self._leaving.pop(frame, None)
        if task is not None:
            task.cancel()
        if frame not in self._online:
            self._online.add(frame)
            await self._gate.presence(frame, True)

    def _leave_in(self, frame: str, seconds: float) -> None:
        previous = self._leaving.pop(frame, None)
        if previous is not None:
            previous.cancel()
        self._leaving[frame] = asyncio.create_task(self._leave(frame, seconds), name=f"frame {frame} leaves")

    async def _leave(self, frame: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self._leaving.pop(frame, None)
        self._online.discard(frame)
        try:
            await self._gate.presence(frame, False)
        except FramedError as error:  # the frame was removed in the meantime
            log.info("frame left", frame=frame, reason=error.message)
