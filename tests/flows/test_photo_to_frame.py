"""From a photo in a folder to a picture on a frame, over a real broker."""

import asyncio
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import aiomqtt
import pytest
import pytest_asyncio

from framed.app import App
from framed.config import load
from tests.flows.conftest import analysed, settings, until, write_photo

FLORENCE = (43.7696, 11.2558)
pytestmark = [pytest.mark.models, pytest.mark.asyncio(loop_scope="module")]


class House:
    """One running framed on a small album; it can be stopped and started again on the same folder."""

    def __init__(self, folder: Path) -> None:
        self.album = folder / "photos"
        self._config = load(None, settings(folder, self.album))
        self.app: App

    async def start(self) -> None:
        self.app = App(self._config)
        await self.app.__aenter__()
        await analysed(self.app, 3)

    async def stop(self) -> None:
        await self.app.__aexit__(None, None, None)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    folder = tmp_path_factory.mktemp("house")
    made = House(folder)
    write_photo("chelsea.png", made.album / "Holidays" / "cat.jpg", taken="2019:07:14 10:00:00", place=FLORENCE)
    write_photo("coffee.png", made.album / "coffee.jpg", taken="2021:12:25 09:30:00")
    write_photo("astronaut.png", made.album / "eileen.jpg", taken="2020:05:05 15:00:00")
    (made.album / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    await made.start()
    yield made
    await made.stop()
    await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


@pytest.fixture
def app(house: House) -> App:
    return house.app


def client(app: App) -> aiomqtt.Client:
    assert app.endpoint is not None
    return aiomqtt.Client(
        app.endpoint.host,
        app.endpoint.port,
        username=app.endpoint.username,
        password=app.endpoint.password.get_secret_value(),
        timeout=40,
    )


async def next_message(messages: Any, topic: str, wanted: Any = None) -> dict[str, Any]:
    async with asyncio.timeout(60):
        async for message in messages:
            if str(message.topic) == topic and message.payload:
                payload: dict[str, Any] = json.loads(message.payload)
                if wanted is None or wanted(payload):
                    return payload
    raise AssertionError(topic)


async def test_a_sentence_over_mqtt_puts_the_right_picture_on_the_frame(app: App) -> None:
    async with client(app) as mqtt:
        await mqtt.subscribe("framed/response/ask", qos=1)
        await mqtt.subscribe("framed/frame/kitchen/show", qos=1)
        await mqtt.publish("framed/request/ask", b'{"text": "a cat on the kitchen frame", "transaction": "t1"}', qos=1)
        answer = await next_message(mqtt.messages, "framed/response/ask")

    assert answer["status"] == "ok"
    assert answer["transaction"] == "t1"
    assert [Path(item["path"]).name for item in answer["data"]["items"]] == ["cat.jpg"]
    assert answer["data"]["items"][0]["why"] == ["shows cat"]
    show = await app.database.read(
        lambda c: dict(c.exec_driver_sql("select show from frame_states where frame_id = 'kitchen'").mappings().one())
    )
    published = json.loads(show["show"])
    assert published["photo"] == answer["data"]["items"][0]["photo"]
    async with aiohttp.ClientSession() as http, http.get(published["url"]) as response:
        data = await response.read()
    assert response.status == 200
    assert hashlib.sha256(data).hexdigest() == published["sha256"]
    assert (published["w"], published["h"]) == (320, 240)


async def test_places_dates_and_negation_are_filters(app: App) -> None:
    async def names(text: str) -> list[str]:
        answer = await app.router.call("ask", {"text": text, "dry_run": True})
        return sorted(Path(item["path"]).name for item in answer["data"]["items"])

    assert await names("photos from Italy") == ["cat.jpg"]
    assert await names("Christmas 2021") == ["coffee.jpg"]
    assert await names("photos without cats") == ["coffee.jpg", "eileen.jpg"]


async def test_nothing_matches_is_said_and_changes_nothing(app: App) -> None:
    before = await app.player.current("kitchen")

    answer = await app.router.call("ask", {"text": "elephants in the snow", "frame": "kitchen"})

    assert answer["status"] == "ok"
    assert answer["data"]["count"] == 0
    assert "no" in answer["data"]["speech"]
    assert await app.player.current("kitchen") == before


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"{not json", "bad_json"),
        (b"[1]", "bad_json"),
        (b"\xff\xfe", "bad_json"),
        (b'{"text": 5}', "bad_request"),
        (b"{" * 40, "bad_json"),
        (b'{"text": "x", "frame": "nowhere"}', "unknown_frame"),
        (b'{"transaction": "bad id!", "text": "x"}', "bad_request"),
        (b'"' + b"x" * 300_000 + b'"', "too_large"),
    ],
)
async def test_bad_requests_get_a_clear_error(app: App, payload: bytes, code: str) -> None:
    answer = await app.router.call("ask", payload)

    assert answer["status"] == "error"
    assert answer["error"]["code"] == code


async def test_unknown_verbs_are_answered_and_later_ones_say_so(app: App) -> None:
    assert (await app.router.call("no/such", {}))["error"]["code"] == "unknown_verb"
    assert (await app.router.call("art/generate", {}))["error"]["code"] == "unavailable"


async def test_a_transaction_seen_before_gets_its_first_answer(app: App) -> None:
    first = await app.router.call("ask", {"text": "cats", "transaction": "again"})
    second = await app.router.call("ask", {"text": "coffee", "transaction": "again"})

    assert second == json.loads(json.dumps(first, default=str))


async def test_torch_never_enters_the_daemon() -> None:
    code = (
        "import sys, framed.app; bad = {'torch', 'PIL', 'scipy', 'tokenizers'} & set(sys.modules); "
        "sys.exit(str(bad) if bad else 0)"
    )
    done = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", code], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr


async def test_a_reason_names_only_what_the_photo_itself_shows(app: App) -> None:
    answer = await app.router.call("ask", {"text": "cats or coffee", "dry_run": True})
    why = {item["path"].rsplit("/", 1)[-1]: item["why"] for item in answer["data"]["items"]}
    assert "shows cats" in why["cat.jpg"][0]
    assert "coffee" not in why["cat.jpg"][0]
    assert "coffee" in why["coffee.jpg"][0]
    assert "cat" not in why["coffee.jpg"][0]


# -- these change the album or the running framed: they come last ------------------------------------------------------


async def test_a_restart_keeps_what_is_on_the_frame_and_analyses_nothing_again(house: House) -> None:
    async def steps() -> list[tuple[Any, ...]]:
        query = "select photo_id, step, attempts, at from photo_steps order by photo_id, step"
        return await house.app.database.read(lambda c: [tuple(row) for row in c.exec_driver_sql(query)])

    await house.app.router.call("ask", {"text": "coffee", "frame": "kitchen"})
    before, done = await house.app.player.state_payload("kitchen"), await steps()
    await house.stop()
    await house.start()
    after = await house.app.player.state_payload("kitchen")

    assert after["photo"] == before["photo"]
    assert await steps() == done
    assert {attempts for _, _, attempts, _ in done} == {1}


async def test_hide_at_the_frame_takes_the_photo_off_every_wall(app: App) -> None:
    await app.router.call("ask", {"text": "cats", "frame": "kitchen"})

    answer = await app.router.call("frame/cmd", {"frame": "kitchen", "action": "hide"})
    assert answer["status"] == "ok"

    async def hidden() -> bool:
        return bool((await app.router.call("ask", {"text": "cats", "dry_run": True}))["data"]["count"] == 0)

    await until(hidden)


async def test_a_broken_file_is_parked_with_its_reason_and_read_again_when_it_changes(app: App, house: House) -> None:
    listed = await app.router.call("photo/list", {"state": "failed"})
    assert [Path(item["path"]).name for item in listed["data"]["items"]] == ["broken.jpg"]
    assert "cut short" in listed["data"]["items"][0]["problem"]

    write_photo("rocket.jpg", house.album / "broken.jpg", taken="2022:01:01 12:00:00")
    await analysed(app, 4)

    assert (await app.router.call("photo/list", {"state": "failed"}))["data"]["items"] == []


async def test_a_deleted_photo_leaves_every_playlist(app: App, house: House) -> None:
    await app.router.call("ask", {"text": "coffee", "frame": "kitchen"})
    (house.album / "coffee.jpg").unlink()

    async def gone() -> bool:
        answer = await app.router.call("ask", {"text": "coffee", "dry_run": True})
        return bool(answer["data"]["count"] == 0)

    await until(gone)
