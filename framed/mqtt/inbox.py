"""What came in and is not handled yet: commands in order and bounded, of state only the newest."""

import asyncio
from collections import deque

from framed.mqtt.connection import Incoming


class Inbox:
    """State goes first, so that a flood of requests neither delays nor pushes out a frame's hello.

    Commands are bounded in number and bytes, state in topics: whoever may publish could make those up.
    """

    def __init__(self, *, commands: int = 1_000, command_bytes: int = 16_000_000, topics: int = 4_000) -> None:
        self._most_commands = commands
        self._most_bytes = command_bytes
        self._most_topics = topics
        self._commands: deque[Incoming] = deque()
        self._bytes = 0
        self._states: dict[str, Incoming] = {}
        self._filled = asyncio.Event()

    def __len__(self) -> int:
        return len(self._commands) + len(self._states)

    def put(self, incoming: Incoming, *, command: bool) -> bool:
        """Whether there was room for it."""
        if command:
            size = len(incoming.payload)
            if len(self._commands) >= self._most_commands or self._bytes + size > self._most_bytes:
                return False
            self._commands.append(incoming)
            self._bytes += size
        else:
            if incoming.topic not in self._states and len(self._states) >= self._most_topics:
                return False
            self._states.pop(incoming.topic, None)  # the newest goes to the end: order between topics stays
            self._states[incoming.topic] = incoming
        self._filled.set()
        return True

    async def take(self) -> Incoming:
        while not len(self):
            self._filled.clear()
            await self._filled.wait()
        if self._states:
            return self._states.pop(next(iter(self._states)))
        incoming = self._commands.popleft()
        self._bytes -= len(incoming.payload)
        return incoming
