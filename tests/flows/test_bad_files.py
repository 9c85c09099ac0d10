"""Every kind of odd file in one photo folder: complete with the right picture, or put aside with a sentence."""

import asyncio
import html
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
import pytest_asyncio
from PIL import Image
from PIL.Image import Transpose

from framed.app import App
from framed.config import load
from tests.flows.conftest import settings, until
from tests.library.pictures import cat, difference, dng, encoded, exif, stored
from tests.library.test_files import DISPLAY_P3, gif_claiming, jpeg_claiming, one_colour, png_of, webp_claiming

pytestmark = [pytest.mark.models, pytest.mark.asyncio(loop_scope="module")]

SMALL = cat().resize((320, 213))
PIXEL = one_colour((10, 200, 30), size=(1, 1))
UPSIDE_DOWN = SMALL.transpose(Transpose.ROTATE_180)
RAMP = np.linspace(0, 65535, 256).astype(np.uint16)[None, :].repeat(64, axis=0)
STEPS_OF_16_BIT = Image.fromarray((RAMP >> 8).astype(np.uint8)).convert("RGB")


def of_16_bit_colour() -> bytes:
    wide = np.asarray(SMALL).astype(">u2") * 257
    rows = b"".join(b"\0" + row.tobytes() for row in wide)
    return png_of(SMALL.width, SMALL.height, rows, depth=16, colour=2)


def turned(orientation: int, kind: str) -> bytes:
    """The cat as a camera held that way stores it; a comment keeps the files apart."""
    return encoded(stored(SMALL, orientation), kind, exif=exif(orientation).tobytes(), quality=95)


def of_many(kind: str) -> bytes:
    return encoded(SMALL, kind, save_all=True, append_images=[UPSIDE_DOWN, UPSIDE_DOWN], duration=80)


# What the file is called, its bytes, what its preview has to look like, and how far it may be off (8-bit steps).
SHOWN: dict[str, tuple[bytes, Image.Image, float]] = {
    **{f"turned-{n}.jpg": (turned(n, "JPEG"), SMALL, 4) for n in range(1, 9)},
    "turned.webp": (turned(6, "WEBP"), SMALL, 5),
    "turned.heic": (turned(6, "HEIF"), SMALL, 5),
    "turned.avif": (turned(8, "AVIF"), SMALL, 5),
    "turned.tif": (encoded(stored(SMALL, 6), "TIFF", exif=exif(6)), SMALL, 4),
    "a-png-called.jpg": (encoded(SMALL, "PNG"), SMALL, 4),
    "a-jpeg-called.png": (encoded(SMALL, "JPEG", quality=94), SMALL, 4),
    "one-pixel.png": (
        encoded(one_colour((10, 200, 30), size=(1, 1)), "PNG"),
        one_colour((10, 200, 30), size=(1, 1)),
        4,
    ),
    "ink.jpg": (encoded(SMALL.convert("CMYK"), "JPEG", quality=95), SMALL, 6),
    "grey-of-16-bit.png": (encoded(Image.fromarray(RAMP), "PNG"), STEPS_OF_16_BIT, 2),
    "grey-of-16-bit.tiff": (encoded(Image.fromarray(RAMP), "TIFF"), STEPS_OF_16_BIT, 2),
    "colour-of-16-bit.png": (of_16_bit_colour(), SMALL, 4),
    "moving.gif": (of_many("GIF"), SMALL, 9),
    "moving.webp": (of_many("WEBP"), SMALL, 6),
    "moving.png": (of_many("PNG"), SMALL, 4),
    "display-p3.jpg": (
        encoded(one_colour((200, 100, 50), size=(64, 64)), "JPEG", quality=100, icc_profile=DISPLAY_P3),
        one_colour((213, 97, 34), size=(64, 64)),
        4,
    ),
    "raw.dng": (dng(6, encoded(stored(cat(), 6), "JPEG", quality=95)), cat(), 6),
}

WHOLE = encoded(cat(), "JPEG", quality=90)
# What the file is called, its bytes, and what the sentence has to say.
ASIDE: dict[str, tuple[bytes, str]] = {
    "cut.jpg": (WHOLE[: len(WHOLE) // 2], r"^cut\.jpg is cut short: \d+ % of the picture is missing\. Copy it here"),
    "empty.jpg": (b"", r"^empty\.jpg is empty\. Copy it here again\.$"),
    "text.jpg": (b"Dear diary,\n", r"^text\.jpg is not a picture in a format that framed reads\. Save it as"),
    "zeros.heic": (bytes(5000), r"holds nothing but zeros: it was probably never copied to its end\."),
    "giant.png": (png_of(50_000, 50_000, b""), r"claims 50,000 × 50,000 pixels, over the limit of 150 megapixels"),
    "giant.jpg": (jpeg_claiming(50_000, 50_000), r"claims 50,000 × 50,000 pixels.*photos\.max_megapixels"),
    "giant.webp": (webp_claiming(16_000, 16_000), r"claims 16,000 × 16,000 pixels"),
    "giant.gif": (gif_claiming(50_000, 50_000), r"claims 50,000 × 50,000 pixels"),
    "bomb.png": (png_of(12_500, 12_400, bytes(12_400 * 1_564), depth=1), r"155|12,500 × 12,400 pixels, over the limit"),
    "damaged.png": (encoded(SMALL, "PNG")[:200] + os.urandom(4000), r"damaged\.png is (damaged|cut short)"),
    "damaged.dng": (dng()[:3000], r"damaged\.dng is a camera raw file that cannot be developed"),
}

NAMES: list[bytes] = [
    b"two\nlines.jpg",
    "crème brûlée 🐈‍⬛.jpg".encode(),
    b'it\'s "quoted" `x` $(id).jpg',
    b"<script>alert(1)<.jpg",
    b"caf\xe9 \xff\xfe.jpg",
    b"\x1b[31mred\x07.jpg",
    b"-rf.jpg",
    ("long " * 49 + ".jpg").encode(),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("bad")
    photos = home / "photos"
    photos.mkdir()
    for name, (data, *_) in {**SHOWN, **ASIDE}.items():
        (photos / name).write_bytes(data)
    for number, name in enumerate(NAMES):
        path = photos / os.fsdecode(b"odd \xfc\n<b>") / os.fsdecode(name)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encoded(SMALL.rotate(number + 1), "JPEG"))
    (photos / "loop").symlink_to(photos)
    (home / "outside").mkdir()
    (home / "outside" / "secret.jpg").write_bytes(encoded(SMALL.rotate(77), "JPEG"))
    (photos / "out").symlink_to(home / "outside")
    (photos / "out.jpg").symlink_to(home / "outside" / "secret.jpg")
    os.mkfifo(photos / "pipe.jpg")
    return photos


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def app(folder: Path) -> AsyncIterator[App]:
    async with App(load(None, settings(folder.parent, folder))) as running:

        async def done() -> bool:
            library = await running.system.library_payload()
            return library["failed"] >= len(ASIDE) and not library["pending"] and not library["scanning"]

        await until(done, 150)
        yield running


async def ids(app: App) -> dict[bytes, str]:
    """By the file's name (bytes) the uid of its photo."""

    def read(connection: Any) -> dict[bytes, str]:
        rows = connection.exec_driver_sql("select f.name, p.uid from files f join photos p on p.id = f.photo_id")
        return {bytes(row[0]): row[1] for row in rows}

    return await app.database.read(read)


@pytest.mark.parametrize("name", SHOWN)
async def test_an_odd_picture_is_complete_and_looks_right(app: App, name: str) -> None:
    _, expected, allowed = SHOWN[name]
    uid = (await ids(app))[name.encode()]

    photo = (await app.router.call("photo/get", {"id": uid}))["data"]

    assert {step["state"] for step in photo["steps"].values()} <= {"completed", "skipped"}, photo["steps"]
    assert photo["state"] == "completed"
    with Image.open(app.previews.path(uid)) as preview:
        assert preview.size == expected.size
        assert difference(preview, expected) <= allowed


@pytest.mark.parametrize("name", ASIDE)
async def test_a_bad_file_is_put_aside_with_a_sentence(app: App, name: str) -> None:
    listed = (await app.router.call("photo/list", {"state": "failed"}))["data"]

    problem = {Path(item["path"]).name: item["problem"] for item in listed["items"]}[name]

    assert re.search(ASIDE[name][1], problem), problem
    assert problem.startswith(name)
    assert problem.endswith(".")


async def test_bad_files_are_counted_and_nothing_else_is_lost(app: App) -> None:
    library = await app.system.library_payload()

    assert library["failed"] == len(ASIDE)
    assert library["analysed"] == library["photos"] == len(SHOWN) + len(NAMES)
    assert (await app.router.call("photo/list", {"state": "failed"}))["data"]["count"] == len(ASIDE)


async def test_a_bad_file_is_shown_by_the_page_the_status_and_the_command_line(app: App) -> None:
    headers = {"Authorization": f"Bearer {app.token}"}
    async with aiohttp.ClientSession(headers=headers) as http:
        url = f"http://127.0.0.1:{app.web.port}/api/v1/photo/list"
        async with http.post(url, json={"state": "failed"}) as response:
            by_http = await response.json()
    assert len(by_http["data"]["items"]) == len(ASIDE)

    said = await command(app, "photos")
    assert "empty.jpg is empty" in re.sub(r"\s+", " ", said)
    assert f"{len(ASIDE)} could not be read" in await command(app, "status")
    health = (await app.router.call("health", {}))["data"]
    assert health["library"]["failed"] == len(ASIDE)


async def command(app: App, *words: str) -> str:
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "framed", *words, "--data", str(app.config.data_dir), "--http-port", str(app.web.port)],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "300"},
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


async def test_links_pipes_and_what_lies_outside_are_left_alone(app: App) -> None:
    names = set(await ids(app))

    assert not names & {b"secret.jpg", b"out.jpg", b"pipe.jpg"}
    assert len(names) == len(SHOWN) + len(NAMES)  # the loop brought nothing twice


@pytest.mark.parametrize("number", range(len(NAMES)))
async def test_a_strange_name_is_a_photo_like_any_other(app: App, number: int) -> None:
    name = NAMES[number]
    uid = (await ids(app))[name]

    photo = (await app.router.call("photo/get", {"id": uid}))["data"]
    json.dumps(photo).encode()
    assert photo["state"] == "completed"
    assert photo["path"].endswith(name.decode(errors="replace"))

    shown = await app.router.call("playlist/set", {"frame": "kitchen", "photos": [uid]})
    assert shown["status"] == "ok", shown
    state = await app.player.state_payload("kitchen")
    assert state["photo"] == uid
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {app.token}"}) as http:
        async with http.get(f"http://127.0.0.1:{app.web.port}/photo/{uid}/original") as response:
            assert await response.read() == encoded(SMALL.rotate(number + 1), "JPEG")
            assert "\n" not in str(response.headers)
        async with http.post(f"http://127.0.0.1:{app.web.port}/api/v1/photo/get", json={"id": uid}) as response:
            assert (await response.json())["data"]["path"] == photo["path"]
        async with http.get(f"http://127.0.0.1:{app.web.port}/frame/kitchen") as response:
            assert "<script>alert(1)" not in html.unescape(await response.text())


async def test_a_terminal_is_safe_from_a_name(app: App) -> None:
    said = await command(app, "photos", "--state", "completed", "--limit", "1000")

    assert "\x1b" not in said
    assert "\x07" not in said


async def test_the_memory_of_what_decodes_stays_bounded(app: App) -> None:
    hosts = [host for host in app.pool.status() if host["kind"] == "cpu"]

    assert hosts
    assert max(host["rss_mb"] for host in hosts) <= app.config.compute.cpu_recycle_rss_mb
    assert sum(host["restarts"] for host in hosts) == 0


async def test_a_file_put_aside_is_read_again_only_when_it_changes(app: App, folder: Path) -> None:
    async def attempts() -> list[tuple[bytes, str]]:
        def read(connection: Any) -> list[tuple[bytes, str]]:
            rows = connection.exec_driver_sql("select name, state from files where state <> 'read' order by name")
            return [(bytes(row[0]), row[1]) for row in rows]

        return await app.database.read(read)

    before = await attempts()
    report = await app.scanner.scan()
    assert (report.new, report.changed, report.gone) == (0, 0, 0)
    assert await attempts() == before

    (folder / "cut.jpg").write_bytes(WHOLE)

    async def complete() -> bool:
        library = await app.system.library_payload()
        return library["failed"] == len(ASIDE) - 1 and library["analysed"] == len(SHOWN) + len(NAMES) + 1

    await until(complete)
    uid = (await ids(app))[b"cut.jpg"]
    with Image.open(app.previews.path(uid)) as preview:
        assert difference(preview, cat()) < 5
