"""How long a request takes with many photos in the store: search alone, and the whole `ask` to a retained `show`.

Run: python bench/ask.py [photos …]. The rows are made up (16 subjects, 12 places, 20 years); the text vectors are the
real embeddings of their descriptions. The picture that is shown is a real one.
"""

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import insert

from framed.models.base import Call
from framed.models.pool import ComputeSettings, HostPool
from framed.playlists.ask import Asker
from framed.playlists.index import LibraryIndex
from framed.playlists.plan import AskSettings
from framed.playlists.vocabulary import Names
from framed.playlists.words import install
from framed.store import photos, vectors
from framed.store.database import Database
from framed.store.tables import photos as table

MODEL = "all-minilm-l6-v2"
SUBJECTS = (
    "cat pet animal,dog pet animal,beach sea sand,mountain snow,forest tree,espresso coffee drink,birthday cake food,"
    "bicycle street,train station,boat harbour,flower garden,castle building,bridge river,football ball sport,"
    "guitar music,car road"
).split(",")
TOWNS = "Florence,Kiel,Lisbon,Oslo,Paris,Rome,Vienna,Prague,Porto,Bergen,Lyon,Graz".split(",")
ASKED = (
    "cats in Florence", "a dog at the beach", "coffee", "Christmas 2015", "mountains in winter", "photos from Oslo",
    "boats last summer", "summer 2012 in Paris, no cars", "birthday food", "best photos of flowers",
    "something to drink",
)  # fmt: skip


def fill(connection: Any, count: int, means: np.ndarray[Any, Any]) -> None:
    rng = np.random.default_rng(7)
    for start in range(0, count, 5000):
        ids = range(start + 1, min(start + 5000, count) + 1)
        rows, vecs, tags, places = [], [], [], []
        for i in ids:
            subject, town = int(rng.integers(len(SUBJECTS))), int(rng.integers(len(TOWNS)))
            row = {"id": i, "uid": f"{i:016x}", "sha256": i.to_bytes(32, "big"), "state": "completed", "added_at": i}
            row |= {"taken": int(1.1e9 + rng.integers(6e8)), "kind": "photo", "orientation": "landscape"}
            row |= {"quality": float(rng.random()), "monochrome": False, "width": 4000, "height": 3000}
            row |= {"taken_precision": "second", "caption": f"{SUBJECTS[subject]} in {TOWNS[town]}"}
            rows.append(row)
            vec = means[subject] + rng.standard_normal(384).astype(np.float32) * 0.02
            vecs.append((i, (vec / np.linalg.norm(vec)).astype(np.float32)))
            tags.append((i, subject))
            places.append((i, town))
        connection.execute(insert(table), rows)
        vectors.put(connection, MODEL, vecs)
        names = photos.tag_ids(connection, [word for subject in SUBJECTS for word in subject.split()])
        connection.exec_driver_sql("create temp table if not exists t(a, b)")
        linked = [(i, names[w], 0.9) for i, s in tags for w in SUBJECTS[s].split()]
        connection.exec_driver_sql("insert or ignore into photo_tags values (?, ?, ?, 'model')", linked)
        towns = [photos.place_id(connection, town.lower(), town, "town", "xx") for town in TOWNS]
        connection.exec_driver_sql("insert into photo_places values (?, ?, 0)", [(i, towns[t]) for i, t in places])
        words = [(i, f"{SUBJECTS[s]} {TOWNS[t]}") for (i, s), (_, t) in zip(tags, places, strict=True)]
        connection.exec_driver_sql("insert into photo_text(rowid, body) values (?, ?)", words)


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


async def measure(count: int, folder: Path) -> None:
    database = Database(folder / f"{count}.db")
    database.on_reader = install
    await database.start()
    async with HostPool(ComputeSettings(cpu_hosts=1)) as pool:
        call = Call(task="text_embedding", backend="minilm", inputs={"texts": list(SUBJECTS)})
        means = (await pool.run(call))["vectors"]
        await database.write(lambda c: fill(c, count, means))
        index = LibraryIndex(database=database, text_model=MODEL)
        began = time.perf_counter()
        await index.build()
        built = time.perf_counter() - began
        names = Names(database=database, frames=lambda: [])
        asker = Asker(
            database=database, index=index, names=names, compute=pool, settings=AskSettings(), without=("screenshot",),
            tag_of=lambda word: None,
        )  # fmt: skip
        took: dict[str, list[float]] = {"embed": [], "search": [], "compose": [], "whole": []}
        for turn in range(8):
            for text in ASKED:
                began = time.perf_counter()
                answer = await asker.answer(await asker.plan(text if turn % 2 else text + " "))
                if turn:
                    took["whole"].append((time.perf_counter() - began) * 1000)
                    for part in ("embed", "search", "compose"):
                        took[part].append(answer.took_ms[part])
        figures = {part: [round(percentile(v, s), 1) for s in (0.5, 0.95)] for part, v in took.items()}
        print(json.dumps({"photos": count, "index_s": round(built, 2), "ms_p50_p95": figures}), flush=True)
        recall = await recalled(database, index, pool)
        print(json.dumps({"photos": count, "recall_at_50": recall}), flush=True)
    await database.close()


async def recalled(database: Database, index: LibraryIndex, pool: HostPool) -> float:
    from framed.playlists.search import Searcher

    searcher = Searcher(index=index, hemisphere="north", tag_of=lambda word: None)
    shares = []
    for text in ASKED:
        call = Call(task="text_embedding", backend="minilm", inputs={"texts": [text]})
        vector = (await pool.run(call))["vectors"][0]
        mask = index.columns.ready
        found, _ = await database.read(lambda c, m=mask, v=vector: searcher._nearest(c, m, v))  # type: ignore[misc]
        exact: list[tuple[float, int]] = []

        def scan(connection: Any, wanted: Any = vector, into: list[tuple[float, int]] = exact) -> None:
            for ids, block in vectors.every(connection, MODEL):
                into.extend(zip((block.astype(np.float32) @ wanted).tolist(), ids.tolist(), strict=True))

        await database.read(scan)
        best = {photo for _, photo in sorted(exact, reverse=True)[:50]}
        shares.append(len(best & set(found[:50].tolist())) / 50)
    return round(float(np.mean(shares)), 4)


def main() -> None:
    counts = [int(text) for text in sys.argv[1:]] or [10_000, 100_000]
    with tempfile.TemporaryDirectory() as folder:
        for count in counts:
            asyncio.run(measure(count, Path(folder)))


if __name__ == "__main__":
    main()
