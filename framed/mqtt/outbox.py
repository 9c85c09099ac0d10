"""What is to be published: the retained state that should stand on the broker, and the messages on their way."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum

import structlog

from framed.errors import Expired, FramedError, TooLarge, Unavailable

log = structlog.get_logger(__name__)

# A message above this is suspected first when connections keep breaking under it: brokers cut at 20 KB (rumqttd's
# default) to 2 MB (Mosquitto 2.1), and MQTT 3.1.1 does not say why it hangs up.
SUSPECT_BYTES = 16_384
SUSPECT_LOSSES = 3


@dataclass(slots=True, eq=False)
class Outgoing:
    """One message to publish; `expires_at` is monotonic time.

    `losses`: connections that broke under it. `stands_since`: number of the connection that acknowledged it.
    """

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False
    expires_at: float | None = None
    content_type: str | None = None
    user_properties: tuple[tuple[str, str], ...] = ()
    correlation: bytes | None = None
    losses: int = 0
    stands_since: int = 0
    queued: bool = False
    waiters: list[asyncio.Future[None]] = field(default_factory=list)

    def settle(self, error: FramedError | None = None) -> None:
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_exception(error) if error else waiter.set_result(None)
        self.waiters.clear()


class Gate(Enum):
    """CLOSED: no connection. GREETING: retained messages go out. OPEN: everything goes out."""

    CLOSED = "closed"
    GREETING = "greeting"
    OPEN = "open"


class LearnedLimit:
    """The payload that was too large for the broker lately; after a while it may have another limit.

    `sure`: the broker said so; else it hung up on the message again and again, which may have other reasons.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._bytes = math.inf
        self._until = 0.0

    @property
    def bytes(self) -> float:
        return self._bytes if self._clock() < self._until else math.inf

    def learn(self, size: int, *, sure: bool) -> None:
        if size < self.bytes:
            self._bytes, self._until = size, self._clock() + (3_600.0 if sure else 600.0)


class Outbox:
    """Keeps order, keeps the newest retained payload per topic, and forgets the oldest event when there are too many.

    Retained messages live in `desired` until cleared and are replayed on each connection; an empty payload there is a
    topic still to be cleared. Events wait while the gate is not open.
    """

    def __init__(
        self,
        *,
        open_limit: int = 2_000,
        waiting_limit: int = 200,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.desired: dict[str, Outgoing] = {}
        self.dropped = 0
        self.gate = Gate.CLOSED
        self._open_limit = open_limit
        self._waiting_limit = waiting_limit
        self._clock = clock
        self._queue: deque[Outgoing] = deque()
        self._waiting: deque[Outgoing] = deque()
        self._in_flight: dict[Outgoing, None] = {}
        self._connection = 0
        self._said: set[str] = set()
        self._filled = asyncio.Event()
        self._roomy = asyncio.Event()
        self._roomy.set()

    def __len__(self) -> int:
        return len(self._queue) + len(self._waiting) + len(self._in_flight)

    async def room(self, within_s: float) -> None:
        """Hold back a caller that publishes faster than the broker takes, at most for `within_s`."""
        if not self._roomy.is_set():
            try:
                async with asyncio.timeout(within_s):
                    await self._roomy.wait()
            except TimeoutError:
                return  # the limit of the queue decides what is dropped, and logs it

    @property
    def crowded(self) -> bool:
        return not self._roomy.is_set() or (
            self.gate is not Gate.OPEN and len(self._waiting) > self._waiting_limit // 2
        )

    def suspects(self) -> bool:
        """Whether something is on its way that is large enough for a broker to hang up on."""
        return any(len(message.payload) > SUSPECT_BYTES for message in self._in_flight)

    def put(self, message: Outgoing) -> None:
        if message.retain:
            self._put_retained(message)
        elif self.gate is Gate.OPEN:
            self._enqueue(message)
            self._bound(self._queue, self._open_limit, "The broker takes messages more slowly than they are made.")
        elif message.qos == 0:
            message.settle(Unavailable("There is no connection, and the message has no delivery guarantee."))
        else:
            self._waiting.append(message)
            self._bound(self._waiting, self._waiting_limit, "Too many messages wait for the broker to come back.")

    def _put_retained(self, message: Outgoing) -> None:
        old = self.desired.get(message.topic)
        self.desired[message.topic] = message
        if old is not None and len(message.payload) >= len(old.payload):
            message.losses = old.losses  # state is published anew on each connection, and may break each of them
        if old is not None and old.queued:
            # The newer payload takes the place in the queue, so a slow link never holds two of one topic.
            message.waiters.extend(old.waiters)
            old.waiters.clear()
            self._queue[self._queue.index(old)] = message
            old.queued, message.queued = False, True
        elif self.gate is not Gate.CLOSED:
            self._enqueue(message)

    def put_once(self, message: Outgoing) -> None:
        """Queue on the connection that is up now, and forget with it: `online` and `offline`."""
        self._enqueue(message)

    def _enqueue(self, message: Outgoing) -> None:
        message.queued = True
        self._queue.append(message)
        self._filled.set()
        if len(self._queue) > self._open_limit // 2:
            self._roomy.clear()

    def _bound(self, messages: deque[Outgoing], limit: int, why: str) -> None:
        while len(messages) > limit:
            oldest = next((message for message in messages if not message.retain), None)
            if oldest is None:
                return
            messages.remove(oldest)
            self._drop(oldest, why)

    def _drop(self, message: Outgoing, why: str, error: FramedError | None = None) -> None:
        message.queued = False
        self.dropped += 1
        message.settle(error or Unavailable(why))
        if why not in self._said:  # once per connection, the count says the rest
            self._said.add(why)
            log.warning("message dropped", why=why, topic=message.topic, dropped=self.dropped)

    def greet(self) -> None:
        """A connection is up: let retained messages through."""
        self.gate = Gate.GREETING
        self._connection += 1
        self._said.clear()

    def replay(self) -> None:
        """Queue all retained state that has not gone out on this connection yet."""
        for message in list(self.desired.values()):
            on_its_way = message.queued or message in self._in_flight
            if not on_its_way and message.stands_since != self._connection:
                self._enqueue(message)

    def open(self) -> None:
        self.gate = Gate.OPEN
        while self._waiting:
            self._enqueue(self._waiting.popleft())

    async def take(self) -> Outgoing:
        """The next message that is still worth sending; it counts as on its way until `acked` or `close`."""
        while True:
            while not self._queue:
                self._filled.clear()
                await self._filled.wait()
            message = self._queue.popleft()
            message.queued = False
            if len(self._queue) <= self._open_limit // 2:
                self._roomy.set()
            if self._expired(message):
                self.forget(message)
                message.settle(Expired("The message ran out of time before it could be sent."))
                continue
            self._in_flight[message] = None
            return message

    def remaining_s(self, message: Outgoing) -> float | None:
        return None if message.expires_at is None else message.expires_at - self._clock()

    def _expired(self, message: Outgoing) -> bool:
        remaining = self.remaining_s(message)
        return remaining is not None and remaining <= 0

    def acked(self, message: Outgoing, error: FramedError | None = None) -> None:
        """The broker has answered: with `error` it did not take the message, which then stands nowhere."""
        self._in_flight.pop(message, None)
        message.losses = 0
        message.stands_since = self._connection
        message.settle(error)
        if message.retain and not message.payload:
            self.forget(message)

    def refuse(self, message: Outgoing, error: FramedError) -> None:
        """Take a message out for good."""
        self._in_flight.pop(message, None)
        self.forget(message)
        self._drop(message, error.message, error)

    def forget(self, message: Outgoing) -> None:
        if self.desired.get(message.topic) is message:
            del self.desired[message.topic]

    def close(self, *, too_large: bool = False) -> Outgoing | None:
        """The connection is gone. Events go back in order; retained state stays desired.

        `too_large`: the broker said that it hung up on an oversized packet, so the largest message on its way goes.
        The message that was given up is returned.
        """
        self.gate = Gate.CLOSED
        for message in self._in_flight:
            message.losses += 1
        culprit = _culprit(self._in_flight, too_large=too_large)
        back = [message for message in (*self._in_flight, *self._queue) if not message.retain]
        self._in_flight.clear()
        for message in self._queue:
            message.queued = False
        self._queue.clear()
        self._roomy.set()
        self._waiting.extendleft(reversed([message for message in back if message is not culprit]))
        if culprit is not None:
            self.refuse(
                culprit, TooLarge(f"The broker hangs up on {len(culprit.payload):,} bytes for {culprit.topic}.")
            )
        self._bound(self._waiting, self._waiting_limit, "Too many messages wait for the broker to come back.")
        return culprit


def _culprit(in_flight: Iterable[Outgoing], *, too_large: bool) -> Outgoing | None:
    """The message to give up, so that replaying it does not break every next connection too."""
    suspects = [
        message
        for message in in_flight
        if too_large or (len(message.payload) > SUSPECT_BYTES and message.losses >= SUSPECT_LOSSES)
    ]
    return max(suspects, key=lambda message: len(message.payload), default=None)
