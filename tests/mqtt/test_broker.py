import asyncio
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiomqtt
import psutil
import pytest
from structlog.testing import capture_logs

from framed.errors import ConfigError, Unavailable
from framed.mqtt.broker import ManagedBroker
from framed.mqtt.client import MqttClient
from framed.mqtt.connection import Incoming
from framed.mqtt.endpoint import BrokerKind, Credentials, Endpoint
from framed.mqtt.settings import MqttSettings
from framed.mqtt.topics import Topics
from tests.broker_fixtures import Peer, free_port, retained
from tests.peers import require_peer

pytestmark = pytest.mark.broker

TOPICS = Topics()


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[ManagedBroker]:
    require_peer("mosquitto")
    managed = ManagedBroker(tmp_path / "broker", port=free_port())
    yield managed
    await managed.stop()


@pytest.fixture(params=["mosquitto", "iotcore"])
async def either(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ManagedBroker]:
    kind: BrokerKind = request.param
    if kind == "mosquitto":
        require_peer("mosquitto")
    managed = ManagedBroker(tmp_path / "broker", port=free_port(2), kind=kind)
    yield managed
    await managed.stop()


def peer(endpoint: Endpoint, account: Credentials, *filters: str, five: bool = False) -> Peer:
    port = endpoint.port_v5 if five and endpoint.port_v5 else endpoint.port
    return Peer(port, *filters, username=account.username, password=account.password.get_secret_value(), five=five)


def client(endpoint: Endpoint, *, five: bool, seen: list[Incoming] | None = None) -> MqttClient:
    async def keep(incoming: Incoming) -> None:
        if seen is not None:
            seen.append(incoming)

    port = endpoint.port_v5 if five and endpoint.port_v5 else endpoint.port
    settings = MqttSettings(
        port=port, protocol="5" if five else "3.1.1", username=endpoint.username, password=endpoint.password
    )
    return MqttClient(
        settings,
        status_topic=TOPICS.status,
        subscriptions=TOPICS.subscriptions(),
        on_message=keep,
        backoff_s=(0.01, 0.1),
        will_delay_s=1,
    )


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(40):
        while not condition():  # noqa: ASYNC110  # a process outside has no event
            await asyncio.sleep(0.02)


async def test_mosquitto_is_chosen_where_it_is_and_starts_at_once(broker: ManagedBroker) -> None:
    started = time.monotonic()
    endpoint = await broker.start()
    assert time.monotonic() - started < 10.0  # 0.03 s on an idle machine
    assert endpoint.kind == "mosquitto"
    assert "Mosquitto 2" in endpoint.note


async def test_nobody_else_can_read_the_brokers_secrets(either: ManagedBroker, tmp_path: Path) -> None:
    endpoint = await either.start()
    folder = tmp_path / "broker"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    command = " ".join(psutil.Process(either.pid).cmdline())
    assert endpoint.password.get_secret_value() not in command
    assert endpoint.password.get_secret_value() not in repr(endpoint)


async def test_nobody_comes_in_without_a_password(either: ManagedBroker) -> None:
    endpoint = await either.start()
    for username, password in ((None, None), ("framed", "guess"), ("stranger", "guess")):
        with pytest.raises(aiomqtt.MqttError):
            async with aiomqtt.Client("127.0.0.1", endpoint.port, username=username, password=password, timeout=0.4):
                pass


@pytest.mark.parametrize("five", [True, False])
async def test_client_and_broker_of_ours_speak_both_versions(either: ManagedBroker, five: bool) -> None:
    endpoint = await either.start()
    seen: list[Incoming] = []
    async with (
        client(endpoint, five=five, seen=seen) as daemon,
        peer(endpoint, either.credentials("home"), "framed/#") as home,
    ):
        await home.wait_for(TOPICS.status, "online")
        await home.publish(TOPICS.request("ask"), "the beach")
        await until(lambda: [incoming.payload for incoming in seen] == [b"the beach"])
        await daemon.publish(TOPICS.thumb("hall"), b"\xff" * 200_000, retain=True, wait=True)
        await home.wait_for(TOPICS.thumb("hall"))
    async with peer(endpoint, either.credentials("framed"), TOPICS.status) as late:
        await late.wait_for(TOPICS.status, "offline")


@pytest.mark.parametrize("five", [True, False])
async def test_own_offline_is_answered_on_our_broker(either: ManagedBroker, five: bool) -> None:
    endpoint = await either.start()
    async with client(endpoint, five=five), peer(endpoint, either.credentials("framed"), TOPICS.status) as other:
        await other.wait_for(TOPICS.status, "online")
        await other.publish(TOPICS.status, "offline", retain=True)
        await other.wait_for(TOPICS.status, "online", count=2)


async def test_who_is_given_an_account_comes_in_with_it_at_once(either: ManagedBroker) -> None:
    endpoint = await either.start()

    with capture_logs() as logs:
        for frame in ("hall", "kitchen", "attic"):
            async with peer(endpoint, await either.add_frame(frame), TOPICS.show(frame)):
                pass

    assert [entry for entry in logs if entry["log_level"] == "error"] == []


async def test_endpoint_gives_settings_that_work(either: ManagedBroker) -> None:
    endpoint = await either.start()
    daemon = MqttClient(endpoint.settings(), status_topic=TOPICS.status, subscriptions=(), on_message=ignore)
    async with daemon:
        await until(lambda: daemon.connected)
        assert daemon.state.protocol == "5"


async def test_what_framed_says_with_properties_breaks_no_client_of_3_1_1(either: ManagedBroker) -> None:
    """rumqttd hands the properties of MQTT 5 on to 3.1.1, where it then fails on its own packet."""
    endpoint = await either.start()
    daemon = MqttClient(endpoint.settings(), status_topic=TOPICS.status, subscriptions=(), on_message=ignore)
    async with daemon, peer(endpoint, either.credentials("framed"), "framed/#") as old:
        await daemon.publish(TOPICS.image("hall"), b"x", retain=True, content_type="image/jpeg", wait=True)
        await daemon.publish(TOPICS.reply_to("t1"), "soon gone", retain=True, expiry_s=0.5, wait=True)
        await daemon.publish(TOPICS.event, "x", user_properties={"sha256": "ab"}, wait=True)
        await old.wait_for(TOPICS.event, "x")
        await old.wait_for(TOPICS.reply_to("t1"), "soon gone")
        await until(lambda: TOPICS.reply_to("t1") not in daemon.retained_topics())


async def ignore(incoming: Incoming) -> None:
    pass


async def test_everything_stands_again_after_the_broker_died(either: ManagedBroker) -> None:
    endpoint = await either.start()
    async with client(endpoint, five=False) as daemon:
        await daemon.publish(TOPICS.show("hall"), {"rev": 1}, retain=True)
        await until(lambda: daemon.connected)
        dead = either.pid
        assert dead is not None
        os.kill(dead, signal.SIGKILL)
        await until(lambda: either.pid not in (None, dead) and daemon.state.reconnects == 1)
        account = either.credentials("framed")
        async with peer(endpoint, account, TOPICS.show("hall"), TOPICS.status) as late:
            await late.wait_for(TOPICS.show("hall"), '{"rev":1}')
            await late.wait_for(TOPICS.status, "online")


async def test_frame_reads_and_writes_its_own_topics_and_no_others(broker: ManagedBroker) -> None:
    endpoint = await broker.start()
    hall = await broker.add_frame("hall")
    await broker.add_frame("kitchen")
    async with peer(endpoint, broker.credentials("framed"), "framed/#") as daemon:
        for topic in (TOPICS.show("hall"), TOPICS.show("kitchen"), TOPICS.info, TOPICS.status):
            await daemon.publish(topic, "x", retain=True)
        async with connecting(endpoint, hall) as frame:
            await frame.publish(TOPICS.report("hall"), "mine")
            await frame.publish(TOPICS.report("kitchen"), "not mine")
            await frame.publish(TOPICS.show("hall"), "not for frames")
            await frame.publish(TOPICS.request("ask"), "not for frames")
            await frame.publish(TOPICS.hello("hall"), "last")
        await daemon.wait_for(TOPICS.hello("hall"), "last")
    assert [m.payload for m in daemon.seen if m.payload in (b"mine", b"not mine", b"not for frames")] == [b"mine"]
    assert set(await given(endpoint, hall)) == {TOPICS.show("hall"), TOPICS.status}


async def given(endpoint: Endpoint, account: Credentials) -> dict[str, bytes]:
    """The retained messages that a wildcard subscription of an account brings; `status` is the last one asked for."""
    async with peer(endpoint, account, "#") as late:
        await late.wait_for(TOPICS.status)
        return {message.topic.value: bytes(message.payload) for message in late.seen}


def connecting(endpoint: Endpoint, account: Credentials) -> Peer:
    return peer(endpoint, account)


async def test_home_assistant_asks_and_announces_but_cannot_speak_for_framed(broker: ManagedBroker) -> None:
    endpoint = await broker.start()
    async with peer(endpoint, broker.credentials("framed"), "#") as daemon:
        async with peer(endpoint, broker.credentials("home")) as home:
            for topic in (TOPICS.state("hall"), TOPICS.response("ask"), TOPICS.show("hall"), TOPICS.status):
                await home.publish(topic, "forged")
            await home.publish(TOPICS.home_assistant_status, "online")
            for topic in (TOPICS.set("hall"), TOPICS.cmd("hall"), TOPICS.ask("hall"), TOPICS.request("ask")):
                await home.publish(topic, "asked")
        await daemon.wait_for(TOPICS.request("ask"), "asked")
    assert {m.topic.value for m in daemon.seen} == {
        TOPICS.home_assistant_status,
        TOPICS.set("hall"),
        TOPICS.cmd("hall"),
        TOPICS.ask("hall"),
        TOPICS.request("ask"),
    }


async def test_removed_frame_is_shut_out(broker: ManagedBroker) -> None:
    endpoint = await broker.start()
    hall = await broker.add_frame("hall")
    async with connecting(endpoint, hall):
        pass
    await broker.remove_frame("hall")
    with pytest.raises(aiomqtt.MqttError):
        await connect_again_and_again(endpoint, hall)


async def connect_again_and_again(endpoint: Endpoint, account: Credentials) -> None:
    async with asyncio.timeout(40):
        while True:
            async with connecting(endpoint, account):
                await asyncio.sleep(0.02)


@pytest.mark.parametrize("name", ["framed", "home"])
async def test_frame_cannot_take_the_name_of_an_account(broker: ManagedBroker, name: str) -> None:
    with pytest.raises(ConfigError):
        await broker.add_frame(name)


async def test_passwords_and_retained_state_outlive_a_restart(broker: ManagedBroker, tmp_path: Path) -> None:
    endpoint = await broker.start()
    hall = await broker.add_frame("hall")
    async with peer(endpoint, broker.credentials("framed")) as daemon:
        await daemon.publish(TOPICS.show("hall"), "x", retain=True)
    await broker.stop()
    again = ManagedBroker(tmp_path / "broker", port=endpoint.port)
    assert await again.start() == endpoint
    try:
        assert await again.add_frame("hall") == hall
        word = endpoint.password.get_secret_value()
        assert await retained(endpoint.port, username="framed", password=word) == {TOPICS.show("hall"): b"x"}
    finally:
        await again.stop()


async def test_taken_port_is_said_with_the_option_that_moves_it(either: ManagedBroker) -> None:
    with socket.create_server(("127.0.0.1", either._port)):
        with pytest.raises(ConfigError, match=rf"{either._port}.*mqtt\.port"):
            await either.start()
    assert either.pid is None


async def test_damaged_accounts_are_said_and_not_replaced(broker: ManagedBroker, tmp_path: Path) -> None:
    (tmp_path / "broker").mkdir()
    (tmp_path / "broker" / "accounts.json").write_text("{")
    with pytest.raises(ConfigError, match=r"accounts\.json is damaged"):
        await broker.start()


async def test_address_of_another_machine_is_said(tmp_path: Path) -> None:
    require_peer("mosquitto")
    managed = ManagedBroker(tmp_path / "broker", host="203.0.113.1", port=free_port(), kind="mosquitto")
    with pytest.raises(ConfigError, match=r"cannot listen on 203\.0\.113\.1"):
        await managed.start()


async def test_no_broker_at_all_is_said_with_what_to_install(tmp_path: Path) -> None:
    managed = ManagedBroker(tmp_path / "broker", kind="other")  # type: ignore[arg-type]
    with pytest.raises(Unavailable, match="apt install mosquitto"):
        await managed.start()


DAEMON = """
import asyncio, json, os, sys
from pathlib import Path
from framed.mqtt.broker import ManagedBroker

async def main():
    broker = ManagedBroker(Path(sys.argv[1]), port=int(sys.argv[2]), kind=sys.argv[3])
    await broker.start()
    sys.stderr.write(json.dumps({"broker": broker.pid}) + "\\n")
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def daemon_process(folder: Path, port: int, kind: str) -> tuple[asyncio.subprocess.Process, int]:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", DAEMON, str(folder), str(port), kind, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert child.stderr is not None
    return child, json.loads(await child.stderr.readline())["broker"]


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.parametrize("kind", ["mosquitto", "iotcore"])
async def test_daemon_killed_with_9_leaves_no_broker_behind(tmp_path: Path, kind: str) -> None:
    if kind == "mosquitto":
        require_peer("mosquitto")
    child, pid = await daemon_process(tmp_path / "broker", free_port(2), kind)
    assert not gone(pid)
    child.kill()
    await child.wait()
    await until(lambda: gone(pid))


async def test_orphan_of_ours_is_ended_and_its_port_taken_over(broker: ManagedBroker, tmp_path: Path) -> None:
    endpoint = await broker.start()
    await broker.stop()
    folder = tmp_path / "broker"
    binary = require_peer("mosquitto")
    conf = str(folder / "mosquitto.conf")
    orphan = await asyncio.create_subprocess_exec(binary, "-c", conf, stderr=subprocess.DEVNULL)
    ended = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await ended.wait()
    record = {"broker": orphan.pid, "daemon": ended.pid, "daemon_started": 1.0}
    (folder / "broker.pid").write_text(json.dumps(record))
    assert (await broker.start()).port == endpoint.port
    await asyncio.wait_for(orphan.wait(), 40)


async def test_process_that_only_has_the_old_number_is_left_alone(broker: ManagedBroker, tmp_path: Path) -> None:
    folder = tmp_path / "broker"
    folder.mkdir()
    innocent = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=subprocess.PIPE)
    record = {"broker": innocent.pid, "daemon": 1, "daemon_started": 1.0}
    (folder / "broker.pid").write_text(json.dumps(record))
    await broker.start()
    assert innocent.returncode is None
    await innocent.communicate(b"\n")


async def test_folder_of_a_living_daemon_is_not_taken(broker: ManagedBroker, tmp_path: Path) -> None:
    require_peer("mosquitto")
    child, pid = await daemon_process(tmp_path / "broker", free_port(), "mosquitto")
    with pytest.raises(ConfigError, match=f"process {child.pid}"):
        await broker.start()
    assert not gone(pid)
    child.kill()
    await child.wait()
