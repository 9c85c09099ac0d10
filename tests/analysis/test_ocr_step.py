"""Text is read in every script whose weights are here, and photos that showed text before they came are read again."""

import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Connection, select

from framed.analysis.renewal import Renewal
from framed.analysis.steps.ocr import OcrStep
from framed.models import ocr_scripts, weights
from framed.models.base import Call, Progress
from framed.store import photos
from framed.store.database import Database
from framed.store.photos import PhotoWork, StepRow
from framed.store.tables import photo_steps
from tests.models.tiny_reader import write_reader


class Reader:
    """RapidOCR as the step sees it; keeps the calls."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    async def run(self, call: Call, *, progress: Progress | None = None) -> dict[str, Any]:
        self.calls.append(call)
        lines = [{"text": "Москва", "score": 0.9, "box": [0.1, 0.1, 0.5, 0.1]}]
        return {"lines": lines, "looked": 960, "scripts": " ".join(call.options["scripts"])}


class Shelf:
    """Previews that are always there."""

    async def ensure(self, photo: PhotoWork, size: str = "preview", *, interactive: bool = False) -> Path:
        return Path(f"{photo.uid}.jpg")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FRAMED_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Any]:
    database = Database(tmp_path / "framed.db")
    await database.start()
    part: Any = SimpleNamespace(steps=[], wake=lambda: None)
    yield SimpleNamespace(database=database, renewal=Renewal(database=database, pipeline=part, late=lambda: part))
    await database.close()


async def read(house: Any, name: str, *, looked: int, scripts: str = "", broken: str = "") -> PhotoWork:
    """A photo whose text was read so."""
    how = {"scripts": scripts, "broken": broken, "backend": "rapidocr"}
    result = {"text": "", "lines": [], "looked": looked, **how}

    def write(connection: Connection) -> PhotoWork:
        photo_id, _, _ = photos.intake(connection, hashlib.sha256(name.encode()).digest(), {})
        photos.set_values(connection, photo_id, {"state": "completed"})
        photos.set_steps(connection, photo_id, [StepRow("ocr", OcrStep.version, "completed", result)])
        found: PhotoWork = photos.work_of(connection, [photo_id])[0]
        return found

    made: PhotoWork = await house.database.write(write)
    return made


async def again(house: Any) -> set[int]:
    query = select(photo_steps.c.photo_id).where(photo_steps.c.step == "ocr", photo_steps.c.version == 0)
    return set(await house.database.read(lambda c: c.execute(query).scalars().all()))


async def test_the_reader_is_loaded_with_the_scripts_that_are_here(house: Any, folder: Path) -> None:
    photo, reader = await read(house, "a", looked=960), Reader()
    step = OcrStep(reader, Shelf(), "rapidocr")  # type: ignore[arg-type]

    (before,) = await step.run([photo])
    write_reader(folder, "cyrillic", "абв")
    write_reader(folder, "arabic", "ابت")
    (after,) = await step.run([photo])

    assert [call.options for call in reader.calls] == [{"scripts": {}}, {"scripts": ocr_scripts.here()}]
    assert (before.result["scripts"], after.result["scripts"]) == ("", "arabic cyrillic")
    assert after.result["text"] == "Москва"


async def test_photos_that_showed_text_before_a_script_came_are_read_again(house: Any, folder: Path) -> None:
    plain = await read(house, "without text", looked=480)
    shown = await read(house, "with text", looked=960)
    known = await read(house, "read with it", looked=2000, scripts="arabic cyrillic")

    assert await house.renewal.read_more() == 0

    write_reader(folder, "cyrillic", "абв")

    assert await house.renewal.read_more() == 1
    assert await again(house) == {shown.id}
    assert await house.renewal.read_more() == 0  # it waits for its turn already
    assert len({plain.id, shown.id, known.id}) == 3


async def test_they_are_also_where_the_script_came_while_framed_was_off(house: Any, folder: Path) -> None:
    shown = await read(house, "with text", looked=960)
    write_reader(folder, "cyrillic", "абв")

    await house.renewal.follow("ocr", "rapidocr")

    assert await again(house) == {shown.id}


async def test_weights_of_a_script_that_are_none_are_tried_once_until_others_come(house: Any, folder: Path) -> None:
    write_reader(folder, "greek", "αβγ")
    write_reader(folder, "arabic", "ابت")
    which = ocr_scripts.here()["arabic"]
    tried = await read(house, "tried in vain", looked=960, scripts="greek", broken=f"arabic@{which}")

    assert await house.renewal.read_more() == 0

    os.utime(folder / "ocr-arabic" / weights.MANIFEST, (1.0, 1.0))  # as another download leaves it

    assert await house.renewal.read_more() == 1
    assert await again(house) == {tried.id}
