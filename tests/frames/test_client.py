import asyncio
import hashlib
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from PIL import Image
from pydantic import SecretStr, ValidationError
from structlog.testing import capture_logs

from framed.errors import ConfigError, FramedError, TimedOut, Unavailable
from framed.frames.client import FrameClientOptions, run_frame
from framed.mqtt.settings import MqttSettings
from framed.mqtt.topics import Topics
from tests.broker_fixtures import Mosquitto, Peer, free_port, mosquitto, retained
from tests.installed import installed

__all__ = ["mosquitto"]

pytestmark = pytest.mark.broker

TOPICS = Topics()


def encoded(name: str, format: str, size: tuple[int, int] = (160, 96)) -> bytes:
    out = BytesIO()
    with Image.open(installed("sklearn") / "datasets" / "images" / name) as picture:
        picture.resize(size).save(out, format=format)
    return out.getvalue()


CHINA = encoded("china.jpg", "PNG")
FLOWER = encoded("flower.jpg", "PNG")
CHINA_JPEG = encoded("china.jpg", "JPEG")


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class PictureServer:
    """Serves bytes by path; `answers` are tried first, one per request."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.answers: list[Callable[[], Awaitable[web.StreamResponse]]] = []
        self.requests: list[str] = []
        self.port = free_port()
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._get)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _get(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request.path)
        if self.answers:
            return await self.answers.pop(0)()
        if request.path not in self.files:
            return web.Response(status=404)
        return web.Response(body=self.files[request.path], headers={"ETag": f'"{sha256(self.files[request.path])}"'})

    def show(self, item: str, data: bytes, **changed: Any) -> str:
        path = f"/p/{sha256(data)}.png"
        self.files[path] = data
        payload = {
            "v": 1,
            "rev": 1,
            "item": item,
            "url": f"http://127.0.0.1:{self.port}{path}?k=secret-token",
            "sha256": sha256(data),
            "bytes": len(data),
            "mime": "image/png",
            "w": 160,
            "h": 96,
        }
        return json.dumps(payload | changed)


@pytest.fixture
async def server() -> AsyncIterator[PictureServer]:
    pictures = PictureServer()
    await pictures.start()
    yield pictures
    await pictures.stop()


class Hall:
    """A running frame called hall, and the daemon's end of the broker."""

    def __init__(self, broker: Mosquitto, folder: Path, **options: Any) -> None:
        self.out = folder / options.pop("file", "hall.png")
        self.options = FrameClientOptions(
            name="hall",
            size="160x96",
            out=self.out,
            broker=SecretStr(f"mqtt://127.0.0.1:{broker.port}"),
            retry_s=(0.01, 0.05),
            **options,
        )
        self.daemon = Peer(broker.port, "framed/frame/hall/#")
        self.controls: list[tuple[str, Any]] = []

    async def __aenter__(self) -> "Hall":
        await self.daemon.__aenter__()
        self.task = asyncio.create_task(run_frame(self.options, controlled=self._control))
        return self

    async def __aexit__(self, *error: object) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.daemon.__aexit__(None, None, None)

    async def _control(self, action: str, value: Any) -> None:
        self.controls.append((action, value))

    async def show(self, payload: str) -> None:
        await self.daemon.publish(TOPICS.show("hall"), payload, retain=True)

    async def report(self, count: int = 1) -> dict[str, Any]:
        report: dict[str, Any] = json.loads((await self.daemon.wait_for(TOPICS.report("hall"), count=count)).payload)
        return report


async def test_frame_says_what_it_is_and_that_it_is_there(mosquitto: Mosquitto, tmp_path: Path) -> None:
    async with Hall(mosquitto, tmp_path, title="Hall", rotation=90, palette="spectra6") as hall:
        hello = json.loads((await hall.daemon.wait_for(TOPICS.hello("hall"))).payload)
        await hall.daemon.wait_for(TOPICS.availability("hall"), "online")
    assert hello.pop("fw")
    assert hello == {
        "v": 1,
        "name": "Hall",
        "model": "framed reference frame",
        "width": 160,
        "height": 96,
        "rotation": 90,
        "palette": "spectra6",
        "formats": ["png", "jpeg", "bmp"],
        "delivery": "url",
        "max_bytes": 8_000_000,
        "sleeps": False,
    }
    left = await retained(mosquitto.port)
    assert left[TOPICS.availability("hall")] == b"offline"
    assert TOPICS.hello("hall") in left


async def test_picture_is_fetched_written_and_reported(
    mosquitto: Mosquitto, server: PictureServer, tmp_path: Path
) -> None:
    async with Hall(mosquitto, tmp_path) as hall:
        await hall.show(server.show("i1", CHINA))
        report = await hall.report()
        assert report["item"] == "i1"
        assert report["shown_at"]
        assert hall.out.read_bytes() == CHINA
        await hall.show(server.show("i2", FLOWER))
        assert (await hall.report(2))["item"] == "i2"
        assert hall.out.read_bytes() == FLOWER
    assert sorted(os.listdir(tmp_path)) == ["hall.png", f"mosquitto-{mosquitto.port}.conf"]


async def test_picture_of_another_format_is_converted_to_what_the_file_says(
    mosquitto: Mosquitto, server: PictureServer, tmp_path: Path
) -> None:
    async with Hall(mosquitto, tmp_path, file="hall.bmp") as hall:
        await hall.show(server.show("i1", CHINA_JPEG))
        await hall.report()
    with Image.open(hall.out) as picture:
        assert (picture.format, picture.size) == ("BMP", (160, 96))


async def test_once_shows_one_picture_and_ends(mosquitto: Mosquitto, server: PictureServer, tmp_path: Path) -> None:
    async with Hall(mosquitto, tmp_path, once=True) as hall:
        await hall.show(server.show("i1", CHINA))
        await asyncio.wait_for(hall.task, 40)
        assert hall.out.read_bytes() == CHINA
        assert (await hall.report())["item"] == "i1"


async def test_frame_that_is_woken_by_a_timer_never_seems_to_fail(
    mosquitto: Mosquitto, server: PictureServer, tmp_path: Path
) -> None:
    async with Hall(mosquitto, tmp_path, once=True, wake_s=3600) as hall:
        await hall.show(server.show("i1", CHINA))
        await asyncio.wait_for(hall.task, 40)
    left = await retained(mosquitto.port)
    assert TOPICS.availability("hall") not in left
    assert json.loads(left[TOPICS.hello("hall")])["wake_s"] == 3600


async def test_once_without_a_picture_ends_with_a_sentence(mosquitto: Mosquitto, tmp_path: Path) -> None:
    async with Hall(mosquitto, tmp_path, once=True, once_timeout_s=0.3) as hall:
        with pytest.raises(TimedOut, match="No picture came"):
            await hall.task


async def test_once_with_an_unreachable_server_says_so(mosquitto: Mosquitto, tmp_path: Path) -> None:
    async with Hall(mosquitto, tmp_path, once=True, once_timeout_s=0.5) as hall:
        await hall.show(PictureServer().show("i1", CHINA))
        with pytest.raises(Unavailable, match="could not be fetched"):
            await hall.task


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"url": "file:///etc/passwd"}, "http or https only"),
        ({"url": "http://"}, "leads nowhere"),
        ({"bytes": 9_000_000}, "9,000,000 bytes"),
        ({"sha256": "0" * 64}, "another picture"),
        ({"sha256": "none"}, "cannot be read: sha256"),
    ],
)
async def test_bad_show_is_reported_and_the_last_picture_stays(
    mosquitto: Mosquitto, server: PictureServer, tmp_path: Path, changed: dict[str, Any], sentence: str
) -> None:
    (tmp_path / "hall.png").write_bytes(FLOWER)
    async with Hall(mosquitto, tmp_path) as hall:
        await hall.show(server.show("i1", CHINA, **changed))
        report = await hall.report()
        assert sentence in report["error"]
        assert "secret-token" not in report["error"]
        assert hall.out.read_bytes() == FLOWER


async def test_what_is_no_picture_never_reaches_the_panel(
    mosquitto: Mosquitto, server: PictureServer, tmp_path: Path
) -> None:
    (tmp_path / "hall.png").write_bytes(FLOWER)
    async with Hall(mosquitto, tmp_path) as hall:
        await hall.show(server.show("i1", b"<html>login</html>"))
        assert "no JPEG, PNG or BMP" in (await hall.report())["error"]
        assert hall.out.read_bytes() == FLOWER


async def test_endless_answer_is_cut_at_the_limit(mosquitto: Mosquitto, server: PictureServer, tmp_path: Path) -> None:
    async def endless() -> web.StreamResponse:
        return web.Response(body=b"x" * 200_000)

    server.answers = [endless]
    async with Hall(mosquitto, tmp_path, max_bytes=100_000) as hall:
        await hall.show(server.show("i1", CHINA))
        assert "more than 100,000 bytes" in (await hall.report())["error"]


async def test_server_that_is_down_is_tried_until_it_is_back(
    mosquitto: Mosquitto, server: PictureServer, tmp_path: Path
) -> None:
    await server.stop()
    async with Hall(mosquitto, tmp_path) as hall:
        await hall.show(server.show("i1", CHINA))
        assert "could not be fetched" in (await hall.report())["error"]
        await server.start()
        assert (await hall.report(2))["item"] == "i1"
        assert hall.out.read_bytes() == CHINA


async def test_damaged_transfer_is_fetched_again(mosquitto: Mosquitto, server: PictureServer, tmp_path: Path) -> None:
    async def damaged() -> web.StreamResponse:
        return web.Response(body=CHINA[:-10])

    async def failing() -> web.StreamResponse:
        return web.Response(status=503)

    server.answers = [damaged, failing]
    async with Hall(mosquitto, tmp_path) as hall:
        await hall.show(server.show("i1", CHINA))
        assert "shown_at" in await hall.report()
        assert hall.out.read_bytes() == CHINA
    assert len(server.requests) == 3


async def test_newer_picture_does_not_wait_for_an_older_one(
    mosquitto: Mosquitto, server: PictureServer, tmp_path: Path
) -> None:
    asked = asyncio.Event()

    async def hang() -> web.StreamResponse:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    server.answers = [hang]
    async with Hall(mosquitto, tmp_path) as hall:
        await hall.show(server.show("slow", CHINA))
        await asyncio.wait_for(asked.wait(), 40)
        await hall.show(server.show("quick", FLOWER))
        assert (await hall.report())["item"] == "quick"
        assert hall.out.read_bytes() == FLOWER


async def test_picture_that_stands_already_is_not_fetched_again(
    mosquitto: Mosquitto, server: PictureServer, tmp_path: Path
) -> None:
    (tmp_path / "hall.png").write_bytes(CHINA)
    async with Hall(mosquitto, tmp_path) as hall:
        await hall.show(server.show("i1", CHINA))
        assert (await hall.report())["item"] == "i1"
        await hall.show(server.show("i2", CHINA))
        assert (await hall.report(2))["item"] == "i2"
    assert server.requests == []


async def test_frame_goes_on_after_the_broker_was_away(
    mosquitto: Mosquitto, server: PictureServer, tmp_path: Path
) -> None:
    async with Hall(mosquitto, tmp_path) as hall:
        await hall.show(server.show("i1", CHINA))
        await hall.report()
        mosquitto.stop()
        mosquitto.start()
        async with Peer(mosquitto.port, "framed/frame/hall/#") as daemon:
            await daemon.publish(TOPICS.show("hall"), server.show("i2", FLOWER), retain=True)
            report = json.loads((await daemon.wait_for(TOPICS.report("hall"))).payload)
            assert report["item"] == "i2"
            await daemon.wait_for(TOPICS.availability("hall"), "online")
            await daemon.wait_for(TOPICS.hello("hall"))
    assert hall.out.read_bytes() == FLOWER


@pytest.mark.parametrize("image_first", [True, False])
async def test_picture_by_mqtt_is_taken_in_either_order(
    mosquitto: Mosquitto, tmp_path: Path, image_first: bool
) -> None:
    show = PictureServer().show("i1", CHINA, url="")
    async with Hall(mosquitto, tmp_path, delivery="mqtt") as hall:
        await hall.daemon.wait_for(TOPICS.availability("hall"), "online")
        messages = [(TOPICS.image("hall"), CHINA), (TOPICS.show("hall"), show.encode())]
        for topic, payload in messages if image_first else messages[::-1]:
            await hall.daemon.publish(topic, payload, retain=True)
        assert (await hall.report())["item"] == "i1"
        assert hall.out.read_bytes() == CHINA


async def test_a_frame_that_was_killed_is_called_offline_and_shows_its_picture_at_once_when_it_is_back(
    mosquitto: Mosquitto, server: PictureServer, tmp_path: Path
) -> None:
    out = tmp_path / "wall" / "hall.png"
    out.parent.mkdir()
    command = f"-m framed frame --name hall --size 160x96 --broker mqtt://127.0.0.1:{mosquitto.port} --json --out {out}"

    async def start() -> asyncio.subprocess.Process:
        quiet = asyncio.subprocess.DEVNULL
        return await asyncio.create_subprocess_exec(sys.executable, *command.split(), stdout=quiet, stderr=quiet)

    async with Peer(mosquitto.port, "framed/frame/hall/#") as daemon:
        await daemon.publish(TOPICS.show("hall"), server.show("i1", CHINA), retain=True)
        frame = await start()
        await daemon.wait_for(TOPICS.report("hall"))
        frame.kill()
        await frame.wait()
        (out.parent / ".hall.png.0123abcd").write_bytes(CHINA[:100])  # as if it had been killed while it wrote
        written = out.stat().st_mtime_ns
        await daemon.wait_for(TOPICS.availability("hall"), "offline")
        assert (await retained(mosquitto.port))[TOPICS.availability("hall")] == b"offline"

        await server.stop()  # nothing is fetched again
        frame = await start()
        try:
            report = json.loads((await daemon.wait_for(TOPICS.report("hall"), count=2)).payload)
        finally:
            frame.terminate()
            await frame.wait()

    assert report["item"] == "i1"
    assert report["shown_at"]
    assert "error" not in report
    assert out.read_bytes() == CHINA
    assert out.stat().st_mtime_ns == written
    assert os.listdir(out.parent) == ["hall.png"]


async def test_control_is_done_and_reported(mosquitto: Mosquitto, tmp_path: Path) -> None:
    async with Hall(mosquitto, tmp_path) as hall:
        await hall.daemon.wait_for(TOPICS.availability("hall"), "online")
        await hall.daemon.publish(
            TOPICS.control("hall"), json.dumps({"action": "brightness", "value": 140, "id": "c1"})
        )
        assert (await hall.report())["brightness"] == 100
        await hall.daemon.publish(TOPICS.control("hall"), "[]")
        assert "control message cannot be read" in (await hall.report(2))["error"]
    assert hall.controls == [("brightness", 140)]


async def test_folder_that_is_not_there_is_said_before_connecting(mosquitto: Mosquitto, tmp_path: Path) -> None:
    async with Hall(mosquitto, tmp_path, file="no/hall.png") as hall:
        with pytest.raises(ConfigError, match="no folder"):
            await hall.task


async def test_silence_is_said_once_and_the_picture_still_comes(
    mosquitto: Mosquitto, server: PictureServer, tmp_path: Path
) -> None:
    with capture_logs() as logs:
        async with Hall(mosquitto, tmp_path, silence_s=0.05) as hall:
            while not any("no picture was announced" in line["event"] for line in logs):
                await hall.daemon.wait_for(TOPICS.hello("hall"))
                await asyncio.sleep(0.01)
            await hall.show(server.show("china-0", CHINA))
            assert (await hall.report())["item"] == "china-0"
    assert sum("no picture was announced" in line["event"] for line in logs) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "Hall"},
        {"size": "800"},
        {"size": "0x480"},
        {"size": "800x8"},
        {"out": Path("hall.gif")},
        {"palette": "spectra7"},
        {"title": "Hall" * 30},
    ],
)
def test_option_that_framed_would_refuse_is_refused_at_once(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FrameClientOptions(**({"name": "hall", "size": "800x480", "out": Path("hall.png")} | wrong))


@pytest.mark.parametrize("url", ["http://x", "mqtt://", "mqtt://h:port", "mqtt://user:pa ss@h/path", "hall"])
def test_broker_address_that_cannot_be_read_is_said_without_the_password(url: str) -> None:
    with pytest.raises(FramedError) as refused:
        MqttSettings.from_url(url)
    assert "mqtt://user:password@host" in refused.value.message
    assert "pa ss" not in refused.value.message


def test_broker_address_carries_user_password_port_and_tls() -> None:
    settings = MqttSettings.from_url("mqtts://hall:p%40ss@broker.lan")
    assert (settings.host, settings.port, settings.username) == ("broker.lan", 8883, "hall")
    assert settings.password is not None
    assert settings.password.get_secret_value() == "p@ss"
    assert settings.tls.enabled
