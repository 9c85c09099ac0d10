import asyncio
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr
from structlog.testing import capture_logs

from framed.errors import Refused, TooLarge
from framed.mqtt.client import MqttClient
from framed.mqtt.connection import Incoming, probe
from framed.mqtt.mosquitto import mosquitto_hash
from framed.mqtt.settings import MqttSettings, TlsSettings
from framed.mqtt.topics import Subscription, Topics
from tests.broker_fixtures import Mosquitto, Peer, free_port, retained

pytestmark = pytest.mark.broker

TOPICS = Topics()
QUICK = (0.01, 0.1)


class Inbox:
    """Collects what the client hands over."""

    def __init__(self) -> None:
        self.seen: list[Incoming] = []
        self._news = asyncio.Event()

    async def __call__(self, incoming: Incoming) -> None:
        self.seen.append(incoming)
        self._news.set()

    async def wait_for(self, topic: str) -> Incoming:
        async with asyncio.timeout(40):
            while True:
                for incoming in self.seen:
                    if incoming.topic == topic:
                        return incoming
                self._news.clear()
                await self._news.wait()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(40):
        while not condition():  # noqa: ASYNC110  # the client's state has no event for each change
            await asyncio.sleep(0.01)


def settings(port: int, **values: Any) -> MqttSettings:
    return MqttSettings(**{"port": port, "connect_timeout_s": 2, **values})


def daemon(port: int, inbox: Any = None, *, protocol: str = "auto", **more: Any) -> MqttClient:
    wanted = more.pop("settings", None) or settings(port, protocol=protocol)
    more.setdefault("subscriptions", TOPICS.subscriptions())
    return MqttClient(wanted, status_topic=TOPICS.status, on_message=inbox or Inbox(), backoff_s=QUICK, **more)


async def connected(client: MqttClient) -> None:
    await until(lambda: client.connected)


@pytest.mark.parametrize(("protocol", "spoken"), [("auto", "5"), ("5", "5"), ("3.1.1", "3.1.1")])
async def test_message_goes_out_and_comes_in_on_both_versions(mosquitto: Mosquitto, protocol: str, spoken: str) -> None:
    inbox = Inbox()
    async with daemon(mosquitto.port, inbox, protocol=protocol) as client, Peer(mosquitto.port, "framed/#") as peer:
        await connected(client)
        assert client.state.protocol == spoken
        await peer.publish(TOPICS.request("ask"), "the beach")
        assert (await inbox.wait_for(TOPICS.request("ask"))).payload == b"the beach"
        await client.publish(TOPICS.event, {"v": 1, "event_type": "photo_added"}, wait=True)
        await peer.wait_for(TOPICS.event, b'{"v":1,"event_type":"photo_added"}')


async def test_online_is_the_last_thing_said_on_connecting(mosquitto: Mosquitto) -> None:
    async def announce() -> None:
        await client.publish(TOPICS.discovery("ab"), {"dev": {}}, retain=True)

    async with Peer(mosquitto.port, "#") as peer:
        client = daemon(mosquitto.port, on_connected=announce)
        await client.publish(TOPICS.info, {"v": 1}, retain=True)
        await client.publish(TOPICS.event, {"v": 1})
        async with client:
            await peer.wait_for(TOPICS.event)
            topics = [message.topic.value for message in peer.seen]
    assert topics == [TOPICS.discovery("ab"), TOPICS.info, TOPICS.status, TOPICS.event]


async def test_failing_announcement_does_not_keep_framed_offline(mosquitto: Mosquitto) -> None:
    async def announce() -> None:
        raise RuntimeError("discovery is broken")

    async with daemon(mosquitto.port, on_connected=announce) as client:
        await connected(client)
        assert await retained(mosquitto.port) == {TOPICS.status: b"online"}


async def test_clean_stop_leaves_offline(mosquitto: Mosquitto) -> None:
    async with daemon(mosquitto.port) as client:
        await connected(client)
        assert await retained(mosquitto.port) == {TOPICS.status: b"online"}
    assert await retained(mosquitto.port) == {TOPICS.status: b"offline"}


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_killed_daemon_is_declared_offline_by_its_will(mosquitto: Mosquitto, protocol: str) -> None:
    script = (
        "import asyncio, sys\n"
        "from framed.mqtt.client import MqttClient\n"
        "from framed.mqtt.settings import MqttSettings\n"
        "async def main():\n"
        "    async def ignore(incoming): pass\n"
        "    settings = MqttSettings(port=int(sys.argv[1]), protocol=sys.argv[2])\n"
        "    client = MqttClient(settings, status_topic='framed/status', subscriptions=(), on_message=ignore,"
        " will_delay_s=1)\n"
        "    async with client:\n"
        "        await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    async with Peer(mosquitto.port, TOPICS.status) as peer:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, str(mosquitto.port), protocol, stdout=subprocess.DEVNULL
        )
        await peer.wait_for(TOPICS.status, "online")
        child.kill()
        await child.wait()
        await peer.wait_for(TOPICS.status, "offline")
    assert await retained(mosquitto.port) == {TOPICS.status: b"offline"}


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_own_offline_is_answered_with_online(mosquitto: Mosquitto, protocol: str) -> None:
    async with daemon(mosquitto.port, protocol=protocol) as client, Peer(mosquitto.port, TOPICS.status) as peer:
        await connected(client)
        await peer.publish(TOPICS.status, "offline", retain=True)
        await peer.wait_for(TOPICS.status, "online", count=2)
    assert await retained(mosquitto.port) == {TOPICS.status: b"offline"}


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_retained_command_is_refused_and_retained_hello_passes(mosquitto: Mosquitto, protocol: str) -> None:
    inbox = Inbox()
    async with Peer(mosquitto.port) as peer:
        await peer.publish(TOPICS.request("art/tonight"), "{}", retain=True)
        await peer.publish(TOPICS.cmd("hall"), "next", retain=True)
        await peer.publish(TOPICS.hello("hall"), "{}", retain=True)
        with capture_logs() as logs:
            async with daemon(mosquitto.port, inbox, protocol=protocol) as client:
                await connected(client)
                await peer.publish(TOPICS.cmd("hall"), "pause")
                await inbox.wait_for(TOPICS.cmd("hall"))
    assert sorted((m.topic, m.payload) for m in inbox.seen) == [
        (TOPICS.cmd("hall"), b"pause"),
        (TOPICS.hello("hall"), b"{}"),
    ]
    refused = {entry["topic"] for entry in logs if "retained command refused" in entry["event"]}
    assert refused == {TOPICS.request("art/tonight"), TOPICS.cmd("hall")}


async def test_command_sent_as_retained_is_refused_at_once_on_mqtt_5(mosquitto: Mosquitto) -> None:
    inbox = Inbox()
    async with daemon(mosquitto.port, inbox) as client, Peer(mosquitto.port) as peer:
        await connected(client)
        await peer.publish(TOPICS.cmd("hall"), "next", retain=True)
        await peer.publish(TOPICS.cmd("hall"), "pause")
        await inbox.wait_for(TOPICS.cmd("hall"))
    assert [incoming.payload for incoming in inbox.seen] == [b"pause"]


async def test_everything_retained_stands_again_on_a_broker_that_lost_it(mosquitto: Mosquitto) -> None:
    async with daemon(mosquitto.port) as client:
        await connected(client)
        await client.publish(TOPICS.info, {"v": 1}, retain=True, wait=True)
        await client.publish(TOPICS.show("hall"), {"rev": 1}, retain=True, wait=True)
        mosquitto.stop(signal.SIGKILL)
        await until(lambda: not client.connected)
        await client.publish(TOPICS.show("hall"), {"rev": 2}, retain=True)
        await client.clear(TOPICS.info)
        mosquitto.start()
        await connected(client)
        await until(lambda: TOPICS.info not in client.retained_topics())
        assert await retained(mosquitto.port) == {TOPICS.status: b"online", TOPICS.show("hall"): b'{"rev":2}'}
        assert client.state.reconnects == 1


async def test_answers_made_while_away_are_sent_in_order_after_connecting(mosquitto: Mosquitto) -> None:
    mosquitto.stop()
    async with daemon(mosquitto.port) as client:
        for number in range(250):
            await client.publish(TOPICS.response("ask"), str(number))
        await client.publish(TOPICS.event, "too late", expiry_s=0.01)
        await asyncio.sleep(0.02)
        mosquitto.start()
        async with Peer(mosquitto.port, "framed/#") as peer:
            await peer.wait_for(TOPICS.response("ask"), "249")
    # 251 waited, 200 are kept, and one of those had run out of time.
    assert peer.payloads(TOPICS.response("ask")) == [b"%d" % number for number in range(51, 250)]
    assert peer.payloads(TOPICS.event) == []
    assert client.state.dropped == 51


async def test_request_made_while_framed_was_away_is_still_answered(mosquitto: Mosquitto) -> None:
    async with daemon(mosquitto.port) as client:
        await connected(client)
    async with Peer(mosquitto.port) as peer:
        await peer.publish(TOPICS.request("ask"), "were you gone?")
    inbox = Inbox()
    async with daemon(mosquitto.port, inbox):
        assert (await inbox.wait_for(TOPICS.request("ask"))).payload == b"were you gone?"


async def test_answer_carries_what_mqtt_5_asks_for(mosquitto: Mosquitto) -> None:
    async with daemon(mosquitto.port) as client, Peer(mosquitto.port, "#") as peer:
        await connected(client)
        await client.publish(
            "my/answers",
            b"\xff\xd8",
            content_type="image/jpeg",
            correlation=b"\x00\x01",
            user_properties={"sha256": "ab"},
            expiry_s=30,
        )
        properties = (await peer.wait_for("my/answers")).properties
    assert properties.ContentType == "image/jpeg"
    assert properties.CorrelationData == b"\x00\x01"
    assert properties.UserProperty == [("sha256", "ab")]
    assert properties.MessageExpiryInterval in (29, 30)


class Reply(BaseModel):
    v: int = 1
    text: str
    error: str | None = None


async def test_payload_class_is_sent_as_json_without_what_is_absent(mosquitto: Mosquitto) -> None:
    async with daemon(mosquitto.port) as client, Peer(mosquitto.port, "#") as peer:
        await connected(client)
        await client.publish(TOPICS.reply, Reply(text="fünf"))
        await peer.wait_for(TOPICS.reply, '{"v":1,"text":"fünf"}')


@pytest.mark.parametrize(("payload", "bytes_"), [(b"x" * 5_001, "5,001"), ("x" * 4_097, "4,097")])
async def test_oversized_payload_is_refused_before_it_is_sent(payload: bytes | str, bytes_: str) -> None:
    client = daemon(0, settings=MqttSettings(max_json_bytes=4_096, max_binary_bytes=5_000))
    with pytest.raises(TooLarge, match=bytes_):
        await client.publish(TOPICS.thumb("hall"), payload, retain=True)
    assert client.state.dropped == 1
    assert client.retained_topics() == frozenset()


async def test_packet_above_the_limit_that_the_broker_names_is_refused_here(tmp_path: Path) -> None:
    with Mosquitto(tmp_path, "allow_anonymous true", "max_packet_size 20000") as broker:
        async with daemon(broker.port) as client:
            await connected(client)
            with pytest.raises(TooLarge, match="at most 20,000"):
                await client.publish(TOPICS.thumb("hall"), b"x" * 30_000, retain=True, wait=True)
            await client.publish(TOPICS.event, "still here", wait=True)
            assert client.state.reconnects == 0


async def test_message_that_the_broker_drops_is_told_to_its_maker_and_not_tried_again(tmp_path: Path) -> None:
    refused: list[tuple[str, int]] = []

    async def announce() -> None:
        await client.publish(TOPICS.thumb("hall"), b"x" * 30_000, retain=True)

    with Mosquitto(tmp_path, "allow_anonymous true", "message_size_limit 20000") as broker:
        client = daemon(
            broker.port,
            protocol="5",
            on_connected=announce,
            on_refused=lambda topic, payload, error: refused.append((topic, len(payload))),
        )
        async with client:
            await connected(client)
            await until(lambda: refused)
            with pytest.raises(TooLarge, match="refused 30,000 bytes before"):
                await client.publish(TOPICS.thumb("den"), b"x" * 30_001, retain=True, wait=True)
            await client.publish(TOPICS.thumb("den"), b"x" * 10_000, retain=True, wait=True)
            assert client.state.reconnects == 0
    assert refused == [(TOPICS.thumb("hall"), 30_000), (TOPICS.thumb("den"), 30_001)]


async def test_state_that_breaks_each_connection_is_given_up_though_it_is_made_anew_each_time(tmp_path: Path) -> None:
    async def announce() -> None:
        await client.publish(TOPICS.thumb("hall"), b"x" * 30_000, retain=True)

    with Mosquitto(tmp_path, "allow_anonymous true", "max_packet_size 20000") as broker:
        client = daemon(broker.port, protocol="3.1.1", on_connected=announce)
        async with client:
            await until(lambda: client.state.dropped)
            await connected(client)
            await client.publish(TOPICS.event, "online at last", wait=True)


async def test_packet_that_a_silent_broker_hangs_up_on_does_not_loop_for_ever(tmp_path: Path) -> None:
    with Mosquitto(tmp_path, "allow_anonymous true", "max_packet_size 20000") as broker:
        async with daemon(broker.port, protocol="3.1.1") as client:
            await connected(client)
            with pytest.raises(TooLarge, match="hangs up"):
                await client.publish(TOPICS.thumb("hall"), b"x" * 30_000, qos=0, retain=True, wait=True)
            await connected(client)
            await client.publish(TOPICS.event, "back", wait=True)


async def test_retained_message_ends_by_itself_on_mqtt_5(mosquitto: Mosquitto) -> None:
    async with daemon(mosquitto.port, protocol="5") as client, Peer(mosquitto.port, "framed/#") as peer:
        await connected(client)
        await client.publish(TOPICS.reply_to("t1"), "hello", retain=True, expiry_s=1, wait=True)
        await until(lambda: not client.retained_topics())
        async with asyncio.timeout(40):
            while TOPICS.reply_to("t1") in await retained(mosquitto.port):  # noqa: ASYNC110  # it counts whole seconds
                await asyncio.sleep(0.1)
    assert peer.payloads(TOPICS.reply_to("t1")) == [b"hello"]


async def test_retained_message_is_cleared_by_us_on_3_1_1(mosquitto: Mosquitto) -> None:
    async with daemon(mosquitto.port, protocol="3.1.1") as client, Peer(mosquitto.port, "framed/#") as peer:
        await connected(client)
        await client.publish(TOPICS.reply_to("t1"), "hello", retain=True, expiry_s=0.1, wait=True)
        await client.publish(TOPICS.reply_to("t2"), "hello", retain=True, expiry_s=60, wait=True)
        await peer.wait_for(TOPICS.reply_to("t1"), b"")
        assert TOPICS.reply_to("t1") not in await retained(mosquitto.port)
        assert TOPICS.reply_to("t2") in await retained(mosquitto.port)
    assert await retained(mosquitto.port) == {TOPICS.status: b"offline"}


async def test_full_queue_answers_busy_and_goes_on(mosquitto: Mosquitto) -> None:
    release = asyncio.Event()
    handled: list[bytes] = []
    busy: list[bytes] = []

    async def slow(incoming: Incoming) -> None:
        await release.wait()
        handled.append(incoming.payload)

    async def overflow(incoming: Incoming) -> None:
        busy.append(incoming.payload)

    client = daemon(mosquitto.port, slow, on_overflow=overflow, inbox_limit=3)
    async with client, Peer(mosquitto.port) as peer:
        await connected(client)
        for number in range(10):
            await peer.publish(TOPICS.request("ask"), str(number))
        await until(lambda: len(busy) == 6)
        release.set()
        await until(lambda: len(handled) == 4)
    assert handled == [b"0", b"1", b"2", b"3"]
    assert client.state.dropped == 6


async def test_hello_gets_in_before_a_flood_of_commands(mosquitto: Mosquitto) -> None:
    release = asyncio.Event()
    handled: list[str] = []

    async def slow(incoming: Incoming) -> None:
        handled.append(incoming.topic)
        await release.wait()

    client = daemon(mosquitto.port, slow, inbox_limit=3)
    async with client, Peer(mosquitto.port) as peer:
        await connected(client)
        for number in range(10):
            await peer.publish(TOPICS.request("ask"), str(number))
        await peer.publish(TOPICS.hello("hall"), "{}", retain=True)
        await peer.publish(TOPICS.hello("hall"), '{"v":1}', retain=True)
        await until(lambda: client.state.rx >= 13)
        release.set()
        await until(lambda: len(handled) == 5)
    assert handled[1] == TOPICS.hello("hall")
    assert handled.count(TOPICS.hello("hall")) == 1


async def test_command_far_too_long_comes_cut_and_state_far_too_long_not_at_all(mosquitto: Mosquitto) -> None:
    inbox = Inbox()
    small = settings(mosquitto.port, max_json_bytes=4_096)
    async with daemon(0, inbox, settings=small) as client, Peer(mosquitto.port) as peer:
        await connected(client)
        await peer.publish(TOPICS.hello("hall"), b"x" * 10_000, retain=True)
        await peer.publish(TOPICS.request("ask"), b"x" * 10_000)
        assert len((await inbox.wait_for(TOPICS.request("ask"))).payload) == 4_097
    assert [incoming.topic for incoming in inbox.seen] == [TOPICS.request("ask")]


async def test_handler_that_fails_does_not_stop_the_next_message(mosquitto: Mosquitto) -> None:
    handled: list[bytes] = []

    async def handle(incoming: Incoming) -> None:
        if incoming.payload == b"bad":
            raise RuntimeError("a bug")
        handled.append(incoming.payload)

    async with daemon(mosquitto.port, handle) as client, Peer(mosquitto.port) as peer:
        await connected(client)
        await peer.publish(TOPICS.request("ask"), "bad")
        await peer.publish(TOPICS.request("ask"), "good")
        await until(lambda: handled == [b"good"])


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_own_availability_of_a_pull_frame_does_not_come_back(mosquitto: Mosquitto, protocol: str) -> None:
    inbox = Inbox()
    async with daemon(mosquitto.port, inbox, protocol=protocol) as client, Peer(mosquitto.port) as peer:
        await connected(client)
        await client.publish(TOPICS.availability("pulls"), "online", retain=True, wait=True)
        await peer.publish(TOPICS.availability("pushes"), "online", retain=True)
        await inbox.wait_for(TOPICS.availability("pushes"))
    assert [incoming.topic for incoming in inbox.seen] == [TOPICS.availability("pushes")]


async def test_burst_arrives_whole_and_in_order(mosquitto: Mosquitto) -> None:
    async with daemon(mosquitto.port) as client, Peer(mosquitto.port, TOPICS.event) as peer:
        await connected(client)
        for number in range(3_000):
            await client.publish(TOPICS.event, str(number))
        await peer.wait_for(TOPICS.event, "2999")
    assert peer.payloads(TOPICS.event) == [b"%d" % number for number in range(3_000)]


@pytest.mark.parametrize("protocol", ["auto", "3.1.1"])
@pytest.mark.parametrize(
    ("user", "sentence"),
    [
        ({"username": "framed", "password": SecretStr("wrong")}, "refuses user 'framed'.*mqtt.password"),
        ({}, "wants a user"),
    ],
)
async def test_refused_password_is_said_in_a_sentence_without_it(
    tmp_path: Path, protocol: str, user: dict[str, Any], sentence: str
) -> None:
    with Mosquitto(tmp_path, "allow_anonymous false") as broker, capture_logs() as logs:
        client = daemon(broker.port, settings=settings(broker.port, protocol=protocol, **user))
        async with client:
            await until(lambda: client.state.last_error)
            await asyncio.sleep(0.3)  # several attempts
        troubles = [entry["reason"] for entry in logs if entry["event"] == "no MQTT connection"]
    assert len(troubles) == 1
    assert re.search(sentence, troubles[0])
    assert "wrong" not in str(logs)


async def test_refused_password_is_not_hammered_and_found_right_when_the_broker_has_it(tmp_path: Path) -> None:
    passwords = tmp_path / "passwords"
    passwords.write_text("")
    passwords.chmod(0o600)
    account = {"username": "framed", "password": SecretStr("correct")}
    with Mosquitto(tmp_path, "allow_anonymous false", f"password_file {passwords}") as broker, capture_logs() as logs:
        client = daemon(0, settings=settings(broker.port, **account), refused_backoff_s=(0.3, 0.3))
        async with client:
            await until(lambda: client.state.last_error)
            passwords.write_text(f"framed:{mosquitto_hash('correct')}\n")
            broker.reload()
            await connected(client)
            assert client.state.last_error is None
    assert len([entry for entry in logs if entry["event"] == "no MQTT connection"]) == 1


async def test_other_settings_are_used_at_once_and_the_old_broker_hears_goodbye(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as old, Mosquitto(tmp_path) as new:
        async with daemon(old.port) as client:
            await connected(client)
            await client.publish(TOPICS.info, {"v": 1}, retain=True, wait=True)
            await client.configure(settings(new.port))
            await connected(client)
            assert (await retained(old.port))[TOPICS.status] == b"offline"
            await until(lambda: client.state.reconnects == 1)
            assert await retained(new.port) == {TOPICS.status: b"online", TOPICS.info: b'{"v":1}'}


async def test_a_visit_to_the_broker_says_what_to_change_and_disturbs_nobody(mosquitto: Mosquitto) -> None:
    async with daemon(mosquitto.port) as client:
        await connected(client)
        assert await probe(settings(mosquitto.port), "framed-doctor") is None
        assert client.connected
        assert client.state.reconnects == 0
    assert "No MQTT broker listens" in str(await probe(settings(free_port()), "framed-doctor"))


async def test_absent_broker_is_said_once_and_found_when_it_comes(mosquitto: Mosquitto) -> None:
    mosquitto.stop()
    with capture_logs() as logs:
        async with daemon(mosquitto.port) as client:
            await until(lambda: client.state.last_error)
            await asyncio.sleep(0.3)
            assert f"No MQTT broker listens at 127.0.0.1:{mosquitto.port}" in str(client.state.last_error)
            mosquitto.start()
            await connected(client)
            assert client.state.last_error is None
    assert len([entry for entry in logs if entry["event"] == "no MQTT connection"]) == 1


async def test_unknown_host_is_said_in_a_sentence() -> None:
    async with daemon(0, settings=settings(1883, host="broker.invalid")) as client:
        await until(lambda: client.state.last_error)
        assert "'broker.invalid'" in str(client.state.last_error)
        assert "mqtt.host" in str(client.state.last_error)


async def test_port_that_never_answers_is_tried_with_both_versions_and_said() -> None:
    first_bytes: list[bytes] = []

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first_bytes.append(await reader.read(64))
        await reader.read()
        writer.close()

    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with daemon(port, settings=settings(port, connect_timeout_s=0.2)) as client:
        await until(lambda: client.state.last_error)
        assert "does not answer as an MQTT broker" in str(client.state.last_error)
    server.close()
    assert [packet[8] for packet in first_bytes[:2]] == [5, 4]  # protocol level in CONNECT


async def test_other_client_with_our_id_is_named_as_the_trouble(mosquitto: Mosquitto) -> None:
    async with daemon(mosquitto.port, protocol="5") as client:
        await connected(client)
        with capture_logs() as logs:
            async with daemon(mosquitto.port, protocol="5"):
                await until(lambda: any("client id 'framed'" in str(entry.get("reason")) for entry in logs))


def certificate(folder: Path) -> tuple[Path, Path]:
    key, cert = folder / "key.pem", folder / "cert.pem"
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    )
    subprocess.run([*command.split(), "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


async def test_tls_needs_a_certificate_that_is_trusted(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    with Mosquitto(tmp_path, "allow_anonymous true", f"certfile {cert}", f"keyfile {key}") as broker:
        async with daemon(0, settings=settings(broker.port, tls=TlsSettings(enabled=True))) as client:
            await until(lambda: client.state.last_error)
            assert "No TLS connection" in str(client.state.last_error)
            assert "self-signed certificate" in str(client.state.last_error)
        async with daemon(0, settings=settings(broker.port, tls=TlsSettings(enabled=True, ca=cert))) as client:
            await connected(client)
        async with daemon(0, settings=settings(broker.port, tls=TlsSettings(enabled=True, insecure=True))) as client:
            await connected(client)
        async with daemon(
            0, settings=settings(broker.port, tls=TlsSettings(enabled=True, ca=tmp_path / "no"))
        ) as client:
            await until(lambda: client.state.last_error)
            assert "certificates of mqtt.tls cannot be used" in str(client.state.last_error)


async def test_refused_publish_is_counted_and_said_on_mqtt_5(tmp_path: Path) -> None:
    rights = tmp_path / "rights"
    rights.write_text("topic readwrite framed/#\n")
    with Mosquitto(tmp_path, "allow_anonymous true", f"acl_file {rights}") as broker:
        async with daemon(broker.port, subscriptions=[Subscription("framed/request/#")]) as client:
            await connected(client)
            with pytest.raises(Refused, match="elsewhere/topic"):
                await client.publish("elsewhere/topic", "1", wait=True)
            assert "elsewhere/topic" in str(client.state.last_error)
            assert client.state.dropped == 1


async def test_close_is_quick_while_the_broker_hangs() -> None:
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    client = daemon(0, settings=settings(server.sockets[0].getsockname()[1], connect_timeout_s=30))
    await client.start()
    await asyncio.sleep(0.05)
    started = time.monotonic()
    await client.close()
    assert time.monotonic() - started < 10  # where it waited for the broker: 30 s
    server.close()


async def test_started_and_closed_without_a_broker_leaves_nothing_behind() -> None:
    before = asyncio.all_tasks()
    async with daemon(free_port()):
        pass
    assert asyncio.all_tasks() == before
