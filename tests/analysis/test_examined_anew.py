"""Steps that look into the file, done anew: what was known holds wherever that does not succeed."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from framed.analysis.pipeline import MAX_ATTEMPTS, Pipeline
from framed.analysis.previews import Previews
from framed.analysis.step import ExaminedStep
from framed.bus import Bus
from framed.errors import BadPhoto, FramedError, PhotoChanging
from framed.events import ScanFinished
from framed.models.base import Call, Progress
from framed.store import files as file_rows
from framed.store import photos as rows
from framed.store.database import Database
from framed.store.files import FileValues, FolderChange
from tests.analysis.test_pipeline import NoFiles
from tests.library.shelf import until


class Preview(ExaminedStep):
    name = "preview"

    def __init__(self, version: int) -> None:
        self.version = version  # type: ignore[misc]


class Host:
    """Raises `errors` of a path, else finds something new."""

    def __init__(self) -> None:
        self.errors: dict[bytes, FramedError] = {}
        self.calls: list[bytes] = []

    async def run(self, call: Call, *, progress: Progress | None = None) -> dict[str, Any]:
        path = call.inputs["path"]
        self.calls.append(path)
        assert call.inputs["only"] == call.label
        if path in self.errors:
            raise self.errors[path]
        return {"results": {"preview": {"made": "anew"}}, "problems": {}}


class Home:
    """One photo in two files, examined by an earlier version."""

    def __init__(self, folder: Path, database: Database) -> None:
        self.folder, self.database, self.host, self.bus = folder, database, Host(), Bus()
        self.paths = [bytes(folder / name) for name in ("a.jpg", "b.jpg")]
        self.pipeline: Any = None

    def take_in(self, connection: Any) -> None:
        photo, _, _ = rows.intake(connection, b"\1" * 32, {})
        root = file_rows.add_root(connection, bytes(self.folder))
        added = [FileValues(name, 1, 1, number, None, None) for number, name in enumerate((b"a.jpg", b"b.jpg"))]
        file_rows.apply(connection, [FolderChange(root, b"", None, None, added=added)])
        for number in (1, 2):
            file_rows.mark_read(connection, number, photo, now=0.0)
        rows.set_steps(connection, photo, [rows.StepRow("preview", 1, "completed", {"made": "before"})])
        rows.set_values(connection, photo, {"state": "completed"})

    async def start(self) -> None:
        previews = Previews(folder=self.folder, compute=self.host, database=self.database, max_bytes=1)
        self.pipeline = Pipeline(
            database=self.database,
            compute=self.host,
            files=NoFiles(),
            previews=previews,
            bus=self.bus,
            steps=[Preview(version=2)],
            cpu_hosts=1,
        )
        await self.pipeline.start()

    async def said(self) -> tuple[str, dict[str, Any]]:
        def read(connection: Any) -> tuple[str, dict[str, Any]]:
            state = connection.exec_driver_sql("select state from photos").scalar()
            return state, rows.steps_of(connection, 1)["preview"]

        return await self.database.read(read)

    def rests(self, state: str) -> Callable[[], Any]:
        async def check() -> bool:
            return (await self.said())[0] == state and not self.pipeline.busy

        return check


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[Home]:
    database = Database(tmp_path / "framed.db")
    await database.start()
    home = Home(tmp_path, database)
    await database.write(home.take_in)
    home.bus.start()
    yield home
    await home.pipeline.close()
    await home.bus.close()
    await database.close()


async def test_a_photo_whose_disk_is_away_stays_as_it_is_and_is_examined_when_it_is_back(home: Home) -> None:
    home.host.errors = {path: PhotoChanging("a.jpg was moved.") for path in home.paths}
    await home.start()
    await until(home.rests("partial"))
    _, step = await home.said()
    assert (step["version"], step["state"], step["result"]) == (1, "completed", {"made": "before"})

    asked = len(home.host.calls)
    home.bus.emit(ScanFinished(0.1, 1, []))  # of another folder: these files are still away
    home.bus.emit(ScanFinished(0.1, 1, ["It is not there."]))

    async def heard() -> bool:
        return home.bus.waiting(ScanFinished) == 0

    await until(heard)
    assert len(home.host.calls) == asked == 2

    (home.folder / "b.jpg").touch()
    home.host.errors = {home.paths[0]: PhotoChanging("a.jpg was moved.")}
    home.bus.emit(ScanFinished(0.1, 1, []))
    await until(home.rests("completed"))
    assert (await home.said())[1]["result"] == {"made": "anew"}


async def test_a_photo_that_cannot_be_examined_anew_is_still_shown_and_says_why(home: Home) -> None:
    home.host.errors = {home.paths[0]: BadPhoto("a.jpg is damaged.")}
    await home.start()
    await until(home.rests("partial"))
    _, step = await home.said()
    assert step == {
        "version": 2,
        "state": "failed",
        "attempts": MAX_ATTEMPTS,
        "problem": "a.jpg is damaged.",
        "result": {"made": "before"},
    }
