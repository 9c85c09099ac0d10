"""Who may open what."""

from typing import Any

import aiohttp
import pytest

from framed.web.auth import (
    SESSION_S,
    Attempts,
    Sessions,
    TooManyAttempts,
    is_home_host,
)
from tests.web.conftest import House
from tests.web.fakes import ADMIN, HALL, KITCHEN, picture

OWNER_ONLY = [
    ("GET", "/metrics"),
    ("GET", "/api/v1/openapi.json"),
    ("GET", "/api/v1/events"),
    ("POST", "/api/v1/ask"),
    ("POST", "/api/v1/frame/kitchen/cmd"),
    ("GET", "/photo/p1/original"),
    ("GET", "/photo/p1/thumb"),
    ("GET", "/photo/p1/face/1"),
]
OF_ONE_FRAME = [
    ("GET", "/frame/kitchen"),
    ("GET", "/frame/kitchen/image.jpg"),
    ("GET", "/frame/kitchen/show.json"),
    ("GET", "/frame/kitchen/playlist.json"),
    ("GET", "/frame/kitchen/events"),
    ("POST", "/frame/kitchen/hello"),
    ("POST", "/frame/kitchen/report"),
    ("POST", "/frame/kitchen/cmd"),
]


@pytest.mark.parametrize(("method", "path"), OWNER_ONLY + OF_ONE_FRAME)
async def test_a_stranger_opens_nothing(house: House, client: aiohttp.ClientSession, method: str, path: str) -> None:
    async with client.request(method, house.at(path), json={} if method == "POST" else None) as answer:
        assert answer.status == 401
        assert (await answer.json())["error"]["code"] == "refused"


@pytest.mark.parametrize(("method", "path"), OWNER_ONLY)
async def test_a_frame_token_opens_nothing_of_the_owner(
    house: House, client: aiohttp.ClientSession, method: str, path: str
) -> None:
    async with client.request(
        method, house.at(path), params={"k": KITCHEN}, json={} if method == "POST" else None
    ) as answer:
        assert answer.status == 403


@pytest.mark.parametrize(("method", "path"), OF_ONE_FRAME)
async def test_another_frames_token_does_not_open_a_frame(
    house: House, client: aiohttp.ClientSession, method: str, path: str
) -> None:
    async with client.request(
        method, house.at(path), params={"k": HALL}, json={} if method == "POST" else None
    ) as answer:
        assert answer.status == 401


async def test_a_frame_sees_only_pictures_of_its_playlist(house: House, client: aiohttp.ClientSession) -> None:
    own, other = house.pictures.add(picture(1)), house.pictures.add(picture(2))
    await house.gate.put("kitchen", own)
    await house.gate.put("hall", other)
    statuses = []
    for sha256 in (own, other):
        for path in (f"/p/{sha256}.jpg", f"/frame/kitchen/p/{sha256}.jpg"):
            async with client.get(house.at(path), params={"k": KITCHEN}) as answer:
                statuses.append(answer.status)
    assert statuses == [200, 200, 404, 404]


async def test_a_revoked_token_closes_the_frame_at_once(house: House, client: aiohttp.ClientSession) -> None:
    del house.tokens.tokens["kitchen"]
    async with client.get(house.at("/frame/kitchen"), params={"k": KITCHEN}) as answer:
        assert answer.status == 401


async def test_the_frame_link_sets_a_cookie_for_that_frame_only(house: House) -> None:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as tablet:
        async with tablet.get(house.at("/frame/kitchen"), params={"k": KITCHEN}) as answer:
            cookie = answer.headers["Set-Cookie"]
            assert answer.status == 200
        assert {"HttpOnly", "SameSite=Strict", "Path=/frame/kitchen"} <= set(cookie.split("; "))
        async with tablet.get(house.at("/frame/kitchen/show.json")) as answer:
            assert answer.status == 200
        async with tablet.get(house.at("/frame/hall/show.json")) as answer:
            assert answer.status == 401


async def test_the_owners_link_signs_in_and_leaves_a_clean_address(house: House) -> None:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
        async with browser.get(house.at("/"), params={"token": ADMIN}, allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (303, "/")
            assert {"HttpOnly", "SameSite=Strict", "Path=/", f"Max-Age={SESSION_S}"} <= set(
                answer.headers["Set-Cookie"].split("; ")
            )
        async with browser.get(house.at("/"), allow_redirects=False) as answer:
            assert answer.status == 200
        async with browser.post(house.at("/logout"), json={}) as answer:
            assert answer.status == 200
        async with browser.get(house.at("/"), allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (303, "/login")


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://[::"}],
)
async def test_a_foreign_page_cannot_use_the_session(
    house: House, client: aiohttp.ClientSession, headers: dict[str, str]
) -> None:
    cookie = {"Cookie": f"framed_session={Sessions(ADMIN).issue()}"}
    async with client.post(house.at("/api/v1/ask"), json={"text": "x"}, headers=headers | cookie) as answer:
        assert answer.status == 403
    assert house.api.calls == []


async def test_our_own_page_can_use_the_session(house: House, client: aiohttp.ClientSession) -> None:
    headers = {"Cookie": f"framed_session={Sessions(ADMIN).issue()}", "Origin": house.at("")}
    async with client.post(house.at("/api/v1/ask"), json={"text": "x"}, headers=headers) as answer:
        assert answer.status == 200


@pytest.mark.parametrize("cookie", ["", ".", "9999999999.", "9999999999.AAAA", "é.é", "x" * 3000])
async def test_a_forged_session_is_no_session(house: House, client: aiohttp.ClientSession, cookie: str) -> None:
    async with client.get(house.at("/metrics"), headers={"Cookie": f"framed_session={cookie}"}) as answer:
        assert answer.status == 401


def test_a_session_ends_after_thirty_days_and_with_its_token() -> None:
    now = [1000.0]
    sessions = Sessions(ADMIN, clock=lambda: now[0])
    cookie = sessions.issue()
    assert sessions.valid(cookie)
    assert not Sessions("another token", clock=lambda: now[0]).valid(cookie)
    now[0] += SESSION_S + 1
    assert not sessions.valid(cookie)


async def test_wrong_tokens_make_an_address_wait(house: House, client: aiohttp.ClientSession) -> None:
    statuses = []
    for number in range(12):
        async with client.get(house.at("/"), params={"token": f"guess {number}"}) as answer:
            statuses.append(answer.status)
            retry = answer.headers.get("Retry-After")
    assert statuses == [401] * 10 + [429] * 2
    assert retry is not None
    cookie = {"Cookie": f"framed_session={Sessions(ADMIN).issue()}"}
    async with client.get(house.at("/metrics"), headers=cookie) as answer:
        assert answer.status == 200, "a signed-in owner behind the same address is not locked out"


def test_the_wait_ends_and_memory_is_bounded() -> None:
    now = [0.0]
    attempts = Attempts(burst=1, refill_s=6, addresses=3, clock=lambda: now[0])
    attempts.failed("10.0.0.1")
    with pytest.raises(TooManyAttempts):
        attempts.check("10.0.0.1")
    attempts.check("10.0.0.2")
    now[0] += 6
    attempts.check("10.0.0.1")
    for number in range(20):
        attempts.failed(f"10.0.1.{number}")
    assert len(attempts._buckets) == 3


def test_ipv6_neighbours_share_their_attempts() -> None:
    attempts = Attempts(burst=1)
    attempts.failed("2001:db8::1")
    with pytest.raises(TooManyAttempts):
        attempts.check("2001:db8::ffff")


class TestOpenLan:
    @pytest.fixture
    def options(self) -> dict[str, Any]:
        return {"open_lan": True, "public_host": "photos.example.org"}

    async def test_opens_pictures_pages_and_frame_commands(self, house: House, client: aiohttp.ClientSession) -> None:
        sha256 = house.pictures.add(picture(1), photo="p1")
        await house.gate.put("kitchen", sha256)
        statuses = []
        for path in ("/frame/kitchen", f"/p/{sha256}.jpg", "/frame/kitchen/image.jpg", "/photo/p1/thumb"):
            async with client.get(house.at(path)) as answer:
                statuses.append(answer.status)
        async with client.post(house.at("/frame/kitchen/cmd"), json={"action": "next"}) as answer:
            statuses.append(answer.status)
        assert statuses == [200] * 5

    @pytest.mark.parametrize("path", ["/metrics", "/photo/p1/original", "/api/v1/openapi.json"])
    async def test_opens_nothing_else(self, house: House, client: aiohttp.ClientSession, path: str) -> None:
        async with client.get(house.at(path)) as answer:
            assert answer.status == 401

    @pytest.mark.parametrize(
        "headers", [{"Host": "rebound.evil.example"}, {"X-Forwarded-For": "8.8.8.8"}, {"Forwarded": "for=8.8.8.8"}]
    )
    async def test_is_closed_to_rebound_names_and_proxied_strangers(
        self, house: House, client: aiohttp.ClientSession, headers: dict[str, str]
    ) -> None:
        async with client.get(house.at("/frame/kitchen"), headers=headers) as answer:
            assert answer.status == 401

    async def test_knows_its_public_name(self, house: House, client: aiohttp.ClientSession) -> None:
        async with client.get(house.at("/frame/kitchen"), headers={"Host": "photos.example.org"}) as answer:
            assert answer.status == 200

    async def test_refuses_commands_from_other_sites(self, house: House, client: aiohttp.ClientSession) -> None:
        async with client.post(
            house.at("/frame/kitchen/cmd"), json={"action": "next"}, headers={"Origin": "http://evil.example"}
        ) as answer:
            assert answer.status == 403
        assert house.gate.commands == []


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("192.168.1.5", True),
        ("nas", True),
        ("nas.local", True),
        ("localhost", True),
        ("evil.example", False),
        ("local", True),
        ("", False),
        ("x.photos.example.org", False),
        ("photos.example.org", True),
    ],
)
def test_only_addresses_and_local_names_are_home(host: str, ours: bool) -> None:
    assert is_home_host(host, "photos.example.org") is ours
