"""What comes in: which messages are taken, and handing them over one after the other."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import structlog

from framed.mqtt.connection import Incoming, matches
from framed.mqtt.inbox import Inbox
from framed.mqtt.topics import Subscription

log = structlog.get_logger(__name__)

_TOPICS_SAID = 100
"""Whoever publishes to them makes them up, so that no more of them are named in the log."""
_OVERFLOW = "overflow"


class Reception:
    """`take` what a connection brings, while `hand_over` runs. `most_bytes` may change at any time.

    A command over it is cut off just behind that; anything else over it is dropped. `stands` gives the retained state
    that is framed's own: MQTT 3.1.1 has no No Local, so that comes back, and says nothing.
    """

    def __init__(
        self,
        *,
        subscriptions: tuple[Subscription, ...],
        most_bytes: int,
        inbox: Inbox,
        stands: Callable[[str], bytes | None],
        on_message: Callable[[Incoming], Awaitable[None]],
        on_overflow: Callable[[Incoming], Awaitable[None]] | None,
    ) -> None:
        self.most_bytes = most_bytes
        self.count = 0
        self.lost = 0
        self._subscriptions = subscriptions
        self._inbox = inbox
        self._stands = stands
        self._on_message = on_message
        self._on_overflow = on_overflow
        self._said: set[str] = set()

    def connected(self) -> None:
        """A new connection: what was wrong on the last one is said again."""
        self._said.clear()

    async def take(self, incoming: Incoming) -> None:
        command = self._is_command(incoming.topic)
        if self._welcome(incoming, command=command):
            await self._accept(incoming, command=command)

    async def hand_over(self) -> None:
        """For ever."""
        while True:
            incoming = await self._inbox.take()
            try:
                await self._on_message(incoming)
            except Exception:
                log.exception("handling a message failed", topic=incoming.topic)
            if not len(self._inbox):
                self._said.discard(_OVERFLOW)

    def _is_command(self, topic: str) -> bool:
        return any(subscription.command and matches(topic, subscription.filter) for subscription in self._subscriptions)

    def _welcome(self, incoming: Incoming, *, command: bool) -> bool:
        if len(incoming.payload) > self.most_bytes and not command:
            self.lost += 1
            self._say_once("message too large to read", incoming)
            return False
        if incoming.retain and command:
            if incoming.payload:
                self._say_once("retained command refused, publish it without retain", incoming)
            return False
        return self._stands(incoming.topic) != incoming.payload

    async def _accept(self, incoming: Incoming, *, command: bool) -> None:
        if len(incoming.payload) > self.most_bytes:
            # enough of it to be refused for its size, and no more of it is kept
            incoming = replace(incoming, payload=incoming.payload[: self.most_bytes + 1])
        if self._inbox.put(incoming, command=command):
            return
        self.lost += 1
        if _OVERFLOW not in self._said:
            self._said.add(_OVERFLOW)
            log.warning("more messages than can be handled, dropping", topic=incoming.topic, dropped=self.lost)
        if self._on_overflow is not None and command:
            try:
                await self._on_overflow(incoming)
            except Exception:
                log.exception("answering busy failed", topic=incoming.topic)

    def _say_once(self, what: str, incoming: Incoming) -> None:
        """A warning once per topic and connection."""
        if incoming.topic not in self._said and len(self._said) < _TOPICS_SAID:
            self._said.add(incoming.topic)
            log.warning(what, topic=incoming.topic, bytes=len(incoming.payload))
