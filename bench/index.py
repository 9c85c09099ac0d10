"""What indexing costs with every packaged analyser, beside the bare calls of the same: `bench/index.py [photos]`.

The pipeline is the whole daemon with its broker and hosts; the bare steps are the same functions called in a loop, each
in one process of its own, with nothing stored. Every model is loaded before the clock starts, in both. CPU time, not
wall time, is compared: it means the same on a busy machine. Two parts: what makes a photo showable (metadata, preview,
hash, colours, quality, kind, places, tags and features, description and its meaning), then the deeper looks (faces,
text). `--showable` measures the first alone.
"""

import argparse
import asyncio
import contextlib
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import photos
import psutil
import structlog

from framed.models.child import Launch

WARM = 24
"""Every host is up then and has its model."""

DEEPER = ("faces", "ocr")
"""The deeper looks that are packaged; the others need weights that are not."""
OTHERS = ("image_embedding", "traits", "aesthetics", "caption")
LATE = (*OTHERS, *DEEPER)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("photos", nargs="?", type=int, default=160)
    arguments.add_argument("--warm", type=int, default=WARM, help="photos indexed before the clock starts")
    arguments.add_argument("--showable", action="store_true", help="without the deeper looks")
    arguments.add_argument("--bare", help="a step; run by this script itself")
    arguments.add_argument("--data", type=Path)
    chosen = arguments.parse_args()
    if chosen.bare:
        print(json.dumps(BARE[chosen.bare](chosen.data)))
        return
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        photos.write(top / "warm", chosen.warm, start=10_000)
        photos.write(top / "photos", chosen.photos)
        parts = asyncio.run(pipeline(top, chosen.photos, chosen.warm, deeper=not chosen.showable))
        alone = {step: bare(step, top) for part in parts for step in part.steps}
        for part in parts:
            report(part, alone, chosen.photos)
        if len(parts) > 1:
            report(sum(parts[1:], parts[0]), alone, chosen.photos, listed=False)


# -- the pipeline ------------------------------------------------------------------------------------------------


@dataclass
class Part:
    """What a part of the pipeline took: seconds of CPU by process and on the clock; the steps that it consists of."""

    name: str
    steps: tuple[str, ...]
    cpu: dict[str, float]
    wall: float
    peak_mb: dict[str, float]

    def __add__(self, other: "Part") -> "Part":
        cpu = {name: self.cpu.get(name, 0.0) + other.cpu.get(name, 0.0) for name in {*self.cpu, *other.cpu}}
        peak = self.peak_mb | other.peak_mb
        return Part("everything", self.steps + other.steps, cpu, self.wall + other.wall, peak)


async def pipeline(top: Path, count: int, warm: int, *, deeper: bool) -> list[Part]:
    from framed.app import App
    from framed.config import load

    library = top / "library"
    library.mkdir()
    off = OTHERS if deeper else LATE
    settings = {
        "data_dir": str(top / "data"),
        "library": {"roots": [{"path": str(library)}], "settle_s": 0.1, "debounce_s": 0.2},
        "http": {"host": "127.0.0.1", "port": 0},
        "mqtt": {"port": free_port()},
        "frames": [{"id": "kitchen", "width": 800, "height": 480}],
        "models": dict.fromkeys(off, "off"),
    }
    steps = tuple(step for step in BARE if step not in DEEPER)
    async with App(load(None, settings)) as app:
        (top / "warm").rename(library / "warm")
        await app.scanner.scan()
        await analysed(app, warm)
        if deeper:
            await looked(app, warm)
        await asyncio.sleep(2.0)  # what follows the last photo: a playlist, a render
        app.late.paused = True
        before, began, peak = used(app), time.monotonic(), {}
        (top / "photos").rename(library / "photos")
        await app.scanner.scan()
        await analysed(app, warm + count, peak)
        middle, half = used(app), time.monotonic()
        parts = [Part("made showable", steps, spent(before, middle), half - began, peak)]
        if deeper:
            peak = {}
            app.late.paused = False
            app.late.wake()
            await looked(app, warm + count, peak)
            parts += [Part("deeper looks", DEEPER, spent(middle, used(app)), time.monotonic() - half, peak)]
    return parts


def spent(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    return {name: seconds - before.get(name, 0.0) for name, seconds in after.items()}


async def analysed(app: Any, count: int, peak: dict[str, float] | None = None) -> None:
    await until(app, "select count(*) from photos where state in ('completed', 'partial', 'failed')", count, peak)


async def looked(app: Any, count: int, peak: dict[str, float] | None = None) -> None:
    """All deeper looks are through, and no photo's description waits to be made anew for what they found."""
    marks = ", ".join(f"'{step}'" for step in DEEPER)
    steps = f"(select count(*) from photo_steps where step in ({marks}))"
    open_ones = "(select count(*) from photos where state in ('pending', 'analysing'))"
    await until(app, f"select case when {open_ones} > 0 then 0 else {steps} end", count * len(DEEPER), peak)


async def until(app: Any, query: str, count: int, peak: dict[str, float] | None) -> None:
    """Looks seldom: what looking costs would count as the daemon's."""

    def done(connection: Any) -> int:
        return int(connection.exec_driver_sql(query).scalar())

    known = processes(app)
    while await app.database.read(done) < count:
        await asyncio.sleep(0.5)
        if peak is not None:
            for name, process in known.items():
                with contextlib.suppress(psutil.NoSuchProcess):
                    peak[name] = max(peak.get(name, 0.0), process.memory_info().rss / 1e6)


def processes(app: Any) -> dict[str, psutil.Process]:
    """The daemon, its hosts by name, and what else it started (the broker)."""
    me = psutil.Process()
    names = {host["pid"]: host["name"] for host in app.pool.status()}
    return {"daemon": me} | {names.get(child.pid, child.name()): child for child in me.children()}


def used(app: Any) -> dict[str, float]:
    """Seconds of CPU by process. A host that was replaced meanwhile counts with the daemon's ended children."""
    spent: dict[str, float] = {}
    for name, process in processes(app).items():
        times = process.cpu_times()
        spent[name] = times.user + times.system
        if name == "daemon":
            spent["ended hosts"] = times.children_user + times.children_system
    return spent


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# -- the bare steps ----------------------------------------------------------------------------------------------


def bare(step: str, top: Path) -> dict[str, Any]:
    """One step over the same photos, alone in a process like a host's."""
    command = [sys.executable, __file__, "--bare", step, "--data", str(top)]
    environment = Launch("cpu").environment()
    answer = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


def timed(work: Callable[[Any], Any], batches: list[Any], warm: int) -> dict[str, Any]:
    for batch in batches[:warm]:
        work(batch)
    began = time.process_time()
    for batch in batches:
        work(batch)
    return {"cpu": time.process_time() - began, "peak_mb": psutil.Process().memory_info().rss / 1e6}


def split(values: list[Any], size: int) -> list[list[Any]]:
    return [values[start : start + size] for start in range(0, len(values), size)]


def bare_examine(top: Path) -> dict[str, Any]:
    from framed.analysis.examine import Examine
    from framed.models.base import Context

    backend = Examine()
    backend.load({}, "cpu")
    steps = ["metadata", "preview", "hash", "colours", "quality", "kind", "orientation"]

    def examine(path: Path) -> None:
        inputs: dict[str, Any] = {"path": os.fsencode(path), "name": path.name, "steps": steps, "by_content": True}
        inputs |= {"preview": os.fsencode(top / "bare" / "preview"), "thumb": os.fsencode(top / "bare" / "thumb")}
        backend.run(inputs, Context())

    return timed(examine, sorted((top / "library" / "photos").rglob("*.jpg")), 3)


def bare_tags(top: Path) -> dict[str, Any]:
    from framed.models.base import Context
    from framed.models.tagger_efficientnet import EfficientNetLite2

    backend = EfficientNetLite2()
    backend.load({}, "cpu")
    import torch

    torch.set_num_threads(1)
    paths = [os.fsencode(path) for path in sorted((top / "bare" / "preview").rglob("*.jpg"))]
    return timed(lambda batch: backend.run({"paths": batch}, Context()), split(paths, 16), 1)


def bare_text(top: Path) -> dict[str, Any]:
    from framed.models.base import Context
    from framed.models.text_minilm import MiniLM

    backend = MiniLM()
    backend.load({}, "cpu")
    texts = [row["meaning"] for row in results(top, "description")]
    return timed(lambda batch: backend.run({"texts": batch}, Context()), split(texts, 32), 1)


def bare_places(top: Path) -> dict[str, Any]:
    from framed.models.base import Context
    from framed.models.places_geonames import GeonamesPlaces

    backend = GeonamesPlaces()
    backend.load({}, "cpu")
    points = [[row["latitude"], row["longitude"]] for row in results(top, "metadata") if "latitude" in row]
    return timed(lambda batch: backend.run({"points": batch}, Context()), split(points, 64), 1)


def bare_faces(top: Path) -> dict[str, Any]:
    from framed.models.base import Context
    from framed.models.faces_dlib import DlibFaces

    backend = DlibFaces()
    backend.load({}, "cpu")
    paths = [os.fsencode(path) for path in sorted((top / "bare" / "preview").rglob("*.jpg"))]
    return timed(lambda path: backend.run({"paths": [path]}, Context()), paths, 2)


def bare_ocr(top: Path) -> dict[str, Any]:
    """Each preview beside its original, which is looked at more closely where there is text."""
    from framed.models.base import Context
    from framed.models.ocr_rapidocr import RapidOcr

    backend = RapidOcr()
    backend.load({}, "cpu")
    pairs = []
    for original in sorted((top / "library" / "photos").rglob("*.jpg")):
        uid = hashlib.sha256(original.read_bytes()).hexdigest()[:16]
        preview = top / "bare" / "preview" / uid[:2] / f"{uid}.jpg"
        pairs.append({"path": os.fsencode(preview), "original": os.fsencode(original)})
    return timed(lambda pair: backend.run(pair, Context()), pairs, 2)


def bare_words(top: Path) -> dict[str, Any]:
    """What the daemon itself works out: tags from scores, the description."""
    import numpy as np

    from framed.analysis.describe import describe
    from framed.analysis.steps.description import facts_of
    from framed.analysis.tag_words import words
    from framed.store.photos import PhotoWork

    found = [results(top, step) for step in ("metadata", "kind", "colours", "quality", "orientation", "places", "tags")]
    names = ("metadata", "kind", "colours", "quality", "orientation", "places", "tags")
    works = [PhotoWork(1, "", {}, dict(zip(names, row, strict=True))) for row in zip(*found, strict=True)]
    scores = np.random.default_rng(1).dirichlet(np.full(1000, 0.01)).astype(np.float32)

    def work(photo: PhotoWork) -> None:
        words(scores)
        describe(facts_of(photo, "north"))

    return timed(work, works, 1)


def results(top: Path, step: str) -> list[dict[str, Any]]:
    import pysqlite3

    with pysqlite3.connect(top / "data" / "framed.db") as connection:
        query = "select result from photo_steps where step = ? and photo_id > ? order by photo_id"
        warm = len(list((top / "library" / "warm").rglob("*.jpg")))
        return [json.loads(row[0]) for row in connection.execute(query, (step, warm))]


BARE: dict[str, Callable[[Path], dict[str, Any]]] = {
    "examine": bare_examine,
    "tags": bare_tags,
    "text_embedding": bare_text,
    "places": bare_places,
    "words": bare_words,
    "faces": bare_faces,
    "ocr": bare_ocr,
}


def report(part: Part, alone: dict[str, dict[str, Any]], count: int, *, listed: bool = True) -> None:
    if listed:
        print(f"{part.name}: {count} photos, half 12 MP, half 2 MP; {os.cpu_count()} cores; CPU milliseconds a photo")
        for name, seconds in sorted(part.cpu.items(), key=lambda pair: -pair[1]):
            peak = part.peak_mb.get(name)
            print(f"  {name:20} {seconds / count * 1000:7.1f}" + (f"   peak {peak:5.0f} MB" if peak else ""))
        for name in part.steps:
            one = alone[name]
            print(f"  bare {name:15} {one['cpu'] / count * 1000:7.1f}   {one['peak_mb']:5.0f} MB")
    # The broker is Mosquitto's work, not the pipeline's; it is listed above.
    whole = sum(seconds for name, seconds in part.cpu.items() if name != "mosquitto")
    steps = sum(alone[name]["cpu"] for name in part.steps)
    print(
        f"{part.name}: {whole / count * 1000:.1f} ms, bare {steps / count * 1000:.1f} ms: {whole / steps:.3f} x; "
        f"{count / part.wall:.2f} photos/s, {whole / part.wall:.2f} cores busy, "
        f"{os.cpu_count() * count / whole:.2f} photos/s where all of them are",
        flush=True,
    )


if __name__ == "__main__":
    main()
