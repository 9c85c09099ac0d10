"""The pipeline's own bounds, with a step that does what the test says."""

import asyncio
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Connection

from framed.analysis.pipeline import BATCH, Pipeline
from framed.analysis.previews import Previews
from framed.analysis.step import BatchStep, Outcome
from framed.bus import Bus
from framed.events import PhotoAnalysed
from framed.models.base import Call, Progress
from framed.store import files, photos
from framed.store.database import Database
from framed.store.photos import PhotoWork

COUNT = BATCH * 4 + 5


class Preview(BatchStep):
    """Its first batch ends when another has begun beside it; notes how many there are at a time."""

    name, version, batch = "preview", 1, BATCH

    def __init__(self) -> None:
        self.running: list[int] = []
        self.most = 0
        self.two = asyncio.Event()
        self.seen: list[int] = []

    async def run(self, photos: Sequence[PhotoWork]) -> list[Outcome]:
        first = photos[0].id
        self.running.append(first)
        self.most = max(self.most, len(self.running))
        if len(self.running) > 1:
            self.two.set()
        await self.two.wait()
        await asyncio.sleep(0.05)  # for a third one, that must not, to begin
        self.running.remove(first)
        self.seen += [photo.id for photo in photos]
        return [Outcome("completed", {}) for _ in photos]


class NoFiles:
    async def todo(self, limit: int, *, busy: Any = ()) -> list[Any]:
        return []

    async def retry_later(self, file_id: int, seconds: float) -> None:
        raise AssertionError(file_id)

    async def park(self, file_id: int, problem: str, **more: Any) -> None:
        raise AssertionError(problem)


class NoCompute:
    async def run(self, call: Call, *, progress: Progress | None = None) -> dict[str, Any]:
        raise AssertionError(call.task)


def pipeline_of(step: BatchStep, database: Database, bus: Bus) -> Pipeline:
    return Pipeline(
        database=database,
        compute=NoCompute(),
        files=NoFiles(),
        previews=cast(Previews, None),
        bus=bus,
        steps=[step],
        cpu_hosts=1,
    )


class Deletion(BatchStep):
    """While it looks at a batch, the only file of the first photo is deleted."""

    name, version, batch = "preview", 1, BATCH

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run(self, photos: Sequence[PhotoWork]) -> list[Outcome]:
        await self._database.write(lambda c: files.orphaned(c, [photos[0].id], now=0.0))
        return [Outcome("completed", {}) for _ in photos]


async def test_a_photo_that_goes_while_it_is_analysed_stays_gone(tmp_path: Path) -> None:
    database, bus = Database(tmp_path / "framed.db"), Bus()
    analysed, through = list[int](), asyncio.Event()
    await database.start()

    async def note(event: PhotoAnalysed) -> None:
        analysed.append(event.photo_id)
        through.set()

    await database.write(lambda c: [photos.intake(c, bytes([number] * 32), {}) for number in (1, 2)])
    bus.on(PhotoAnalysed, note)
    bus.start()
    pipeline = pipeline_of(Deletion(database), database, bus)
    await pipeline.start()
    async with asyncio.timeout(30):
        await through.wait()
    await pipeline.close()
    await bus.settle()
    states = await database.read(photos.counts)
    await bus.close()
    await database.close()

    assert states == {"gone": 1, "completed": 1}
    assert analysed == [2]


async def test_two_batches_are_in_flight_and_never_more_however_slow_the_models(tmp_path: Path) -> None:
    database, bus, step = Database(tmp_path / "framed.db"), Bus(), Preview()
    analysed, through = list[int](), asyncio.Event()
    await database.start()

    def take_in(connection: Connection) -> None:
        for number in range(COUNT):
            photos.intake(connection, hashlib.sha256(b"%d" % number).digest(), {})

    async def note(event: PhotoAnalysed) -> None:
        analysed.append(event.photo_id)
        if len(analysed) == COUNT:
            through.set()

    await database.write(take_in)
    bus.on(PhotoAnalysed, note)
    bus.start()
    pipeline = pipeline_of(step, database, bus)
    await pipeline.start()
    async with asyncio.timeout(30):
        await through.wait()
    await pipeline.close()
    await bus.close()
    await database.close()

    assert step.most == 2
    assert sorted(step.seen) == sorted(analysed) == list(range(1, COUNT + 1))
