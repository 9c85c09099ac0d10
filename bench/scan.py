"""Times a first scan and an unchanged rescan of a made-up library: `bench/scan.py [files] [folders]`."""

import asyncio
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

import structlog

from framed.library.scanner import LibrarySettings, Root, Scanner
from framed.store.database import Database


def fill(top: Path, files: int, folders: int) -> None:
    for number in range(folders):
        folder = top / f"{2000 + number % 25}" / f"folder {number:05}"
        folder.mkdir(parents=True)
        for name in range(files // folders):
            (folder / f"IMG_{name:04}.jpg").touch()


async def measure(top: Path, database: Database) -> None:
    scanner = Scanner(
        database=database,
        settings=LibrarySettings(roots=[Root(path=str(top))]),
        suffixes=frozenset({".jpg"}),
        emit=lambda event: None,
    )
    for name, full in (("first scan", True), ("unchanged rescan", True), ("folder times only", False)):
        held: list[float] = []
        watch = asyncio.create_task(stalls(held))
        cpu = time.process_time()
        report = await scanner.scan(full=full)
        watch.cancel()
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{name:18} {report.seconds:6.2f} s  cpu {time.process_time() - cpu:6.2f} s  files {report.files:7,}  "
            f"new {report.new:7,}  loop held {max(held, default=0.0) * 1000:4.0f} ms  peak {memory:4.0f} MB",
            flush=True,
        )


async def stalls(held: list[float]) -> None:
    """Notes by how much each turn of the event loop came late."""
    while True:
        before = time.perf_counter()
        await asyncio.sleep(0.005)
        held.append(time.perf_counter() - before - 0.005)


async def main(files: int, folders: int) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    with tempfile.TemporaryDirectory() as scratch:
        fill(Path(scratch, "photos"), files, folders)
        database = Database(Path(scratch, "framed.db"))
        await database.start()
        print(f"started: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB; {os.cpu_count()} cores")
        await measure(Path(scratch, "photos"), database)
        await database.close()


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:]]
    asyncio.run(main(*[*given, *(100_000, 2_000)[len(given) :]][:2]))
