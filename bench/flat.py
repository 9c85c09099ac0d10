"""Whether the daemon's memory stays flat while a library is indexed: `python bench/flat.py [photos]`.

The whole daemon; only the hosts are stood in for, by answers made up at once, so that ten thousand photos take minutes
and what is measured is the daemon alone: its memory after each thousand (PSS) and its CPU time per photo.
"""

import argparse
import asyncio
import hashlib
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import structlog
from index import LATE, free_port

from framed.analysis.colours import colours
from framed.memory import bound_arenas, give_back
from framed.models.base import Call, Progress
from framed.models.pool import HostPool

COLOURS = colours(np.full((120, 160, 3), (40, 90, 160), np.uint8)).model_dump(mode="json")


class Stand(HostPool):
    """Answers as the hosts do, without looking at a picture."""

    async def run(self, call: Call, *, progress: Progress | None = None) -> dict[str, Any]:
        await asyncio.sleep(0)
        if call.task == "examine":
            return examined(call.inputs)
        if call.task == "tags":
            count = len(call.inputs["paths"])
            features = np.random.default_rng().standard_normal((count, 1280)).astype(np.float32)
            features /= np.linalg.norm(features, axis=1, keepdims=True)
            scores = np.random.default_rng().dirichlet(np.full(1000, 0.01), count).astype(np.float32)
            return {"scores": scores, "features": features.astype(np.float16)}
        if call.task == "text_embedding":
            vectors = np.random.default_rng().standard_normal((len(call.inputs["texts"]), 384)).astype(np.float32)
            return {"vectors": vectors / np.linalg.norm(vectors, axis=1, keepdims=True)}
        return await super().run(call, progress=progress)


def examined(inputs: dict[str, Any]) -> dict[str, Any]:
    sha256 = hashlib.sha256(inputs["path"]).digest()
    taken = f"20{10 + sha256[0] % 15}-{1 + sha256[1] % 12:02}-{1 + sha256[2] % 28:02}T12:{sha256[3] % 60:02}:00"
    results: dict[str, dict[str, Any]] = {
        "metadata": {"camera_make": "Lumen", "camera_model": "L1", "taken_local": taken, "taken_source": "exif"},
        "preview": {"bytes": 100_000, "width": 1440, "height": 1080},
        "hash": {"pdq": sha256.hex(), "quality": 100},
        "colours": COLOURS,
        "quality": {"score": sha256[4] / 255, "words": []},
        "kind": {"name": "photo"},
        "orientation": {"name": "landscape", "aspect": 1.3333},
    }
    return {
        **{"sha256": sha256, "size": 1, "mtime_ns": 1, "width": 4000, "height": 3000, "format": "jpeg", "notes": []},
        **{"results": {step: results[step] for step in inputs["steps"]}, "problems": {}, "ms": {}},
    }


async def measure(top: Path, count: int) -> None:
    import framed.app
    from framed.config import load

    framed.app.HostPool = Stand  # type: ignore[misc]
    bound_arenas()
    settings = {
        "data_dir": str(top / "data"),
        "library": {"roots": [{"path": str(top / "photos")}], "settle_s": 0.1},
        "http": {"host": "127.0.0.1", "port": 0},
        "mqtt": {"port": free_port()},
        "models": dict.fromkeys(LATE, "off"),
    }

    def done(connection: Any) -> int:
        query = "select count(*) from photos where state in ('completed', 'partial')"
        return int(connection.exec_driver_sql(query).scalar())

    me = psutil.Process()
    async with framed.app.App(load(None, settings)) as app:
        reached, spent, first = 0, time.process_time(), (0, 0.0)
        while reached < count:
            await asyncio.sleep(0.5)
            found = await app.database.read(done)
            if found // 1000 > reached // 1000 or found >= count:
                await give_back()
                held, cpu = me.memory_full_info().pss / 1e6, time.process_time() - spent
                print(
                    f"{found:7,} photos  {held:6.1f} MB  {cpu / (found - reached) * 1000:5.1f} ms of CPU each",
                    flush=True,
                )
                first = first if first[0] else (found, held)
                reached, spent = found, time.process_time()
        if found > first[0]:
            each = (held - first[1]) * 1e6 / (found - first[0])
            print(f"growth from {first[0]:,} to {found:,} photos: {each:,.0f} bytes a photo")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("photos", nargs="?", type=int, default=10_000)
    chosen = arguments.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        for number in range(chosen.photos):
            path = top / "photos" / f"{number // 500:04}" / f"IMG_{number:06}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"not looked at")
        asyncio.run(measure(top, chosen.photos))


if __name__ == "__main__":
    main()
