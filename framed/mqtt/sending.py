"""What goes out: keeps the outbox's messages on their way, and learns what the broker does not take."""

import asyncio
import math
from collections.abc import Callable

import structlog

from framed.errors import FramedError, Refused, TooLarge
from framed.mqtt.connection import PIPELINE, Connection, publish_properties
from framed.mqtt.outbox import LearnedLimit, Outbox, Outgoing
from framed.mqtt.settings import MqttSettings
from framed.mqtt.trouble import PACKET_TOO_LARGE

log = structlog.get_logger(__name__)


class Sending:
    """`run` once per connection; what was learned of the broker stays.

    `on_refused` gets topic, payload and error of a message that the broker does not take, `on_trouble` a sentence
    about a topic that it forbids.
    """

    def __init__(
        self,
        outbox: Outbox,
        settings: MqttSettings,
        *,
        on_refused: Callable[[str, bytes, FramedError], None] | None,
        on_trouble: Callable[[str], None],
    ) -> None:
        self.count = 0
        self.lost = 0
        self._outbox = outbox
        self._settings = settings
        self._on_refused = on_refused
        self._on_trouble = on_trouble
        self._limit = LearnedLimit()
        self._said: set[str] = set()

    def reconfigure(self, settings: MqttSettings) -> None:
        """For another broker, perhaps: what was learned of the last one is forgotten."""
        self._settings = settings
        self._limit = LearnedLimit()

    def connected(self) -> None:
        """A new connection: what was forbidden on the last one is said again."""
        self._said.clear()

    async def run(self, connection: Connection, *, five: bool) -> None:
        """Keep up to `PIPELINE` messages on their way; paho is called in order, so they leave in order."""
        room = asyncio.Semaphore(PIPELINE)
        async with asyncio.TaskGroup() as group:
            while True:
                await room.acquire()
                message = await self._outbox.take()
                group.create_task(self._send(connection, message, room, five=five))

    async def _send(self, connection: Connection, message: Outgoing, room: asyncio.Semaphore, *, five: bool) -> None:
        size, most = len(message.payload) + len(message.topic) + 64, connection.max_packet_bytes
        if most is not None and size > most:
            self._too_large(message, f"The broker takes packets of at most {most:,} bytes; not {size:,}.")
        elif len(message.payload) >= self._limit.bytes:
            self._too_large(message, f"The broker refused {self._limit.bytes:,} bytes before.")
        else:
            await self._deliver(connection, message, five=five)
        room.release()

    async def _deliver(self, connection: Connection, message: Outgoing, *, five: bool) -> None:
        remaining = self._outbox.remaining_s(message)
        properties = publish_properties(
            expiry_s=None if remaining is None else max(1, math.ceil(remaining)),
            content_type=message.content_type,
            correlation=message.correlation,
            user_properties=message.user_properties,
        )
        refusal = await connection.send(
            message.topic,
            message.payload,
            qos=message.qos,
            retain=message.retain,
            properties=properties if five and not self._settings.plain else None,
            timeout_s=max(10.0, self._settings.keepalive),
        )
        self.count += 1
        if refusal is None:
            self._outbox.acked(message)
        elif refusal.value == PACKET_TOO_LARGE:
            self._too_large(message, f"The broker does not take {len(message.payload):,} bytes.")
        else:
            self._not_allowed(message, str(refusal))

    def _too_large(self, message: Outgoing, why: str) -> None:
        error = TooLarge(why)
        self._outbox.refuse(message, error)
        self.learn_limit(message, error, sure=True)

    def learn_limit(self, message: Outgoing, error: TooLarge, *, sure: bool) -> None:
        """State is made anew on each connection: what the broker choked on must not be sent again to break the next."""
        size = len(message.payload)
        log.error("message too large for the broker", topic=message.topic, bytes=size, why=error.message)
        self._limit.learn(size, sure=sure)
        if self._on_refused is not None:
            self._on_refused(message.topic, message.payload, error)

    def _not_allowed(self, message: Outgoing, reason: str) -> None:
        """MQTT 5 alone says so. Retained state is tried again on the next connection: rights can be put right."""
        self.lost += 1
        why = f"The broker refuses the topic {message.topic}: {reason}. Check its ACL."
        self._outbox.acked(message, Refused(why))
        self._on_trouble(why)
        if reason not in self._said:
            self._said.add(reason)
            log.error("publish refused by the broker", topic=message.topic, reason=reason)
