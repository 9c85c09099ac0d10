"""What the daemon costs while nothing happens: `python bench/idle.py [photos] [seconds]`.

A daemon of its own process, with its broker, three frames, a watched folder of as many (empty) files, and their rows in
the store, next to a few real photos that the frames show. Memory is PSS, what the process has for itself; CPU time is
read from the kernel over the whole time. The first figures are those of a library of the real photos alone.
"""

import argparse
import asyncio
import contextlib
import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import photos
import psutil
import structlog
import yaml
from index import free_port

from framed.analysis.steps import all_steps, late_steps
from framed.library.scanner import LibrarySettings, Root, Scanner
from framed.store import vectors
from framed.store.database import Database

REAL = 12
NOTHING: dict[str, Any] = dict.fromkeys(("database", "compute", "previews"))
STEPS = {
    step.name: step.version
    for step in (
        *all_steps(**NOTHING, hemisphere="north", backends={}),
        *late_steps(**NOTHING, backends={}),
    )
}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("photos", nargs="?", type=int, default=100_000)
    arguments.add_argument("seconds", nargs="?", type=int, default=60)
    arguments.add_argument("--keep", type=Path, help="a folder for photos and data, to be used again")
    chosen = arguments.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    with tempfile.TemporaryDirectory() as folder:
        top = chosen.keep or Path(folder)
        filled = (top / "photos" / "00000").exists()
        photos.write(top / "photos" / "real", REAL)
        for count in (chosen.photos,) if filled else (0, chosen.photos):
            if count and not filled:
                asyncio.run(fill(top, count))
            with daemon(top) as (process, port):
                settled(process, port)
                print(f"{REAL + count:,} photos, {chosen.seconds} s at rest:", flush=True)
                report(process, chosen.seconds)


async def fill(top: Path, count: int) -> None:
    """Rows as the scanner and the pipeline leave them; hidden, because there are no pictures behind them."""
    for number in range(count // 100):
        folder = top / "photos" / f"{number:05}"
        folder.mkdir()
        for name in range(100):
            (folder / f"IMG_{name:04}.jpg").touch()
    database = Database(top / "data" / "framed.db")
    await database.start()
    settings = LibrarySettings(roots=[Root(path=str(top / "photos"))])
    scanner = Scanner(database=database, settings=settings, suffixes=frozenset({".jpg"}), emit=lambda event: None)
    await scanner.scan(full=True)
    await database.write(rows)
    await database.close()


def rows(connection: Any) -> None:
    run = connection.exec_driver_sql
    run("create temp table made as select id + 1000 as photo, id as file from files where state = 'new'")
    run(
        "insert into photos(id, uid, sha256, state, added_at, format, width, height, taken, taken_precision, "
        "taken_source, caption, kind, orientation, quality, monochrome, favourite, hidden) select photo, "
        "printf('%016x', photo), randomblob(32), 'completed', 1.7e9, 'jpeg', 4000, 3000, 1.1e9 + photo * 5000, "
        "'second', 'exif', 'A cat on a sofa.', 'photo', 'landscape', 0.5, 0, 0, 1 from made"
    )
    run("update files set state = 'read', photo_id = id + 1000 where state = 'new'")
    for step, version in STEPS.items():
        run(
            "insert into photo_steps(photo_id, step, version, state, attempts, result, at) "
            "select photo, ?, ?, 'completed', 1, '{}', 0 from made",
            (step, version),
        )
    ids = [row[0] for row in run("select photo from made")]
    made = np.random.default_rng(1).standard_normal((len(ids), 384)).astype(np.float32) / 19.6
    vectors.put(connection, "all-minilm-l6-v2", list(zip(ids, made, strict=True)))


@contextlib.contextmanager
def daemon(top: Path) -> Iterator[tuple[psutil.Process, int]]:
    port = free_port()
    settings = {
        "data_dir": str(top / "data"),
        "library": {"roots": [{"path": str(top / "photos")}]},
        "http": {"host": "127.0.0.1", "port": port},
        "mqtt": {"port": free_port()},
        "frames": [{"id": name, "width": 1280, "height": 800} for name in ("kitchen", "hall", "study")],
    }
    config = top / "config.yaml"
    config.write_text(yaml.safe_dump(settings))
    command = [sys.executable, "-m", "framed", "run", "--config", str(config)]
    with (top / "log").open("ab") as log, subprocess.Popen(command, stdout=log, stderr=log) as running:
        try:
            yield psutil.Process(running.pid), port
        finally:
            running.terminate()


def settled(process: psutil.Process, port: int) -> None:
    """Everything is indexed, and the daemon and its hosts have used next to nothing for ten seconds."""
    began = time.monotonic()
    online, quiet, before = None, 0, 0.0
    while quiet < 10:
        time.sleep(1.0)
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz") as answer:
            json.load(answer)
            online = online or time.monotonic() - began
        now = sum(map(cpu, (process, *process.children())))
        quiet = quiet + 1 if now - before < 0.04 and online else 0
        before = now
    rest = time.monotonic() - began - quiet
    print(f"online after {online:.0f} s, at rest after {rest:.0f} s, the daemon's start {cpu(process):.1f} s of CPU")


def report(process: psutil.Process, seconds: int) -> None:
    before = {one.pid: cpu(one) for one in (process, *process.children())}
    time.sleep(seconds)
    for one in (process, *process.children()):
        spent = (cpu(one) - before.get(one.pid, 0.0)) / seconds
        held = one.memory_full_info().pss / 1e6
        print(f"  {name_of(one, process):16} {held:6.0f} MB  {spent:7.2%} of a core", flush=True)


def name_of(one: psutil.Process, parent: psutil.Process) -> str:
    line = one.cmdline()
    return "daemon" if one == parent else f"host {line[line.index('--kind') + 1]}" if "--kind" in line else one.name()


def cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


if __name__ == "__main__":
    main()
