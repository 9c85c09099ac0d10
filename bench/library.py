"""A made-up library of any size for the other benches, and the check that its vectors are like real ones.

A few thousand photos are described as framed describes them (`tag_words.words`, `describe`) and embedded with the real
model. Larger libraries vary these: a photo is one of them moved along the difference of two others, so that the
covariance of the vectors stays, by an amount drawn so that its neighbours are as near as those of really embedded
descriptions. Run: python bench/library.py [--real 3600] compares both.
"""

import argparse
import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from framed.analysis import tag_words
from framed.analysis.describe import DescriptionFacts, PlaceName, describe
from framed.models.base import Call
from framed.models.pool import ComputeSettings, HostPool
from framed.store import photos, vectors
from framed.store.database import Database

MODEL = "all-minilm-l6-v2"
BASE = 2400
ROOT = Path("/nowhere/photos")  # never there: a root that is gone deletes nothing
Vectors = NDArray[np.float32]

PEOPLE = "Anna,Ben Miller,Cara,Dan,Eva,Finn,Greta,Hugo,Ida,Jonas,Klara,Leo,Mia,Nils,Olga,Paul,Ruth,Sam,Tina,Uwe".split(
    ","
)
COUNTRIES = {
    "Italy": ("Tuscany:Florence,Siena,Pisa", "Lazio:Rome,Tivoli", "Veneto:Venice,Verona,Padua"),
    "Germany": ("Bavaria:Munich,Nuremberg,Passau", "Schleswig-Holstein:Kiel,Lübeck,Husum", "Berlin:Berlin"),
    "France": ("Brittany:Brest,Rennes,Quimper", "Provence:Nice,Arles,Cassis", "Île-de-France:Paris,Versailles"),
    "Portugal": ("Lisbon:Lisbon,Sintra", "Algarve:Faro,Lagos", "North:Porto,Braga"),
    "Norway": ("Vestland:Bergen,Odda,Voss", "Oslo:Oslo", "Troms:Tromsø,Harstad"),
    "Austria": ("Vienna:Vienna", "Tyrol:Innsbruck,Kufstein", "Styria:Graz,Leoben"),
    "Japan": ("Kansai:Kyoto,Osaka,Nara", "Kanto:Tokyo,Nikko"),
    "Spain": ("Andalusia:Seville,Granada,Ronda", "Catalonia:Barcelona,Girona", "Madrid:Madrid,Toledo"),
}
TOWNS = [
    (town, region.split(":")[0], country)
    for country, regions in COUNTRIES.items()
    for region in regions
    for town in region.split(":")[1].split(",")
]
OCCASIONS = (
    "Summer holiday,Easter,Birthday party,Wedding,Hiking,Skiing,Garden,City trip,School play,Christmas market,Zoo,"
    "Museum,Road trip,Camping,Sailing,New flat,Grandparents,Concert,Football club,Kitchen works,Lake house,Carnival,"
    "Boat trip,Cycling tour,Beach days,Cottage,Work party,Graduation,Day at the farm,Trip to the mountains"
).split(",")
KEYWORDS = "sunset,portrait,macro,night,snow,fog,autumn leaves,fireworks,picnic,old town,street art".split(",")
WRITTEN = "Our new puppy,First day of school,The old harbour,View from the balcony,Dinner with friends,Just arrived"
COLOURS = "red,orange,yellow,green,blue,purple,brown,grey,black,white".split(",")

QUERIES = (
    "cats", "a dog on the beach", "coffee", "mountains in winter", "boats", "birthday cake", "flowers in the garden",
    "something to drink", "people playing football", "old buildings", "a train at the station", "sunset by the sea",
    "musical instruments", "snow", "kids on a playground", "a red sports car", "birds flying", "handwritten letters",
    "pizza and pasta", "castles and palaces", "bicycles", "hiking in the forest", "a computer on a desk", "fireworks",
    "wild animals", "ships in the harbour", "an elephant", "bridges over a river", "someone wearing a hat",
    "a butterfly on a flower", "toys", "kitchen table with food", "an aeroplane", "horses on a farm", "under water",
    "a clock tower", "puppies", "ice cream", "spiders and insects", "vegetables at the market",
)  # fmt: skip


@dataclass(frozen=True)
class Scenes:
    """What photos show: facts, the words they are found by, and the real embedding of each one's meaning."""

    facts: list[DescriptionFacts]
    words: list[str]
    captions: list[str]
    vectors: Vectors
    queries: Vectors
    """Real embeddings of `QUERIES`, in their order."""


def described(count: int, seed: int = 5) -> list[DescriptionFacts]:
    """Facts of photos as a household has them: few things often, many things once."""
    rng = np.random.default_rng(seed)
    popular = rng.permutation(tag_words.CLASSES)
    weights = 1 / (np.arange(tag_words.CLASSES) + 20.0)
    weights /= weights.sum()
    found = []
    for _ in range(count):
        scores = rng.dirichlet(np.full(tag_words.CLASSES, 0.02)).astype(np.float32) * 0.15
        seen = popular[rng.choice(tag_words.CLASSES, size=int(rng.integers(1, 4)), replace=False, p=weights)]
        scores[seen] += rng.dirichlet(np.full(len(seen), 1.5)).astype(np.float32) * 0.85
        tags = [(tag.name, tag.score) for tag in tag_words.words(scores)] if rng.random() < 0.9 else []
        people = rng.choice(
            PEOPLE, size=int(rng.choice((0, 1, 2, 3, 5), p=(0.5, 0.25, 0.15, 0.06, 0.04))), replace=False
        )
        year = int(rng.integers(2004, 2027))
        occasion = OCCASIONS[int(rng.integers(len(OCCASIONS)))]
        town, region, country = TOWNS[int(rng.integers(len(TOWNS)))]
        named = rng.random() < 0.55
        found.append(
            DescriptionFacts(
                people=people.tolist(),
                tags=tags,
                kind=str(rng.choice(("photo", "screenshot", "document", "drawing"), p=(0.92, 0.04, 0.02, 0.02))),
                places=[PlaceName(name=town, region=region, country=country)],
                taken_local=datetime(
                    year, int(rng.integers(1, 13)), int(rng.integers(1, 29)), int(rng.integers(24)), 5
                ),
                keywords=rng.choice(KEYWORDS, size=int(rng.integers(1, 3)), replace=False).tolist()
                if rng.random() < 0.1
                else [],
                title=str(rng.choice(WRITTEN.split(","))) if rng.random() < 0.03 else None,
                colours=rng.choice(COLOURS, size=2, replace=False).tolist(),
                orientation=str(rng.choice(("landscape", "portrait"))),
                folder=f"{year} {occasion} {town if rng.random() < 0.5 else ''}".strip() if named else f"{year}",
                file_name=f"IMG_{int(rng.integers(10000)):04}.JPG",
            )
        )
    return found


async def embedded(pool: HostPool, texts: list[str]) -> Vectors:
    """Each distinct text once."""
    distinct = list(dict.fromkeys(texts))
    blocks = []
    for start in range(0, len(distinct), 256):
        call = Call(
            task="text_embedding", backend="minilm", inputs={"texts": distinct[start : start + 256]}, timeout_s=600.0
        )
        blocks.append((await pool.run(call))["vectors"])
    place = {text: row for row, text in enumerate(distinct)}
    found: Vectors = np.concatenate(blocks)[[place[text] for text in texts]]
    return found


async def scenes(pool: HostPool, count: int = BASE) -> Scenes:
    facts = described(count)
    made = [describe(each) for each in facts]
    return Scenes(
        facts=facts,
        words=[" ".join(dict.fromkeys(word for name, _ in each.tags for word in name.split())) for each in facts],
        captions=[each.caption for each in made],
        vectors=await embedded(pool, [each.meaning for each in made]),
        queries=await embedded(pool, list(QUERIES)),
    )


SAME, LEAST, MOST, SKEW = 0.30, 0.15, 0.55, 0.7
"""Share of photos that mean exactly what another one does, and how far the others are moved; fitted by `main`."""


def varied(base: Vectors, scene: NDArray[np.int64], rng: np.random.Generator) -> Vectors:
    """One vector for each entry of `scene`, near that row of `base`."""
    one, other = rng.integers(len(base), size=(2, len(scene)))
    amount = LEAST + (MOST - LEAST) * rng.random(len(scene)).astype(np.float32) ** SKEW
    amount[rng.random(len(scene)) < SAME] = 0
    moved = base[scene] + amount[:, None] * (base[one] - base[other])
    made: Vectors = (moved / np.linalg.norm(moved, axis=1, keepdims=True)).astype(np.float32)
    return made


# -- the database ----------------------------------------------------------------------------------------------------


async def fill(database: Database, scenes_: Scenes, count: int) -> float:
    """Writes a library of `count` photos; how many seconds that took."""
    began = time.perf_counter()
    names = await database.write(lambda c: _names(c, scenes_))
    for start in range(0, count, 5000):
        ids = np.arange(start + 1, min(start + 5000, count) + 1)
        await database.write(lambda c, ids=ids: _block(c, scenes_, names, ids))  # type: ignore[misc]
    return time.perf_counter() - began


@dataclass(frozen=True)
class _Names:
    tags: list[list[tuple[int, float]]]  # of each scene
    people: list[int]
    places: list[tuple[int, int, int]]  # of each town: itself, its region, its country
    folders: list[int]
    model: int


def _names(connection: Connection, scenes_: Scenes) -> _Names:
    ids = photos.tag_ids(connection, sorted({name for facts in scenes_.facts for name, _ in facts.tags}))
    root = connection.exec_driver_sql("insert into roots(path) values (?) returning id", (str(ROOT).encode(),)).scalar()
    folders = [
        connection.exec_driver_sql(
            "insert into folders(root_id, path) values (?, ?) returning id", (root, f"{year}/{occasion}".encode())
        ).scalar()
        for year in range(2004, 2027)
        for occasion in OCCASIONS
    ]
    return _Names(
        tags=[[(ids[name], score) for name, score in facts.tags] for facts in scenes_.facts],
        people=[photos.person_id(connection, name) for name in PEOPLE],
        places=[
            (
                photos.place_id(connection, photos.slug(town), town, "town", "xx"),
                photos.place_id(connection, f"{photos.slug(region)}-region", region, "region", "xx"),
                photos.place_id(connection, photos.slug(country), country, "country", "xx"),
            )
            for town, region, country in TOWNS
        ],
        folders=[int(folder or 0) for folder in folders],
        model=vectors.model_id(connection, MODEL, scenes_.vectors.shape[1]),
    )


def _block(connection: Connection, scenes_: Scenes, names: _Names, ids: NDArray[np.int64]) -> None:
    rng = np.random.default_rng(int(ids[0]))
    count = len(ids)
    scene = rng.integers(len(scenes_.facts), size=count)
    town = np.minimum(rng.zipf(1.3, size=count) - 1, len(TOWNS) - 1)
    taken = rng.integers(1_072_915_200, 1_795_000_000, size=count)
    people = [
        rng.choice(len(PEOPLE), size=n, replace=False)
        for n in rng.choice((0, 1, 2, 3), size=count, p=(0.5, 0.3, 0.15, 0.05))
    ]
    quality, favourite = rng.random(count), rng.random(count) < 0.02
    burst = np.where(rng.random(count) < 0.1, ids - ids % 4 + 1, 0)
    made = varied(scenes_.vectors, scene, rng).astype(np.float16)
    rows = []
    for at, i in enumerate(ids.tolist()):
        facts, uid = scenes_.facts[scene[at]], f"{i:016x}"
        rows.append(
            (
                *(i, uid, bytes.fromhex(uid) + i.to_bytes(24, "big"), "completed", 1.7e9 + i, "jpeg", 4000, 3000),
                *(int(taken[at]), "second", "exif", scenes_.captions[scene[at]], facts.kind, facts.orientation),
                *(float(quality[at]), False, bool(favourite[at]), False),
                *(int(burst[at]) or None, bool(burst[at] and i % 4 == 1)),
            )
        )
    put = connection.exec_driver_sql
    put(
        "insert into photos(id, uid, sha256, state, added_at, format, width, height, taken, taken_precision, "
        "taken_source, caption, kind, orientation, quality, monochrome, favourite, hidden, burst, burst_best) "
        f"values ({','.join('?' * 20)})",
        rows,
    )
    put(
        "insert into vectors values (?, ?, ?)",
        [(names.model, i, made[at].tobytes()) for at, i in enumerate(ids.tolist())],
    )
    put(
        "insert into photo_tags values (?, ?, ?, 'model')",
        [(i, tag, score) for at, i in enumerate(ids.tolist()) for tag, score in names.tags[scene[at]]],
    )
    put(
        "insert into photo_people(photo_id, person_id, source) values (?, ?, 'file')",
        [(i, names.people[p]) for at, i in enumerate(ids.tolist()) for p in people[at].tolist()],
    )
    put(
        "insert into photo_places values (?, ?, ?)",
        [
            (i, place, rank)
            for at, i in enumerate(ids.tolist())
            for place, rank in zip(names.places[town[at]], (0, 3, 4), strict=True)
        ],
    )
    put(
        "insert into photo_text(rowid, body) values (?, ?)",
        [
            (
                i,
                " ".join(
                    (
                        scenes_.words[scene[at]],
                        *TOWNS[town[at]],
                        *(PEOPLE[p] for p in people[at].tolist()),
                        _when(int(taken[at])),
                    )
                ),
            )
            for at, i in enumerate(ids.tolist())
        ],
    )
    put(
        "insert into files(folder_id, name, size, mtime_ns, inode, state, photo_id) "
        "values (?, ?, 3000000, 1, ?, 'read', ?)",
        [(names.folders[(i // 150) % len(names.folders)], f"IMG_{i}.JPG".encode(), i, i) for i in ids.tolist()],
    )


def _when(taken: int) -> str:
    return datetime.fromtimestamp(taken, UTC).strftime("%Y %B %A")


# -- are the made vectors like real ones? ----------------------------------------------------------------------------


def likeness(vectors_: Vectors, near: tuple[int, ...] = (1, 10, 50)) -> dict[str, Any]:
    """Cosines to the k-th nearest neighbour (quantiles over 400 rows) and how fast the spectrum falls."""
    rng = np.random.default_rng(1)
    some = rng.choice(len(vectors_), size=min(400, len(vectors_)), replace=False)
    cosines = -np.sort(-(vectors_[some] @ vectors_.T), axis=1)
    spectrum = np.linalg.svd(vectors_ - vectors_.mean(axis=0), compute_uv=False) ** 2
    spectrum /= spectrum.sum()
    return {
        **{f"to neighbour {k}": _quantiles(cosines[:, k]) for k in near},
        "to any": _quantiles((vectors_[some] @ vectors_[rng.choice(len(vectors_), 400)].T).ravel()),
        "dimensions for 50, 80, 95 %": (np.searchsorted(np.cumsum(spectrum), (0.5, 0.8, 0.95)) + 1).tolist(),
    }  # fmt: skip


def to_queries(vectors_: Vectors, queries: Vectors) -> dict[str, Any]:
    cosines = -np.sort(-(queries @ vectors_.T), axis=1)
    return {f"query to its {k}th": _quantiles(cosines[:, k - 1]) for k in (1, 50, 500) if k <= cosines.shape[1]}


def _quantiles(values: NDArray[Any]) -> list[float]:
    return [round(float(q), 3) for q in np.quantile(values, (0.1, 0.25, 0.5, 0.75, 0.9))]


async def compare(real_count: int) -> None:
    async with HostPool(ComputeSettings()) as pool:
        base = await scenes(pool)
        real = await embedded(pool, [describe(facts).meaning for facts in described(real_count, seed=5)])
    rng = np.random.default_rng(3)
    made = varied(base.vectors, rng.integers(len(base.vectors), size=real_count), rng)
    print(f"{real_count} embedded descriptions, and as many made from {len(base.vectors)} (10, 25, 50, 75, 90 %):")
    for name, value in {**likeness(real), **to_queries(real, base.queries)}.items():
        print(f"  {name:28} real {value}")
        print(f"  {'':28} made {({**likeness(made), **to_queries(made, base.queries)})[name]}")


def blocks(base: Scenes, count: int) -> Iterator[Vectors]:
    """The vectors that `fill` writes, without a database."""
    for start in range(0, count, 5000):
        ids = np.arange(start + 1, min(start + 5000, count) + 1)
        rng = np.random.default_rng(int(ids[0]))
        yield varied(base.vectors, rng.integers(len(base.facts), size=len(ids)), rng)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--real", type=int, default=3600, help="how many descriptions are embedded to compare with")
    asyncio.run(compare(arguments.parse_args().real))


if __name__ == "__main__":
    main()
