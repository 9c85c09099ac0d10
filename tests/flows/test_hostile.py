"""The whole daemon against whoever may publish or reach its port: garbage, floods, strangers, other sites' pages."""

import asyncio
import json
import logging
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import aiomqtt
import psutil
import pytest
import pytest_asyncio
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from structlog.testing import capture_logs

from framed.app import App
from framed.config import load
from tests.broker_fixtures import Peer, retained
from tests.flows.conftest import analysed, settings, until, write_photo
from tests.peers import require_peer
from tests.web.chromium import browser_page

pytestmark = [
    pytest.mark.models,
    pytest.mark.broker,
    pytest.mark.asyncio(loop_scope="module"),
]

MARKUP = "<img src=x onerror=\"window.hacked='yes'\">"


class Records(logging.Handler):
    """Lines of libraries, at every level."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage() + str(record.exc_info or ""))


@dataclass
class House:
    app: App
    http: aiohttp.ClientSession
    logs: list[Any]
    records: Records
    secrets: set[str] = field(default_factory=set)

    @property
    def port(self) -> int:
        return self.app.web.port

    @property
    def broker_port(self) -> int:
        assert self.app.endpoint is not None
        return self.app.endpoint.port

    @property
    def at(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def owner(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.app.token}"}

    async def call(self, verb: str, **payload: Any) -> dict[str, Any]:
        async with self.http.post(f"{self.at}/api/v1/{verb}", json=payload, headers=self.owner) as answer:
            said: dict[str, Any] = await answer.json()
            return said

    def home(self, *filters: str) -> Peer:
        """An MQTT 5 client with Home Assistant's account."""
        account = self.app.broker.credentials("home")
        password = account.password.get_secret_value()
        return Peer(self.broker_port, *filters, username=account.username, password=password)

    async def frame_token(self, frame: str) -> str:
        listed = (await self.call("frame/list"))["data"]["items"]
        token = str(next(one["link"] for one in listed if one["frame"] == frame).rpartition("k=")[2])
        self.secrets.add(token)
        return token


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    require_peer("mosquitto")
    home = tmp_path_factory.mktemp("hostile")
    album = home / "photos"
    write_photo("chelsea.png", album / f"cat {MARKUP.replace('/', '')}.jpg", taken="2019:07:14 10:00:00")
    write_photo("coffee.png", album / "coffee.jpg", taken="2021:12:25 09:30:00")
    (album / f"broken {MARKUP}.jpg").write_bytes(b"\xff\xd8 no picture")
    config = settings(home, album)
    config["frames"].append({"id": "hall", "name": MARKUP, "width": 320, "height": 240})
    records = Records()
    root = logging.getLogger()
    root.addHandler(records)
    before, level = root.level, logging.DEBUG
    root.setLevel(level)
    with capture_logs() as logs:
        async with App(load(None, config)) as app, aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
            await analysed(app, 2)
            yield House(app, http, logs, records)
    root.setLevel(before)
    root.removeHandler(records)


# -- MQTT ------------------------------------------------------------------------------------------------------------

GARBAGE: dict[str, bytes] = {
    "not JSON": b'{"text": ',
    "not UTF-8": b'{"text": "\xff\xfe"}',
    "NaN": b'{"text": "cats", "limit": NaN}',
    "a key twice": b'{"text": "cats", "text": "dogs"}',
    "NUL": b'{"text": "\\u0000"}',
    "half a surrogate": b'{"text": "\\ud83d"}',
    "deep": b'{"text": ' + b"[" * 20_000 + b"]" * 20_000 + b"}",
}
REFUSED: dict[str, tuple[str, bytes, str]] = {
    **{f"{name} to plan": ("playlist/plan", payload, "bad_json") for name, payload in GARBAGE.items()},
    **{f"{name} to ask": ("ask", payload, "bad_json") for name, payload in GARBAGE.items()},
    "a list": ("playlist/plan", b"[1]", "bad_json"),
    "a number": ("playlist/plan", b"7", "bad_json"),
    "nothing": ("playlist/plan", b"", "bad_request"),
    "an empty object": ("ask", b"{}", "bad_request"),
    "a number for a text": ("ask", b'{"text": 5}', "bad_request"),
    "an object for a text": ("ask", b'{"text": {"$gt": ""}}', "bad_request"),
    "a text too long": ("ask", json.dumps({"text": "cats " * 1_000}).encode(), "bad_request"),
    "a transaction that climbs": ("ask", b'{"text": "cats", "transaction": "../../status"}', "bad_request"),
    "a transaction with a wildcard": ("ask", b'{"text": "cats", "transaction": "#"}', "bad_request"),
    "a limit out of bounds": ("photo/search", b'{"text": "cats", "limit": 100000000}', "bad_request"),
    "300 kB": ("ask", b'{"text": "' + b"x" * 300_000 + b'"}', "too_large"),
    "an unknown verb": ("make/coffee", b"{}", "unknown_verb"),
    "an unknown verb in odd letters": ("Make Coffee ☕", b"{}", "unknown_verb"),
    "an unknown frame": ("playlist/set", b'{"frame": "attic", "query": "cats"}', "unknown_frame"),
    "an unknown playlist": ("playlist/set", b'{"frame": "kitchen", "id": "nope"}', "unknown_playlist"),
    "an unknown photo": ("photo/get", b'{"id": "../../etc/passwd"}', "unknown_photo"),
    "two wishes in one": ("playlist/set", b'{"frame": "kitchen", "id": "a", "query": "b"}', "bad_request"),
    "a password over MQTT": ("frame/account", b'{"frame": "kitchen"}', "refused"),
    "what comes later": ("art/generate", b"{}", "unavailable"),
}


async def test_every_request_is_answered_with_the_code_that_fits(house: House) -> None:
    got: dict[str, Any] = {}
    async with house.home("framed/response/#") as home:
        for number, (name, (verb, payload, _)) in enumerate(REFUSED.items()):
            await home.publish(f"framed/request/{verb}", payload)
            message = await home.wait_for("framed/response/#", count=number + 1)
            said = json.loads(message.payload)
            got[name] = (message.topic.value.removeprefix("framed/response/"), said["status"], said["error"]["code"])
            assert len(message.payload) < 1_500, name

    assert got == {name: (verb, "error", code) for name, (verb, _, code) in REFUSED.items()}


async def test_http_answers_as_mqtt_does(house: House) -> None:
    answers = {}
    for verb in ("make/coffee", "art/generate", "photo/get"):
        said = await house.call(verb, id="nobody", transaction="over-http")
        answers[verb] = (said["status"], said["transaction"], said["data"], said["error"]["code"])

    codes = {"make/coffee": "unknown_verb", "art/generate": "unavailable", "photo/get": "unknown_photo"}
    assert answers == {verb: ("error", "over-http", {}, code) for verb, code in codes.items()}


async def test_garbage_on_the_topics_of_frames_is_answered_where_there_are_answers_and_changes_nothing(
    house: House,
) -> None:
    before = (await house.call("frame/list"))["data"]["items"]
    nonsense = [
        *GARBAGE.values(),
        b"[1]",
        b'{"width": "wide"}',
        b'{"paused": 7}',
        b'{"action": "explode"}',
        b"x" * 300_000,
    ]
    framed = house.app.broker.credentials("framed")
    password = framed.password.get_secret_value()
    async with Peer(house.broker_port, "framed/response/#", username="framed", password=password) as anybody:
        for frame in ("kitchen", "nobody"):
            for leaf in ("hello", "report", "set", "availability", "cmd"):
                for payload in nonsense:
                    await anybody.publish(f"framed/frame/{frame}/{leaf}", payload)
        await anybody.publish("framed/frame/nobody/cmd", b"next")
        await anybody.wait_for("framed/response/frame/cmd", count=2 * len(nonsense) + 1)
        for payload in GARBAGE.values():
            await anybody.publish("framed/frame/nobody/ask", payload)
        await anybody.publish("framed/frame/nobody/ask", b"cats")
        await anybody.wait_for("framed/response/ask", count=len(GARBAGE) + 1)
        commands = {json.loads(said)["error"]["code"] for said in anybody.payloads("framed/response/frame/cmd")}
        asks = [json.loads(said)["error"]["code"] for said in anybody.payloads("framed/response/ask")]
        # the last word on each retained topic was garbage: leave none behind
        for frame in ("kitchen", "nobody"):
            for leaf in ("hello", "availability"):
                await anybody.publish(f"framed/frame/{frame}/{leaf}", b"", retain=True)
    await house.app.bus.settle()
    after = (await house.call("frame/list"))["data"]["items"]

    assert commands == {"bad_json", "bad_request", "unknown_frame", "too_large"}
    assert asks == ["bad_json"] * len(GARBAGE) + ["unknown_frame"]
    assert [(one["frame"], one["width"], one["paused"], one["on"]) for one in after] == [
        (one["frame"], one["width"], one["paused"], one["on"]) for one in before
    ]


async def test_a_retained_command_is_refused_and_said(house: House) -> None:
    async with house.home("framed/response/#") as home:
        await home.publish("framed/request/playlist/plan", '{"text": "cats", "transaction": "kept"}', retain=True)
        await home.publish("framed/request/playlist/plan", '{"text": "cats", "transaction": "said"}')
        first = json.loads((await home.wait_for("framed/response/playlist/plan")).payload)
        await home.publish("framed/request/playlist/plan", b"", retain=True)

    assert first["transaction"] == "said"
    warned = [entry for entry in house.logs if entry["event"].startswith("retained command refused")]
    assert [entry["topic"] for entry in warned] == ["framed/request/playlist/plan"]


async def test_the_same_transaction_is_done_once_and_answered_twice(house: House) -> None:
    await house.call("ask", text="photos", frame="kitchen")
    async with house.home("framed/response/frame/cmd") as home:
        for _ in range(2):
            await home.publish("framed/frame/kitchen/cmd", '{"action": "next", "transaction": "once"}')
        await home.wait_for("framed/response/frame/cmd", count=2)
        first, second = (json.loads(payload) for payload in home.payloads("framed/response/frame/cmd"))

    assert first["status"] == "ok"
    assert first["transaction"] == "once"
    assert first == second


async def test_an_answer_goes_to_the_topic_the_requester_chose_but_never_over_state(house: House) -> None:
    async with house.home("my/answers", "framed/#") as home:
        # the home's account may read what it likes of its own; framed's rights would let it write anywhere
        for chosen in (
            "framed/status",
            "framed/frame/kitchen/show",
            "homeassistant/device/x/config",
            "framed/response/mine",
        ):
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.ResponseTopic, properties.CorrelationData = chosen, b"\x00\x07"
            await home.client.publish("framed/request/health", b"{}", qos=1, properties=properties)
        mine = await home.wait_for("framed/response/mine")
        await home.wait_for("framed/response/health", count=4)
        answers = [
            message
            for message in home.seen
            if hasattr(message.properties, "CorrelationData") and not message.topic.matches("framed/request/#")
        ]

    assert mine.properties.CorrelationData == b"\x00\x07"
    assert [message.topic.value for message in answers] == ["framed/response/mine"]


async def test_long_work_is_accepted_first_and_its_end_reaches_the_topic_that_was_chosen(house: House) -> None:
    async with house.home("framed/response/#") as home:
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.ResponseTopic, properties.CorrelationData = "framed/response/mine", b"\x05"
        await home.client.publish("framed/request/library/rescan", b"{}", qos=1, properties=properties)
        last = await home.wait_for("framed/response/mine", count=2)
        mine = [json.loads(payload)["status"] for payload in home.payloads("framed/response/mine")]
        await home.publish("framed/request/library/rescan", '{"transaction": "scan"}')
        await home.wait_for("framed/response/library/rescan", count=3)
        answers = [json.loads(payload) for payload in home.payloads("framed/response/library/rescan")][1:]

    assert (mine, last.properties.CorrelationData) == (["accepted", "ok"], b"\x05")
    assert [(each["status"], each["transaction"]) for each in answers] == [("accepted", "scan"), ("ok", "scan")]


async def test_two_thousand_requests_at_once_are_answered_or_told_busy_and_a_frame_still_gets_in(house: House) -> None:
    rss = psutil.Process().memory_info().rss
    hello = {"v": 1, "width": 320, "height": 240, "formats": ["jpeg"], "delivery": "url"}
    framed = house.app.broker.credentials("framed")
    password = framed.password.get_secret_value()
    async with (
        house.home("framed/response/playlist/plan") as flood,
        Peer(house.broker_port, "framed/frame/late/show", username="framed", password=password) as frame,
    ):
        asked = [
            asyncio.create_task(
                flood.client.publish(
                    "framed/request/playlist/plan",
                    json.dumps({"text": "cats", "transaction": f"f{number}"}),
                    qos=1,
                    timeout=60,
                )
            )
            for number in range(2_000)
        ]
        await frame.publish("framed/frame/late/hello", json.dumps(hello), retain=True)
        await frame.wait_for("framed/frame/late/show")
        await asyncio.gather(*asked)

        async def all_answered() -> bool:
            return len(flood.payloads("framed/response/playlist/plan")) == 2_000

        await until(all_answered, 120)
        answers = [json.loads(payload) for payload in flood.payloads("framed/response/playlist/plan")]
        await frame.publish("framed/frame/late/hello", b"", retain=True)
    codes = [said.get("error", {}).get("code", "ok") for said in answers]

    assert set(codes) == {"ok", "busy"}
    assert {said["transaction"] for said in answers} == {f"f{number}" for number in range(2_000)}
    assert psutil.Process().memory_info().rss - rss < 100_000_000
    assert house.app.mqtt.connected


# -- accounts and the broker of framed's own -------------------------------------------------------------------------


async def test_a_frames_account_opens_its_own_topics_and_no_others_and_ends_with_it(house: House) -> None:
    made = (await house.call("frame/add", frame="den", width=320, height=240))["data"]
    account = (await house.call("frame/account", frame="den"))["data"]
    house.secrets |= {account["password"], made["link"].rpartition("k=")[2]}
    login: dict[str, Any] = {"username": account["username"], "password": account["password"]}
    framed = house.app.broker.credentials("framed")
    daemon: dict[str, Any] = {"username": "framed", "password": framed.password.get_secret_value()}
    async with Peer(account["port"], "framed/frame/+/report", "framed/request/#", **daemon) as watch:
        async with Peer(account["port"], **login) as den:
            for topic in ("framed/frame/kitchen/report", "framed/frame/den/show", "framed/request/health"):
                await den.publish(topic, b"{}")
            await den.publish("framed/frame/den/report", b"{}")
        await watch.wait_for("framed/frame/den/report")
        heard = {message.topic.value for message in watch.seen}
    async with Peer(account["port"], "#", "framed/status", **login) as den:
        await den.wait_for("framed/status")
        reads = {message.topic.value for message in den.seen}
    again = (await house.call("frame/account", frame="den"))["data"]
    renewed = (await house.call("frame/account", frame="den", renew=True))["data"]
    house.secrets.add(renewed["password"])
    removed = await house.call("frame/remove", frame="den")

    assert heard == {"framed/frame/den/report"}
    assert {topic.split("/")[2] for topic in reads if topic != "framed/status"} <= {"den"}
    assert again == account
    assert renewed["password"] != account["password"]
    assert removed["status"] == "ok"
    for word in (account["password"], renewed["password"]):
        with pytest.raises(aiomqtt.MqttError):
            async with Peer(account["port"], username="den", password=word):
                pass

    async def nothing_left() -> bool:
        return not [topic for topic in await retained(account["port"], "framed/#", **daemon) if "/den/" in topic]

    await until(nothing_left)


async def test_a_broker_of_framed_that_is_killed_comes_back_with_all_that_stood_there(house: House) -> None:
    framed = house.app.broker.credentials("framed")
    daemon: dict[str, Any] = {"username": "framed", "password": framed.password.get_secret_value()}
    before = await retained(house.broker_port, "framed/#", **daemon)
    dead = house.app.broker.pid
    assert dead is not None
    os.kill(dead, signal.SIGKILL)

    async def back() -> bool:
        return house.app.broker.pid not in (None, dead) and house.app.mqtt.connected

    await until(back)

    async def said_again() -> dict[str, bytes]:
        standing = await retained(house.broker_port, "framed/#", **daemon)
        return standing if set(before) <= set(standing) and standing["framed/status"] == b"online" else {}

    after = await until(said_again)
    assert json.loads(after["framed/frame/kitchen/show"]) == json.loads(before["framed/frame/kitchen/show"])


# -- HTTP ------------------------------------------------------------------------------------------------------------

PATHS = [
    b"/../../../../etc/passwd",
    b"/static/../../../../etc/passwd",
    b"/static/..%2f..%2f..%2fetc%2fpasswd",
    b"/static/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    b"/static/%252e%252e%252fetc%252fpasswd",
    b"/static/..\\..\\..\\etc\\passwd",
    b"/static/%00/etc/passwd",
    b"/static/frame.html%00.js",
    b"/static//etc/passwd",
    b"/photo/../../../etc/passwd/original",
    b"/photo/..%2f..%2fetc%2fpasswd/original",
    b"/photo/%2e%2e/original",
    b"/photo/1;cat%20/etc/passwd/preview",
    b"/photo/' OR 1=1 --/preview",
    b"/p/..%2f..%2fframed.db",
    b"/p/" + b"f" * 64 + b".db",
    b"/frame/..%2f..%2ftoken",
    b"/frame/kitchen/p/..%2f..%2f..%2ftoken.jpg",
    b"/api/v1/../../token",
    b"http://evil.example/static/../../token",
    b"//evil.example/%2e%2e",
    b"/%ff%fe%fd",
    b"/?token=%ff",
    b"*",
]
HEADS = [
    b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 100_000 + b"\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-Many: 1\r\n" * 5_000,
    b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX-Bad: a\x00b\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nBad Name: 1\r\n",
    b"GET / HTTP/9.9\r\nHost: x\r\n",
    b"POST /api/v1/ask HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n",
    b"POST /api/v1/ask HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
    b"TRACE / HTTP/1.1\r\nHost: x\r\nCookie: framed_session=stolen\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: x\r\n",
    b"CONNECT evil.example:443 HTTP/1.1\r\nHost: x\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
    b"GET /login HTTP/1.1\r\nHost: x\r\nRange: bytes=" + b"0-0," * 2_000 + b"0-0\r\n",
]


async def spoken(port: int, head: bytes) -> bytes:
    """What comes back for these bytes; nothing where the connection is just closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(head + b"Connection: close\r\n\r\n")
        async with asyncio.timeout(15):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def test_no_hostile_address_or_header_opens_crashes_or_tells_anything(house: House) -> None:
    owner = f"Authorization: Bearer {house.app.token}\r\n".encode()
    heads = [b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n" + who for path in PATHS for who in (b"", owner)] + HEADS
    private = [str(house.app.config.data_dir).encode(), b"Traceback", b"site-packages", b"root:x:", b"aiohttp"]
    answers = [(head[:80], await spoken(house.port, head)) for head in heads]

    statuses = {head: int(answer.split()[1]) for head, answer in answers if answer}
    assert {head: status for head, status in statuses.items() if status >= 500} == {}
    assert [(head, word) for head, answer in answers for word in private if word in answer] == []
    whole = [answer for _, answer in answers if answer]
    assert [answer[:200] for answer in whole if b"nosniff" not in answer] == []
    assert len(whole) >= len(heads) - 3
    async with house.http.get(f"{house.at}/healthz") as alive:
        assert alive.status == 200


async def test_tokens_open_what_they_are_for_until_they_are_revoked(house: House) -> None:
    kitchen, hall = await house.frame_token("kitchen"), await house.frame_token("hall")
    show = (await house.call("ask", text="cats", frame="kitchen"))["data"]["items"][0]["photo"]

    async def status(path: str, method: str = "GET", **options: Any) -> int:
        async with house.http.request(method, house.at + path, **options) as answer:
            return answer.status

    got = {
        "own": await status(f"/frame/kitchen/show.json?k={kitchen}"),
        "another's": await status(f"/frame/kitchen/show.json?k={hall}"),
        "none": await status("/frame/kitchen/show.json"),
        "owner's pages": await status("/metrics", headers={"Authorization": f"Bearer {kitchen}"}),
        "a verb": await status(
            "/api/v1/ask", "POST", json={"text": "x"}, headers={"Authorization": f"Bearer {kitchen}"}
        ),
        "an original": await status(f"/photo/{show}/original?k={kitchen}"),
        "the owner's": await status(f"/photo/{show}/original", headers=house.owner),
        "not ASCII": await status("/frame/kitchen/show.json?k=%F0%9F%94%91"),
    }
    new = (await house.call("frame/link", frame="kitchen"))["data"]["link"].rpartition("k=")[2]
    house.secrets.add(new)
    got |= {
        "revoked": await status(f"/frame/kitchen/show.json?k={kitchen}"),
        "new": await status(f"/frame/kitchen/show.json?k={new}"),
    }

    assert got == {
        "own": 200,
        "another's": 401,
        "none": 401,
        "owner's pages": 403,
        "a verb": 403,
        "an original": 403,
        "the owner's": 200,
        "not ASCII": 401,
        "revoked": 401,
        "new": 200,
    }


async def test_another_sites_page_cannot_act_with_the_owners_session(house: House) -> None:
    async with house.http.get(f"{house.at}/?token={house.app.token}", allow_redirects=False) as signed_in:
        cookie = signed_in.cookies["framed_session"]
    assert "SameSite=Strict" in cookie.OutputString()
    assert "HttpOnly" in cookie.OutputString()
    house.secrets.add(cookie.value)
    jar = {"Cookie": f"framed_session={cookie.value}"}
    got = {}
    for name, headers in {
        "our own": {"Origin": house.at, "Sec-Fetch-Site": "same-origin"},
        "another site": {"Origin": "http://evil.example"},
        "another site, said by the browser": {"Sec-Fetch-Site": "cross-site"},
        "another port": {"Origin": "http://127.0.0.1:1"},
        "a sandbox": {"Origin": "null"},
        "a rebound name": {"Origin": "http://evil.example", "Host": "evil.example:1"},
    }.items():
        async with house.http.post(f"{house.at}/api/v1/health", json={}, headers=jar | headers) as answer:
            got[name] = answer.status
    async with house.http.post(f"{house.at}/api/v1/health", data="a=b", headers=jar) as form:
        got["a form"] = form.status

    assert got.pop("a rebound name") in (200, 403)  # the browser has no cookie of ours for that name
    assert got == {
        "our own": 200,
        "another site": 403,
        "another site, said by the browser": 403,
        "another port": 403,
        "a sandbox": 403,
        "a form": 415,
    }


async def test_five_hundred_requests_at_once_are_answered_or_told_busy(house: House) -> None:
    connector = aiohttp.TCPConnector(limit=400)
    async with aiohttp.ClientSession(connector=connector) as many:

        async def one() -> tuple[int, str | None]:
            url = f"{house.at}/api/v1/playlist/plan"
            async with many.post(url, json={"text": "cats"}, headers=house.owner) as answer:
                await answer.read()
                return answer.status, answer.headers.get("Retry-After")

        answers = await asyncio.gather(*(one() for _ in range(500)))

    assert {status for status, _ in answers} <= {200, 503}
    assert [retry for status, retry in answers if status == 503 and retry is None] == []
    assert (200, None) in answers


@pytest.mark.browser
async def test_names_from_outside_are_text_on_every_page(
    house: House, tmp_path_factory: pytest.TempPathFactory
) -> None:
    program = require_peer("chromium")
    await house.call("ask", text="photos", frame="hall")
    await house.call("playlist/save", frame="hall", name=f"List {MARKUP}")
    await house.call("frame/rename", frame="kitchen", name=f"Kitchen {MARKUP}")
    token = await house.frame_token("hall")
    async with browser_page(program, tmp_path_factory.mktemp("profile") / "p") as page:
        await page.navigate(f"{house.at}/?token={house.app.token}")
        await page.wait_for(
            "document.querySelectorAll('.frame h3').length >= 2 && !!document.querySelector('#playlists li')"
        )
        await page.evaluate("document.getElementById('failed').open = true")
        await page.wait_for("document.getElementById('failed-list').textContent.includes('broken <img')")
        await page.evaluate("document.querySelector('#sentence').value = 'cats'; document.querySelector('#go').click()")
        await page.wait_for("document.querySelectorAll('#results li').length > 0")
        console = await page.evaluate("[window.hacked || '', document.querySelectorAll('img[src=\"x\"]').length]")
        await page.navigate(f"{house.at}/frame/hall?k={token}")
        await page.wait_for("!!document.querySelector('.layer')")
        await page.wait_for("document.readyState === 'complete'")
        frame = await page.evaluate("[window.hacked || '', document.querySelectorAll('img[src=\"x\"]').length]")

    assert console == frame == ["", 0]


async def test_pages_come_with_a_policy_that_runs_no_foreign_script(house: House) -> None:
    for path in ("/login", "/", "/frame/kitchen", "/nowhere", "/api/v1/health", "/static/console.js"):
        async with house.http.get(house.at + path, headers=house.owner | {"Accept": "text/html"}) as answer:
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'self'" in policy, path
            assert "unsafe" not in policy, path
            assert answer.headers["X-Content-Type-Options"] == "nosniff", path
            assert answer.headers["Referrer-Policy"] == "no-referrer", path


async def test_after_all_that_the_log_has_no_secret_and_no_traceback(house: House) -> None:
    words = {
        *house.secrets,
        house.app.token,
        *(house.app.broker.credentials(user).password.get_secret_value() for user in ("framed", "home")),
    }
    said = [str(entry) for entry in house.logs] + house.records.lines
    published = await retained(
        house.broker_port,
        "framed/#",
        username="framed",
        password=house.app.broker.credentials("framed").password.get_secret_value(),
    )

    assert len(said) > 100
    assert [line for line in said if any(word in line for word in words)] == []
    failures = [entry for entry in house.logs if entry["log_level"] in ("error", "critical") or "exc_info" in entry]
    assert [entry["event"] for entry in failures] == ["broker ended, starting it again"]  # the one we killed
    assert house.app.token.encode() not in b"".join(published.values())
