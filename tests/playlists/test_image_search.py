"""Requests among the pictures' own vectors: fused with words and descriptions, cut where this library says."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from sqlalchemy import insert, text

from framed.analysis.never_there import NEVER_THERE
from framed.models.openclip_profiles import FAST, SMALL
from framed.playlists.calibration import Calibration, calibrate, combined
from framed.playlists.explain import why
from framed.playlists.index import LibraryIndex
from framed.playlists.plan import QueryPlan
from framed.playlists.search import Found, Meaning, Searcher
from framed.playlists.spoken import speech
from framed.playlists.words import install
from framed.store import vectors
from framed.store.database import Database
from framed.store.tables import photos

COUNT, DIM = 400, 128
TEXT = "all-minilm-l6-v2"
PLAN = QueryPlan(semantic="sledging")
pytestmark = pytest.mark.asyncio(loop_scope="module")


def unit(rows: Any) -> Any:
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


RNG = np.random.default_rng(3)
COMMON, ABOUT = unit(RNG.normal(size=(2, DIM)))  # what all pictures share, and what all sentences share
SUBJECTS = unit(RNG.normal(size=(40, DIM)))
SUBJECT = np.arange(COUNT) % 20  # photos 1…400 show subject (id - 1) % 20; 20…39 are in no photo


def pictures() -> Any:
    return unit(2 * COMMON + 0.6 * SUBJECTS[SUBJECT] + 0.9 * unit(RNG.normal(size=(COUNT, DIM))))


def sentence(subject: int) -> Any:
    return unit(0.4 * COMMON + 2 * ABOUT + SUBJECTS[subject])


def prompts() -> list[Any]:
    return [unit(0.4 * COMMON + 2 * ABOUT + unit(RNG.normal(size=DIM))) for _ in NEVER_THERE]


@dataclass
class Library:
    database: Database
    index: LibraryIndex
    searcher: Searcher

    async def read(self, work: Callable[[Any], Any]) -> Any:
        return await self.database.read(work)

    async def find(self, plan: QueryPlan, meaning: Meaning) -> Found:
        found: Found = await self.database.read(lambda c: self.searcher.search(c, plan, meaning))
        return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def library(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Library]:
    database = Database(tmp_path_factory.mktemp("library") / "framed.db")
    database.on_reader = install
    await database.start()
    seen, described = pictures(), unit(RNG.normal(size=(COUNT, 384)))

    def fill(connection: Any) -> None:
        state = {"state": "completed", "added_at": 0.0, "caption": "", "kind": "photo"}
        rows = [{"id": n, "uid": f"{n:016x}", "sha256": n.to_bytes(32), **state} for n in range(1, COUNT + 1)]
        connection.execute(insert(photos), rows)
        vectors.put(connection, SMALL.model_id, list(zip(range(1, COUNT + 1), seen, strict=True)))
        vectors.put(connection, TEXT, list(zip(range(1, COUNT + 1), described, strict=True)))
        for photo, words in ((5, "sledging"), (6, "sledging downhill"), (7, "a beach")):
            connection.execute(
                text("insert into photo_text(rowid, body) values (:id, :said)"), {"id": photo, "said": words}
            )

    await database.write(fill)
    index = LibraryIndex(database=database, text_model=TEXT)
    await index.build()
    space = await index.image_space(SMALL.model_id)
    measured = await database.read(lambda c: calibrate(c, space, index.columns.ready, prompts()))
    assert measured is not None
    kept = Calibration.model_validate_json(measured[0].model_dump_json())  # as it is remembered between runs
    space.judge = kept.judge(measured[1])
    index.images = space
    yield Library(database, index, Searcher(index=index, hemisphere="north", tag_of=lambda word: None))
    await database.close()


async def test_photos_that_look_like_the_request_are_found_and_no_others(library: Library) -> None:
    found = await library.find(QueryPlan(semantic="qqq"), Meaning(None, sentence(3), SMALL.model_id))
    right = SUBJECT[found.ids - 1] == 3
    assert right.all()
    assert len(found.ids) == 20
    plan = QueryPlan(semantic="qqq")
    card = {"id": int(found.ids[0]), "people": [], "places": [], "taken": None, "favourite": False, "quality": None}
    assert why(card, plan, found) == ["looks like “qqq”"]


@pytest.mark.parametrize("subject", range(20, 40, 4))
async def test_what_is_in_no_photo_is_found_in_none(library: Library, subject: int) -> None:
    found = await library.find(QueryPlan(semantic="qqq"), Meaning(None, sentence(subject), SMALL.model_id))
    assert len(found.ids) == 0


async def test_a_request_that_half_of_the_photos_match_finds_them(library: Library) -> None:
    wide = unit(0.4 * COMMON + 2 * ABOUT + SUBJECTS[:10].sum(axis=0))
    found = await library.find(QueryPlan(semantic="qqq"), Meaning(None, wide, SMALL.model_id))
    assert len(found.ids) > 50
    assert (SUBJECT[found.ids - 1] < 10).mean() > 0.95


async def test_words_descriptions_and_pictures_are_fused_by_rank(library: Library) -> None:
    _, rows = await library.read(lambda c: vectors.get(c, TEXT, [9]))
    found = await library.find(PLAN, Meaning(rows[0], sentence(4), SMALL.model_id))
    ids = found.ids.tolist()
    assert found.with_words == {5, 6}
    assert ids[0] == 5  # its word and its looks: photo 5 shows subject 4
    assert {6, 9} < set(ids[:6])  # by its word alone, by its description alone
    assert len(set((np.flatnonzero(SUBJECT == 4) + 1).tolist()) & set(ids)) >= 18


async def test_filters_hold_for_what_looks_alike_too_and_negation_is_symbolic(library: Library) -> None:
    _, rows = await library.read(lambda c: vectors.get(c, SMALL.model_id, [7]))
    without = QueryPlan(semantic="qqq", semantic_none=["beach"])
    assert 7 in (await library.find(QueryPlan(semantic="qqq"), Meaning(None, rows[0], SMALL.model_id))).ids
    assert 7 not in (await library.find(without, Meaning(None, rows[0], SMALL.model_id))).ids
    screens = QueryPlan(semantic="qqq", kinds=["screenshot"])
    assert len((await library.find(screens, Meaning(None, sentence(3), SMALL.model_id))).ids) == 0


async def test_what_may_not_be_shown_is_not_replaced_by_what_resembles_it(library: Library) -> None:
    looks = Meaning(None, sentence(4), SMALL.model_id)
    assert len((await library.find(QueryPlan(semantic="sledging"), looks)).ids) > 2

    refused = await library.find(QueryPlan(semantic="sledging downhill", semantic_none=["sledging"]), looks)
    assert len(refused.ids) == 0
    assert refused.left_out == {"photos with sledging": 2}
    said = speech(QueryPlan(semantic="sledging"), 0, 0, "hall", refused)
    assert "Photos with sledging are left out on the hall." in said

    others = QueryPlan(semantic="sledging or snow", semantic_none=["sledging"])
    assert len((await library.find(others, looks)).ids) > 2


async def test_another_models_vector_is_never_compared(library: Library) -> None:
    found = await library.find(QueryPlan(semantic="qqq"), Meaning(None, sentence(3), FAST.model_id))
    assert len(found.ids) == 0


async def test_a_library_too_small_to_measure_by_goes_by_the_models_usual_cosine(library: Library) -> None:
    few = np.zeros(library.index.size, np.bool_)
    few[1:40] = True
    space = await library.index.image_space(SMALL.model_id)
    assert await library.read(lambda c: calibrate(c, space, few, prompts())) is None
    judge, library.index.images.judge = library.index.images.judge, None  # type: ignore[union-attr]
    _, rows = await library.read(lambda c: vectors.get(c, SMALL.model_id, [7]))
    found = await library.find(QueryPlan(semantic="qqq"), Meaning(None, rows[0], SMALL.model_id))
    library.index.images.judge = judge  # type: ignore[union-attr]
    assert found.ids[0] == 7
    assert (np.array([found.likeness[photo] for photo in found.ids.tolist()]) >= SMALL.cosine).all()


async def test_nothing_found_before_the_model_was_ready_says_so(library: Library) -> None:
    found = await library.find(QueryPlan(semantic="qqq"), Meaning())
    found.late = True
    assert "ask again in a moment" in speech(QueryPlan(semantic="qqq"), 0, 0, None, found)


async def test_a_texts_vector_that_is_no_numbers_is_refused() -> None:
    with pytest.raises(FloatingPointError):
        combined(np.full((2, DIM), np.nan, np.float32))
