"""One connection to a broker, and the only place that knows aiomqtt and paho."""

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import aiomqtt
import structlog
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from framed.mqtt.settings import MqttSettings, TlsSettings, Version
from framed.mqtt.topics import Subscription
from framed.mqtt.trouble import PACKET_TOO_LARGE, NoConnection, why_not

log = structlog.get_logger(__name__)

MqttError = aiomqtt.MqttError

PIPELINE: Final = 16

# Mosquitto 2.0 acknowledges a message over its message_size_limit with this code, which the specification has for
# other packets only: paho would take the acknowledgement for garbage, hang up, and meet it again next time.
ReasonCode.names[PACKET_TOO_LARGE]["Packet too large"].append(PacketTypes.PUBACK)

_VERSIONS: Final[dict[Version, aiomqtt.ProtocolVersion]] = {
    "5": aiomqtt.ProtocolVersion.V5,
    "3.1.1": aiomqtt.ProtocolVersion.V311,
}
# Longer than the will's delay, else the delay is void; long enough to keep requests over a restart or an update.
_SESSION_EXPIRY_S: Final = 3_600


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


class Connection(aiomqtt.Client):  # type: ignore[misc]  # aiomqtt is not followed by mypy
    """One connection of aiomqtt that also tells what aiomqtt keeps to itself.

    It overrides paho's callbacks as aiomqtt 2.5 binds them: the pin in pyproject.toml holds that. `will` is said by
    the broker on this topic as `offline` when the connection breaks.
    """

    max_packet_bytes: int | None = None
    session_present = False
    reached = False
    _abandoned = False

    def __init__(
        self,
        settings: MqttSettings,
        version: Version,
        *,
        tls: ssl.SSLContext | None,
        will: str | None,
        will_delay_s: int,
        client_id: str | None = None,
    ) -> None:
        five = version == "5"
        delayed = five and not settings.plain
        delay = properties(PacketTypes.WILLMESSAGE, WillDelayInterval=will_delay_s) if delayed else None
        most = max(settings.max_binary_bytes, settings.max_json_bytes) + 1_024
        kept = {
            "clean_start": False,
            "properties": properties(
                PacketTypes.CONNECT, SessionExpiryInterval=_SESSION_EXPIRY_S, MaximumPacketSize=most
            ),
        }
        if client_id is not None:  # a visitor leaves no session behind
            session: dict[str, Any] = {} if five else {"clean_session": True}
        else:
            session = kept if five else {"clean_session": False}
        super().__init__(
            settings.host,
            settings.port,
            username=settings.username,
            password=settings.password.get_secret_value() if settings.password else None,
            identifier=client_id or settings.client_id,
            protocol=_VERSIONS[version],
            will=None if will is None else aiomqtt.Will(will, b"offline", qos=1, retain=True, properties=delay),
            keepalive=settings.keepalive,
            tls_context=tls,
            timeout=settings.connect_timeout_s,
            max_queued_incoming_messages=10_000,  # the reader never waits, so this only takes one burst of the socket
            **session,
        )
        self.pending_calls_threshold = PIPELINE * 2
        self._client.connect_timeout = settings.connect_timeout_s
        self._refused: dict[int, ReasonCode] = {}

    async def send(
        self, topic: str, payload: bytes, *, qos: int, retain: bool, properties: Properties | None, timeout_s: float
    ) -> ReasonCode | None:
        """Publish; the broker's reason if it acknowledged with a refusal, which aiomqtt's own `publish` takes for
        success. Raises MqttError when the connection breaks or nothing is acknowledged in time."""
        info = self._client.publish(topic, payload, qos, retain, properties)
        if info.rc != 0:
            error = aiomqtt.MqttCodeError(info.rc, "Could not publish message")
            if self._disconnected.done() and not self._disconnected.cancelled():
                raise error from self._disconnected.exception()
            raise error
        if not info.is_published():
            acknowledged = asyncio.Event()
            with self._pending_call(info.mid, acknowledged, self._pending_publishes):
                await self._wait_for(acknowledged.wait(), timeout=timeout_s)
        return self._refused.pop(info.mid, None)

    async def listen(self, wanted: Iterable[Subscription], *, five: bool) -> list[tuple[Subscription, str]]:
        """Subscribe; what the broker refused, with its reason."""
        wishes = list(wanted)
        topics: list[tuple[str, Any]] = [(wish.filter, _options(wish) if five else wish.qos) for wish in wishes]
        granted = await self.subscribe(topics)
        return [(wish, str(code)) for wish, code in zip(wishes, granted, strict=True) if code.is_failure]

    async def received(self) -> AsyncIterator[Incoming]:
        async for message in self.messages:
            yield _incoming(message)

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
            self._refused[mid] = reason_code
        super()._on_publish(client, userdata, mid, reason_code, properties)

    def _on_socket_register_write(self, client: Any, userdata: Any, sock: socket.socket) -> None:
        """aiomqtt watches the socket a moment later, when it may be closed already, which asyncio would log."""
        if self._abandoned or sock.fileno() < 0:
            return

        def watch() -> None:
            if not self._abandoned and sock.fileno() >= 0:
                self._loop.add_writer(sock.fileno(), write)

        def write() -> None:
            try:
                client.loop_write()
            except Exception as error:
                if not self._disconnected.done():
                    self._disconnected.set_exception(error)

        self._loop.call_soon_threadsafe(watch)

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


async def connect(
    settings: MqttSettings, version: Version, *, will: str | None, will_delay_s: int, client_id: str | None = None
) -> Connection:
    """A connection that the broker has accepted; raises NoConnection. Whoever gets it drops it."""
    tls = await _tls(settings)
    connection = Connection(settings, version, tls=tls, will=will, will_delay_s=will_delay_s, client_id=client_id)
    try:
        await connection.__aenter__()
    except asyncio.CancelledError:
        connection.abandon()
        raise
    except MqttError as error:
        connection.drop()
        raise why_not(error, settings, version, reached=connection.reached) from error
    except ValueError as error:  # paho on a host name that cannot be one
        raise NoConnection(f"mqtt.host {settings.host!r} cannot be used: {error}.") from error
    return connection


async def probe(settings: MqttSettings, client_id: str) -> str | None:
    """Sign in once, under an id of its own: None where the broker agrees, else a sentence that says what to change."""
    problem = None
    versions: tuple[Version, ...] = ("5", "3.1.1") if settings.protocol == "auto" else (settings.protocol,)
    for version in versions:
        try:
            connection = await connect(settings, version, will=None, will_delay_s=0, client_id=client_id)
        except NoConnection as error:
            problem = error.sentence
            if error.try_other:
                continue
            return problem
        try:
            await connection.__aexit__(None, None, None)
        except MqttError as error:
            log.debug("the broker did not take the goodbye", reason=str(error))
        return None
    return problem


async def status_at(settings: MqttSettings, version: Version, topic: str, client_id: str) -> bytes | None:
    """What stands on a retained topic, seen under an id of its own; None: nothing, or it cannot be seen."""
    try:
        connection = await connect(settings, version, will=None, will_delay_s=0, client_id=client_id)
    except NoConnection as problem:
        log.info("the broker cannot be looked at", reason=problem.sentence)
        return None
    try:
        await connection.listen((Subscription(topic),), five=version == "5")
        async with asyncio.timeout(settings.connect_timeout_s):
            async for incoming in connection.received():
                return incoming.payload
    except TimeoutError:
        return None  # nothing stands there
    except MqttError as error:
        log.info("the broker cannot be looked at", reason=str(error))
    finally:
        connection.drop()
    return None


async def _tls(settings: MqttSettings) -> ssl.SSLContext | None:
    if not settings.tls.enabled:
        return None
    try:
        return await asyncio.to_thread(_tls_context, settings.tls)
    except OSError as error:  # ssl.SSLError too
        raise NoConnection(f"The certificates of mqtt.tls cannot be used: {error}.") from error


def matches(topic: str, filter: str) -> bool:
    return bool(aiomqtt.Topic(topic).matches(filter))


def properties(packet: int, **values: Any) -> Properties:
    made = Properties(packet)  # type: ignore[no-untyped-call]  # paho types only half of it
    for name, value in values.items():
        if value is not None:
            setattr(made, name, value)
    return made


def publish_properties(
    *,
    expiry_s: int | None,
    content_type: str | None,
    correlation: bytes | None,
    user_properties: tuple[tuple[str, str], ...],
) -> Properties:
    return properties(
        PacketTypes.PUBLISH,
        MessageExpiryInterval=expiry_s,
        ContentType=content_type,
        CorrelationData=correlation,
        UserProperty=list(user_properties) or None,
    )


def _tls_context(tls: TlsSettings) -> ssl.SSLContext:
    """Reads files, so not for the event loop."""
    context = ssl.create_default_context(cafile=tls.ca)
    if tls.certificate is not None:
        context.load_cert_chain(tls.certificate, tls.key)
    if tls.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def reason_code(error: BaseException | None) -> int | None:
    """The broker's reason for hanging up, from the errors of one connection and their causes."""
    if isinstance(error, BaseExceptionGroup):
        return next((code for inner in error.exceptions if (code := reason_code(inner)) is not None), None)
    while error is not None:
        if isinstance(reason := getattr(error, "rc", None), ReasonCode):
            return int(reason.value)
        error = error.__cause__
    return None


def _incoming(message: aiomqtt.Message) -> Incoming:
    # paho sets only the properties that came; the others are missing attributes.
    given = message.properties
    return Incoming(
        topic=message.topic.value,
        payload=bytes(message.payload),
        retain=bool(message.retain),
        qos=message.qos,
        response_topic=getattr(given, "ResponseTopic", None),
        correlation=getattr(given, "CorrelationData", None),
        content_type=getattr(given, "ContentType", None),
        user_properties=tuple(getattr(given, "UserProperty", ())),
        expiry_s=getattr(given, "MessageExpiryInterval", None),
    )


def _options(subscription: Subscription) -> SubscribeOptions:
    # Retain As Published shows a retained command at once, not only when it is replayed on the next connection.
    return SubscribeOptions(qos=subscription.qos, noLocal=subscription.no_local, retainAsPublished=subscription.command)
