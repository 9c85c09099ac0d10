"""Rules of the index that requests are answered from: what a search finds, and that it follows the store."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import Connection

from framed.playlists import words as full_text
from framed.playlists.compose import compose
from framed.playlists.index import Columns, LibraryIndex
from framed.playlists.masks import Filters
from framed.playlists.plan import QueryPlan
from framed.playlists.search import Found, Meaning, Searcher
from framed.playlists.signs import SignBits, candidates
from framed.store import members, photos, vectors
from framed.store.database import Database

MODEL = "all-minilm-l6-v2"
Vectors = NDArray[np.float32]


def subjects(count: int, rng: np.random.Generator, noise: float = 1.5) -> Vectors:
    """Unit vectors as embeddings of descriptions lie: most of it in few directions, subjects near other subjects (to
    the nearest 0.9, the tenth 0.7, the fiftieth 0.5)."""
    falling = 1 / np.sqrt(np.arange(1, 385))
    turn, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((384, 384)))
    fixed = np.random.default_rng(7)
    centres = fixed.standard_normal((100, 384))[fixed.integers(100, size=2000)] + fixed.standard_normal((2000, 384))
    amount = noise * rng.random((count, 1))
    made = ((centres[rng.integers(2000, size=count)] + amount * rng.standard_normal((count, 384))) * falling) @ turn
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("share", [1.0, 0.6, 0.1, 0.01])
def test_the_nearest_fifty_are_among_the_likeliest_whatever_the_filter(share: float) -> None:
    rng = np.random.default_rng(1)
    rows = subjects(20_000, rng)
    signs = SignBits(20_500)
    signs.centre(rows.mean(axis=0))
    signs.put(np.arange(20_000), rows)
    ids = np.flatnonzero(rng.random(20_000) < share)
    found = []
    for query in subjects(20, rng, noise=2.5):
        cosines = rows[ids] @ query
        fiftieth = np.sort(cosines)[-50]
        likeliest = signs.likeliest(ids, query, candidates(len(ids)))
        assert len(set(likeliest.tolist())) == len(likeliest) <= candidates(len(ids))
        found.append((np.sort(rows[likeliest] @ query)[-50:] >= fiftieth - 1e-6).mean())

    assert np.mean(found) >= 0.99


def test_by_nearness_puts_what_has_no_vector_last() -> None:
    rows = subjects(50, np.random.default_rng(2))
    signs = SignBits(64)
    signs.centre(rows.mean(axis=0))
    signs.put(np.arange(50), rows)

    ordered = signs.by_nearness(np.array([60, 3, 7]), rows[7])

    assert ordered.tolist() == [7, 3, 60]


# -- the store -------------------------------------------------------------------------------------------------------


def add_photo(connection: Connection, photo_id: int, tags: list[str], people: list[str], words: str) -> None:
    connection.exec_driver_sql(
        "insert into photos(id, uid, sha256, state, added_at, taken, taken_precision, kind) "
        "values (?, ?, ?, 'completed', ?, ?, 'second', 'photo')",
        (photo_id, f"{photo_id:016x}", photo_id.to_bytes(32, "big"), photo_id, 1_500_000_000 + 86400 * photo_id),
    )
    photos.set_tags(connection, photo_id, dict.fromkeys(tags, 0.9), "model")
    photos.set_people(connection, photo_id, [(name, None) for name in people], "file")
    photos.set_text(connection, photo_id, words)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = Database(tmp_path / "framed.db")
    opened.on_reader = full_text.install
    await opened.start()
    yield opened
    await opened.close()


async def read_ids(database: Database, index: LibraryIndex, table: str, key: str) -> list[int]:
    found = await database.read(lambda c: index.members(c, table, key))
    return found.tolist()


async def test_members_and_people_follow_what_is_read_again(database: Database) -> None:
    def fill(connection: Connection) -> None:
        add_photo(connection, 1, ["dog"], ["Anna"], "dog")
        add_photo(connection, 2, ["dog"], ["Anna", "Ben"], "dog")
        add_photo(connection, 3, ["cat"], [], "cat")

    await database.write(fill)
    index = LibraryIndex(database=database, text_model=MODEL)
    await index.build()
    assert await read_ids(database, index, "tag", "dog") == [1, 2]

    def change(connection: Connection) -> None:
        photos.set_tags(connection, 2, {"cat": 0.9}, "model")
        photos.set_people(connection, 3, [("Ben", None)], "file")
        add_photo(connection, 5000, ["dog"], ["Anna"], "dog")  # beyond what the arrays had room for

    await database.write(change)
    await index.refresh([2, 3])
    await index.refresh([5000])

    assert await read_ids(database, index, "tag", "dog") == [1, 5000]
    assert await read_ids(database, index, "tag", "cat") == [2, 3]
    assert index.columns.people[[1, 2, 3, 5000]].tolist() == [1, 2, 1, 1]
    only_anna = QueryPlan(text="only Anna", people_any=["anna"], only_people=True)
    mask = await database.read(
        lambda c: Filters(index=index, connection=c, plan=only_anna, hemisphere="north").masked().mask
    )
    assert np.flatnonzero(mask).tolist() == [1, 5000]


async def test_people_are_counted_and_a_crowd_is_one_by_its_tag_too(database: Database) -> None:
    def fill(connection: Connection) -> None:
        add_photo(connection, 1, ["dog"], [], "dog")
        for photo_id, names in ((2, ["Anna"]), (3, ["Anna", "Ben"]), (4, ["Anna", "Ben", "Cara"])):
            add_photo(connection, photo_id, ["person"], names, "person")
        add_photo(connection, 5, ["crowd"], [], "crowd")
        add_photo(connection, 6, ["person"], [f"Guest {number}" for number in range(8)], "person")

    await database.write(fill)
    index = LibraryIndex(database=database, text_model=MODEL)
    await index.build()

    async def counted(least: int | None, most: int | None) -> list[int]:
        plan = QueryPlan(people_min=least, people_max=most)
        mask = await database.read(lambda c: Filters(index=index, connection=c, plan=plan, hemisphere="north").wanted())
        return np.flatnonzero(mask).tolist()

    assert await counted(2, 2) == [3]
    assert await counted(3, None) == [4, 6]
    assert await counted(1, 3) == [2, 3, 4]
    assert await counted(6, None) == [5, 6]
    assert await counted(None, 2) == [1, 2, 3]


async def test_a_member_list_of_long_ago_is_read_anew(database: Database) -> None:
    await database.write(lambda c: add_photo(c, 1, ["dog"], [], "dog"))
    index = LibraryIndex(database=database, text_model=MODEL)
    await index.build()
    assert await read_ids(database, index, "tag", "dog") == [1]
    await database.write(lambda c: add_photo(c, 2, ["dog"], [], "dog"))
    await index.refresh([2])
    for _ in range(250):
        await index.refresh([1])

    assert await read_ids(database, index, "tag", "dog") == [1, 2]


async def test_folders_hold_the_folders_inside_them_and_no_namesakes(database: Database) -> None:
    def fill(connection: Connection) -> list[int]:
        put = connection.exec_driver_sql
        put("insert into roots(id, path) values (1, x'2f70')")
        for number, path in enumerate((b"2019", b"2019/May", b"2019b"), 1):
            add_photo(connection, number, [], [], "")
            put("insert into folders(id, root_id, path) values (?, 1, ?)", (number, path))
            put(
                "insert into files(folder_id, name, size, mtime_ns, inode, state, photo_id) "
                "values (?, x'61', 1, 1, ?, 'read', ?)",
                (number, number, number),
            )
        return members.members(connection, "folder", "1").tolist()

    assert await database.write(fill) == [1, 2]


@pytest.mark.parametrize("most_ranked", [2000, 1])
async def test_many_hits_are_found_like_few(
    database: Database, most_ranked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(full_text, "RANKED", most_ranked)

    def fill(connection: Connection) -> None:
        for number in range(1, 31):
            add_photo(connection, number, [], [], "dog garden" if number % 2 else "cat")

    await database.write(fill)
    mask = np.ones(31, np.bool_)
    mask[5] = False

    hits = await database.read(lambda c: full_text.WordSearch(c, lambda word: None).find("garden dogs", mask, 30))

    assert sorted(hits.ids.tolist()) == [number for number in range(1, 31, 2) if number != 5]
    assert hits.words == ["garden", "dogs"]
    assert hits.whole
    assert hits.ranked == (most_ranked == 2000)


async def test_a_colour_alone_does_not_stand_for_coloured_things(database: Database) -> None:
    def fill(connection: Connection) -> None:
        for number, said in enumerate(("flower yellow", "flower", "rocket blue", "sky blue"), 1):
            add_photo(connection, number, [], [], said)

    await database.write(fill)
    mask = np.ones(6, np.bool_)

    async def found(text: str) -> list[int]:
        hits = await database.read(lambda c: full_text.WordSearch(c, lambda word: None).find(text, mask, 5))
        return sorted(hits.ids.tolist())

    assert await found("blue flowers") == [1, 2]
    assert await found("yellow flowers") == [1]
    assert await found("blue") == [3, 4]
    assert await found("flowers beside rockets") == [1, 2, 3]


async def test_a_sunset_is_a_wish_and_no_filter(database: Database) -> None:
    morning, evening = 1_500_000_000 // 86400 * 86400 + 10 * 3600, 1_500_000_000 // 86400 * 86400 + 20 * 3600
    texts = np.eye(8, 384, dtype=np.float32)

    def fill(connection: Connection) -> None:
        for number, taken, said in (
            (1, morning, "sunset"),
            (2, None, "sunset"),
            (3, morning, "hill"),
            (4, evening, "hill"),
        ):
            add_photo(connection, number, [], [], said)
            connection.exec_driver_sql("update photos set taken = ? where id = ?", (taken, number))
            vectors.put(connection, MODEL, [(number, texts[0])])

    await database.write(fill)
    index = LibraryIndex(database=database, text_model=MODEL)
    await index.build()
    searcher = Searcher(index=index, hemisphere="north", tag_of=lambda word: None)
    plan = QueryPlan(semantic="sunset", light=["afternoon", "evening"])

    found = await database.read(lambda c: searcher.search(c, plan, Meaning(texts[0])))

    assert sorted(found.ids.tolist()) == [1, 2, 4], "not the hill of the morning, which only may look so"


# -- composing -------------------------------------------------------------------------------------------------------


def composed(ids: list[int], columns: Columns, **plan: Any) -> list[int]:
    found = Found(np.array(ids, np.int64), np.linspace(1, 0.5, len(ids)).astype(np.float32))
    shown = np.zeros(columns.size, np.int32)
    asked = QueryPlan(text="", **plan)
    return compose(found, asked, columns, shown, seed=1, default_count=500).ids


def columns_of(size: int = 40) -> Columns:
    columns = Columns(size)
    columns.taken[:] = np.arange(size) * 86400
    return columns


def test_duplicates_show_once_also_where_their_leader_does_not_match() -> None:
    columns = columns_of()
    columns.duplicate_of[[5, 6]] = 4
    columns.duplicate_of[[8, 9]] = 30  # 30 was not found

    assert composed([4, 5, 6, 8, 9], columns, sort="oldest") == [4, 8]


def test_a_burst_shows_its_best_or_else_its_first() -> None:
    columns = columns_of()
    columns.burst[[1, 2, 3]] = 1
    columns.burst_best[2] = True
    columns.burst[[7, 8]] = 7

    assert composed([1, 2, 3, 7, 8], columns, sort="oldest") == [2, 7]


def test_undated_photos_come_last_either_way() -> None:
    columns = columns_of()
    columns.taken[3] = np.iinfo(np.int64).min

    assert composed([3, 4, 5], columns, sort="newest") == [5, 4, 3]
    assert composed([3, 4, 5], columns, sort="oldest") == [4, 5, 3]


def test_what_the_frame_has_shown_least_comes_first() -> None:
    columns = columns_of()
    found = Found(np.arange(1, 11), np.linspace(1, 0.5, 10).astype(np.float32))
    shown = np.zeros(columns.size, np.int32)
    shown[[1, 2, 3]] = [2, 1, 1]

    ids = compose(found, QueryPlan(text="x", semantic="x"), columns, shown, seed=1, default_count=500).ids

    assert ids[-3:] == [2, 3, 1]


def test_of_each_year_come_the_first_few_of_it() -> None:
    columns = columns_of()
    columns.taken[:10] = np.repeat([0, 1, 2], [5, 4, 1]) * 400 * 86400 + np.arange(10) * 3600
    columns.taken[10] = np.iinfo(np.int64).min
    columns.quality[:11] = np.array([1, 9, 2, 8, 3, 4, 7, 5, 6, 2, 9]) / 10

    every = list(range(11))
    assert composed(every, columns, each="year", count=2, quality="best", sort="best") == [9, 6, 8, 1, 3]
    assert composed(every, columns, each="year", count=1, sort="oldest") == [0, 5, 9]
    assert sorted(composed(every, columns, each="month", count=50)) == list(range(10))
