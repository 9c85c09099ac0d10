"""From a photo in a folder to a picture on a frame, over a real broker."""

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

import aiohttp
import aiomqtt
import pytest

from framed.app import App
from framed.config import load
from tests.flows.conftest import analysed, settings, until, write_photo

pytestmark = [pytest.mark.models, pytest.mark.timeout(180)]


def client(app: App) -> aiomqtt.Client:
    assert app.endpoint is not None
    return aiomqtt.Client(
        app.endpoint.host,
        app.endpoint.port,
        username=app.endpoint.username,
        password=app.endpoint.password.get_secret_value(),
    )


async def next_message(messages: Any, topic: str, wanted: Any = None) -> dict[str, Any]:
    async with asyncio.timeout(30):
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


async def test_a_broken_file_is_parked_with_its_reason_and_read_again_when_it_changes(app: App, album: Path) -> None:
    listed = await app.router.call("photo/list", {"state": "failed"})
    assert [Path(item["path"]).name for item in listed["data"]["items"]] == ["broken.jpg"]
    assert "cut short" in listed["data"]["items"][0]["problem"]

    write_photo("rocket.jpg", album / "broken.jpg", taken="2022:01:01 12:00:00")
    await analysed(app, 4)

    assert (await app.router.call("photo/list", {"state": "failed"}))["data"]["items"] == []


async def test_a_deleted_photo_leaves_every_playlist(app: App, album: Path) -> None:
    await app.router.call("ask", {"text": "coffee", "frame": "kitchen"})
    (album / "coffee.jpg").unlink()

    async def gone() -> bool:
        answer = await app.router.call("ask", {"text": "coffee", "dry_run": True})
        return bool(answer["data"]["count"] == 0)

    await until(gone, 30)


async def test_hide_at_the_frame_takes_the_photo_off_every_wall(app: App) -> None:
    await app.router.call("ask", {"text": "cats", "frame": "kitchen"})

    answer = await app.router.call("frame/cmd", {"frame": "kitchen", "action": "hide"})
    assert answer["status"] == "ok"

    async def hidden() -> bool:
        return bool((await app.router.call("ask", {"text": "cats", "dry_run": True}))["data"]["count"] == 0)

    await until(hidden, 10)


async def test_a_restart_keeps_what_is_on_the_frame_and_analyses_nothing_again(tmp_path: Path, album: Path) -> None:
    config = load(None, settings(tmp_path, album))
    async with App(config) as first:
        await analysed(first, 3)
        await first.router.call("ask", {"text": "coffee", "frame": "kitchen"})
        before = await first.player.state_payload("kitchen")
    async with App(config) as second:
        await analysed(second, 3)
        after = await second.player.state_payload("kitchen")
        attempts = await second.database.read(
            lambda c: c.exec_driver_sql("select max(attempts) from photo_steps").scalar()
        )

    assert after["photo"] == before["photo"]
    assert attempts == 1


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


async def test_torch_never_enters_the_daemon(app: App) -> None:
    import subprocess
    import sys

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
