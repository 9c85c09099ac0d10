"""The connection to the MQTT broker: connects for ever, replays retained state, loses nothing without saying so."""

import asyncio
import math
import random
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self
from urllib.parse import unquote, urlsplit

import aiomqtt
import structlog
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions
from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic_core import to_json

from framed.errors import ConfigError, FramedError, TooLarge
from framed.mqtt.outbox import Gate, Outbox, Outgoing
from framed.mqtt.topics import Subscription

log = structlog.get_logger(__name__)

Payload = bytes | str | BaseModel | Mapping[str, Any]
Version = Literal["5", "3.1.1"]

_VERSIONS: Final[dict[Version, aiomqtt.ProtocolVersion]] = {
    "5": aiomqtt.ProtocolVersion.V5,
    "3.1.1": aiomqtt.ProtocolVersion.V311,
}
# Longer than the will's delay, else the delay is void; long enough to keep requests over a restart or an update.
_SESSION_EXPIRY_S: Final = 3_600
_PIPELINE: Final = 16
# A connection that held this long was a good one: the next back-off starts small again. Shorter ones do not count,
# else two clients with one id would throw each other out once a second for ever.
_GOOD_CONNECTION_S: Final = 10.0
_SHORT_LIVED: Final = 3
_HOLD_BACK_S: Final = 0.25
_LEAVE_S: Final = 2.0
# QoS 0 is never acknowledged, so nobody would learn that the broker hung up on a large message.
_ACKNOWLEDGE_ABOVE_BYTES: Final = 16_384

_NO_URL: Final = "The broker must be given as mqtt://user:password@host:1883, or mqtts:// for TLS."

# Reason codes of MQTT 5; paho translates those of 3.1.1 to them.
_BAD_VERSION: Final = 0x84
_BAD_PASSWORD: Final = 0x86
_NOT_AUTHORISED: Final = 0x87
_BANNED: Final = 0x8A
_TAKEN_OVER: Final = 0x8E
_ADMINISTRATIVE: Final = 0x98
_PACKET_TOO_LARGE: Final = 0x95


class TlsSettings(BaseModel):
    """`insecure` accepts any certificate; `ca` is needed only for one that the system does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = False
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    insecure: bool = False


class MqttSettings(BaseModel):
    """How to reach the broker, and how large a message may be; `auto` is MQTT 5, and 3.1.1 where there is no 5."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = "127.0.0.1"
    port: int = Field(default=1883, ge=1, le=65_535)
    username: str | None = None
    password: SecretStr | None = None
    protocol: Literal["auto", "5", "3.1.1"] = "auto"
    tls: TlsSettings = TlsSettings()
    client_id: str = Field(default="framed", pattern=r"^[A-Za-z0-9_-]{1,64}$")
    keepalive: int = Field(default=30, ge=5, le=3_600)
    max_json_bytes: int = Field(default=262_144, ge=4_096)
    max_binary_bytes: int = Field(default=1_000_000, ge=4_096)
    connect_timeout_s: float = Field(default=5.0, gt=0, le=60)

    @classmethod
    def from_url(cls, url: str, **more: Any) -> Self:
        """From `mqtt://user:password@host:port`, or `mqtts://` for TLS; ConfigError never repeats the password."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise ConfigError(_NO_URL, field="broker") from error
        if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname or parts.path.strip("/"):
            raise ConfigError(_NO_URL, field="broker")
        encrypted = parts.scheme == "mqtts"
        if encrypted:
            more = {"tls": TlsSettings(enabled=True), **more}
        if parts.username:
            more["username"] = unquote(parts.username)
        if parts.password:
            more["password"] = SecretStr(unquote(parts.password))
        return cls(host=parts.hostname, port=port or (8883 if encrypted else 1883), **more)


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message as it came; the MQTT 5 parts are empty on 3.1.1. `received` is monotonic time."""

    topic: str
    payload: bytes
    retain: bool = False
    qos: int = 0
    response_topic: str | None = None
    correlation: bytes | None = None
    content_type: str | None = None
    user_properties: tuple[tuple[str, str], ...] = ()
    expiry_s: int | None = None
    received: float = field(default_factory=time.monotonic, compare=False)


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


class _NoConnection(Exception):
    """Why this attempt failed, as a sentence; `try_other` where another protocol version may do better."""

    def __init__(self, sentence: str, *, try_other: bool = False) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.try_other = try_other


class _Connection(aiomqtt.Client):  # type: ignore[misc]  # aiomqtt is not followed by mypy
    """One connection of aiomqtt that also tells what aiomqtt keeps to itself.

    It overrides paho's callbacks as aiomqtt 2.5 binds them: the pin in pyproject.toml holds that.
    """

    max_packet_bytes: int | None = None
    session_present = False
    reached = False
    _abandoned = False

    def __init__(self, *args: Any, on_refused: Callable[[str], None], connect_timeout_s: float, **kwargs: Any) -> None:
        super().__init__(*args, timeout=connect_timeout_s, **kwargs)
        self.pending_calls_threshold = _PIPELINE * 2
        self._client.connect_timeout = connect_timeout_s
        self._on_refused = on_refused

    def _on_socket_open(self, client: Any, userdata: Any, sock: socket.socket) -> None:
        """Runs in aiomqtt's connecting thread, after the TLS handshake."""
        self.reached = True
        if self._abandoned:
            sock.close()
        else:
            super()._on_socket_open(client, userdata, sock)

    def _on_connect(
        self, client: Any, userdata: Any, flags: Any, reason_code: ReasonCode, properties: Properties | None = None
    ) -> None:
        self.max_packet_bytes = getattr(properties, "MaximumPacketSize", None)
        self.session_present = bool(flags.session_present)
        super()._on_connect(client, userdata, flags, reason_code, properties)

    def _on_disconnect(
        self, client: Any, userdata: Any, flags: Any, reason_code: ReasonCode, properties: Properties | None = None
    ) -> None:
        # aiomqtt would wait for its time-out: rumqttd hangs up without a CONNACK on a wrong password or version.
        if not self._connected.done():
            self._connected.set_exception(aiomqtt.MqttError("closed before CONNACK"))
        super()._on_disconnect(client, userdata, flags, reason_code, properties)

    def _on_publish(
        self, client: Any, userdata: Any, mid: int, reason_code: ReasonCode, properties: Properties
    ) -> None:
        if reason_code.is_failure:
            self._on_refused(str(reason_code))
        super()._on_publish(client, userdata, mid, reason_code, properties)

    def drop(self) -> None:
        """Close the socket without DISCONNECT: the broker publishes the will, unless we are back before its delay."""
        self._abandoned = True
        if self._misc_task is not None:
            self._misc_task.cancel()
        self._client._sock_close()
        if self._disconnected.done() and not self._disconnected.cancelled():
            self._disconnected.exception()  # seen, so that asyncio does not complain about it

    def abandon(self) -> None:
        """Drop a connection that is still being made, in a thread that cannot be stopped."""
        self._abandoned = True
        # Later in the loop, because the thread may have handed it the socket's reader already.
        self._loop.call_soon(self.drop)


class MqttClient:
    """Keeps one connection for as long as it is started.

    On each connection: subscribe, call `on_connected` (which publishes discovery), replay all retained state, and last
    `online` on `status_topic`, whose will is `offline`; a client that sleeps has none, so that it does not seem to
    fail. Messages are handed to `on_message` one after the other, never retained ones of a command topic.
    `on_overflow` gets commands that found the queue full.
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
        inbox_limit: int = 1_000,
        backoff_s: tuple[float, float] = (1.0, 60.0),
        will_delay_s: int = 8,
    ) -> None:
        self._settings = settings
        self._status_topic = status_topic
        self._subscriptions = tuple(subscriptions)
        self._on_message = on_message
        self._on_connected = on_connected
        self._on_overflow = on_overflow
        self._backoff_s = backoff_s
        self._will_delay_s = will_delay_s
        self._outbox = Outbox()
        self._inbox: asyncio.Queue[Incoming] = asyncio.Queue(inbox_limit)
        self._tasks: list[asyncio.Task[None]] = []
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._refused_said: set[str] = set()
        self._max_packet_bytes: int | None = None
        self._works: Version | None = None
        self._connected = asyncio.Event()
        self._since = datetime.now(UTC)
        self._connections = 0
        self._rx = self._tx = self._lost = 0
        self._last_error: str | None = None
        self._up_since = math.inf
        self._short_lived = 0
        self._stopping = False
        self._said_goodbye = False

    @property
    def connected(self) -> bool:
        return self._connected.is_set()

    @property
    def state(self) -> MqttState:
        return MqttState(
            connected=self.connected,
            since=self._since,
            protocol=self._works,
            reconnects=max(0, self._connections - 1),
            rx=self._rx,
            tx=self._tx,
            dropped=self._lost + self._outbox.dropped,
            last_error=self._last_error,
        )

    def retained_topics(self) -> frozenset[str]:
        """The topics that may hold retained state of ours: kept by the app, so that a later run can clear them."""
        return frozenset(self._outbox.desired)

    async def wait_connected(self) -> None:
        await self._connected.wait()

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
            asyncio.create_task(self._dispatch(), name="mqtt dispatch"),
            asyncio.create_task(self._stay_connected(), name="mqtt connection"),
        ]

    async def close(self) -> None:
        """Say `offline`, wait for its acknowledgement up to two seconds, and leave."""
        if not self._tasks:
            return
        self._stopping = True
        if self._outbox.gate is Gate.OPEN:
            self._said_goodbye = await self._say_goodbye()
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._set_connected(False)

    async def _say_goodbye(self) -> bool:
        """Whether the broker has acknowledged `offline`; if not, the will must say it."""
        if self._works != "5":
            for topic, message in list(self._outbox.desired.items()):
                if message.expires_at is not None:
                    self._clear(topic)
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
    ) -> None:
        """Hand a message over; returns before it is sent unless `wait`, which ends with the broker's acknowledgement.

        A caller that publishes faster than the broker takes is held back for at most a quarter of a second.

        While there is no connection, retained messages are kept and replayed, others wait in a short queue, and those
        of QoS 0 are dropped. Raises TooLarge; with `wait` also Expired or Unavailable for a message that was dropped.
        `on_connected` must not wait for a message that is not retained: those go out after `online`.
        """
        if not topic or "+" in topic or "#" in topic:
            raise ValueError(f"{topic!r} is no topic to publish to")
        data = self._measured(topic, payload)
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
            self._time_out(message)
        if acknowledged is not None:
            await acknowledged
        else:
            await self._outbox.room(_HOLD_BACK_S)

    async def clear(self, topic: str, *, wait: bool = False) -> None:
        """Remove a retained message from the broker, now or at the next connection."""
        acknowledged = asyncio.get_running_loop().create_future() if wait else None
        self._clear(topic, acknowledged)
        if acknowledged is not None:
            await acknowledged

    def _clear(self, topic: str, acknowledged: asyncio.Future[None] | None = None) -> None:
        if timer := self._timers.pop(topic, None):
            timer.cancel()
        waiters = [acknowledged] if acknowledged is not None else []
        self._outbox.put(Outgoing(topic, b"", retain=True, waiters=waiters))

    def _measured(self, topic: str, payload: Payload) -> bytes:
        data, binary = _encode(payload)
        limit = self._settings.max_binary_bytes if binary else self._settings.max_json_bytes
        if len(data) > limit:
            self._lost += 1
            log.error("message too large to publish", topic=topic, bytes=len(data), limit=limit)
            raise TooLarge(f"The message for {topic} has {len(data):,} bytes; at most {limit:,} may be sent by MQTT.")
        return data

    def _time_out(self, message: Outgoing) -> None:
        """See to it that an expiring retained message ends: MQTT 5 brokers do it themselves, for 3.1.1 we clear it."""
        if old := self._timers.pop(message.topic, None):
            old.cancel()
        remaining = self._outbox.remaining_s(message)
        if remaining is not None:
            loop = asyncio.get_running_loop()
            self._timers[message.topic] = loop.call_later(max(0.0, remaining), self._expire, message)

    def _expire(self, message: Outgoing) -> None:
        self._timers.pop(message.topic, None)
        if self._outbox.desired.get(message.topic) is not message:
            return
        if self._works == "3.1.1":
            self._clear(message.topic)
        else:
            self._outbox.forget(message)

    # The connection

    async def _stay_connected(self) -> None:
        attempt = 0
        while True:
            self._up_since = math.inf
            try:
                await self._connect_once()
            except _NoConnection as problem:
                self._complain(problem.sentence)
            except Exception:
                self._last_error = "framed's MQTT connection failed inside; the log has the traceback."
                log.exception("mqtt connection failed inside, connecting again")
            if self._stopping:
                return  # the cancellation met a broken connection and was lost in it
            if time.monotonic() - self._up_since > _GOOD_CONNECTION_S:
                attempt = self._short_lived = 0
            await asyncio.sleep(self._pause_s(attempt))
            attempt += 1

    def _pause_s(self, attempt: int) -> float:
        first, longest = self._backoff_s
        return random.uniform(0, min(longest, first * 2 ** min(attempt, 16)))

    def _complain(self, sentence: str) -> None:
        """Log a trouble once, not on each attempt."""
        if sentence != self._last_error:
            log.warning("no MQTT connection", reason=sentence)
        self._last_error = sentence

    async def _connect_once(self) -> None:
        connection, self._works = await self._open()
        self._max_packet_bytes = connection.max_packet_bytes
        too_large = False
        self._outbox.greet()
        try:
            await self._serve(connection)
        except BaseExceptionGroup as group:
            lost, other = group.split(aiomqtt.MqttError)
            if other is not None:
                raise
            reason = _reason_code(lost)
            too_large = reason == _PACKET_TOO_LARGE
            raise _NoConnection(self._why_lost(reason)) from group
        finally:
            self._set_connected(False)
            self._outbox.close(too_large=too_large)
            await self._leave(connection)

    async def _open(self) -> tuple[_Connection, Version]:
        last: _NoConnection | None = None
        for version in self._versions():
            try:
                return await self._try(version), version
            except _NoConnection as problem:
                last = problem
                if not problem.try_other:
                    break
        assert last is not None
        raise last

    def _versions(self) -> tuple[Version, ...]:
        if self._settings.protocol != "auto":
            return (self._settings.protocol,)
        return ("3.1.1", "5") if self._works == "3.1.1" else ("5", "3.1.1")

    async def _try(self, version: Version) -> _Connection:
        connection = self._new_connection(version, await self._tls())
        try:
            await connection.__aenter__()
        except asyncio.CancelledError:
            connection.abandon()
            raise
        except aiomqtt.MqttError as error:
            connection.drop()
            raise self._why_not(error, version, reached=connection.reached) from error
        except ValueError as error:  # paho on a host name that cannot be one
            raise _NoConnection(f"mqtt.host {self._settings.host!r} cannot be used: {error}.") from error
        return connection

    def _new_connection(self, version: Version, tls: ssl.SSLContext | None) -> _Connection:
        settings = self._settings
        five = version == "5"
        delay = _properties(PacketTypes.WILLMESSAGE, WillDelayInterval=self._will_delay_s) if five else None
        topic = self._status_topic
        will = None if topic is None else aiomqtt.Will(topic, b"offline", qos=1, retain=True, properties=delay)
        only_five = {
            "clean_start": False,
            "properties": _properties(
                PacketTypes.CONNECT,
                SessionExpiryInterval=_SESSION_EXPIRY_S,
                MaximumPacketSize=max(settings.max_binary_bytes, settings.max_json_bytes) + 1_024,
            ),
        }
        return _Connection(
            settings.host,
            settings.port,
            username=settings.username,
            password=settings.password.get_secret_value() if settings.password else None,
            identifier=settings.client_id,
            protocol=_VERSIONS[version],
            will=will,
            keepalive=settings.keepalive,
            tls_context=tls,
            max_queued_incoming_messages=10_000,  # only fills while `on_overflow` holds the reader back
            on_refused=self._publish_refused,
            connect_timeout_s=settings.connect_timeout_s,
            **(only_five if five else {"clean_session": False}),
        )

    async def _tls(self) -> ssl.SSLContext | None:
        tls = self._settings.tls
        if not tls.enabled:
            return None
        try:
            return await asyncio.to_thread(_tls_context, tls)
        except OSError as error:  # ssl.SSLError too
            raise _NoConnection(f"The certificates of mqtt.tls cannot be used: {error}.") from error

    async def _serve(self, connection: _Connection) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._read(connection), name="mqtt read")
            group.create_task(self._send(connection), name="mqtt send")
            group.create_task(self._greet(connection), name="mqtt greet")

    async def _leave(self, connection: _Connection) -> None:
        if self._said_goodbye:
            connection.timeout = 1.0
            try:
                await connection.__aexit__(None, None, None)
            except aiomqtt.MqttError as error:
                log.debug("the broker did not take the goodbye", reason=str(error))
        connection.drop()

    async def _greet(self, connection: _Connection) -> None:
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
        self._refused_said.clear()
        self._set_connected(True)
        log.info(
            "connected to MQTT",
            host=self._settings.host,
            port=self._settings.port,
            protocol=self._works,
            retained=len(self._outbox.desired),
            session_resumed=connection.session_present,
        )

    async def _subscribe(self, connection: _Connection) -> None:
        own = () if self._status_topic is None else (Subscription(self._status_topic),)
        wanted = tuple(dict.fromkeys((*own, *self._subscriptions)))
        if not wanted:
            return
        if self._works == "5":
            topics: list[tuple[str, Any]] = [(wish.filter, _options(wish)) for wish in wanted]
        else:
            topics = [(wish.filter, wish.qos) for wish in wanted]
        for wish, granted in zip(wanted, await connection.subscribe(topics), strict=True):
            if granted.is_failure:
                self._last_error = f"The broker refuses the subscription {wish.filter}: {granted}. Check its ACL."
                log.error("subscription refused", filter=wish.filter, reason=str(granted))

    def _publish_status(self, payload: bytes) -> asyncio.Future[None]:
        acknowledged: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._status_topic is None:
            acknowledged.set_result(None)
        else:
            self._outbox.put_once(Outgoing(self._status_topic, payload, retain=True, waiters=[acknowledged]))
        return acknowledged

    def _set_connected(self, connected: bool) -> None:
        if connected != self.connected:
            self._since = datetime.now(UTC)
        if connected:
            self._connected.set()
        else:
            self._connected.clear()

    # Out

    async def _send(self, connection: _Connection) -> None:
        """Keep up to `_PIPELINE` messages on their way; paho is called in order, so they leave in order."""
        room = asyncio.Semaphore(_PIPELINE)
        async with asyncio.TaskGroup() as group:
            while True:
                await room.acquire()
                message = await self._outbox.take()
                group.create_task(self._send_one(connection, message, room))

    async def _send_one(self, connection: _Connection, message: Outgoing, room: asyncio.Semaphore) -> None:
        size = len(message.payload) + len(message.topic) + 64
        if self._max_packet_bytes is not None and size > self._max_packet_bytes:
            limit = self._max_packet_bytes
            self._outbox.refuse(
                message, TooLarge(f"The broker takes packets of at most {limit:,} bytes; not {size:,}.")
            )
        else:
            properties = self._publish_properties(message) if self._works == "5" else None
            await connection.publish(
                message.topic,
                message.payload,
                qos=message.qos,
                retain=message.retain,
                properties=properties,
                timeout=max(10.0, self._settings.keepalive),
            )
            self._tx += 1
            self._outbox.acked(message)
        room.release()

    def _publish_properties(self, message: Outgoing) -> Properties:
        remaining = self._outbox.remaining_s(message)
        return _properties(
            PacketTypes.PUBLISH,
            MessageExpiryInterval=None if remaining is None else max(1, math.ceil(remaining)),
            ContentType=message.content_type,
            CorrelationData=message.correlation,
            UserProperty=list(message.user_properties) or None,
        )

    def _publish_refused(self, reason: str) -> None:
        """MQTT 5 alone says so, and only a number comes back: the topic is one of those on their way."""
        self._lost += 1
        if reason not in self._refused_said:
            self._refused_said.add(reason)
            topics = self._outbox.in_flight()[:3]
            self._last_error = f"The broker refuses a message to one of {', '.join(topics)}: {reason}. Check its ACL."
            log.error("publish refused by the broker", one_of=topics, reason=reason)

    # In

    async def _read(self, connection: _Connection) -> None:
        async for message in connection.messages:
            self._rx += 1
            incoming = _incoming(message)
            if incoming.topic == self._status_topic:
                self._answer_own_status(incoming)
            elif self._welcome(incoming):
                await self._accept(incoming)

    def _answer_own_status(self, incoming: Incoming) -> None:
        """Our own will of an older connection can arrive after our `online`, and would stand there."""
        if incoming.payload == b"offline" and self.connected and not self._stopping:
            log.info("own offline seen while alive, saying online again", topic=self._status_topic)
            self._publish_status(b"online")

    def _welcome(self, incoming: Incoming) -> bool:
        if len(incoming.payload) > self._settings.max_binary_bytes:
            self._lost += 1
            log.warning("message too large to read", topic=incoming.topic, bytes=len(incoming.payload))
            return False
        if incoming.retain and self._is_command(incoming.topic):
            if incoming.payload and incoming.topic not in self._refused_said and len(self._refused_said) < 100:
                self._refused_said.add(incoming.topic)
                log.warning("retained command refused, publish it without retain", topic=incoming.topic)
            return False
        mine = self._outbox.desired.get(incoming.topic)
        # MQTT 3.1.1 has no No Local: what we retain ourselves comes back, and says nothing.
        return mine is None or mine.payload != incoming.payload

    def _is_command(self, topic: str) -> bool:
        return any(
            subscription.command and aiomqtt.Topic(topic).matches(subscription.filter)
            for subscription in self._subscriptions
        )

    async def _accept(self, incoming: Incoming) -> None:
        try:
            self._inbox.put_nowait(incoming)
        except asyncio.QueueFull:
            self._lost += 1
            if "overflow" not in self._refused_said:
                self._refused_said.add("overflow")
                log.warning("more messages than can be handled, dropping", topic=incoming.topic, dropped=self._lost)
            if self._on_overflow is not None and self._is_command(incoming.topic):
                try:
                    await self._on_overflow(incoming)
                except Exception:
                    log.exception("answering busy failed", topic=incoming.topic)

    async def _dispatch(self) -> None:
        while True:
            incoming = await self._inbox.get()
            try:
                await self._on_message(incoming)
            except Exception:
                log.exception("handling a message failed", topic=incoming.topic)
            if self._inbox.empty():
                self._refused_said.discard("overflow")

    # Sentences

    def _why_not(self, error: Exception, version: Version, *, reached: bool) -> _NoConnection:
        settings = self._settings
        where = f"{settings.host}:{settings.port}"
        reason = getattr(getattr(error, "rc", None), "value", None)
        if reason in (_BAD_PASSWORD, _NOT_AUTHORISED) and settings.username is None:
            return _NoConnection(f"The MQTT broker at {where} wants a user: set mqtt.username and mqtt.password.")
        if reason in (_BAD_PASSWORD, _NOT_AUTHORISED):
            return _NoConnection(
                f"The MQTT broker at {where} refuses user {settings.username!r}: check mqtt.username and mqtt.password."
            )
        if reason == _BAD_VERSION:
            return _NoConnection(
                f"The MQTT broker at {where} does not speak MQTT {version}: set mqtt.protocol to auto.", try_other=True
            )
        if reason is not None:
            return _NoConnection(f"The MQTT broker at {where} refuses the client {settings.client_id!r}: {error}.")
        if reached:
            return _NoConnection(
                f"{where} takes the connection but does not answer as an MQTT broker: check mqtt.port,"
                " mqtt.tls and the password.",
                try_other=True,
            )
        return _NoConnection(_why_unreachable(error.__cause__ or error.__context__ or error, settings, where))

    def _why_lost(self, reason: int | None) -> str:
        match reason:
            case int() if reason == _TAKEN_OVER:
                return f"Another MQTT client uses the client id {self._settings.client_id!r}: give each its own."
            case int() if reason == _PACKET_TOO_LARGE:
                return "The MQTT broker hung up on a message larger than it takes."
            case int() if reason in (_NOT_AUTHORISED, _BANNED, _ADMINISTRATIVE):
                return "The MQTT broker ended the connection for administrative reasons: check the user's rights."
            case _:
                lost = f"The connection to the MQTT broker at {self._settings.host}:{self._settings.port} was lost"
                if self._short_lived < _SHORT_LIVED:
                    return f"{lost}."
                # Mosquitto 2.0 does not say so, and 3.1.1 cannot.
                return f"{lost} again: does another MQTT client use the client id {self._settings.client_id!r}?"


def _why_unreachable(cause: BaseException, settings: MqttSettings, where: str) -> str:
    match cause:
        case ssl.SSLError():
            detail = getattr(cause, "verify_message", "") or cause.reason or str(cause)
            return f"No TLS connection to the MQTT broker at {where}: {detail}. Check mqtt.tls and mqtt.port."
        case socket.gaierror():
            return f"The host name {settings.host!r} of the MQTT broker is not known: check mqtt.host."
        case ConnectionRefusedError():
            return f"No MQTT broker listens at {where}: start it, or check mqtt.host and mqtt.port."
        case _:
            return f"The MQTT broker at {where} cannot be reached ({cause}): check mqtt.host and the network."


def _encode(payload: Payload) -> tuple[bytes, bool]:
    """The bytes to send, and whether they are binary (else text or JSON)."""
    match payload:
        case bytes():
            return payload, True
        case str():
            return payload.encode(), False
        case BaseModel():
            return payload.model_dump_json(exclude_none=True, by_alias=True).encode(), False
        case _:
            return to_json(payload), False


def _incoming(message: aiomqtt.Message) -> Incoming:
    # paho sets only the properties that came; the others are missing attributes.
    properties = message.properties
    return Incoming(
        topic=message.topic.value,
        payload=bytes(message.payload),
        retain=bool(message.retain),
        qos=message.qos,
        response_topic=getattr(properties, "ResponseTopic", None),
        correlation=getattr(properties, "CorrelationData", None),
        content_type=getattr(properties, "ContentType", None),
        user_properties=tuple(getattr(properties, "UserProperty", ())),
        expiry_s=getattr(properties, "MessageExpiryInterval", None),
    )


def _properties(packet: int, **values: Any) -> Properties:
    properties = Properties(packet)  # type: ignore[no-untyped-call]  # paho types only half of it
    for name, value in values.items():
        if value is not None:
            setattr(properties, name, value)
    return properties


def _options(subscription: Subscription) -> SubscribeOptions:
    # Retain As Published shows a retained command at once, not only when it is replayed on the next connection.
    return SubscribeOptions(qos=subscription.qos, noLocal=subscription.no_local, retainAsPublished=subscription.command)


def _tls_context(tls: TlsSettings) -> ssl.SSLContext:
    """Reads files, so not for the event loop."""
    context = ssl.create_default_context(cafile=tls.ca)
    if tls.certificate is not None:
        context.load_cert_chain(tls.certificate, tls.key)
    if tls.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _reason_code(error: BaseException | None) -> int | None:
    """The broker's reason for hanging up, from the errors of one connection and their causes."""
    if isinstance(error, BaseExceptionGroup):
        return next((code for inner in error.exceptions if (code := _reason_code(inner)) is not None), None)
    while error is not None:
        if isinstance(reason := getattr(error, "rc", None), ReasonCode):
            return int(reason.value)
        error = error.__cause__
    return None
