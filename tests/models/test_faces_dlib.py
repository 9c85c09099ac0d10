"""dlib's faces on real pictures: who is there, where, and who is the same."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from framed.models.base import Context
from framed.models.faces_dlib import DlibFaces
from tests.installed import sample

_FOUND = importlib.util.find_spec("insightface")
PACKAGE = Path(_FOUND.origin).parent if _FOUND and _FOUND.origin else Path("/nowhere")
SAME = 0.92


@pytest.fixture(scope="module")
def dlib() -> Iterator[DlibFaces]:
    backend = DlibFaces()
    backend.load({}, "cpu")
    yield backend
    backend.unload()


def look(backend: DlibFaces, *pictures: Image.Image) -> tuple[list[list[dict[str, Any]]], NDArray[np.float32]]:
    answer = backend.run({"pixels": [np.asarray(picture.convert("RGB")) for picture in pictures]}, Context())
    return [photo["faces"] for photo in answer["photos"]], answer["vectors"]


def astronaut() -> Image.Image:
    return sample("astronaut.png")


def test_an_astronaut_has_one_face_that_looks_at_the_camera_with_open_eyes(dlib: DlibFaces) -> None:
    (faces,), vectors = look(dlib, astronaut())

    assert len(faces) == 1
    assert vectors.shape == (1, 128)
    left, top, width, height = faces[0]["box"]
    assert left < 0.44 < left + width
    assert top < 0.24 < top + height
    assert faces[0]["turned"] < 0.3
    assert faces[0]["eyes_open"] > 0.8
    assert faces[0]["pixels"] > 60


@pytest.mark.parametrize("name", ["chelsea.png", "coffee.png", "rocket.jpg"])
def test_a_cat_a_cup_and_a_rocket_have_none(dlib: DlibFaces, name: str) -> None:
    (faces,), vectors = look(dlib, sample(name))

    assert faces == []
    assert vectors.shape == (0, 128)


def test_a_group_photo_has_its_six_faces_and_no_two_of_them_are_one_person(dlib: DlibFaces) -> None:
    (faces,), vectors = look(dlib, Image.open(PACKAGE / "data" / "images" / "t1.jpg"))

    assert len(faces) == 6
    like = vectors @ vectors.T - np.eye(6)
    assert like.max() < SAME


def test_two_pictures_of_one_woman_are_one_person_and_a_man_is_another(dlib: DlibFaces) -> None:
    tinted = astronaut().point([min(255, round(v * 1.25)) for v in range(256)] * 3)
    turned = astronaut().rotate(9, resample=Image.Resampling.BICUBIC)
    mirrored = astronaut().transpose(Image.Transpose.FLIP_LEFT_RIGHT).resize((400, 400))
    man = Image.open(PACKAGE / "data" / "images" / "Tom_Hanks_54745.png")

    _, vectors = look(dlib, astronaut(), tinted, turned, mirrored, man)

    like = vectors @ vectors.T
    assert like.shape == (5, 5)
    assert like[:4, :4].min() > SAME
    assert like[4, :4].max() < SAME


def test_the_finer_look_finds_nearly_all_of_thirty_small_faces(dlib: DlibFaces) -> None:
    face = astronaut().crop((150, 40, 310, 200)).resize((140, 140))
    school = Image.new("RGB", (1440, 450), (120, 120, 120))
    for number in range(30):
        school.paste(face, (number % 10 * 144, number // 10 * 150))

    (faces,), vectors = look(dlib, school)

    assert 27 <= len(faces) == len(vectors) <= 30


@pytest.mark.parametrize("size", [(1, 1), (700, 1), (1, 700), (30, 30)])
def test_pictures_too_small_for_a_face_have_none(dlib: DlibFaces, size: tuple[int, int]) -> None:
    (faces,), vectors = look(dlib, Image.new("RGB", size, (200, 150, 120)))

    assert faces == []
    assert vectors.shape == (0, 128)


def test_a_file_that_cannot_be_read_costs_the_others_nothing(dlib: DlibFaces, tmp_path: Path) -> None:
    astronaut().save(tmp_path / "good.jpg")
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    paths = [str(tmp_path / name).encode() for name in ("bad.jpg", "good.jpg", "missing.jpg")]

    answer = dlib.run({"paths": paths}, Context())

    assert [len(photo["faces"]) for photo in answer["photos"]] == [0, 1, 0]
    assert [photo["problem"] is None for photo in answer["photos"]] == [False, True, False]
    assert len(answer["vectors"]) == 1
