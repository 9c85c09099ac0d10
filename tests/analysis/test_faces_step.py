"""From what a face model answers to rows: names of the file, broken numbers, another model, what was said before."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from sqlalchemy import Connection

from framed.analysis.previews import Previews
from framed.analysis.steps.faces import FacesStep
from framed.errors import HostCrashed
from framed.models.base import Call, Progress
from framed.store import faces as rows
from framed.store import people, photos
from framed.store.database import Database
from framed.store.photos import PhotoWork, StepRow

LEFT, RIGHT = [0.1, 0.2, 0.2, 0.3], [0.6, 0.2, 0.2, 0.3]


class Answers:
    """A face model that sees what the test says; `crash` raises instead."""

    def __init__(self) -> None:
        self.boxes: list[list[float]] = [LEFT, RIGHT]
        self.vectors = np.eye(2, 128, dtype=np.float32)
        self.crash: Exception | None = None

    async def run(self, call: Call, *, progress: Progress | None = None) -> dict[str, Any]:
        if self.crash is not None:
            raise self.crash
        kept = {"points": None, "score": 1.5, "pixels": 120, "sharpness": 0.5, "turned": 0.1, "child": None}
        faces = [{**kept, "box": box, "eyes_open": 0.9} for box in self.boxes]
        photos = [{"faces": faces, "problem": None} for _ in call.inputs["paths"]]
        return {"photos": photos, "vectors": np.concatenate([self.vectors[: len(faces)] for _ in photos])}


class Shelf:
    """Previews that are always there."""

    async def ensure(self, photo: PhotoWork, size: str = "preview", *, interactive: bool = False) -> Path:
        return Path(f"{photo.uid}.jpg")


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    made = Database(tmp_path / "framed.db")
    await made.start()
    yield made
    await made.close()


async def photo(database: Database, name: str, *regions: dict[str, Any]) -> PhotoWork:
    def write(connection: Connection) -> PhotoWork:
        photo_id, uid, _ = photos.intake(connection, hashlib.sha256(name.encode()).digest(), {})
        photos.set_values(connection, photo_id, {"state": "completed"})
        boxes = [(r["name"], [r[k] for k in "xywh"] if "x" in r else None) for r in regions]
        photos.set_people(connection, photo_id, boxes, "metadata")
        return PhotoWork(photo_id, uid, {}, {"metadata": {"people": list(regions)}})

    return await database.write(write)


async def look(database: Database, answers: Answers, work: PhotoWork) -> str:
    step = FacesStep(answers, cast(Previews, Shelf()), "dlib")
    (outcome,) = await step.run([work])

    def write(connection: Connection) -> None:
        if outcome.store is not None:
            outcome.store(connection)
        row = StepRow(step.name, step.version, outcome.state, outcome.result, outcome.problem)
        photos.set_steps(connection, work.id, [row])

    await database.write(write)
    return outcome.state


async def who(database: Database, work: PhotoWork) -> list[str | None]:
    """Names of the faces from left to right."""
    return [face["name"] for face in await database.read(lambda c: people.faces_in(c, work.id))]


async def test_names_of_the_file_go_to_the_faces_at_their_place(database: Database) -> None:
    anna = {"name": "Anna", "x": 0.58, "y": 0.15, "w": 0.24, "h": 0.4}  # another program, another idea of a face
    work = await photo(database, "a", anna)

    assert await look(database, Answers(), work) == "completed"

    assert await who(database, work) == [None, "Anna"]


async def test_one_name_and_one_face_belong_together_but_not_one_name_and_two_faces(database: Database) -> None:
    answers = Answers()
    two = await photo(database, "two", {"name": "Anna"})
    await look(database, answers, two)
    answers.boxes = [LEFT]
    one = await photo(database, "one", {"name": "Anna"})
    await look(database, answers, one)

    assert await who(database, two) == [None, None]
    assert await who(database, one) == ["Anna"]


async def test_a_face_without_numbers_is_left_out_and_the_others_stay(database: Database) -> None:
    answers = Answers()
    answers.vectors[0] = np.nan
    work = await photo(database, "a")

    assert await look(database, answers, work) == "completed"
    assert len(await who(database, work)) == 1

    answers.vectors[:] = np.nan
    assert await look(database, answers, work) == "failed"


async def test_a_photo_that_crashes_the_model_fails_alone_and_writes_nothing(database: Database) -> None:
    answers = Answers()
    answers.crash = HostCrashed("The host died.")
    work = await photo(database, "a")

    assert await look(database, answers, work) == "failed"
    assert await who(database, work) == []


async def test_a_photo_with_sixty_faces_and_one_with_none_are_kept_as_they_are(database: Database) -> None:
    answers = Answers()
    answers.boxes = [[0.1 * (n % 10), 0.16 * (n // 10), 0.06, 0.1] for n in range(60)]
    answers.vectors = np.eye(60, 128, dtype=np.float32)
    crowd, empty = await photo(database, "crowd"), await photo(database, "empty")

    assert await look(database, answers, crowd) == "completed"
    answers.boxes = []
    assert await look(database, answers, empty) == "completed"

    assert len(await who(database, crowd)) == 60
    assert await who(database, empty) == []


async def test_what_was_said_of_a_face_outlives_the_model_that_found_it(database: Database) -> None:
    work = await photo(database, "a")
    answers = Answers()
    await look(database, answers, work)

    def say(connection: Connection) -> None:
        left, right = (face["face"] for face in people.faces_in(connection, work.id))
        anna = people.make(connection, "Anna")
        rows.say(connection, [left], anna, "is")
        rows.say(connection, [right], anna, "is_not")
        rows.tell_photos(connection, [work.id])

    await database.write(say)
    assert await database.write(lambda c: rows.redo_other_models(c, "faces", "another")) == 1
    answers.boxes = [[0.08, 0.15, 0.25, 0.4], [0.58, 0.15, 0.25, 0.4]]  # the new one draws larger boxes
    await look(database, answers, work)

    assert await who(database, work) == ["Anna", None]
    loaded = await database.read(lambda c: rows.load(c, "dlib-resnet-v1"))
    assert (loaded.said != 0).tolist() == [True, False]
    assert {row for row, _ in loaded.refused} == {1}
    assert (await database.read(lambda c: photos.cards(c, [work.id])))[work.id]["people"][0]["name"] == "Anna"


async def test_a_name_given_to_a_group_is_said_of_its_faces(database: Database) -> None:
    works = [await photo(database, f"{n}") for n in range(3)]
    for work in works:
        await look(database, Answers(), work)
    loaded = await database.read(lambda c: rows.load(c, "dlib-resnet-v1"))
    person = np.where(loaded.vectors[:, 0] > 0.5, -1, 0)
    await database.write(lambda c: rows.regroup(c, "dlib-resnet-v1", loaded, person, person != 0))
    group = (await database.read(lambda c: people.listed(c, named=None, hidden=False, least=2, limit=9, offset=0)))[0]
    assert group["photos"] == 3

    def name(connection: Connection) -> None:
        found = people.find(connection, group["id"])
        assert found is not None
        people.name(connection, found, "Anna")

    await database.write(name)

    assert await who(database, works[0]) == ["Anna", None]
    loaded = await database.read(lambda c: rows.load(c, "dlib-resnet-v1"))
    assert (loaded.said != 0).sum() == 3
