"""Photos that come and change have the playlists look once, not once each: every job is a synced write."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from framed.bus import Bus
from framed.clock import steady
from framed.events import PhotoAnalysed, PhotoChanged
from framed.handlers.upkeep import REFRESH_S, PlaylistUpkeep
from framed.jobs import JobQueue
from framed.store.database import Database
from framed.store.tables import jobs as table


class CountedJobs(JobQueue):
    """Its lanes are not started: what is added stays to be looked at."""

    added = 0

    async def add(self, *args: Any, **more: Any) -> str:
        self.added += 1
        return await super().add(*args, **more)


@dataclass
class House:
    database: Database
    bus: Bus
    jobs: CountedJobs
    upkeep: PlaylistUpkeep

    async def due_in(self) -> list[float]:
        found = await self.database.read(lambda c: c.execute(table.select()).mappings().all())
        return [row["run_after"] - steady() for row in found]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    database, bus = Database(tmp_path / "framed.db"), Bus()
    await database.start()
    jobs, nobody = CountedJobs(database=database, bus=bus), SimpleNamespace()
    more: Any = {"asker": nobody, "kept": nobody, "player": nobody, "registry": nobody}
    upkeep = PlaylistUpkeep(database=database, bus=bus, jobs=jobs, **more)
    upkeep.listen()
    bus.start()
    yield House(database, bus, jobs, upkeep)
    await bus.close()
    await database.close()


async def test_a_hundred_photos_are_one_job_that_is_due_when_the_first_should_be_seen(house: House) -> None:
    for number in range(1, 101):
        house.bus.emit(PhotoAnalysed(f"{number:016x}", number, "completed"))
        house.bus.emit(PhotoChanged(f"{number:016x}", number, "tags"))
    await house.bus.settle()

    assert house.jobs.added <= 2  # two listeners may have come at the same moment
    (due_s,) = await house.due_in()
    assert 0 < due_s <= REFRESH_S


async def test_a_job_that_was_due_is_followed_by_another(house: House) -> None:
    await house.upkeep.new_day()
    await house.upkeep.new_day()  # the first may have begun, and have looked before this change
    assert house.jobs.added == 2

    house.bus.emit(PhotoAnalysed("a" * 16, 1, "completed"))
    await house.bus.settle()
    assert house.jobs.added == 3
