"""Analysing again: only what is older than the request is forgotten, however often it is broken off and begun again."""

import asyncio
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from framed.analysis.reanalysis import Reanalysis
from framed.analysis.step import BatchStep, Outcome, Step
from framed.store import photos as rows
from framed.store.database import Database
from framed.store.photos import PhotoWork, StepRow


class Tags(BatchStep):
    name, version = "tags", 1

    async def run(self, photos: Any) -> list[Outcome]:
        raise NotImplementedError


class Description(Tags):
    name, version, needs = "description", 1, ("tags",)


class Quality(Tags):
    name, version = "quality", 1


class Pipeline:
    """Does at once what is open, as the real one does in its own time; notes every step it had to do."""

    def __init__(self, database: Database) -> None:
        self.steps: list[Step] = [Tags(), Description(), Quality()]
        self.done: list[tuple[int, str]] = []
        self._database = database
        self._tasks: set[asyncio.Task[None]] = set()

    def wake(self) -> None:
        task = asyncio.create_task(self._database.write(self._finish))
        self._tasks.add(task)

    def _finish(self, connection: Connection) -> None:
        for photo in rows.work(connection, 100, 0):
            self._redo(connection, photo)
            rows.set_values(connection, photo.id, {"state": "completed"})

    def _redo(self, connection: Connection, photo: PhotoWork) -> None:
        for step in self.steps:
            if photo.steps.get(step.name, (0,))[0] < step.version:
                self.done.append((photo.id, step.name))
                rows.set_steps(connection, photo.id, [StepRow(step.name, 1, "completed", {})])


async def test_reanalysing_a_step_redoes_what_builds_on_it_and_once_only(tmp_path: Path) -> None:
    database = Database(tmp_path / "framed.db")
    await database.start()
    pipeline = Pipeline(database)
    for number in (1, 2):
        await database.write(lambda c, number=number: rows.intake(c, bytes([number]) * 32, {}))  # type: ignore[misc]
    await database.write(pipeline._finish)
    pipeline.done.clear()
    since, said = time.time(), list[float]()
    again = Reanalysis(database=database, pipeline=pipeline)

    for _ in range(2):  # the second time is the job begun again after a kill
        answer = await again.run(step="tags", photo=None, since=since, progress=lambda share, _: said.append(share))
    await database.close()

    assert answer == {"photos": 2, "failed": 0, "waiting": 0}
    assert sorted(pipeline.done) == [(1, "description"), (1, "tags"), (2, "description"), (2, "tags")]
