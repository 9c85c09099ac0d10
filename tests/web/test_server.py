"""The routes: what they answer, in which shape, and how they meet hostile input."""

import asyncio
import json
import socket

import aiohttp
import pytest

from framed.errors import Busy, FramedError, Unavailable, UnknownPlaylist
from framed.strict_json import read_object
from framed.web.api import STATUS_OF_CODE
from framed.web.ports import ServerEvent
from framed.web.server import WebServer
from tests.web.conftest import House
from tests.web.fakes import KITCHEN, picture


async def test_healthz_is_open_and_says_little(house: House, client: aiohttp.ClientSession) -> None:
    async with client.get(house.at("/healthz")) as answer:
        assert (answer.status, await answer.json()) == (200, {"status": "ok"})
    house.health.vitals["problem"] = "the disk is full"
    async with client.get(house.at("/healthz")) as answer:
        assert await answer.json() == {"status": "problem"}


async def test_metrics_are_prometheus_text(house: House, client: aiohttp.ClientSession) -> None:
    async with client.get(house.at("/metrics"), headers=house.bearer) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert await answer.read() == b"framed_photos 12\n"


async def test_a_rendered_picture_is_immutable_and_revalidates_by_its_hash(
    house: House, client: aiohttp.ClientSession
) -> None:
    sha256 = house.pictures.add(picture(1))
    url = house.at(f"/p/{sha256}.jpg")
    async with client.get(url, headers=house.bearer) as answer:
        body = await answer.read()
        assert body == house.pictures.file(sha256).path.read_bytes()
        assert answer.headers["ETag"] == f'"{sha256}"'
        assert "immutable" in answer.headers["Cache-Control"]
        assert "Last-Modified" not in answer.headers
    async with client.get(url, headers=house.bearer | {"If-None-Match": f'"old", W/"{sha256}"'}) as answer:
        assert (answer.status, await answer.read()) == (304, b"")
    async with client.get(url, headers=house.bearer | {"Range": "bytes=10-19"}) as answer:
        assert (answer.status, await answer.read()) == (206, body[10:20])
        assert answer.headers["ETag"] == f'"{sha256}"'
    async with client.get(url, headers=house.bearer | {"Range": "bytes=10-19", "If-Range": '"another"'}) as answer:
        assert (answer.status, await answer.read()) == (200, body)
    async with client.get(url, headers=house.bearer | {"Range": "bytes=99999999-"}) as answer:
        assert answer.status == 416
    async with client.head(url, headers=house.bearer) as answer:
        assert (answer.status, int(answer.headers["Content-Length"])) == (200, len(body))


async def test_a_picture_that_is_gone_is_a_plain_404(house: House, client: aiohttp.ClientSession) -> None:
    sha256 = house.pictures.add(picture(1))
    house.pictures.file(sha256).path.unlink()
    for name in (sha256, "0" * 64):
        async with client.get(house.at(f"/p/{name}.jpg"), headers=house.bearer) as answer:
            assert (answer.status, (await answer.json())["error"]["code"]) == (404, "unknown_photo")


async def test_the_image_address_is_304_aware(house: House, client: aiohttp.ClientSession) -> None:
    sha256 = house.pictures.add(picture(1))
    await house.gate.put("kitchen", sha256)
    url = house.at(f"/frame/kitchen/image.jpg?w=640&h=480&k={KITCHEN}")
    async with client.get(url) as answer:
        etag = answer.headers["ETag"]
        assert answer.headers["Cache-Control"] == "private, no-cache"
    async with client.get(url, headers={"If-None-Match": etag}) as answer:
        assert answer.status == 304


@pytest.mark.parametrize("size", ["w=0", "w=15", "w=7681", "w=-1", "w=1e3", "w=%D9%A1%D9%A2", "w=7680&h=7680", "h=abc"])
async def test_an_unreasonable_size_is_refused(house: House, client: aiohttp.ClientSession, size: str) -> None:
    async with client.get(house.at(f"/frame/kitchen/image.png?{size}"), headers=house.bearer) as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (400, "bad_request")


async def test_an_unknown_frame_is_json_404(house: House, client: aiohttp.ClientSession) -> None:
    for path in ("show.json", "playlist.json", "image.jpg", "events"):
        async with client.get(house.at(f"/frame/attic/{path}"), headers=house.bearer) as answer:
            assert (answer.status, (await answer.json())["error"]["code"]) == (404, "unknown_frame")


async def test_a_person_gets_a_page_instead_of_json(house: House, client: aiohttp.ClientSession) -> None:
    browser = {"Accept": "text/html,*/*"}
    async with client.get(house.at("/frame/attic"), headers=house.bearer | browser) as answer:
        assert (answer.status, answer.content_type) == (404, "text/html")
        assert "There is no frame of this name." in await answer.text()


async def test_a_verb_goes_through_with_its_answer_and_status(house: House, client: aiohttp.ClientSession) -> None:
    house.api.answers = {
        "playlist/get": UnknownPlaylist("There is no such playlist.", field="id"),
        "art/tonight": {"v": 1, "status": "accepted", "data": {"job": "j1"}},
        "photo/search": {"v": 1, "status": "error", "error": {"code": "busy", "message": "Later."}},
        "models/pull": Busy("Later."),
        "health": RuntimeError("secret detail"),
    }
    got = {}
    for verb in house.api.answers:
        async with client.post(house.at(f"/api/v1/{verb}"), json={"id": "x"}, headers=house.bearer) as answer:
            got[verb] = (answer.status, await answer.json())
    assert got["playlist/get"] == (
        404,
        {
            "v": 1,
            "status": "error",
            "data": {},
            "error": {"code": "unknown_playlist", "message": "There is no such playlist.", "field": "id"},
        },
    )
    assert got["art/tonight"] == (202, {"v": 1, "status": "accepted", "data": {"job": "j1"}})
    assert (got["photo/search"][0], got["models/pull"][0]) == (503, 503)
    assert got["health"][0] == 500
    assert "secret" not in json.dumps(got["health"][1])
    assert house.api.calls[0] == ("playlist/get", {"id": "x"}, "http")


def test_every_error_code_has_a_status() -> None:
    def codes(error: type[FramedError]) -> set[str]:
        return {error.code}.union(*(codes(one) for one in error.__subclasses__()))

    assert codes(FramedError) <= set(STATUS_OF_CODE)


async def test_openapi_describes_every_verb(house: House, client: aiohttp.ClientSession) -> None:
    async with client.get(house.at("/api/v1/openapi.json"), headers=house.bearer) as answer:
        document = await answer.json()
    assert document["openapi"] == "3.1.0"
    schema = document["paths"]["/api/v1/ask"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]["required"] == ["text"]
    assert set(document["paths"]) == {f"/api/v1/{verb}" for verb in house.api.verbs()}


@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (b"{}", "text/plain", 415, "bad_request"),
        (b"a=b", "application/x-www-form-urlencoded", 415, "bad_request"),
        (b"{", "application/json", 400, "bad_json"),
        (b"[1]", "application/json", 400, "bad_json"),
        (b'{"a":NaN}', "application/json", 400, "bad_json"),
        (b'{"a":"\xff"}', "application/json", 400, "bad_json"),
        (b'{"a":"\\ud800"}', "application/json", 400, "bad_json"),
        (b'{"a":' + b"[" * 40 + b"]" * 40 + b"}", "application/json", 400, "bad_json"),
        (b'{"a":' + b"[" * 200_000, "application/json", 400, "bad_json"),
        (b'{"a":' + b"9" * 9000 + b"}", "application/json", 400, "bad_json"),
        (b'{"a":[' + b"0," * 60_000 + b"0]}", "application/json", 400, "bad_json"),
        (b'{"a":"' + b"x" * (1 << 20) + b'"}', "application/json", 413, "too_large"),
    ],
)
async def test_a_hostile_body_is_a_clean_error(
    house: House, client: aiohttp.ClientSession, body: bytes, kind: str, status: int, code: str
) -> None:
    headers = house.bearer | {"Content-Type": kind}
    async with client.post(house.at("/api/v1/ask"), data=body, headers=headers) as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (status, code)
    assert house.api.calls == []


async def test_a_chunked_body_is_limited_too(house: House, client: aiohttp.ClientSession) -> None:
    async def chunks():  # type: ignore[no-untyped-def]
        yield b'{"a":"'
        for _ in range(40):
            yield b"x" * 65536

    headers = house.bearer | {"Content-Type": "application/json"}
    async with client.post(house.at("/api/v1/ask"), data=chunks(), headers=headers) as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (413, "too_large")


def test_a_deep_but_fair_object_is_read() -> None:
    assert read_object(b'{"a":' + b"[" * 20 + b"]" * 20 + b"}")
    assert read_object(b"  ") == {}


@pytest.mark.parametrize(
    "path",
    [
        b"/static/../auth.py",
        b"/static/..%2fauth.py",
        b"/static/%2e%2e%5cauth.py",
        b"/static/frame.html",
        b"/static/frame.js%00.css",
        b"/p/../../etc/passwd.jpg",
        b"/p/" + b"A" * 64 + b".jpg",
        b"/photo/..%2f..%2fetc/preview",
        b"/photo/p1/..%2foriginal",
        b"/frame/%2e%2e/image.jpg",
        b"/frame/KITCHEN/image.jpg",
        b"/frame/kitchen%0d%0aX-Evil:1/image.jpg",
        b"/frame/<script>alert(1)</script>",
        b"/%ff%fe",
        b"//evil.example/",
        b"/api/v1/" + b"x" * 100,
        b"/" + b"a/" * 3000,
        b"/?token=%ff%00",
        b"/frame/kitchen?k=%ff%00<script>",
        b"*",
        b"http://[::bad/",
    ],
)
@pytest.mark.parametrize("accept", [b"text/html", b"*/*"])
async def test_a_hostile_address_is_a_clean_error(house: House, path: bytes, accept: bytes) -> None:
    status, headers, body = await raw(house, b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nAccept: " + accept + b"\r\n")
    assert 400 <= status < 500 or (status, headers.get("location")) == (303, "/login")
    assert "x-evil" not in headers
    assert not any(
        leak in body for leak in (b"Traceback", b"passwd", b"<script", b"aiohttp", b"evil.example", b"alert")
    )


@pytest.mark.parametrize(
    "request_head",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\nCookie: framed_session=\xff\xfe; =; ;;;\r\n",
        b"GET / HTTP/1.1\r\nHost: \xff\r\n",
        b'GET / HTTP/1.1\r\nHost: x\r\nIf-None-Match: "\xff, W/\r\n',
        b"GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \xff\xfe\r\n",
        b"GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer\r\n",
        b"GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Basic <script>\r\n",
        b"<script>alert(1)</script> / HTTP/1.1\r\nHost: x\r\n",
        b"GET / HTTP/9.9\r\nHost: x\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 20_000 + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nbad header <script>\r\n",
        b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: -5\r\n",
        b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        b"DELETE / HTTP/1.1\r\nHost: x\r\n",
    ],
)
async def test_a_hostile_header_is_a_clean_error(house: House, request_head: bytes) -> None:
    status, _, body = await raw(house, request_head)
    assert 300 <= status < 500
    assert not any(leak in body for leak in (b"Traceback", b"<script>", b"alert", b"yyyy"))


async def test_every_answer_carries_the_security_headers(house: House, client: aiohttp.ClientSession) -> None:
    for path in ("/login", "/nothing", "/healthz", "/frame/kitchen", "/static/frame.js"):
        async with client.get(house.at(path), headers=house.bearer) as answer:
            policy = answer.headers["Content-Security-Policy"]
            assert policy.startswith("default-src 'self';")
            assert "unsafe" not in policy
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            assert "Access-Control-Allow-Origin" not in answer.headers
            assert "Server" not in answer.headers


async def test_a_token_typed_before_the_script_runs_stays_out_of_the_address(
    house: House, client: aiohttp.ClientSession
) -> None:
    async with client.get(house.at("/login")) as answer:
        assert '<form id="form" method="post"' in await answer.text()
    async with client.post(house.at("/login"), data={"token": "x"}) as answer:
        assert answer.status == 415


async def test_pages_revalidate(house: House, client: aiohttp.ClientSession) -> None:
    for path in ("/frame/kitchen", "/static/frame.js", "/static/frame.css", "/static/icon.svg"):
        async with client.get(house.at(path), headers=house.bearer) as answer:
            etag = answer.headers["ETag"]
            assert answer.status == 200
        async with client.get(house.at(path), headers=house.bearer | {"If-None-Match": etag}) as answer:
            assert answer.status == 304


async def test_a_page_that_streams_hears_the_present_then_changes(house: House, client: aiohttp.ClientSession) -> None:
    first, second = house.pictures.add(picture(1)), house.pictures.add(picture(2))
    await house.gate.put("kitchen", first)
    async with client.get(house.at(f"/frame/kitchen/events?k={KITCHEN}")) as stream:
        assert stream.content_type == "text/event-stream"
        assert [(await event(stream))[0] for _ in range(2)] == ["hello", "state"]
        assert (await event(stream))[1]["sha256"] == first
        await house.gate.put("kitchen", second)
        assert (await event(stream))[1]["sha256"] == second
        house.gate.change("kitchen", paused=True)
        assert await event(stream) == ("state", house.gate.states["kitchen"].model_dump(mode="json"))


async def test_a_link_that_is_taken_back_ends_its_streams_before_they_hear_the_new_one(
    house: House, client: aiohttp.ClientSession
) -> None:
    async with client.get(house.at(f"/frame/kitchen/events?k={KITCHEN}")) as stream:
        assert [(await event(stream))[0] for _ in range(2)] == ["hello", "state"]
        house.tokens.tokens["kitchen"] = "another-token-0123456789"
        await house.gate.put("kitchen", house.pictures.add(picture(1)))
        assert await event(stream) == ("bye", {"crowded": False})
        assert (await stream.content.read()).strip() == b""
    async with client.get(house.at(f"/frame/kitchen/events?k={KITCHEN}")) as stream:
        assert stream.status == 401


@pytest.mark.parametrize("options", [{"heartbeat_s": 0.02}])
async def test_a_quiet_stream_has_a_heartbeat_and_presence_follows_it(
    house: House, client: aiohttp.ClientSession
) -> None:
    async with client.get(house.at("/frame/hall/events"), headers=house.bearer) as stream:
        assert [(await event(stream))[0] for _ in range(3)] == ["hello", "state", "tick"]
        assert house.gate.seen == [("hall", True)]
    await house.gate.until(lambda: house.gate.seen == [("hall", True), ("hall", False)])
    assert house.gate.listeners("hall") == 0


@pytest.mark.parametrize("options", [{"streams_per_frame": 2}])
async def test_one_stream_too_many_ends_the_oldest(house: House, client: aiohttp.ClientSession) -> None:
    url = house.at(f"/frame/hall/events?k={house.tokens.tokens['hall']}")
    async with client.get(url) as oldest, client.get(url), client.get(url) as newest:
        assert [await event(oldest) for _ in range(3)][2] == ("bye", {"crowded": True})
        await house.gate.until(lambda: house.gate.listeners("hall") == 2)
        house.gate.tell("hall", ServerEvent(event="control", data={"action": "identify"}))
        assert [await event(newest) for _ in range(3)][2] == ("control", {"action": "identify"})


@pytest.mark.parametrize("options", [{"grace_s": 30.0}])
async def test_a_reload_is_no_absence(house: House, client: aiohttp.ClientSession) -> None:
    for _ in range(2):
        async with client.get(house.at("/frame/hall/events"), headers=house.bearer) as stream:
            await event(stream)
    assert house.gate.seen == [("hall", True)]


async def test_a_stream_that_fails_ends_quietly(house: House, client: aiohttp.ClientSession) -> None:
    async with client.get(house.at("/frame/hall/events"), headers=house.bearer) as stream:
        assert [(await event(stream))[0] for _ in range(2)] == ["hello", "state"]
        house.gate.tell("hall", "not an event")  # type: ignore[arg-type]
        async with asyncio.timeout(40):
            assert b"Traceback" not in await stream.read()
    assert house.gate.listeners("hall") == 0


async def test_the_server_stops_while_pages_stream(house: House, client: aiohttp.ClientSession) -> None:
    async with client.get(house.at("/frame/hall/events"), headers=house.bearer) as stream:
        await event(stream)
        async with asyncio.timeout(40):
            await house.server.close()
        assert [await event(stream) for _ in range(2)][1] == ("bye", {"crowded": False})


async def test_the_console_hears_progress(house: House, client: aiohttp.ClientSession) -> None:
    house.health.first = [ServerEvent(event="library", data={"photos": 3, "name": "a\nb"})]
    async with client.get(house.at("/api/v1/events"), headers=house.bearer) as stream:
        assert await event(stream) == ("library", {"photos": 3, "name": "a\nb"})


async def test_a_taken_port_is_said_in_a_sentence(house: House) -> None:
    second: WebServer = house.make(port=house.server.port)
    with pytest.raises(Unavailable, match=r"http\.port"):
        await second.start()


async def test_commands_and_reports_arrive(house: House, client: aiohttp.ClientSession) -> None:
    for what, payload in (("cmd", {"action": "next"}), ("hello", {"width": 800}), ("report", {"item": "i1"})):
        async with client.post(house.at(f"/frame/kitchen/{what}?k={KITCHEN}"), json=payload) as answer:
            assert await answer.json() == {"v": 1, "status": "ok"}
    async with client.post(
        house.at("/api/v1/frame/hall/cmd"), json={"action": "pause"}, headers=house.bearer
    ) as answer:
        assert answer.status == 200
    assert house.gate.commands == [("kitchen", {"action": "next"}), ("hall", {"action": "pause"})]
    assert (house.gate.hellos, house.gate.reports) == ([("kitchen", {"width": 800})], [("kitchen", {"item": "i1"})])


async def event(stream: aiohttp.ClientResponse) -> tuple[str, dict]:  # type: ignore[type-arg]
    """The next event of a stream: its name and its data."""
    name = ""
    async with asyncio.timeout(40):
        async for line in stream.content:
            field, _, value = line.decode().rstrip("\n").partition(": ")
            if field == "event":
                name = value
            elif field == "data":
                return name, json.loads(value)
    raise AssertionError("the stream ended")


async def raw(house: House, head: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send bytes that no well-behaved client would; answer status, headers and body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", house.server.port, family=socket.AF_INET)
    try:
        writer.write(head + b"Connection: close\r\n\r\n")
        await writer.drain()
        async with asyncio.timeout(40):
            answer = await reader.read()
    finally:
        writer.close()
    top, _, body = answer.partition(b"\r\n\r\n")
    lines = top.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    return int(lines[0].split()[1]), headers, body


async def test_headers_that_come_drop_by_drop_are_given_up(house: House) -> None:
    server = house.make(head_s=0.2)
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        for drop in (b"GET / HT", b"TP/1.1\r\nHost: x\r\n", b"X-A: 1\r\n"):
            writer.write(drop)
            await asyncio.sleep(0.05)
        async with asyncio.timeout(40):
            answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b'"code":"timeout"' in answer
    finally:
        writer.close()
        await server.close()


async def test_a_thousand_idle_connections_do_not_keep_others_out(house: House, client: aiohttp.ClientSession) -> None:
    server = house.make(most_connections=5)
    await server.start()
    idle = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(12)]
    try:
        async with client.get(f"http://127.0.0.1:{server.port}/healthz") as answer:
            assert answer.status == 200
        async with asyncio.timeout(40):
            assert [await reader.read() for reader, _ in idle[:7]] == [b""] * 7
    finally:
        for _, writer in idle:
            writer.close()
        await server.close()


async def test_a_connection_that_speaks_plainly_outlives_the_wait_for_headers(house: House) -> None:
    server = house.make(head_s=0.1)
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        for _ in range(2):
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            async with asyncio.timeout(40):
                assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200 OK")
            await asyncio.sleep(0.2)
    finally:
        writer.close()
        await server.close()
