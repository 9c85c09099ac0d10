"""The late steps on the whole daemon: what they find, a photo is then asked for by."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from PIL import Image, ImageDraw, ImageFont

from framed.app import App
from framed.config import load
from tests.flows.conftest import analysed, settings, until, write_photo
from tests.installed import installed

pytestmark = [pytest.mark.broker, pytest.mark.models, pytest.mark.asyncio(loop_scope="module")]


IDLE_S = 3.0


def write_sign(path: Path) -> None:
    write_photo("rocket.jpg", path, taken="2022:03:03 12:00:00")
    picture = Image.open(path)
    draw = ImageDraw.Draw(picture)
    draw.rectangle((60, 60, 580, 180), fill="white")
    font = ImageFont.truetype(installed("matplotlib") / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf", 52)
    draw.text((80, 120), "MAXWELL BAKERY", font=font, fill="black", anchor="lm")
    picture.save(path, "JPEG", quality=92, exif=picture.info["exif"])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def app(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[App]:
    home = tmp_path_factory.mktemp("home")
    write_sign(home / "photos" / "one.jpg")
    write_photo("chelsea.png", home / "photos" / "two.jpg", taken="2019:07:14 10:00:00")
    idle = {"cpu_hosts": 1, "cpu_idle_s": IDLE_S, "light_idle_s": IDLE_S, "idle_unload_s": IDLE_S}
    wanted = settings(home, home / "photos") | {"models": {"faces": "off"}, "compute": idle}
    async with App(load(None, wanted)) as running:
        await analysed(running, 2)

        async def deep() -> Any:
            return not (await running.late.left()).get("ocr") and not running.pipeline.busy

        await until(deep)
        await analysed(running, 2)
        yield running


async def ask(app: App, text: str) -> dict[str, Any]:
    answer = await app.router.call("ask", {"text": text, "dry_run": True})
    data: dict[str, Any] = answer["data"]
    return data


async def test_a_photo_is_found_by_what_is_written_in_it(app: App) -> None:
    found = await ask(app, "photos that say maxwell bakery")
    assert [Path(item["path"]).name for item in found["items"]] == ["one.jpg"]


async def test_words_that_no_picture_says_find_nothing(app: App) -> None:
    found = await ask(app, "photos that say zanzibar")
    assert found["items"] == []
    assert "zanzibar" in found["speech"].lower()


async def test_health_and_metrics_tell_of_memory_steps_and_devices(app: App) -> None:
    health = (await app.router.call("health", {}))["data"]
    assert isinstance(health["gpu"], list)
    assert health["memory_free_mb"] > 0
    assert health["disk_free_mb"] > 0
    assert health["steps"]["tags"]["photos"] == 2
    assert health["steps"]["ocr"]["ms_each"] > 0
    assert isinstance(health["advice"], list)

    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {app.token}"}) as http:
        async with http.get(f"http://127.0.0.1:{app.web.port}/metrics") as response:
            text = await response.text()
    assert 'framed_step_photos{step="tags"} 2.0' in text
    assert 'framed_calls_waiting{kind="model"} 0.0' in text


async def test_at_rest_no_compute_host_is_left_and_a_request_starts_what_it_needs(app: App) -> None:
    async def at_rest() -> bool:
        return (await app.router.call("health", {}))["data"]["hosts"] == []

    await until(at_rest)

    found = await ask(app, "a cat")
    assert [Path(item["path"]).name for item in found["items"]] == ["two.jpg"]
    assert "light" in [host["kind"] for host in (await app.router.call("health", {}))["data"]["hosts"]]
