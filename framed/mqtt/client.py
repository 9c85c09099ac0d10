"""The connection to the MQTT broker: connects for ever, replays retained state, loses nothing without saying so."""

import asyncio
import math
import random
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Self

import structlog

from framed.background import end_tasks
from framed.errors import FramedError, TooLarge
from framed.mqtt.connection import Connection, Incoming, MqttError, connect, reason_code, status_at
from framed.mqtt.expiry import Expiry
from framed.mqtt.inbox import Inbox
from framed.mqtt.outbox import Gate, Outbox, Outgoing
from framed.mqtt.payload import Payload, encode
from framed.mqtt.reception import Reception
from framed.mqtt.rival import AWAY_AT_MOST_S, Rival, why_away
from framed.mqtt.sending import Sending
from framed.mqtt.settings import MqttSettings, Version
from framed.mqtt.topics import Subscription
from framed.mqtt.trouble import PACKET_TOO_LARGE, NoConnection, why_lost

log = structlog.get_logger(__name__)

# A connection that held this long was a good one: the next back-off starts small again. Shorter ones do not count,
# else two clients with one id would throw each other out once a second for ever.
_GOOD_CONNECTION_S: Final = 10.0
_SHORT_LIVED: Final = 3
_HOLD_BACK_S: Final = 0.25
_LEAVE_S: Final = 2.0
# QoS 0 is never acknowledged, so nobody would learn that the broker hung up on a large message.
_ACKNOWLEDGE_ABOVE_BYTES: Final = 16_384


@dataclass(frozen=True, slots=True)
class MqttState:
    """For health: `since` is when `connected` last changed, `dropped` counts both directions."""

    connected: bool
    since: datetime
    protocol: Version | None
    reconnects: int
    rx: int
    tx: int
    dropped: int
    last_error: str | None


class MqttClient:
    """Keeps one connection for as long as it is started.

    On each connection: subscribe, call `on_connected` (which publishes discovery), replay all retained state, and last
    `online` on `status_topic`, whose will is `offline`; a client that sleeps has none, so that it does not seem to
    fail. Messages are handed to `on_message` one after the other, never retained ones of a command topic; a command
    over `max_json_bytes` comes cut off just behind that. `on_overflow` gets commands that found the queue full, and
    must not wait. `on_refused` gets topic, payload and error of a message that the broker does not take.
    """

    def __init__(
        self,
        settings: MqttSettings,
        *,
        status_topic: str | None,
        subscriptions: Iterable[Subscription],
        on_message: Callable[[Incoming], Awaitable[None]],
        on_connected: Callable[[], Awaitable[None]] | None = None,
        on_overflow: Callable[[Incoming], Awaitable[None]] | None = None,
        on_refused: Callable[[str, bytes, FramedError], None] | None = None,
        inbox_limit: int = 1_000,
        backoff_s: tuple[float, float] = (0.5, 15.0),
        refused_backoff_s: tuple[float, float] = (5.0, 300.0),
        away_s: tuple[float, float] = (300.0, 900.0),
        will_delay_s: int = 8,
        rival_remedy: str = "give each framed an `instance` of its own, or another mqtt.client_id",
    ) -> None:
        self._settings = settings
        self._status_topic = status_topic
        self._subscriptions = tuple(subscriptions)
        self._on_connected = on_connected
        self._backoff_s = backoff_s
        self._refused_backoff_s = refused_backoff_s
        self._away_s = away_s
        self._will_delay_s = will_delay_s
        self._rival = Rival()
        self._rival_remedy = rival_remedy
        self._outbox = Outbox()
        self._expiry = Expiry(self._outbox, broker_expires=lambda: self._works != "3.1.1" and not self._settings.plain)
        self._reception = Reception(
            subscriptions=self._subscriptions,
            most_bytes=settings.max_json_bytes,
            inbox=Inbox(commands=inbox_limit),
            stands=self._stands,
            on_message=on_message,
            on_overflow=on_overflow,
        )
        self._sending = Sending(self._outbox, settings, on_refused=on_refused, on_trouble=self._note)
        self._tasks: list[asyncio.Task[None]] = []
        self._works: Version | None = None
        self._connected = False
        self._since = datetime.now(UTC)
        self._connections = 0
        self._lost = 0
        self._last_error: str | None = None
        self._up_since = math.inf
        self._short_lived = 0
        self._stopping = False
        self._said_goodbye = False

    @property
    def connected(self) -> bool:
        return self._connected

    @property
    def state(self) -> MqttState:
        return MqttState(
            connected=self.connected,
            since=self._since,
            protocol=self._works,
            reconnects=max(0, self._connections - 1),
            rx=self._reception.count,
            tx=self._sending.count,
            dropped=self._lost + self._outbox.dropped + self._reception.lost + self._sending.lost,
            last_error=self._last_error,
        )

    def _stands(self, topic: str) -> bytes | None:
        mine = self._outbox.desired.get(topic)
        return None if mine is None else mine.payload

    def _note(self, trouble: str) -> None:
        self._last_error = trouble

    def retained_topics(self) -> frozenset[str]:
        """The topics that may hold retained state of ours: kept by the app, so that a later run can clear them."""
        return frozenset(self._outbox.desired)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Begin to connect; returns at once, because a home's broker may come up after framed."""
        if self._tasks:
            return
        self._stopping = self._said_goodbye = False
        self._tasks = [
            asyncio.create_task(self._reception.hand_over(), name="mqtt dispatch"),
            asyncio.create_task(self._stay_connected(), name="mqtt connection"),
        ]

    async def close(self) -> None:
        """Say `offline`, wait for its acknowledgement up to two seconds, and leave."""
        if not self._tasks:
            return
        self._stopping = True
        if self._outbox.gate is Gate.OPEN:
            self._said_goodbye = await self._say_goodbye()
        self._expiry.close()
        tasks, self._tasks = self._tasks, []
        await end_tasks(*tasks)
        self._set_connected(False)

    async def configure(self, settings: MqttSettings) -> None:
        """Use other settings from now on: leave the broker, and connect again at once."""
        if settings == self._settings:
            return
        if not self._tasks:
            self._settings = settings
            return
        connection = self._tasks.pop()
        self._stopping = True
        if self._outbox.gate is Gate.OPEN:
            self._said_goodbye = await self._say_goodbye()
        await end_tasks(connection)
        self._settings = settings
        self._works = None
        self._reception.most_bytes = settings.max_json_bytes
        self._sending.reconfigure(settings)
        self._stopping = self._said_goodbye = False
        log.info("connecting to MQTT with other settings", host=settings.host, port=settings.port)
        self._tasks.append(asyncio.create_task(self._stay_connected(), name="mqtt connection"))

    async def _say_goodbye(self) -> bool:
        """Whether the broker has acknowledged `offline`; if not, the will must say it."""
        self._expiry.leave()
        try:
            async with asyncio.timeout(_LEAVE_S):
                await self._publish_status(b"offline")
        except (TimeoutError, FramedError) as error:
            log.warning("offline not acknowledged, left to the last will", topic=self._status_topic, reason=repr(error))
            return False
        return True

    async def publish(
        self,
        topic: str,
        payload: Payload,
        *,
        qos: int = 1,
        retain: bool = False,
        expiry_s: float | None = None,
        content_type: str | None = None,
        user_properties: Mapping[str, str] | None = None,
        correlation: bytes | None = None,
        wait: bool = False,
        spare: bool = False,
    ) -> None:
        """Hand a message over; returns before it is sent unless `wait`, which ends with the broker's acknowledgement.

        A caller that publishes faster than the broker takes is held back for at most a quarter of a second.

        While there is no connection, retained messages are kept and replayed, others wait in a short queue, and those
        of QoS 0 are dropped. `spare` ones never wait, and are dropped where others queue. Raises TooLarge; with
        `wait` also Expired or Unavailable for a message that was dropped, and Refused where the broker forbids it.
        `on_connected` must not wait for a message that is not retained: those go out after `online`.
        """
        if not topic or "+" in topic or "#" in topic:
            raise ValueError(f"{topic!r} is no topic to publish to")
        data = self._measured(topic, payload)
        if spare and self._outbox.crowded:
            self._lost += 1
            return
        message = Outgoing(
            topic=topic,
            payload=data,
            qos=max(qos, 1) if len(data) > _ACKNOWLEDGE_ABOVE_BYTES else qos,
            retain=retain,
            expires_at=None if expiry_s is None else time.monotonic() + expiry_s,
            content_type=content_type,
            user_properties=tuple((user_properties or {}).items()),
            correlation=correlation,
        )
        acknowledged = asyncio.get_running_loop().create_future() if wait else None
        if acknowledged is not None:
            message.waiters.append(acknowledged)
        self._outbox.put(message)
        if retain:
            self._expiry.watch(message)
        if acknowledged is not None:
            await acknowledged
        elif not spare:
            await self._outbox.room(_HOLD_BACK_S)

    async def say(self, topic: str, payload: bytes) -> None:
        """Retained, once, and only while there is a connection: the topic is another's, who says it anew."""
        if self._outbox.gate is Gate.OPEN:
            self._outbox.put_once(Outgoing(topic, payload, retain=True))

    async def say_online(self) -> None:
        """Again, for who has just come and asks everybody."""
        if self._status_topic is not None and self.connected and not self._stopping:
            await self.say(self._status_topic, b"online")

    async def clear(self, topic: str, *, wait: bool = False) -> None:
        """Remove a retained message from the broker, now or at the next connection."""
        acknowledged = asyncio.get_running_loop().create_future() if wait else None
        self._expiry.clear(topic, acknowledged)
        if acknowledged is not None:
            await acknowledged

    def _measured(self, topic: str, payload: Payload) -> bytes:
        data, binary = encode(payload)
        limit = self._settings.max_binary_bytes if binary else self._settings.max_json_bytes
        if len(data) > limit:
            self._lost += 1
            log.error("message too large to publish", topic=topic, bytes=len(data), limit=limit)
            raise TooLarge(f"The message for {topic} has {len(data):,} bytes; at most {limit:,} may be sent by MQTT.")
        return data

    # The connection

    async def _stay_connected(self) -> None:
        attempt = 0
        while True:
            self._up_since = math.inf
            backoff_s = self._backoff_s
            try:
                await self._connect_once()
            except NoConnection as problem:
                if not self._rival.here:
                    self._complain(problem.sentence)
                if problem.refused:
                    backoff_s = self._refused_backoff_s
            except Exception:
                self._last_error = "framed's MQTT connection failed inside; the log has the traceback."
                log.exception("mqtt connection failed inside, connecting again")
            if self._stopping:
                return  # the cancellation met a broken connection and was lost in it
            if self._rival.here:
                await self._stay_away()
                attempt = self._short_lived = 0
                continue
            if time.monotonic() - self._up_since > _GOOD_CONNECTION_S:
                attempt = self._short_lived = 0
            await asyncio.sleep(_pause_s(attempt, backoff_s))
            attempt += 1

    async def _stay_away(self) -> None:
        """Leave the id to the other client. While that is a framed too, its `online` says that it is still there."""
        pause, longest = self._away_s
        until = time.monotonic() + AWAY_AT_MOST_S
        while time.monotonic() < until:
            self._complain(why_away(self._settings, pause, self._rival_remedy))
            await asyncio.sleep(random.uniform(pause * 0.75, pause * 1.25))
            if not await self._other_is_online():
                break
            log.info("the other MQTT client is still there", client_id=self._settings.client_id)
            pause = min(pause * 2, longest)
        self._rival.gone()

    async def _other_is_online(self) -> bool:
        if self._status_topic is None:
            return False
        visitor = f"{self._settings.client_id[:50]}-{secrets.token_hex(4)}"
        return await status_at(self._settings, self._works or "5", self._status_topic, visitor) == b"online"

    def _complain(self, sentence: str) -> None:
        """Log a trouble once, not on each attempt."""
        if sentence != self._last_error:
            log.warning("no MQTT connection", reason=sentence)
        self._last_error = sentence

    async def _connect_once(self) -> None:
        try:
            connection, self._works = await self._open()
        except NoConnection:
            self._rival.unreachable()
            raise
        too_large = False
        self._outbox.greet()
        try:
            await self._serve(connection)
        except BaseExceptionGroup as group:
            lost, other = group.split(MqttError)
            if other is not None:
                raise
            reason = reason_code(lost)
            too_large = reason == PACKET_TOO_LARGE
            self._rival.lost(reason, explained=self._outbox.suspects())
            again = self._short_lived >= _SHORT_LIVED
            raise NoConnection(why_lost(reason, self._settings, again=again)) from group
        finally:
            self._set_connected(False)
            culprit = self._outbox.close(too_large=too_large)
            if culprit is not None:
                error = TooLarge("The broker hangs up on a message of this size.")
                self._sending.learn_limit(culprit, error, sure=too_large)
            await self._leave(connection)

    async def _open(self) -> tuple[Connection, Version]:
        last: NoConnection | None = None
        for version in self._versions():
            try:
                opened = await connect(
                    self._settings, version, will=self._status_topic, will_delay_s=self._will_delay_s
                )
                return opened, version
            except NoConnection as problem:
                last = problem
                if not problem.try_other:
                    break
        assert last is not None
        raise last

    def _versions(self) -> tuple[Version, ...]:
        if self._settings.protocol != "auto":
            return (self._settings.protocol,)
        return ("3.1.1", "5") if self._works == "3.1.1" else ("5", "3.1.1")

    async def _serve(self, connection: Connection) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._read(connection), name="mqtt read")
            group.create_task(self._sending.run(connection, five=self._works == "5"), name="mqtt send")
            group.create_task(self._greet(connection), name="mqtt greet")

    async def _leave(self, connection: Connection) -> None:
        if self._said_goodbye:
            connection.timeout = 1.0
            try:
                await connection.__aexit__(None, None, None)
            except MqttError as error:
                log.debug("the broker did not take the goodbye", reason=str(error))
        connection.drop()

    async def _greet(self, connection: Connection) -> None:
        await self._subscribe(connection)
        if self._on_connected is not None:
            try:
                await self._on_connected()
            except Exception as error:
                self._last_error = "What is announced on connecting could not be made; the log has the traceback."
                log.exception("announcing on connect failed, going online without", error=type(error).__name__)
        self._outbox.replay()
        await self._publish_status(b"online")
        self._outbox.open()
        self._connections += 1
        self._up_since = time.monotonic()
        self._short_lived += 1
        self._last_error = None
        self._reception.connected()
        self._sending.connected()
        self._set_connected(True)
        log.info(
            "connected to MQTT",
            host=self._settings.host,
            port=self._settings.port,
            protocol=self._works,
            retained=len(self._outbox.desired),
            session_resumed=connection.session_present,
        )

    async def _subscribe(self, connection: Connection) -> None:
        own = () if self._status_topic is None else (Subscription(self._status_topic),)
        wanted = tuple(dict.fromkeys((*own, *self._subscriptions)))
        if not wanted:
            return
        for wish, reason in await connection.listen(wanted, five=self._works == "5"):
            self._last_error = f"The broker refuses the subscription {wish.filter}: {reason}. Check its ACL."
            log.error("subscription refused", filter=wish.filter, reason=reason)

    def _publish_status(self, payload: bytes) -> asyncio.Future[None]:
        acknowledged: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._status_topic is None:
            acknowledged.set_result(None)
        else:
            self._outbox.put_once(Outgoing(self._status_topic, payload, retain=True, waiters=[acknowledged]))
        return acknowledged

    def _set_connected(self, connected: bool) -> None:
        if connected != self._connected:
            self._since = datetime.now(UTC)
        self._connected = connected

    async def _read(self, connection: Connection) -> None:
        async for incoming in connection.received():
            self._reception.count += 1
            if incoming.topic == self._status_topic:
                self._answer_own_status(incoming)
            else:
                await self._reception.take(incoming)

    def _answer_own_status(self, incoming: Incoming) -> None:
        """Our own will of an older connection can arrive after our `online`, and would stand there."""
        if incoming.payload == b"offline" and self.connected and not self._stopping:
            log.info("own offline seen while alive, saying online again", topic=self._status_topic)
            self._publish_status(b"online")


def _pause_s(attempt: int, backoff_s: tuple[float, float]) -> float:
    """Half of it is chance: after a power cut not every client of the house comes at the same moment."""
    first, longest = backoff_s
    pause = min(longest, first * 2 ** min(attempt, 16))
    return random.uniform(pause / 2, pause)
