"""How the pipeline takes files in: what a host says of one decides whether it is read, waits or is put aside."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from framed.analysis.pipeline import Pipeline
from framed.analysis.previews import Previews
from framed.analysis.step import Step
from framed.analysis.steps.metadata import MetadataStep
from framed.bus import Bus
from framed.errors import BadPhoto, CannotStore, FramedError, HostCrashed, PhotoChanging, PhotoForbidden
from framed.models.base import Call, Progress
from framed.models.child import _ERRORS
from framed.store import photos as rows
from tests.library.shelf import CountingDatabase, Shelf, until


class Host:
    """Answers every call with `error`, or takes the file for a picture."""

    def __init__(self) -> None:
        self.error: FramedError | None = None
        self.says: dict[str, dict[str, Any]] = {}  # by file name
        self.calls = 0
        self.under_way: Any = None

    async def run(self, call: Call, *, progress: Progress | None = None) -> dict[str, Any]:
        self.calls += 1
        data = await asyncio.to_thread(Path(call.inputs["path"].decode()).read_bytes)
        if self.under_way is not None:
            await self.under_way()
        if self.error is not None:
            raise self.error
        facts = {"sha256": hashlib.sha256(data).digest(), "width": 4, "height": 3, "format": "JPEG"}
        said = self.says.get(call.inputs["name"])
        results = {} if said is None else {"metadata": said}
        return {**facts, "notes": [], "results": results, "problems": {}, "ms": {}}


@pytest.fixture
async def shelf(tmp_path: Path) -> AsyncIterator[Shelf]:
    database = CountingDatabase(tmp_path / "framed.db")
    await database.start()
    (tmp_path / "photos").mkdir()
    yield Shelf(tmp_path / "photos", database)
    await database.close()


@pytest.fixture
def host() -> Host:
    return Host()


async def reading(shelf: Shelf, scanner: Any, host: Host, condition: Any, steps: Sequence[Step] = ()) -> None:
    """Runs the pipeline until `condition` holds."""
    previews = Previews(folder=shelf.folder.parent, compute=host, database=shelf.database, max_bytes=1 << 30)
    pipeline = Pipeline(
        database=shelf.database,
        compute=host,
        files=scanner.files,
        previews=previews,
        bus=Bus(),
        steps=steps,
        cpu_hosts=1,
    )
    await pipeline.start()
    try:
        await until(condition)
    finally:
        await pipeline.close()


async def state_of(shelf: Shelf) -> tuple[str, str | None, float | None]:
    query = "select state, problem, retry_at from files"
    row = await shelf.database.read(lambda c: c.exec_driver_sql(query).one())
    return row[0], row[1], row[2]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (BadPhoto("a.jpg is cut short."), "a.jpg is cut short."),
        (HostCrashed("given up"), "a.jpg makes the decoder crash"),
        (FramedError("examine failed unexpectedly (KeyError)"), "a.jpg could not be decoded; framed's log"),
    ],
)
async def test_what_is_wrong_with_the_file_puts_it_aside(
    shelf: Shelf, host: Host, error: FramedError, said: str
) -> None:
    shelf.put("a.jpg")
    scanner = shelf.scanner()
    await scanner.scan()
    host.error = error

    async def parked() -> bool:
        return (await state_of(shelf))[0] == "parked"

    await reading(shelf, scanner, host, parked)
    _, problem, again = await state_of(shelf)

    assert problem is not None
    assert problem.startswith(said)
    assert again is None


@pytest.mark.parametrize("error", [PhotoChanging("a.jpg changed while it was read."), CannotStore("full")])
async def test_what_is_not_the_files_fault_lets_it_wait(shelf: Shelf, host: Host, error: FramedError) -> None:
    shelf.put("a.jpg")
    scanner = shelf.scanner()
    await scanner.scan()
    host.error = error

    async def put_off() -> bool:
        return (await state_of(shelf))[2] is not None

    await reading(shelf, scanner, host, put_off)

    assert (await state_of(shelf))[:2] == ("new", None)


async def test_a_file_without_leave_is_read_once_it_may_be(shelf: Shelf, host: Host) -> None:
    shelf.put("a.jpg")
    scanner = shelf.scanner()
    await scanner.scan()
    host.error = PhotoForbidden("a.jpg may not be read.")

    async def parked() -> bool:
        return (await state_of(shelf))[0] == "parked"

    await reading(shelf, scanner, host, parked)
    await scanner.scan(full=False)

    assert (await state_of(shelf))[:2] == ("new", None)


async def test_a_change_found_while_the_file_is_read_is_not_lost(shelf: Shelf, host: Host) -> None:
    shelf.put("a.jpg", b"half")
    scanner = shelf.scanner()
    await scanner.scan()
    host.error = BadPhoto("a.jpg is cut short.")

    async def grow() -> None:
        if host.calls == 1:
            shelf.put("a.jpg", b"half and half", at=1_600_000_500)
            await scanner.scan()
        else:
            host.error = None

    host.under_way = grow

    async def read() -> bool:
        return (await state_of(shelf))[0] == "read"

    await reading(shelf, scanner, host, read)

    assert host.calls == 2


async def test_a_file_that_is_deleted_while_it_is_read_leaves_no_photo_behind(shelf: Shelf, host: Host) -> None:
    shelf.put("b.jpg")  # a root without any photo deletes nothing
    scanner = shelf.scanner()
    await shelf.shelve(scanner)
    path = shelf.put("a.jpg")
    await scanner.scan()

    async def delete() -> None:
        await asyncio.to_thread(os.unlink, path)
        shelf.age()
        await scanner.scan()

    host.under_way = delete

    async def taken_in() -> bool:
        return "gone" in (await shelf.states()).values()

    await reading(shelf, scanner, host, taken_in)

    assert sorted((await shelf.states()).values()) == ["completed", "gone"]


async def test_a_copy_takes_nothing_away_from_what_is_known_of_a_photo(shelf: Shelf, host: Host) -> None:
    by_file = {"taken_source": "file", "taken_precision": "second"}
    host.says = {
        "a.jpg": {"title": "Harbour", "keywords": ["Sea"], "taken_local": "2015-05-01T10:00:00", **by_file},
        "copy.jpg": {"keywords": ["sea", "Boat"], "taken_local": "2026-11-01T10:00:00", **by_file},
        "IMG_20150430.jpg": {"taken_local": "2015-04-30T00:00:00", "taken_source": "filename"},
    }
    scanner = shelf.scanner()
    for read, name in enumerate(host.says, 1):
        shelf.put(name, b"one picture")
        await scanner.scan()

        async def all_read(read: int = read) -> bool:
            query = "select count(*) from files where state = 'read'"
            return bool(await shelf.database.read(lambda c: c.exec_driver_sql(query).scalar()) == read)

        await reading(shelf, scanner, host, all_read, [MetadataStep()])
    known = (await shelf.database.read(lambda c: rows.steps_of(c, 1)))["metadata"]["result"]

    assert known == {
        "title": "Harbour",
        "keywords": ["Sea", "Boat"],
        "taken_local": "2015-04-30T00:00:00",
        "taken_source": "filename",
    }


@pytest.mark.parametrize("kind", [PhotoChanging, PhotoForbidden, CannotStore])
def test_what_decides_crosses_from_a_host_under_its_own_name(kind: type[FramedError]) -> None:
    from framed.models.host import _described

    said = _described(kind("so it is"))

    assert _ERRORS[said["name"]] is kind
