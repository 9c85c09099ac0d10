"""How long a search takes with many photos in the store, and whether it finds the nearest ones.

Run: python bench/ask.py [--photos 10000 100000] [--keep FOLDER]. The library is that of bench/library.py; the requests
differ in every turn. No embedding is in the search's time; no render in either. Wall time and CPU time (all threads).
"""

import argparse
import asyncio
import resource
import tempfile
import time
from pathlib import Path

import library
import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from framed.models.pool import ComputeSettings, HostPool
from framed.playlists.ask import Asker
from framed.playlists.index import LibraryIndex
from framed.playlists.plan import AskSettings
from framed.playlists.vocabulary import Names
from framed.playlists.words import install
from framed.store import vectors
from framed.store.database import Database

FILTERS = (
    "", "in Florence", "in Italy", "last summer", "in winter", "with Anna", "with Anna or Ben Miller", "from 2012",
    "without Cara", "in Paris in 2015", "in the evening", "no screenshots", "from Kyoto with Ida",
)  # fmt: skip
ALONE = (
    "photos from Oslo", "Christmas 2015", "best photos of Mia", "newest photos", "photos with Leo and Ruth",
    "summer 2012 in Paris", "weekends in spring", "everything", "photos of nobody from 2011", "only Anna",
)  # fmt: skip


def requests(seed: int) -> list[str]:
    """Every subject with some filter, and the requests that are filters alone."""
    rng = np.random.default_rng(seed)
    pairs = [f"{subject} {FILTERS[int(rng.integers(len(FILTERS)))]}".strip() for subject in library.QUERIES]
    return [*pairs, *ALONE]


def spread(values: list[float]) -> str:
    p50, p95 = np.percentile(values, (50, 95))
    return f"p50 {p50:7.1f}   p95 {p95:7.1f}   max {max(values):7.1f}"


async def measure(count: int, folder: Path, pool: HostPool, scenes: library.Scenes, turns: int) -> None:
    database = Database(folder / f"{count}" / "framed.db")
    new = not database.path.exists()
    database.on_reader = install
    await database.start()
    if new:
        print(f"\n{count:,} photos, written in {await library.fill(database, scenes, count):.1f} s", flush=True)
    else:
        print(f"\n{count:,} photos", flush=True)
    index = LibraryIndex(database=database, text_model=library.MODEL)
    before, spent = _rss_mb(), time.process_time()
    await index.build()
    print(f"  index: {time.process_time() - spent:.2f} s of CPU, {_rss_mb() - before} MB more resident", flush=True)
    asker = _asker(database, index, pool)
    await asker.answer(await asker.plan("warm up"))
    parts: dict[str, list[float]] = {part: [] for part in ("plan", "embed", "search", "compose", "all, CPU")}
    slowest: list[tuple[float, str]] = []
    for turn in range(turns):
        for text in requests(turn):
            began, spent = time.perf_counter(), time.process_time()
            plan = await asker.plan(text)
            parts["plan"].append((time.perf_counter() - began) * 1000)
            answer = await asker.answer(plan)
            parts["all, CPU"].append((time.process_time() - spent) * 1000)
            for part in ("embed", "search", "compose"):
                parts[part].append(answer.took_ms[part])
            slowest.append((answer.took_ms["search"], text))
    for part, values in parts.items():
        print(f"  {part:10} ms  {spread(values)}", flush=True)
    print("  slowest:", "; ".join(f"{text} {ms:.0f}" for ms, text in sorted(slowest, reverse=True)[:4]))
    await recall(database, index, scenes)
    await database.close()


def _asker(database: Database, index: LibraryIndex, pool: HostPool) -> Asker:
    names = Names(database=database, frames=lambda: [])
    return Asker(
        database=database, index=index, names=names, compute=pool, settings=AskSettings(), without=("screenshot",),
        tag_of=lambda word: None,
    )  # fmt: skip


async def recall(database: Database, index: LibraryIndex, scenes: library.Scenes) -> None:
    """Of the fifty nearest by exact float32 cosine, how many are as near as what a search gives; ties count."""
    exact = await database.read(lambda c: _exact(c, scenes.queries, index.size))
    rng = np.random.default_rng(2)
    for share in (1.0, 0.1, 0.01, 0.001):
        mask = index.columns.ready & (rng.random(index.size) < share)
        found, took = [], []
        for query, cosines in zip(scenes.queries, exact, strict=True):
            best = np.sort(-cosines[mask])[:50]
            began = time.perf_counter()
            _, near = await database.read(lambda c, q=query, m=mask: index.text.nearest(c, m, q))  # type: ignore[misc]
            took.append((time.perf_counter() - began) * 1000)
            found.append(float((near[: len(best)] >= -best[-1] - 1e-5).sum() / max(len(best), 1)))
        print(
            f"  nearest 50 of {share:6.1%} ({int(mask.sum()):,}): recall {np.mean(found):.4f}, "
            f"worst {min(found):.2f}; ms  {spread(took)}",
            flush=True,
        )


def _exact(connection: Connection, queries: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    found = np.full((len(queries), size), -1, np.float32)
    for ids, block in vectors.every(connection, library.MODEL):
        found[:, ids] = queries @ block.astype(np.float32).T
    return found


def _rss_mb() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() >> 20


async def measure_all(counts: list[int], folder: Path, turns: int) -> None:
    async with HostPool(ComputeSettings(cpu_hosts=1)) as pool:
        scenes = await library.scenes(pool)
        for count in counts:
            await measure(count, folder, pool, scenes, turns)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--photos", type=int, nargs="+", default=[10_000, 100_000])
    arguments.add_argument("--turns", type=int, default=3)
    arguments.add_argument("--keep", type=Path, help="a folder in which the made libraries stay for the next run")
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure_all(chosen.photos, chosen.keep or Path(folder), chosen.turns))


if __name__ == "__main__":
    main()
