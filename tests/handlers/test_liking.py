"""Hearts, hides and skips teach framed which photos to show as the best, over a restart too."""

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Connection, insert, select, text, update

from framed.analysis.steps.bursts import choose_best
from framed.analysis.steps.tags import LIKENESS
from framed.bus import Bus
from framed.handlers.liking import Liking
from framed.jobs import JobQueue
from framed.store import frames as frame_rows
from framed.store import liking as rows
from framed.store import vectors
from framed.store.database import Database
from framed.store.tables import faces, frames, photos

COUNT, DIM = 240, 64


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(tmp_path / "framed.db")
    await database.start()
    await database.write(_fill)
    yield database
    await database.close()


def taste() -> np.ndarray:
    """What this household likes: 1 for photos of the even groups."""
    return np.array([place % 2 for place in range(COUNT)])


def _fill(connection: Connection) -> None:
    rng = np.random.default_rng(2)
    way = rng.normal(size=DIM)
    made = rng.normal(size=(COUNT, DIM)) + np.outer(np.where(taste(), 0.35, -0.35), way)
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    for place in range(COUNT):
        connection.execute(
            insert(photos).values(
                id=place + 1, uid=f"{place:016x}", sha256=place.to_bytes(32, "big"), state="completed", added_at=0.0
            )
        )
    vectors.put(connection, LIKENESS, [(place + 1, row.astype(np.float32)) for place, row in enumerate(made)])
    connection.execute(
        insert(frames).values(id="hall", name="Hall", source="config", options={}, token="t", created_at=0)
    )


async def learned(database: Database) -> None:
    bus = Bus()
    jobs = JobQueue(database=database, bus=bus)
    Liking(database=database, bus=bus, jobs=jobs).listen()
    bus.start()
    await jobs.start()
    job = await jobs.add("learn_liking", {})
    while (await jobs.get(job) or {})["state"] not in ("succeeded", "failed"):
        await bus.settle()
    assert (await jobs.get(job) or {})["state"] == "succeeded"
    await jobs.close()
    await bus.close()


async def scores(database: Database) -> np.ndarray:
    found = await database.read(lambda c: c.execute(select(photos.c.aesthetic).order_by(photos.c.id)).scalars().all())
    return np.array([np.nan if value is None else value for value in found])


def decide(connection: Connection, few: int) -> None:
    """Hearts for some liked photos; of the others some are hidden, some skipped."""
    liked, other = np.flatnonzero(taste())[:few], np.flatnonzero(taste() == 0)[:few]
    connection.execute(update(photos).where(photos.c.id.in_((liked + 1).tolist())).values(favourite=True))
    half = len(other) // 2
    connection.execute(update(photos).where(photos.c.id.in_((other[:half] + 1).tolist())).values(hidden=True))
    for place in other[half:].tolist():
        for _ in range(3):
            frame_rows.note(connection, "hall", place + 1, None, "skip")


async def test_photos_nobody_judged_are_scored_by_taste(store: Database) -> None:
    await store.write(lambda c: decide(c, 40))
    await learned(store)
    found, liked = await scores(store), taste().astype(bool)
    rest = np.r_[80:COUNT]
    assert found[rest][liked[rest]].mean() > found[rest][~liked[rest]].mean() + 0.2


async def test_a_few_decisions_score_nothing(store: Database) -> None:
    await store.write(lambda c: decide(c, 4))
    await learned(store)
    assert np.isnan(await scores(store)).all()


async def test_a_models_opinion_stands_where_there_is_no_taste_yet(store: Database) -> None:
    step = (
        "insert into photo_steps (photo_id, step, version, state, attempts, result, at) "
        "values (7, 'aesthetics', 1, 'completed', 1, '{\"score\": 0.83}', 0)"
    )
    await store.write(lambda c: c.execute(text(step)))
    await learned(store)
    found = await scores(store)
    assert found[6] == pytest.approx(0.83)
    assert np.isnan(np.delete(found, 6)).all()


async def test_what_somebody_said_counts_more_than_what_somebody_skipped(store: Database) -> None:
    def both(connection: Connection) -> None:
        connection.execute(update(photos).where(photos.c.id == 3).values(favourite=True))
        frame_rows.note(connection, "hall", 3, None, "skip")
        frame_rows.note(connection, "hall", 4, None, "skip")

    await store.write(both)
    assert await store.read(rows.decisions) == {3: (True, 1.0), 4: (False, 0.3)}


@pytest.mark.parametrize(
    ("change", "best"),
    [
        ({}, 1),
        ({"favourite": True}, 2),
        ({"quality": 0.9}, 2),
        ({"aesthetic": 0.95}, 2),
        ({"hidden": True, "quality": 0.9}, 1),
    ],
)
async def test_the_best_of_a_burst_is_the_one_a_person_would_keep(store: Database, change: dict, best: int) -> None:
    def burst(connection: Connection) -> None:
        connection.execute(update(photos).where(photos.c.id.in_((1, 2))).values(burst=1, quality=0.5, aesthetic=0.5))
        connection.execute(update(photos).where(photos.c.id == 2).values(**change) if change else text("select 1"))
        choose_best(connection, 1)

    await store.write(burst)
    chosen = select(photos.c.id).where(photos.c.burst == 1, photos.c.burst_best)
    assert await store.read(lambda c: c.execute(chosen).scalars().all()) == [best]


async def test_of_two_shots_the_one_with_open_eyes_stands_for_the_burst(store: Database) -> None:
    def burst(connection: Connection) -> None:
        connection.execute(update(photos).where(photos.c.id.in_((1, 2))).values(burst=1, quality=0.5))
        for photo, eyes in ((1, 0.1), (1, 0.9), (2, 0.8), (2, 0.9)):
            connection.execute(
                insert(faces).values(
                    photo_id=photo, model="m", box=[0, 0, 1, 1], score=1, quality=1, eyes_open=eyes, vector=b""
                )
            )
        choose_best(connection, 1)

    await store.write(burst)
    chosen = select(photos.c.id).where(photos.c.burst == 1, photos.c.burst_best)
    assert await store.read(lambda c: c.execute(chosen).scalars().all()) == [2]
