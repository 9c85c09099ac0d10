"""Retained messages that run out: MQTT 5 brokers end those themselves, elsewhere framed clears them."""

import asyncio
from collections.abc import Callable

from framed.mqtt.outbox import Outbox, Outgoing


class Expiry:
    """`broker_expires` says whether the broker does it; also while there is no connection, when nobody else can."""

    def __init__(self, outbox: Outbox, *, broker_expires: Callable[[], bool]) -> None:
        self._outbox = outbox
        self._broker_expires = broker_expires
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def watch(self, message: Outgoing) -> None:
        self.stop(message.topic)
        remaining = self._outbox.remaining_s(message)
        if remaining is not None:
            loop = asyncio.get_running_loop()
            self._timers[message.topic] = loop.call_later(max(0.0, remaining), self._expire, message)

    def stop(self, topic: str) -> None:
        if timer := self._timers.pop(topic, None):
            timer.cancel()

    def clear(self, topic: str, acknowledged: asyncio.Future[None] | None = None) -> None:
        """Remove a retained message from the broker."""
        self.stop(topic)
        waiters = [acknowledged] if acknowledged is not None else []
        self._outbox.put(Outgoing(topic, b"", retain=True, waiters=waiters))

    def leave(self) -> None:
        """Clear at once what nobody would end while framed is away."""
        if not self._broker_expires():
            for topic, message in list(self._outbox.desired.items()):
                if message.expires_at is not None:
                    self.clear(topic)

    def close(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _expire(self, message: Outgoing) -> None:
        self._timers.pop(message.topic, None)
        if self._outbox.desired.get(message.topic) is not message:
            return
        if self._broker_expires():
            self._outbox.forget(message)
        else:
            self.clear(message.topic)
