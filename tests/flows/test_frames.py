"""Frames on the whole daemon: the page in a real browser, the reference client, and anything that loads an image."""

import asyncio
import contextlib
import hashlib
import io
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import aiomqtt
import numpy as np
import pytest
import pytest_asyncio
from PIL import Image
from pydantic import SecretStr

from framed.app import App
from framed.config import load
from framed.frames.client import FrameClientOptions, Shown, run_frame
from framed.library.colour import DISPLAY_P3_PRIMARIES, matrix_profile
from tests.flows.conftest import analysed, free_port, settings, until, write_photo
from tests.peers import require_peer
from tests.web.chromium import Page, browser_page

pytestmark = [
    pytest.mark.models,
    pytest.mark.browser,
    pytest.mark.asyncio(loop_scope="module"),
]

FRONT = "document.querySelector('.layer.shown')"
CORNERS = ((220, 30, 30), (30, 160, 40), (30, 60, 220), (240, 220, 40))
"""Top left, top right, bottom left, bottom right of the upright picture."""
PHOTOS = {
    "chelsea.png": "2019:07:14 10:00:00",
    "coffee.png": "2021:12:25 09:30:00",
    "astronaut.png": "2020:05:05 15:00:00",
    "rocket.jpg": "2015:02:11 18:03:00",
    "brick.png": "2018:03:04 11:00:00",
    "hubble_deep_field.jpg": "2014:07:20 22:30:00",
}


class House:
    """One running framed that can be stopped and started again under the same ports."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.album = folder / "photos"
        self._config = settings(folder, self.album)
        self._config["http"]["port"] = free_port()
        self._config["frames"] = [
            {"id": "night", "width": 320, "height": 240, "quiet_hours": {"start": "00:00", "end": "23:59"}},
            {"id": "corner", "width": 320, "height": 240, "filter": "no cats"},
            {"id": "turned", "width": 480, "height": 640, "rotation": 90, "formats": ["png"], "fit": "cover"},
        ]
        self.app: App

    async def start(self) -> None:
        self.app = App(load(None, self._config))
        await self.app.__aenter__()

    async def stop(self) -> None:
        await self.app.__aexit__(None, None, None)

    async def call(self, verb: str, **payload: Any) -> dict[str, Any]:
        answer = await self.app.router.call(verb, payload)
        assert answer["status"] == "ok", answer
        data: dict[str, Any] = answer["data"]
        return data

    async def uid(self, name: str) -> str:
        answer = await self.call("photo/list", state="new", limit=100)
        return next(str(item["photo"]) for item in answer["items"] if Path(item["path"]).name == name)

    async def state(self, frame: str) -> dict[str, Any]:
        return await self.app.player.state_payload(frame)

    async def link(self, frame: str) -> str:
        items = (await self.call("frame/list"))["items"]
        return next(str(item["link"]) for item in items if item["frame"] == frame)

    def at(self, path: str) -> str:
        return f"http://127.0.0.1:{self.app.web.port}{path}"

    @property
    def broker(self) -> SecretStr:
        end = self.app.endpoint
        assert end is not None
        return SecretStr(f"mqtt://{end.username}:{end.password.get_secret_value()}@{end.host}:{end.port}")

    def mqtt(self) -> aiomqtt.Client:
        end = self.app.endpoint
        assert end is not None
        password = end.password.get_secret_value()
        return aiomqtt.Client(end.host, end.port, username=end.username, password=password, timeout=40)


def write_corners(path: Path, *, profile: bytes | None = None) -> None:
    """Four coloured quarters, stored lying on its side: EXIF orientation 6 says how it stands."""
    upright = np.zeros((600, 800, 3), np.uint8)
    for index, colour in enumerate(CORNERS):
        row, column = divmod(index, 2)
        upright[row * 300 : row * 300 + 300, column * 400 : column * 400 + 400] = colour
    stripes = (np.arange(100) % 2 * 255).astype(np.uint8)  # one pixel wide: any scaling turns them grey
    upright[250:350, 350:450] = stripes[None, :, None]
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(upright)).save(path, "JPEG", quality=98, subsampling=0, exif=exif)


def write_p3(path: Path) -> None:
    """A colour that sRGB can show too, written in Display P3 numbers."""
    Image.new("RGB", (800, 600), (180, 90, 60)).save(
        path, "JPEG", quality=98, icc_profile=matrix_profile("Display P3", DISPLAY_P3_PRIMARIES)
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    made = House(tmp_path_factory.mktemp("house"))
    for source, taken in PHOTOS.items():
        write_photo(source, made.album / f"{Path(source).stem}.jpg", taken=taken)
    write_corners(made.album / "corners.jpg")
    write_p3(made.album / "p3.jpg")
    await made.start()
    try:
        await analysed(made.app, len(PHOTOS) + 2)
        await made.call("frame/add", name="Tablet")
        yield made
    finally:
        await made.stop()
        await asyncio.to_thread(shutil.rmtree, made.folder, ignore_errors=True)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Page]:
    async with browser_page(require_peer("chromium"), tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest_asyncio.fixture(loop_scope="module")
async def page(house: House, browser: Page) -> AsyncIterator[Page]:
    """The tablet's page, open, showing the first picture of a playlist of everything."""
    await browser.viewport(400, 300, scale=2)
    uids = [await house.uid(f"{Path(source).stem}.jpg") for source in PHOTOS]
    await house.call("playlist/set", frame="tablet", photos=uids)
    await browser.navigate(await house.link("tablet") + "&fade=0")
    await shown(browser, house, width=800)
    await browser.wait_for("getComputedStyle(document.getElementById('welcome')).visibility === 'hidden'")
    yield browser
    await browser.navigate("about:blank")
    assert browser.problems == []


async def shown(page: Page, house: House, *, photo: str | None = None, width: int | None = None) -> str:
    """Waits until the page shows what framed says is on the frame, whole; its hash."""

    async def check() -> Any:
        show = await house.app.web._gate.show("tablet")
        if show is None or (photo is not None and show.photo != photo) or (width is not None and show.w != width):
            return None
        seen = f"{FRONT} && {FRONT}.src.includes('{show.sha256}') && {FRONT}.complete && {FRONT}.naturalWidth"
        return show.sha256 if await page.evaluate(seen) else None

    return str(await until(check))


async def looks(page: Page, folder: Path) -> Image.Image:
    path = folder / "screen.png"
    await page.screenshot(path)
    return Image.open(io.BytesIO(path.read_bytes())).convert("RGB")


def near(pixel: Any, wanted: tuple[int, int, int], by: int = 8) -> bool:
    return all(abs(int(one) - other) <= by for one, other in zip(pixel, wanted, strict=True))


async def test_the_page_shows_a_turned_photo_upright_and_pixel_for_pixel(house: House, page: Page) -> None:
    uid = await house.uid("corners.jpg")
    await house.call("playlist/set", frame="tablet", photos=[uid])
    sha256 = await shown(page, house, photo=uid)
    screen = await looks(page, house.folder)
    assert screen.size == (800, 600)
    assert [
        near(screen.getpixel(at), colour)
        for at, colour in zip(((9, 9), (790, 9), (9, 590), (790, 590)), CORNERS, strict=True)
    ] == [True] * 4
    async with (
        aiohttp.ClientSession() as http,
        http.get((await house.link("tablet")).replace("?", f"/p/{sha256}.jpg?")) as answer,
    ):
        file = Image.open(io.BytesIO(await answer.read())).convert("RGB")
    difference = np.abs(np.asarray(screen, np.int16) - np.asarray(file, np.int16))
    assert difference.max() <= 3, "the browser must not scale the picture"
    assert np.asarray(screen)[300, 352:448].std() > 90, "stripes of one pixel are still there"


async def test_the_page_shows_a_display_p3_photo_in_srgb(house: House, page: Page) -> None:
    uid = await house.uid("p3.jpg")
    await house.call("playlist/set", frame="tablet", photos=[uid])
    await shown(page, house, photo=uid)
    screen = await looks(page, house.folder)
    assert near(screen.getpixel((400, 300)), (193, 83, 51), 4), screen.getpixel((400, 300))


async def test_the_next_picture_is_there_before_it_is_shown(house: House, page: Page) -> None:
    for _ in range(2):
        coming = (await house.app.web._gate.playlist("tablet"))["items"]
        place = (await house.state("tablet"))["position"] % len(coming)
        wanted = coming[place]

        async def rendered(photo: str = wanted["photo"]) -> Any:
            items = (await house.app.web._gate.playlist("tablet"))["items"]
            return next((item["sha256"] for item in items if item["photo"] == photo and "sha256" in item), None)

        sha256 = await until(rendered)
        await page.wait_for(f"performance.getEntriesByType('resource').some(one => one.name.includes('{sha256}'))")
        await page.press("ArrowRight", 39)
        assert await shown(page, house, photo=wanted["photo"]) == sha256


async def test_touch_and_keys_steer_the_frame_and_a_tap_says_why(house: House, page: Page) -> None:
    first = (await house.state("tablet"))["photo"]
    await swipe(page, 300, 60)
    second = await changed(house, first)
    await shown(page, house, photo=second)
    await swipe(page, 60, 300)
    assert await changed(house, second) == first
    await shown(page, house, photo=first)

    await page.press(" ", 32, " ")
    await until(lambda: truth(house, "paused"))
    await page.wait_for("document.getElementById('pause').dataset.action === 'resume'")
    await page.press(" ", 32, " ")
    await until(lambda: truth(house, "paused", False))
    await page.wait_for("document.getElementById('notice-text').textContent === 'Going on.'")

    assert await page.evaluate("getComputedStyle(document.getElementById('info')).opacity") == "0"
    await until(lambda: tapped_open(page))  # a tap right behind a swipe is part of it
    await page.wait_for("getComputedStyle(document.getElementById('info')).opacity === '1'")
    await page.wait_for("document.getElementById('info').innerText.includes('Chosen because: chosen by hand')")
    sizes = await page.evaluate(
        "[...document.querySelectorAll('#controls button')].map(one => one.getBoundingClientRect())"
        ".map(box => [box.width, box.height])"
    )
    assert all(width >= 44 and height >= 44 for width, height in sizes), sizes
    await tap(page, "#favourite")
    await page.wait_for("document.getElementById('favourite').getAttribute('aria-pressed') === 'true'")
    assert (await house.call("photo/get", id=first))["favourite"] is True
    await page.evaluate(
        "window.ear = new EventSource(location.pathname + '/events' + location.search + '&look=1');"
        "window.heard = new Promise(told => ear.addEventListener('hidden', event => told(event.data)));"
        "new Promise(open => ear.addEventListener('state', open)).then(() => null)"
    )
    await tap(page, "#controls [data-action=hide]")
    await changed(house, first)
    assert json.loads(await page.evaluate("heard")) == {"photo": first}  # it is not to return while framed is away
    await page.evaluate("ear.close()")
    assert (await house.call("photo/get", id=first))["hidden"] is True
    await page.wait_for("!document.getElementById('undo').hidden")
    await tap(page, "#undo")
    assert await until(lambda: shows(house, first))
    assert (await house.call("photo/get", id=first))["hidden"] is False


async def tapped_open(page: Page) -> bool:
    if await page.evaluate("document.getElementById('controls').hidden"):
        await page.click(200, 100)
    return bool(await page.evaluate("!document.getElementById('controls').hidden"))


async def truth(house: House, key: str, wanted: Any = True) -> bool:
    return bool((await house.state("tablet"))[key] == wanted)


async def shows(house: House, photo: str) -> bool:
    return bool((await house.state("tablet"))["photo"] == photo)


async def changed(house: House, before: str) -> str:
    async def check() -> Any:
        photo = (await house.state("tablet"))["photo"]
        return photo if photo != before else None

    return str(await until(check))


async def swipe(page: Page, start: int, end: int) -> None:
    def at(x: int) -> list[dict[str, int]]:
        return [{"x": x, "y": 150}]

    await page.send("Input.dispatchTouchEvent", type="touchStart", touchPoints=at(start))
    await page.send("Input.dispatchTouchEvent", type="touchMove", touchPoints=at((start + end) // 2))
    await page.send("Input.dispatchTouchEvent", type="touchMove", touchPoints=at(end))
    await page.send("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])


async def tap(page: Page, selector: str) -> None:
    box = json.loads(
        await page.evaluate(f"JSON.stringify(document.querySelector('{selector}').getBoundingClientRect())")
    )
    await page.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)


async def test_a_hundred_pictures_leave_no_trace_in_the_page(house: House, page: Page) -> None:
    await turn(page, house, 20)
    before = await page.memory()
    await turn(page, house, 100)

    async def let_go() -> Any:
        """What the last fade holds is let go when it is over; a leak of 100 pictures is not."""
        found = await page.memory()
        return found if found["Nodes"] <= before["Nodes"] + 5 else None

    after = await until(let_go)
    assert await page.evaluate("document.querySelectorAll('.layer[src]').length") <= 2
    assert await page.evaluate("document.images.length") == 2
    assert after["Nodes"] <= before["Nodes"] + 5
    assert after["JSEventListeners"] <= before["JSEventListeners"] + 2
    assert after["JSHeapUsedSize"] <= before["JSHeapUsedSize"] * 1.25


async def turn(page: Page, house: House, times: int) -> None:
    for _ in range(times):
        await house.call("frame/cmd", frame="tablet", action="next")
    await shown(page, house)


async def test_the_page_keeps_its_picture_while_framed_is_gone_and_goes_on_when_it_returns(
    house: House, page: Page
) -> None:
    before = await shown(page, house)
    await house.stop()
    await page.press("ArrowRight", 39)
    await page.wait_for("!document.getElementById('notice').hidden")
    assert "not answering" in await page.evaluate("document.getElementById('notice').innerText")
    assert await page.evaluate(f"{FRONT}.src.includes('{before}') && {FRONT}.naturalWidth === 800")
    assert await page.evaluate("document.getElementById('away').hidden"), "a short absence is nobody's business"
    await house.start()
    first = (await house.state("tablet"))["photo"]
    await house.call("frame/cmd", frame="tablet", action="next")
    assert await shown(page, house, photo=await changed(house, first)) != before
    assert await until(lambda: truth(house, "online"))


async def test_a_frame_that_loads_images_gets_any_size_and_format_once(house: House) -> None:
    key = (await house.link("tablet")).partition("?k=")[2]

    def image(query: str = "", kind: str = "jpg") -> str:
        return house.at(f"/frame/tablet/image.{kind}?k={key}{query}")

    uids = [await house.uid(f"{Path(source).stem}.jpg") for source in PHOTOS]
    await house.call("playlist/set", frame="tablet", photos=uids)
    async with aiohttp.ClientSession() as http:
        async with http.get(image("&w=200&h=100")) as answer:
            assert (answer.status, answer.content_type) == (200, "image/jpeg")
            tag, body = answer.headers["ETag"], await answer.read()
            assert Image.open(io.BytesIO(body)).size == (200, 100)
            assert hashlib.sha256(body).hexdigest() == tag.strip('"')
        async with http.get(image("&w=200&h=100"), headers={"If-None-Match": tag}) as answer:
            assert (answer.status, await answer.read()) == (304, b"")
        async with http.head(image("&w=200&h=100")) as answer:
            assert (answer.status, answer.headers["ETag"], int(answer.headers["Content-Length"])) == (
                200,
                tag,
                len(body),
            )
        for kind, name in (("png", "PNG"), ("bmp", "BMP")):
            async with http.get(image("&w=64&h=48", kind)) as answer:
                picture = Image.open(io.BytesIO(await answer.read()))
                assert (picture.format, picture.size) == (name, (64, 48))
        for query in ("&w=0&h=10", "&w=-1", "&w=abc", "&w=99999&h=99999", "&w=1e3"):
            async with http.get(image(query)) as answer:
                assert answer.status == 400, query
        async with http.get(house.at("/frame/nowhere/image.jpg")) as answer:
            assert answer.status == 401
        async with http.get(house.at("/frame/tablet/image.jpg?k=wrong")) as answer:
            assert answer.status == 401
        async with http.get(house.at(f"/frame/corner/image.jpg?k={key}")) as answer:
            assert answer.status == 401, "a link opens its own frame only"
        async with http.get(house.at("/frame/nowhere/image.jpg"), headers=owner(house)) as answer:
            assert answer.status == 404

        async def served_without_a_call() -> bool:
            """True once nothing else is rendered: a picture made anew each time would never let it be."""
            calls = sum(host["calls"] for host in house.app.pool.status())
            for _ in range(5):
                async with http.get(image("&w=200&h=100")) as answer:
                    assert answer.status == 200
            return sum(host["calls"] for host in house.app.pool.status()) == calls

        await until(served_without_a_call)
        async with http.get(house.at(f"/frame/tablet/playlist.json?k={key}")) as answer:
            listed = await answer.json()
            assert (listed["count"], len(listed["items"])) == (len(PHOTOS), len(PHOTOS))
            assert {"url", "sha256", "bytes"} <= listed["items"][(await house.state("tablet"))["position"] - 1].keys()


def owner(house: House) -> dict[str, str]:
    return {"Authorization": f"Bearer {house.app.token}"}


async def test_a_turned_panel_gets_its_content_turned(house: House) -> None:
    await house.call("playlist/set", frame="turned", photos=[await house.uid("corners.jpg")])
    async with (
        aiohttp.ClientSession() as http,
        http.get(house.at("/frame/turned/image.png"), headers=owner(house)) as answer,
    ):
        file = Image.open(io.BytesIO(await answer.read())).convert("RGB")
    assert file.size == (480, 640)
    hung = file.rotate(-90, expand=True)  # the panel hangs turned 90 degrees clockwise
    assert [
        near(hung.getpixel(at), colour)
        for at, colour in zip(((9, 9), (630, 9), (9, 470), (630, 470)), CORNERS, strict=True)
    ] == [True] * 4


async def test_quiet_hours_and_a_frames_own_filter_are_kept(house: House) -> None:
    assert (await house.state("night"))["on"] is False
    answer = await house.call("ask", text="photos in random order", frame="corner")
    names = {Path(item["path"]).name for item in answer["items"]}
    assert "coffee.jpg" in names
    assert "chelsea.jpg" not in names


async def test_a_report_becomes_state_and_a_removed_frame_leaves_nothing_behind(house: House) -> None:
    async with house.mqtt() as mqtt:
        hello = {
            "v": 1,
            "name": "Shelf",
            "width": 296,
            "height": 128,
            "formats": ["png"],
            "sleeps": True,
            "wake_s": 600,
        }
        await mqtt.publish("framed/frame/shelf/hello", json.dumps(hello), qos=1, retain=True)
        await until(lambda: known(house, "shelf"))
        report = {"v": 1, "battery": 17.5, "rssi": -71, "error": "panel busy"}
        await mqtt.publish("framed/frame/shelf/report", json.dumps(report), qos=1)

        async def reported() -> bool:
            state = await house.state("shelf")
            return (state.get("battery"), state.get("rssi"), state.get("error")) == (17.5, -71, "panel busy")

        await until(reported)
        await mqtt.publish("framed/frame/shelf/report", json.dumps({"v": 1, "battery": 300}), qos=1)
        await mqtt.publish("framed/frame/shelf/report", b"{not json", qos=1)
        await mqtt.publish("framed/frame/shelf/cmd", b"identify", qos=1)
        assert (await house.state("shelf"))["battery"] == 17.5
        await until(lambda: has_retained(house, "framed/frame/shelf/show"))
        await house.call("frame/remove", frame="shelf")
        assert await until(lambda: nothing_retained(house, "framed/frame/shelf/#"))
    assert not house.app.registry.knows("shelf")


async def known(house: House, frame: str) -> bool:
    return house.app.registry.knows(frame)


async def retained(house: House, topics: str) -> dict[str, bytes]:
    """What a new subscriber is given at once."""
    found: dict[str, bytes] = {}
    async with house.mqtt() as mqtt:
        await mqtt.subscribe(topics, qos=1)
        marker = "framed/log"
        await mqtt.subscribe(marker)
        await mqtt.publish(marker, b"end")
        async for message in mqtt.messages:
            if str(message.topic) == marker:
                return found
            if message.payload and message.retain:
                found[str(message.topic)] = bytes(message.payload)
    return found


async def has_retained(house: House, topic: str) -> bool:
    return topic in await retained(house, topic)


async def nothing_retained(house: House, topics: str) -> bool:
    return not await retained(house, topics)


@contextlib.asynccontextmanager
async def client(options: FrameClientOptions) -> AsyncIterator[asyncio.Queue[Shown]]:
    """The reference client, running; what it has shown."""
    seen: asyncio.Queue[Shown] = asyncio.Queue()
    task = asyncio.create_task(run_frame(options, shown=seen.put))
    try:
        yield seen
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def next_shown(seen: "asyncio.Queue[Shown]") -> Shown:
    async with asyncio.timeout(90):
        return await seen.get()


async def test_the_reference_client_lives_on_the_contract_alone(house: House) -> None:
    out = house.folder / "hall.png"
    options = FrameClientOptions(name="hall", size="800x480", out=out, broker=house.broker, retry_s=(0.1, 1.0))
    async with client(options) as seen:
        first = await next_shown(seen)
        assert Image.open(out).size == (800, 480)
        assert hashlib.sha256(out.read_bytes()).hexdigest() == first.sha256
        await until(lambda: online(house, True))
        await house.call("frame/cmd", frame="hall", action="next")
        assert (await next_shown(seen)).sha256 != first.sha256
        await until(lambda: reported_item(house))

        await house.stop()  # its broker too
        kept = out.read_bytes()
        await house.start()
        await until(lambda: online(house, True), 60)
        assert out.read_bytes() == kept
        await house.call("frame/cmd", frame="hall", action="next")
        await next_shown(seen)
    await until(lambda: online(house, False), 60)

    smaller = options.model_copy(update={"size": (400, 300)})
    async with client(smaller) as seen:
        while Image.open(out).size != (400, 300):
            await next_shown(seen)
    assert [path.name for path in house.folder.iterdir() if path.name.startswith(".hall")] == []


async def online(house: House, wanted: bool) -> bool:
    return (await house.state("hall"))["online"] is wanted


async def reported_item(house: House) -> bool:
    """What the frame says it shows is what framed believes to be there."""
    state = await house.app.database.read(
        lambda c: c.exec_driver_sql("select item, report from frame_states where frame_id = 'hall'").mappings().one()
    )
    return bool(state["report"]) and json.loads(state["report"])["item"] == state["item"]


async def test_a_woken_client_takes_one_picture_by_mqtt_within_its_limit_and_ends(house: House) -> None:
    out = house.folder / "attic.jpg"
    options = FrameClientOptions(
        name="attic",
        size="640x400",
        out=out,
        broker=house.broker,
        delivery="mqtt",
        max_bytes=30_000,
        once=True,
        wake_s=900,
        once_timeout_s=60,
    )
    await run_frame(options)
    assert Image.open(out).size == (640, 400)
    assert out.stat().st_size <= 30_000
    image = (await retained(house, "framed/frame/attic/image"))["framed/frame/attic/image"]
    assert image == out.read_bytes()
    state = await house.state("attic")
    assert state["next_wake"] is not None
