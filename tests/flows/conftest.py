"""The whole daemon for flow tests: real broker, real pictures, real models, on free ports."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import skimage
from PIL import Image

from framed.app import App
from tests.broker_fixtures import free_port

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def write_photo(source: str, path: Path, *, taken: str, place: tuple[float, float] | None = None) -> None:
    """A picture of scikit-image with a camera, a time and a place in its EXIF."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.open(Path(skimage.__file__).parent / "data" / source).convert("RGB")
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "Lumen", "L1"
    exif.get_ifd(0x8769)[0x9003] = taken
    if place is not None:
        gps = exif.get_ifd(0x8825)
        for axis, (value, marks) in enumerate(((place[0], "NS"), (place[1], "EW"))):
            degrees = abs(value)
            minutes = (degrees % 1) * 60
            gps[1 + 2 * axis] = marks[0] if value >= 0 else marks[1]
            gps[2 + 2 * axis] = (int(degrees), int(minutes), round((minutes % 1) * 60, 3))
    picture.save(path, "JPEG", quality=92, exif=exif)


def settings(tmp_path: Path, album: Path) -> dict[str, Any]:
    return {
        "data_dir": str(tmp_path / "data"),
        "library": {"roots": [{"path": str(album)}], "settle_s": 0.1, "debounce_s": 0.2},
        "http": {"host": "127.0.0.1", "port": 0},
        "mqtt": {"port": free_port()},
        "compute": {"cpu_hosts": 1},  # each costs its start
        "models": {"ocr": "off", "faces": "off"},  # the slow looks; the tests about them turn them on
        "frames": [{"id": "kitchen", "width": 320, "height": 240}],
    }


UNSEEING = {task: "off" for task in ("ocr", "faces", "tags", "image_embedding", "aesthetics", "caption")}
"""For what does not depend on what photos show: no host loads torch."""


async def until(check: Callable[[], Awaitable[Any]], seconds: float = 120.0) -> Any:
    """Awaits until `check` gives something true, and gives it; fails after `seconds`."""
    end, pause = time.monotonic() + seconds, 0.02
    while time.monotonic() < end:
        found = await check()
        if found:
            return found
        await asyncio.sleep(pause)
        pause = min(pause * 1.3, 0.25)  # looking costs time too, and more where the machine is busy
    raise AssertionError("it did not come true in time")


async def analysed(app: App, photos: int) -> dict[str, Any]:
    async def check() -> Any:
        library = await app.system.library_payload()
        done = library["analysed"] == photos and not library["pending"]
        indexed = int((app.index.columns.ready & (app.index.columns.kind != 255)).sum()) >= photos
        return library if done and indexed else None

    found: dict[str, Any] = await until(check, 200.0)
    return found
