"""The pages in a real browser: what a person, or a tablet on the wall, sees."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from framed.web.auth import Sessions
from framed.web.ports import ServerEvent
from tests.peers import require_peer
from tests.web.chromium import Page, browser_page
from tests.web.conftest import House, open_house
from tests.web.fakes import ADMIN, KITCHEN, picture

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

FRONT = "document.querySelector('.layer.shown')"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Page]:
    async with browser_page(require_peer("chromium"), tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest_asyncio.fixture(loop_scope="module")
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path, {}) as house:
        yield house


@pytest_asyncio.fixture(loop_scope="module")
async def page(house: House, browser: Page) -> AsyncIterator[Page]:
    """The one tab of the module's browser, without a cookie of an earlier test."""
    await browser.send("Network.clearBrowserCookies")
    await browser.viewport(640, 400)
    yield browser
    await browser.navigate("about:blank")  # before its server ends
    assert browser.problems == []


def kitchen(house: House, query: str = "") -> str:
    return house.at(f"/frame/kitchen?k={KITCHEN}{query}")


def shows(sha256: str) -> str:
    return f"{FRONT} && {FRONT}.src.includes('{sha256}') && getComputedStyle({FRONT}).opacity === '1'"


async def test_a_new_frame_says_its_name_and_what_to_do(house: House, page: Page) -> None:
    await page.navigate(kitchen(house))
    assert "beach photos on the kitchen frame" in await page.wait_for(
        "document.title.startsWith('Kitchen') && document.getElementById('welcome').innerText"
    )


async def test_a_frame_says_its_size_and_shows_the_picture_over_all_of_it(house: House, page: Page) -> None:
    sha256 = house.pictures.add(picture(1, (1280, 800)))
    await house.gate.put("kitchen", sha256, caption="Coffee, <b>2019</b>")
    await page.viewport(640, 400, scale=2)
    await page.navigate(kitchen(house))
    await page.wait_for(shows(sha256))
    box = await page.evaluate(f"JSON.stringify({FRONT}.getBoundingClientRect())")
    assert {key: json.loads(box)[key] for key in ("x", "y", "width", "height")} == {
        "x": 0,
        "y": 0,
        "width": 640,
        "height": 400,
    }
    assert await page.evaluate(f"{FRONT}.naturalWidth") == 1280
    assert await page.evaluate("document.getElementById('caption').textContent") == "Coffee, <b>2019</b>"
    await house.gate.until(lambda: house.gate.reports)
    hello = house.gate.hellos[0][1]
    assert (hello["width"], hello["height"]) == (1280, 800)
    assert house.gate.reports[0][1]["item"] == "i1"
    await page.viewport(400, 640, scale=2)
    await house.gate.until(lambda: house.gate.hellos[-1][1]["width"] == 800)
    assert house.gate.hellos[-1][1]["height"] == 1280


async def test_a_frame_fades_to_the_next_picture_and_frees_the_last(house: House, page: Page) -> None:
    first, second = house.pictures.add(picture(1)), house.pictures.add(picture(2))
    await house.gate.put("kitchen", first)
    await page.navigate(kitchen(house, "&fade=300"))
    await page.wait_for(shows(first))
    await house.gate.put("kitchen", second)
    await page.wait_for(
        "[...document.querySelectorAll('.layer')].map(one => +getComputedStyle(one).opacity)"
        ".some(opacity => 0 < opacity && opacity < 1)"
    )
    await page.wait_for(shows(second))
    assert await page.wait_for("document.querySelectorAll('.layer[src]').length === 1")


async def test_a_picture_that_does_not_load_leaves_the_last_one(house: House, page: Page) -> None:
    first, broken = house.pictures.add(picture(1)), house.pictures.add(picture(2))
    await house.gate.put("kitchen", first)
    await page.navigate(kitchen(house, "&fade=0"))
    await page.wait_for(shows(first))
    house.pictures.file(broken).path.write_bytes(b"this is no picture")
    await house.gate.put("kitchen", broken)
    await house.gate.until(lambda: any("error" in report for _, report in house.gate.reports))
    assert await page.evaluate(shows(first))


async def test_a_frame_survives_a_restart_of_the_server(house: House, page: Page) -> None:
    first, second = house.pictures.add(picture(1)), house.pictures.add(picture(2))
    await house.gate.put("kitchen", first)
    await page.navigate(kitchen(house, "&fade=0"))
    await page.wait_for(shows(first))
    port = house.server.port
    await house.server.close()
    assert await page.evaluate(shows(first))
    await house.gate.put("kitchen", second)
    house.server = house.make(port=port)
    await house.server.start()
    await page.wait_for(shows(second))
    assert await page.evaluate("document.getElementById('away').hidden")


async def test_a_new_version_of_the_page_reloads_it_once(house: House, page: Page) -> None:
    await page.navigate(kitchen(house))
    await page.wait_for("document.title.startsWith('Kitchen')")
    await page.evaluate("window.before = true")
    newer = ServerEvent(event="hello", data={"page": "another"})
    house.gate.tell("kitchen", newer)
    await page.wait_for("!window.before && document.title.startsWith('Kitchen')")
    await page.evaluate("window.before = true")
    house.gate.tell("kitchen", newer)
    house.gate.change("kitchen", name="Kitchen 2")
    await page.wait_for("document.title.startsWith('Kitchen 2')")
    assert await page.evaluate("window.before"), "a proxy that keeps an old page must not make it spin"


async def test_looking_in_from_another_device_changes_nothing(house: House, page: Page) -> None:
    sha256 = house.pictures.add(picture(1))
    await house.gate.put("kitchen", sha256)
    await page.navigate(kitchen(house, "&look=1&fade=0"))
    await page.wait_for(shows(sha256))
    assert (house.gate.hellos, house.gate.reports, house.gate.seen) == ([], [], [])


async def test_night_is_black_and_brightness_dims(house: House, page: Page) -> None:
    await house.gate.put("kitchen", house.pictures.add(picture(1)))
    await page.navigate(kitchen(house, "&fade=0"))
    await page.wait_for(f"!!{FRONT}")
    house.gate.change("kitchen", on=False, brightness=40)
    await page.wait_for("getComputedStyle(document.getElementById('night')).opacity === '1'")
    assert await page.evaluate("document.getElementById('stage').style.filter") == "brightness(0.4)"
    house.gate.change("kitchen", on=True, brightness=100)
    await page.wait_for("getComputedStyle(document.getElementById('night')).opacity === '0'")


async def test_keys_and_taps_steer_the_frame(house: House, page: Page) -> None:
    await house.gate.put("kitchen", house.pictures.add(picture(1)))
    await page.navigate(kitchen(house, "&fade=0"))
    await page.wait_for(f"!!{FRONT}")
    await page.press("ArrowRight", 39)
    await page.press("ArrowLeft", 37)
    await page.press(" ", 32, " ")
    await page.press("f", 70, "f")
    await page.press("h", 72, "h")
    await house.gate.until(lambda: len(house.gate.commands) == 5)
    await page.click(100, 100)
    await page.wait_for("!document.getElementById('controls').hidden")
    assert await page.evaluate(
        "[...document.querySelectorAll('#controls button')].every(one => one.getAttribute('aria-label'))"
    )
    await page.evaluate("document.querySelector('#controls [data-action=next]').click()")
    await house.gate.until(lambda: len(house.gate.commands) == 6)
    assert [payload["action"] for _, payload in house.gate.commands] == [
        "next",
        "previous",
        "pause",
        "favourite",
        "hide",
        "next",
    ]
    await page.wait_for("document.getElementById('controls').hidden")


async def test_two_hundred_pictures_leave_no_trace(house: House, page: Page) -> None:
    hashes = [house.pictures.add(picture(number)) for number in range(8)]
    await house.gate.put("kitchen", hashes[0])
    await page.navigate(kitchen(house, "&fade=1"))
    await page.wait_for(f"!!{FRONT}")
    await turn(house, hashes, 20)
    before = await page.memory()
    await turn(house, hashes, 200)
    after = await page.memory()
    for _ in range(20):  # what the last fade holds is let go when it is over; a leak of 200 pictures is not
        if not grown(before, after):
            break
        await asyncio.sleep(0.25)
        after = await page.memory()
    assert grown(before, after) == []


def grown(before: dict[str, float], after: dict[str, float]) -> list[str]:
    most = {
        "Nodes": before["Nodes"] + 2,
        "JSEventListeners": before["JSEventListeners"] + 2,
        "JSHeapUsedSize": before["JSHeapUsedSize"] * 1.1,
    }
    return [f"{what}: {before[what]} to {after[what]}" for what in most if after[what] > most[what]]


async def turn(house: House, hashes: list[str], times: int) -> None:
    """Show one picture after another, each when the page has said that it shows the one before."""
    for _ in range(times):
        number = house.gate.shows["kitchen"].rev + 1
        await house.gate.put("kitchen", hashes[number % len(hashes)])
        await house.gate.until(
            lambda number=number: house.gate.reports and house.gate.reports[-1][1]["item"] == f"i{number}"
        )


async def asked(house: House, verb: str) -> dict[str, Any]:
    """What the page sent with this verb, once it has."""
    async with asyncio.timeout(40):
        while True:
            for called, payload, _ in house.api.calls:
                if called == verb:
                    return payload
            await asyncio.sleep(0.02)


def furnish(house: House) -> None:
    """A house with two frames, photos and playlists."""
    for number in range(6):
        house.pictures.add(picture(number, (900, 600)), photo=f"p{number}")
    house.gate.change("kitchen", online=True, photo="p1", playlist_name="Beach", position=3, count=12, why="beach")
    items = [
        state.model_dump(mode="json", exclude_none=True) | {"link": house.at(f"/frame/{state.frame}?k=secret")}
        for state in house.gate.states.values()
    ]
    playlists = [
        {"id": "pl1", "name": "Beach <script>alert(1)</script>", "count": 12, "updated": datetime.now(UTC).isoformat()}
    ]
    house.api.answers = {
        "frame/list": ok(items=items),
        "frame/add": ok(),
        "playlist/list": ok(items=playlists),
        "person/list": ok(items=[], count=0),
        "playlist/set": ok(),
        "playlist/delete": ok(),
        "playlist/save": ok(),
        "photo/get": ok(
            photo="p0",
            path="2019/07/anna.jpg",
            title="Anna",
            taken="2019-07-14T10:00:00",
            tags=["beach", "sea"],
            places=[{"id": "rome", "name": "Rome"}],
            width=900,
            height=600,
            favourite=False,
            hidden=False,
            steps={"tags": {"problem": "The model is not there."}},
        ),
        "photo/favourite": ok(),
        "playlist/get": ok(
            id="pl1",
            name="Beach",
            plan={"text": "beach"},
            items=[{"photo": f"p{number}", "why": ["beach"]} for number in range(3)],
        ),
        "frame/set": ok(),
        "frame/link": ok(),
        "health": ok(uptime_s=7200, mqtt={"connected": False}, memory_mb=120, problem="The folder /photos is gone."),
        "job/list": ok(items=[{"id": "j1", "kind": "library_rescan", "state": "running", "progress": 0.25}]),
        "options/get": ok(paused=False),
        "models/list": ok(items=[{"task": "tags", "backend": "x", "model": "lite2", "state": "ready", "reason": ""}]),
        "photo/list": ok(items=[{"photo": "x1", "path": "2019/broken.jpg", "problem": "The file ends too early."}]),
        "ask": ok(
            speech="12 pictures of Anna at the beach are on the kitchen frame.",
            items=[{"photo": f"p{number}", "score": 0.9, "why": ["beach", "Anna", "2019"]} for number in range(6)],
            relaxed=["summer 2020 instead of 2021"],
            left_out={"screenshots": 3, "blurred": 0},
        ),
    }
    house.health.first = [
        ServerEvent(
            event="library",
            data={"photos": 1204, "analysed": 903, "pending": 300, "failed": 1, "people": 7, "eta_s": 1500},
        )
    ]


def ok(**data: Any) -> dict[str, Any]:
    return {"v": 1, "status": "ok", "data": data}


async def sign_in(house: House, page: Page) -> None:
    await page.navigate(house.at(f"/?token={ADMIN}"))
    await page.wait_for("document.querySelectorAll('.frame h3').length === 2")


async def test_asking_shows_the_answer_with_its_reasons(house: House, page: Page) -> None:
    furnish(house)
    await sign_in(house, page)
    assert await page.evaluate("location.search") == ""
    await page.evaluate("document.getElementById('sentence').focus()")
    await page.send("Input.insertText", text="Anna at the beach")
    await page.press("Enter", 13, "\r")
    await page.wait_for("document.querySelectorAll('#results .result').length === 6")
    assert house.api.calls[-1] == ("ask", {"text": "Anna at the beach", "frame": "kitchen"}, "http")
    text = await page.evaluate("document.getElementById('answer').innerText")
    assert "12 pictures of Anna" in text
    assert "beach · Anna · 2019" in text
    assert "summer 2020 instead of 2021" in text
    assert "left out: 3 screenshots" in text
    assert "blurred" not in text
    await page.evaluate("document.querySelector('.results').scrollIntoView()")
    await page.wait_for("document.querySelector('#results img').naturalWidth > 0")


async def test_looking_first_shows_nothing_until_a_frame_is_chosen(house: House, page: Page) -> None:
    furnish(house)
    await sign_in(house, page)
    await page.evaluate(
        "const f = document.getElementById('frame'); f.value = ''; f.dispatchEvent(new Event('change'))"
    )
    await page.evaluate("document.querySelector('#chips button').click()")
    await page.wait_for("document.querySelectorAll('#answer-actions button').length === 2")
    assert house.api.calls[-1][1]["dry_run"] is True
    await page.evaluate("document.querySelector('#answer-actions button').click()")
    await page.wait_for("document.getElementById('toast').textContent.startsWith('Now on ')")
    assert house.api.calls[-1][:2] == ("playlist/set", {"frame": "kitchen", "photos": [f"p{n}" for n in range(6)]})


async def test_an_error_is_said_where_the_answer_would_be(house: House, page: Page) -> None:
    furnish(house)
    house.api.answers["ask"] = {"v": 1, "status": "error", "error": {"code": "busy", "message": "Try again soon."}}
    await sign_in(house, page)
    await page.evaluate("document.querySelector('#chips button').click()")
    await page.wait_for("document.getElementById('speech').textContent === 'Try again soon.'")


async def test_the_console_follows_the_library_and_the_frames(house: House, page: Page) -> None:
    furnish(house)
    await sign_in(house, page)
    await page.wait_for("document.getElementById('photos').textContent === '1,204'")
    await page.evaluate("document.getElementById('failed').open = true")
    await page.wait_for("document.getElementById('failed-list').innerText.includes('ends too early')")
    state = house.gate.states["kitchen"].model_copy(update={"paused": True, "playlist_name": "Snow"})
    house.health.queue.put_nowait(ServerEvent(event="frame", data=state.model_dump(mode="json")))
    await page.wait_for("document.querySelector('.frame .playing').textContent.startsWith('Snow')")
    await page.evaluate("document.querySelector('.frame [data-action=resume]').click()")
    await house.gate.until(lambda: house.gate.commands == [("kitchen", {"action": "resume"})])


async def test_names_are_text_and_deleting_asks_first(house: House, page: Page) -> None:
    furnish(house)
    await sign_in(house, page)
    await page.wait_for("!!document.querySelector('#playlists .open')")
    assert "<script>" in await page.evaluate("document.querySelector('#playlists .open').textContent")
    await page.evaluate("document.querySelector('#playlists .delete').click()")
    await page.evaluate("document.querySelector('#confirm [value=ok]').click()")
    assert await asked(house, "playlist/delete") == {"id": "pl1"}


async def test_a_photo_opens_with_all_that_is_known_and_why_it_was_chosen(house: House, page: Page) -> None:
    furnish(house)
    await sign_in(house, page)
    await page.evaluate("document.querySelector('#chips button').click()")
    await page.wait_for("document.querySelectorAll('#results .result').length === 6")
    await page.evaluate("document.querySelector('#results .thumb').click()")
    text = await page.wait_for(
        "document.querySelectorAll('#photo-facts dt').length && document.getElementById('photo').innerText"
    )
    for known in (
        "Chosen because: beach · Anna · 2019",
        "Rome",
        "beach, sea",
        "2019/07/anna.jpg",
        "The model is not there.",
    ):
        assert known in text
    await page.evaluate("document.querySelector('#photo-actions button').click()")
    assert await asked(house, "photo/favourite") == {"id": "p0", "on": True}
    await page.press("Escape", 27)
    await page.wait_for("!document.getElementById('photo').open")


async def test_a_frames_settings_send_only_what_changed(house: House, page: Page) -> None:
    furnish(house)
    await sign_in(house, page)
    await page.evaluate("document.querySelector('.frame .settings').click()")
    await page.wait_for("document.getElementById('settings').open")
    assert "k=secret" in await page.evaluate("document.getElementById('link-address').value")
    await page.evaluate(
        "document.getElementById('settings-interval').value = '60';"
        "document.querySelector('#settings-form [type=submit]').click()"
    )
    sent = await asked(house, "frame/set")
    assert sent["interval_s"] == 60
    assert "name" not in sent


async def test_a_playlist_opens_and_loses_what_is_taken_out(house: House, page: Page) -> None:
    furnish(house)
    await sign_in(house, page)
    await page.wait_for("!!document.querySelector('#playlists .open')")
    await page.evaluate("document.querySelector('#playlists .open').click()")
    await page.wait_for("document.querySelectorAll('#results .take-out').length === 3")
    await page.evaluate("document.querySelector('#results .take-out').click()")
    await page.wait_for("document.querySelectorAll('#results .take-out').length === 2")
    assert await asked(house, "playlist/save") == {"id": "pl1", "name": "Beach", "photos": ["p1", "p2"]}


async def test_trouble_and_work_are_said(house: House, page: Page) -> None:
    furnish(house)
    await sign_in(house, page)
    assert "/photos is gone" in await page.wait_for(
        "!document.getElementById('trouble').hidden && document.getElementById('trouble').innerText"
    )
    await page.wait_for("document.getElementById('jobs').innerText.includes('Looking for photos')")
    done = {"id": "j1", "kind": "library_rescan", "state": "succeeded", "progress": 1, "result": {"new": 3}}
    house.health.queue.put_nowait(ServerEvent(event="job", data=done))
    await page.wait_for("document.getElementById('jobs').innerText.includes('3 new photos')")
    assert "not connected" in await page.evaluate("document.getElementById('server').innerText")


async def test_everything_that_is_touched_is_large_enough_and_nothing_overflows(house: House, page: Page) -> None:
    furnish(house)
    house.gate.change("kitchen", name="The very long name of a frame in the kitchen " * 2)
    await page.viewport(390, 844, mobile=True)
    await sign_in(house, page)
    await page.wait_for("!!document.querySelector('#playlists .open')")
    small = await page.evaluate(
        "[...document.querySelectorAll('button, select, summary, .tool')].filter(one => one.offsetParent)"
        ".map(one => [one.id || one.className || one.textContent, one.getBoundingClientRect()])"
        ".filter(([, box]) => box.width < 43.5 || box.height < 43.5)"
        ".map(([name, box]) => name + box.width + 'x' + box.height)"
    )
    assert small == []
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390


async def test_an_empty_house_says_what_to_do(house: House, page: Page) -> None:
    house.api.answers = {"frame/list": ok(items=[]), "playlist/list": ok(items=[]), "frame/add": ok()}
    house.health.first = [ServerEvent(event="library", data={"photos": 0})]
    await page.navigate(house.at(f"/?token={ADMIN}"))
    text = await page.wait_for(
        "!document.getElementById('frames-empty').hidden && document.getElementById('photos').textContent === '0'"
        " && document.body.innerText"
    )
    assert "No frame yet" in text
    assert "No photos yet" in text
    assert "Every wish becomes a playlist" in text


async def test_signing_in_by_hand(house: House, page: Page) -> None:
    await page.navigate(house.at("/"))
    await page.wait_for("document.readyState === 'complete' && !!document.getElementById('form')")
    await page.evaluate(
        "document.getElementById('token').value = 'wrong'; document.querySelector('form .button').click()"
    )
    await page.wait_for("document.getElementById('problem').textContent.includes('not valid')")
    await page.evaluate(
        f"document.getElementById('token').value = '{ADMIN}'; document.querySelector('form .button').click()"
    )
    await page.wait_for("document.readyState === 'complete' && !!document.getElementById('ask')")


async def test_a_signed_in_browser_that_lands_on_the_sign_in_page_goes_on(house: House, page: Page) -> None:
    await page.send(
        "Network.setCookie", name="framed_session", value=Sessions(ADMIN).issue(), url=house.at("/"), httpOnly=True
    )
    await page.navigate(house.at("/login"))
    await page.wait_for("document.readyState === 'complete' && !!document.getElementById('ask')")


@pytest.mark.parametrize("width", [320, 390, 1280])
async def test_the_console_never_scrolls_sideways(house: House, page: Page, width: int) -> None:
    furnish(house)
    await page.viewport(width, 844, mobile=width < 500)
    await sign_in(house, page)
    await page.evaluate("document.querySelector('#chips button').click()")
    await page.wait_for("document.querySelectorAll('#results .result').length === 6")
    assert await page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


FAINT = """(() => {
  const parts = colour => colour.match(/[\\d.]+/g).map(Number).concat(1).slice(0, 4);
  const over = (top, below) => [0, 1, 2].map(i => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
  const linear = v => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => .2126 * linear(r) + .7152 * linear(g) + .0722 * linear(b);
  const ground = one => {
    const layers = [];
    for (; one; one = one.parentElement) { layers.push(parts(getComputedStyle(one).backgroundColor)); }
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 1]);
  };
  const waits = one => one.placeholder && !one.value;
  const written = one => waits(one) || [...one.childNodes].some(node => node.nodeType === 3 && node.data.trim());
  const exempt = '.unseen, .skip, :disabled, option, noscript';
  const seen = one => one.checkVisibility({ opacityProperty: true, visibilityProperty: true }) && !one.closest(exempt);
  return [...document.querySelectorAll('body *')].filter(one => seen(one) && written(one)).map(one => {
    const style = getComputedStyle(one, waits(one) ? '::placeholder' : null), below = ground(one);
    const ends = [light(over(parts(style.color), below)), light(below)].sort((a, b) => b - a);
    const size = parseFloat(style.fontSize), large = size >= 24 || size >= 18.66 && style.fontWeight >= 700;
    const ratio = (ends[0] + .05) / (ends[1] + .05);
    return [ratio, large ? 3 : 4.5, one.id || one.className || one.tagName, one.innerText || one.placeholder];
  }).filter(([ratio, least]) => ratio < least).map(one => one.join(' '));
})()"""
"""What is written on the page and too faint for its ground: under 4.5 : 1, large text under 3 : 1 (WCAG AA)."""


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_everything_written_can_be_read_in_light_and_in_dark(house: House, page: Page, scheme: str) -> None:
    furnish(house)
    house.gate.change("hall", late=True, error="The file is broken.")
    await page.scheme(scheme)
    await sign_in(house, page)
    await page.evaluate("document.querySelector('#chips button').click()")
    await page.wait_for("document.querySelectorAll('#results .result').length === 6")
    await page.wait_for("!document.getElementById('trouble').hidden && document.getElementById('jobs').innerText")
    await page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    assert await page.evaluate(FAINT) == []
    for dialog in await page.evaluate("[...document.querySelectorAll('dialog')].map(one => one.id)"):
        await page.evaluate(f"document.getElementById('{dialog}').showModal()")
        assert await page.evaluate(FAINT) == [], dialog
        await page.evaluate(f"document.getElementById('{dialog}').close()")
    for address in ("/login", "/nowhere"):
        await page.send("Network.clearBrowserCookies")
        await page.navigate(house.at(address))
        await page.wait_for("document.readyState === 'complete' && document.body.innerText")
        assert await page.evaluate(FAINT) == [], address
