"""A frame's page on its own: its screen stays on, and it lives through hours without framed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from framed.web.ports import ServerEvent
from tests.peers import require_peer
from tests.web.chromium import Page, browser_page
from tests.web.conftest import House, open_house
from tests.web.fakes import KITCHEN, picture

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

FRONT = "document.querySelector('.layer.shown')"
SHOWN = f"({FRONT} && getComputedStyle({FRONT}).opacity === '1' && /[0-9a-f]{{64}}/.exec({FRONT}.src)[0])"
AWAY = "!document.getElementById('away').hidden && document.getElementById('away').innerText"
QUICK = """
const later = setTimeout, patient = [30000, 50000];
window.setTimeout = (work, ms) => later(work, ms > 900 && !patient.includes(ms) ? ms / 100 : ms);
"""
"""A clock that runs a hundred times as fast, but not for what this machine may be slow at: to decode a picture (30 s)
and to send a heartbeat (50 s)."""

WAKE_LOCK = """
window.locks = [];
let hidden = false;
Object.defineProperty(document, 'visibilityState', { get: () => hidden ? 'hidden' : 'visible' });
window.turnScreen = off => {
  hidden = off;
  if (off) { window.locks.forEach(lock => lock.release()); }
  document.dispatchEvent(new Event('visibilitychange'));
};
class Lock extends EventTarget {
  released = false;
  async release() {
    if (!this.released) { this.released = true; this.dispatchEvent(new Event('release')); }
  }
}
Object.defineProperty(navigator, 'wakeLock', { value: { request: async () => {
  if (window.batterySaver) { throw new DOMException('no', 'NotAllowedError'); }
  window.locks.push(new Lock());
  return window.locks.at(-1);
} } });
window.held = () => window.locks.filter(lock => !lock.released).length;
"""
"""The wake lock as a browser has it: let go when the page is hidden, and refused to save the battery."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Page]:
    async with browser_page(require_peer("chromium"), tmp_path_factory.mktemp("profile")) as page:
        await page.viewport(640, 400)
        yield page


@pytest_asyncio.fixture(loop_scope="module")
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path, {}) as house:
        yield house


@asynccontextmanager
async def visit(browser: Page, house: House, *, script: str = "", host: str = "127.0.0.1") -> AsyncIterator[Page]:
    """The kitchen's page in the module's tab, with `script` before its own."""
    await browser.send("Network.clearBrowserCookies")
    added = await browser.at_start(script)
    try:
        await browser.navigate(f"http://{host}:{house.server.port}/frame/kitchen?k={KITCHEN}&fade=0")
        yield browser
    finally:
        await browser.not_at_start(added)
        await browser.navigate("about:blank")  # before its server ends
    assert browser.problems == []


async def test_a_frame_holds_the_wake_lock_and_asks_again_when_it_is_seen_again(house: House, browser: Page) -> None:
    async with visit(browser, house, script=WAKE_LOCK) as page:
        await page.wait_for("held() === 1")
        await page.evaluate("turnScreen(true)")
        assert await page.evaluate("held()") == 0
        await page.evaluate("turnScreen(false)")
        await page.wait_for("held() === 1 && locks.length === 2")
        house.gate.change("kitchen", on=False)
        await page.wait_for("held() === 0")
        house.gate.change("kitchen", on=True)
        await page.wait_for("held() === 1")
        assert await page.evaluate("document.getElementById('awake')") is None


async def test_where_the_wake_lock_is_refused_a_video_does_it_until_it_is_not(house: House, browser: Page) -> None:
    async with visit(browser, house, script=WAKE_LOCK + "window.batterySaver = true") as page:
        await page.wait_for("document.getElementById('awake') && !document.getElementById('awake').paused")
        await page.evaluate("window.batterySaver = false")
        house.gate.change("kitchen", brightness=80)  # any state asks again
        await page.wait_for("held() === 1 && !document.getElementById('awake')")


async def test_over_plain_http_a_video_below_the_picture_keeps_the_screen_on(house: House, browser: Page) -> None:
    sha256 = house.pictures.add(picture(1))
    await house.gate.put("kitchen", sha256)
    async with visit(browser, house, host="frame.lan") as page:
        await page.wait_for(f"{SHOWN} === '{sha256}'")
        assert await page.evaluate("isSecureContext || !!navigator.wakeLock") is False
        await page.wait_for(
            "(() => { const one = document.getElementById('awake');"
            " return one && !one.paused && one.readyState > 2 && one.muted && one.srcObject.active; })()"
        )
        box = await page.evaluate("Object.values(document.getElementById('awake').getBoundingClientRect().toJSON())")
        assert box[:4] == [0, 0, 640, 400]  # a small one does not count
        house.gate.change("kitchen", on=False)
        await page.wait_for("!document.getElementById('awake')")


async def test_without_framed_its_pictures_take_turns_until_it_is_back(house: House, browser: Page) -> None:
    hashes = [house.pictures.add(picture(number)) for number in range(4)]
    house.gate.change("kitchen", interval_s=60)
    async with visit(browser, house, script=QUICK) as page:
        for number, sha256 in enumerate(hashes[:3]):
            await house.gate.put("kitchen", sha256, photo=f"p{number}")
            await page.wait_for(f"{SHOWN} === '{sha256}'")
        house.gate.tell("kitchen", ServerEvent(event="hidden", data={"photo": "p1"}))
        port = house.server.port
        await house.server.close()
        assert await page.wait_for(AWAY) == "Waiting for framed"
        await page.wait_for(f"{SHOWN} === '{hashes[0]}'")
        await page.wait_for(f"{SHOWN} === '{hashes[2]}'")
        await page.evaluate(
            "window.seen = []; new MutationObserver(() => seen.push(document.querySelector('.shown').src))"
            ".observe(document.getElementById('stage'), {subtree: true, attributes: true})"
        )
        await page.wait_for(f"seen.filter(one => one.includes('{hashes[0]}')).length > 2")
        assert hashes[1] not in "".join(await page.evaluate("seen"))
        reports = len(house.gate.reports)
        await house.gate.put("kitchen", hashes[3])
        house.server = house.make(port=port)
        await house.server.start()
        await page.wait_for(f"{SHOWN} === '{hashes[3]}' && document.getElementById('away').hidden")
        await house.gate.until(lambda: house.gate.reports[reports:])
        assert [report["item"] for _, report in house.gate.reports[reports:]] == ["i4"]


async def test_a_link_that_was_taken_back_hears_no_more_and_says_what_to_do(house: House, browser: Page) -> None:
    first, second = house.pictures.add(picture(1)), house.pictures.add(picture(2))
    await house.gate.put("kitchen", first)
    async with visit(browser, house, script=QUICK) as page:
        await page.wait_for(f"{SHOWN} === '{first}'")
        house.tokens.tokens["kitchen"] = "another-token-0123456789"
        await house.gate.put("kitchen", second)
        said = await page.wait_for(f"({AWAY} || '').includes('link') && {AWAY}")
        assert "no longer valid" in said
        assert "framed link kitchen" in said
        assert await page.evaluate(SHOWN) == first
        house.tokens.tokens["kitchen"] = KITCHEN
        await page.wait_for(f"{SHOWN} === '{second}' && document.getElementById('away').hidden")
