"""The daemon when the network and the broker let it down: gone, silent, emptied, closed to it, or too small."""

import asyncio
import json
import signal
import ssl
import subprocess
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from framed.app import App
from framed.config import load
from framed.mqtt.mosquitto import mosquitto_hash
from tests.broker_fixtures import Mosquitto, Peer, free_port, retained
from tests.flows.conftest import UNSEEING, analysed, settings, until, write_photo
from tests.flows.line import Line

pytestmark = [
    pytest.mark.models,
    pytest.mark.broker,
    pytest.mark.asyncio(loop_scope="module"),
]

KEEPALIVE_S = 5
LARGEST = 60_000


async def connected(app: App) -> None:
    async def is_connected() -> bool:
        return app.mqtt.connected

    await until(is_connected, 60)


@dataclass
class House:
    """A daemon that reaches its broker over a line; the broker takes messages up to 60,000 bytes."""

    app: App = field(init=False)
    broker: Mosquitto
    line: Line
    http: aiohttp.ClientSession
    ahead_s: float = 0.0
    """How far the clock of the frames is ahead."""

    def clock(self) -> float:
        return time.time() + self.ahead_s

    async def call(self, verb: str, **payload: Any) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.app.token}"}
        url = f"http://127.0.0.1:{self.app.web.port}/api/v1/{verb}"
        async with self.http.post(url, json=payload, headers=headers) as answer:
            said: dict[str, Any] = await answer.json()
            return said

    async def connected(self, wanted: bool = True) -> None:
        async def check() -> bool:
            return self.app.mqtt.connected is wanted

        await until(check)

    async def standing(self) -> dict[str, bytes]:
        return await retained(self.broker.port, "framed/#")

    async def online(self) -> bool:
        """Whether all that stands at the broker has been said again: this is said last."""
        return (await self.standing()).get("framed/status") == b"online"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    home = tmp_path_factory.mktemp("luck")
    album = home / "photos"
    for number, picture in enumerate(("chelsea.png", "coffee.png", "astronaut.png", "rocket.jpg")):
        write_photo(picture, album / f"{number}-{picture[:5]}.jpg", taken=f"2019:07:1{number} 10:00:00")
    with Mosquitto(home, "allow_anonymous true", f"message_size_limit {LARGEST}") as broker:
        async with Line(broker.port) as line, aiohttp.ClientSession() as http:
            config = settings(home, album)
            config |= {"models": UNSEEING, "mqtt": {"host": "127.0.0.1", "port": line.port, "keepalive": KEEPALIVE_S}}
            house = House(broker, line, http)
            async with App(load(None, config), clock=house.clock) as house.app:
                yield house


async def test_a_broker_that_was_gone_and_comes_back_empty_has_everything_again_and_online_last(house: House) -> None:
    await until(house.online)
    before = await house.standing()
    assert "framed/frame/kitchen/state" in before
    house.broker.stop(signal.SIGKILL)  # while the photos are being analysed
    await house.connected(False)

    await analysed(house.app, 4)
    answer = await house.call("ask", text="photos from 11 July 2019 on the kitchen frame")
    health = await house.call("health")
    house.line.refusing = True
    house.line.cut()
    house.broker.start()
    assert await house.standing() == {}
    async with Peer(house.broker.port, "framed/#") as peer:
        house.line.refusing = False
        await house.connected()
        await peer.wait_for("framed/status", "online")
        topics = [message.topic.value for message in peer.seen]
        online = topics.index("framed/status")
        after = await house.standing()

        async def told() -> bool:
            return json.loads((await house.standing())["framed/library"])["analysed"] == 4

        await until(told)

    assert answer["status"] == "ok", answer
    assert answer["data"]["count"] == 1
    assert "MQTT broker" in health["data"]["problem"]
    assert set(before) - set(topics[:online]) <= {"framed/status"}
    assert set(before) <= set(after)
    show = json.loads(after["framed/frame/kitchen/show"])
    assert show["photo"] == answer["data"]["items"][0]["photo"]
    assert "problem" not in (await house.call("health"))["data"]


async def test_a_line_that_went_silent_is_noticed_and_left(house: House) -> None:
    await house.connected()
    house.line.silence()

    await house.connected(False)
    answer = await house.call("frame/cmd", frame="kitchen", action="refresh")
    house.line.speak()
    await house.connected()

    assert answer["status"] == "ok"
    await until(house.online)


def frame_events(peer: Peer, frame: str) -> list[str]:
    """One whose acknowledgement was cut off is sent again at once, the very same: it is one event."""
    said = [json.loads(payload) for payload in peer.payloads("framed/event")]
    return [event["event_type"] for event, _ in groupby(event for event in said if event.get("frame") == frame)]


async def test_what_a_frame_said_long_ago_does_not_bring_it_back(house: House) -> None:
    hello = json.dumps({"v": 1, "width": 320, "height": 240, "formats": ["jpeg"]})
    await house.connected()
    async with Peer(house.broker.port, "framed/event") as peer:

        async def heard(frame: str, *events: str) -> None:
            async def check() -> bool:
                return frame_events(peer, frame) == list(events)

            await until(check)

        await peer.publish("framed/frame/old/hello", hello, retain=True)
        await heard("old", "frame_online")
        await peer.publish("framed/frame/old/availability", "offline", retain=True)
        await heard("old", "frame_online", "frame_offline")
        before = house.app.mqtt.state.reconnects
        house.line.cut()

        async def again() -> bool:
            return house.app.mqtt.connected and house.app.mqtt.state.reconnects > before

        await until(again)
        await peer.publish("framed/frame/new/hello", hello)  # heard after all that the broker has kept
        await heard("new", "frame_online")

        assert frame_events(peer, "old") == ["frame_online", "frame_offline"]


async def test_a_frame_that_sleeps_is_gone_after_three_missed_wakes_until_it_wakes(house: House) -> None:
    hello = {"v": 1, "width": 320, "height": 240, "formats": ["jpeg"], "sleeps": True, "wake_s": 600}
    await house.connected()
    async with Peer(house.broker.port, "framed/event", "framed/frame/nap/#") as nap:

        async def state(**wanted: Any) -> None:
            async def check() -> bool:
                said = [json.loads(payload) for payload in nap.payloads("framed/frame/nap/state")]
                return bool(said) and {key: said[-1].get(key) for key in wanted} == wanted

            await until(check)

        await nap.publish("framed/frame/nap/availability", "online", retain=True)
        await nap.publish("framed/frame/nap/hello", json.dumps(hello), retain=True)
        await state(late=False)
        house.ahead_s = 3 * 600 + 60.0
        await house.call("frame/cmd", frame="kitchen", action="next")  # the frames' schedule looks at the clock
        await state(late=True)
        await nap.wait_for("framed/frame/nap/availability", "offline")
        await nap.publish("framed/frame/nap/availability", "online", retain=True)
        await state(late=False)
        house.ahead_s = 0.0

        assert frame_events(nap, "nap") == ["frame_online", "frame_offline", "frame_online"]


async def test_the_knob_of_a_frame_shows_in_its_state_until_it_is_told_otherwise(house: House) -> None:
    await house.connected()
    async with Peer(house.broker.port, "framed/frame/kitchen/state", "framed/frame/kitchen/control") as peer:

        async def state(brightness: int, on: bool) -> None:
            async def check() -> bool:
                said = [json.loads(payload) for payload in peer.payloads("framed/frame/kitchen/state")]
                return (said[-1]["brightness"], said[-1]["on"]) == (brightness, on)

            await until(check)

        await peer.publish("framed/frame/kitchen/report", '{"v": 1, "brightness": 40, "on": false}')
        await state(40, on=False)
        await peer.publish("framed/frame/kitchen/set", '{"brightness": 100}')  # what it is set to already
        await state(100, on=False)
        await peer.wait_for("framed/frame/kitchen/control")
        await peer.publish("framed/frame/kitchen/set", '{"on": true}')
        await state(100, on=True)
        controls = [json.loads(payload) for payload in peer.payloads("framed/frame/kitchen/control")]

    assert [(control["action"], control.get("value")) for control in controls[:1]] == [("brightness", 100)]


async def test_home_assistant_that_has_just_started_is_told_that_framed_is_there(house: House) -> None:
    await house.connected()
    async with Peer(house.broker.port, "framed/status", "framed/frame/kitchen/state") as assistant:
        await assistant.wait_for("framed/frame/kitchen/state")  # as kept by the broker
        await assistant.wait_for("framed/status", "online")
        await assistant.publish("homeassistant/status", "online")
        await assistant.wait_for("framed/status", "online", count=2)

        assert len(assistant.payloads("framed/frame/kitchen/state")) > 1


async def test_a_picture_the_broker_does_not_take_is_fetched_by_its_address_instead(house: House) -> None:
    hello = {"v": 1, "width": 1600, "height": 1200, "formats": ["png"], "delivery": "mqtt", "max_bytes": 9_000_000}
    async with Peer(house.broker.port, "framed/event", "framed/frame/wall/#") as wall:
        await wall.publish("framed/frame/wall/hello", json.dumps(hello), retain=True)

        async def complaint() -> Any:
            events = [json.loads(payload) for payload in wall.payloads("framed/event")]
            return next((e for e in events if e["event_type"] == "frame_error" and e["frame"] == "wall"), None)

        error = await until(complaint)
        show = json.loads((await wall.wait_for("framed/frame/wall/show")).payload)
        pictures = [payload for payload in wall.payloads("framed/frame/wall/image") if payload]
    async with house.http.get(show["url"].replace(house.app.base_url, f"http://127.0.0.1:{house.app.web.port}")) as got:
        data = await got.read()

    assert "Too large for MQTT" in error["problem"]
    assert pictures == []
    assert (got.status, len(data)) == (200, show["bytes"])
    assert show["bytes"] > LARGEST
    assert house.app.mqtt.connected


async def test_an_answer_the_broker_does_not_take_is_sent_without_its_long_lists(house: House) -> None:
    await house.connected()
    async with Peer(house.broker.port, "framed/response/#") as home:
        payload = {"query": "photos", "frame": "kitchen", "photos": None, "note": "x" * 10}
        await home.publish("framed/request/nobody/knows", json.dumps(payload))
        await home.wait_for("framed/response/nobody/knows")
        house.app.messages.refused(
            "framed/response/photo/search",
            json.dumps({"v": 1, "status": "ok", "transaction": "t9", "data": {"items": ["x" * 5_000] * 20}}).encode(),
            _too_large(),
        )
        short = json.loads((await home.wait_for("framed/response/photo/search")).payload)

    assert short == {"v": 1, "status": "ok", "transaction": "t9", "data": {"truncated": "Too much."}}


def _too_large() -> Any:
    from framed.errors import TooLarge

    return TooLarge("Too much.")


def certificates(folder: Path) -> tuple[Path, Path, Path]:
    """An authority of our own, and a broker's certificate that it has signed."""
    ca, ca_key, key, request, cert = (folder / name for name in ("ca.pem", "ca.key", "key.pem", "req.pem", "cert.pem"))
    names = folder / "names"
    names.write_text("subjectAltName=IP:127.0.0.1\n")
    sign = ["openssl", "x509", "-req", "-days", "2"]
    new = ["openssl", "req", "-newkey", "rsa:2048", "-nodes"]
    for command in (
        [*new, "-x509", "-days", "2", "-subj", "/CN=Home", "-keyout", ca_key, "-out", ca],
        [*new, "-subj", "/CN=broker", "-keyout", key, "-out", request],
        [*sign, "-in", request, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-extfile", names, "-out", cert],
    ):
        subprocess.run([str(word) for word in command], check=True, capture_output=True)
    return ca, cert, key


async def test_mqtt_3_1_1_over_tls_with_a_password_that_is_put_right_while_framed_runs(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    home = tmp_path_factory.mktemp("tls")
    ca, cert, key = await asyncio.to_thread(certificates, home)
    passwords = home / "passwords"
    passwords.write_text(f"framed:{mosquitto_hash('right-password')}\n")
    passwords.chmod(0o600)
    options = ("allow_anonymous false", f"password_file {passwords}", f"certfile {cert}", f"keyfile {key}")
    (home / "photos").mkdir()
    with Mosquitto(home, *options) as broker, capture_logs() as logs:
        async with Line(broker.port) as line:
            config = settings(home, home / "photos")
            config["mqtt"] = {
                "host": "127.0.0.1",
                "port": line.port,
                "protocol": "3.1.1",
                "username": "framed",
                "password": "wrong-password",
                "tls": {"enabled": True, "ca": str(ca)},
            }
            async with App(load(None, config)) as app:

                async def refused() -> Any:
                    health = await app.system.health_payload()
                    return "mqtt.password" in health.get("problem", "")

                await until(refused)
                await asyncio.sleep(1.5)
                assert line.taken == 1  # a refused password is not tried again and again

                right = load(None, {**config, "mqtt": {**config["mqtt"], "password": "right-password"}})
                await app.configure_mqtt(right.mqtt)
                await connected(app)
                assert app.mqtt.state.protocol == "3.1.1"
                context = ssl.create_default_context(cafile=ca)
                async with Peer(
                    broker.port, "framed/#", username="framed", password="right-password", five=False, tls=context
                ) as peer:
                    await peer.publish("framed/request/ask", '{"text": "cats", "transaction": "t1"}')
                    answer = json.loads((await peer.wait_for("framed/response/ask")).payload)
                    reply = json.loads((await peer.wait_for("framed/reply/t1")).payload)
    assert answer["status"] == "ok"
    assert answer["transaction"] == reply["transaction"] == "t1"
    assert reply["speech"]
    assert "wrong-password" not in str(logs)
    assert "right-password" not in str(logs)


async def test_without_mosquitto_the_packaged_broker_does_the_job_and_its_limits_are_said_once(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    home = tmp_path_factory.mktemp("trial")
    write_photo("chelsea.png", home / "photos" / "cat.jpg", taken="2019:07:14 10:00:00")
    config = settings(home, home / "photos")
    config |= {"models": UNSEEING, "mqtt": {"port": free_port(2), "broker": "iotcore"}}
    with capture_logs() as logs:
        async with App(load(None, config)) as app:
            await connected(app)
            await analysed(app, 1)
            assert app.endpoint is not None
            account = app.broker.credentials("home")
            login: dict[str, Any] = {"username": "home", "password": account.password.get_secret_value()}
            async with (
                Peer(app.endpoint.port, "framed/#", five=False, **login) as old,
                Peer(app.endpoint.port_v5 or 0, "framed/frame/kitchen/show", **login) as new,
            ):
                await old.publish("framed/request/ask", '{"text": "photos on the kitchen frame", "transaction": "t1"}')
                answer = json.loads((await old.wait_for("framed/response/ask")).payload)
                assert answer["status"] == "ok", answer
                shown = answer["data"]["items"][0]["photo"]

                async def on_the_frame() -> bool:
                    shows = [json.loads(payload) for payload in new.payloads("framed/frame/kitchen/show")]
                    return any(show["photo"] == shown for show in shows)

                await until(on_the_frame)
    said = [entry["note"] for entry in logs if entry["event"] == "broker with limits"]

    assert len(said) == 1
    assert "at most 100 retained" in said[0]
    assert "Install Mosquitto" in said[0]
