"""InsightFace's classes on tiny nets with the pack's real files, inputs and outputs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from framed.errors import Unavailable
from framed.models import weights
from framed.models.base import Context
from framed.models.catalogue import choose
from framed.models.faces_insightface import BATCHES, InsightFaces, _aligned
from tests.models.tiny_insightface import OLDEST, write_pack


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FRAMED_MODELS", str(tmp_path))
    return tmp_path


@pytest.fixture
def insight(folder: Path) -> Iterator[InsightFaces]:
    write_pack(folder)
    backend = InsightFaces()
    backend.load({}, "cpu")
    yield backend
    backend.unload()


def picture(*places: tuple[int, int], side: int = 640, tint: int = 255) -> Any:
    """Black, with a white square of 32 pixels at each place; a tinted corner makes the squares differ."""
    pixels = np.zeros((side, side, 3), np.uint8)
    for number, (x, y) in enumerate(places):
        pixels[y : y + 32, x : x + 32] = 255
        pixels[y : y + 3, x : x + 3] = (tint, 40 * number % 255, 0)
    return pixels


def test_without_its_weights_it_says_how_to_get_them_and_dlib_stands_in(folder: Path) -> None:
    assert "framed models pull insightface-buffalo-l" in str(InsightFaces.available())
    assert choose("faces").backend == "dlib"
    with pytest.raises(Unavailable, match="pull"):
        InsightFaces().load({}, "cpu")


def test_with_them_it_is_the_one_that_auto_takes(folder: Path) -> None:
    write_pack(folder)

    assert InsightFaces.available() is None
    assert choose("faces").model_id == InsightFaces.model_id
    assert weights.missing("insightface-buffalo-l") is None


def test_faces_come_with_place_points_and_vectors_of_length_one(insight: InsightFaces) -> None:
    answer = insight.run({"pixels": [picture((64, 128), (320, 352)), picture()]}, Context())

    assert [len(photo["faces"]) for photo in answer["photos"]] == [2, 0]
    assert answer["vectors"].shape == (2, 512)
    assert answer["vectors"].dtype == np.float32
    assert np.linalg.norm(answer["vectors"], axis=1) == pytest.approx([1, 1], abs=1e-5)
    for face in answer["photos"][0]["faces"]:
        assert len(face["points"]) == 5
        assert 0 <= min(face["box"]) <= max(face["box"]) <= 1
        assert face["score"] >= 0.5
        assert face["eyes_open"] is None


def test_many_photos_at_once_give_what_each_gives_alone(insight: InsightFaces) -> None:
    photos = [picture((32 * n, 64)) for n in range(1, 12)]

    together = insight.run({"pixels": photos}, Context())
    alone = [insight.run({"pixels": [photo]}, Context()) for photo in photos]

    assert len(photos) > BATCHES[1]
    assert together["photos"] == [one["photos"][0] for one in alone]
    np.testing.assert_allclose(together["vectors"], np.concatenate([one["vectors"] for one in alone]), atol=1e-5)


def aged(years: float) -> Any:
    """One face of this age."""
    pixels = np.zeros((640, 640, 3), np.uint8)
    pixels[352:384, 320:352] = (round(255 * (0.9 + years / OLDEST / 10)), 255, 255)
    return pixels


@pytest.mark.parametrize("one_at_a_time", [False, True])
def test_how_much_a_face_is_a_childs_is_said_by_its_age(folder: Path, one_at_a_time: bool) -> None:
    write_pack(folder, one_age_at_a_time=one_at_a_time)
    backend = InsightFaces()
    backend.load({}, "cpu")

    photos = [picture((64, 128)), *[picture((64, 128), (320, 352))] * 5]
    old = [face["child"] for photo in backend.run({"pixels": photos}, Context())["photos"] for face in photo["faces"]]
    young = backend.run({"pixels": [aged(6), aged(15)]}, Context())["photos"]

    assert old == [0.0] * 11
    assert [photo["faces"][0]["child"] for photo in young] == [1.0, pytest.approx(0.5, abs=0.06)]


def test_a_face_is_cut_for_its_age_as_insightface_itself_would(insight: InsightFaces) -> None:
    """Attribute.get is its own way; the age that comes of its crop is ours."""
    from insightface.app.common import Face

    photo = aged(17)
    face = insight.run({"pixels": [photo]}, Context())["photos"][0]["faces"][0]
    x, y, w, h = (value * 640 for value in face["box"])

    _, years = insight._age.get(np.ascontiguousarray(photo[:, :, ::-1]), Face(bbox=np.array([x, y, x + w, y + h])))

    assert face["child"] == pytest.approx((20 - years) / 10, abs=0.06)


def test_a_pack_that_came_without_the_age_net_goes_on_and_leaves_it_open(folder: Path) -> None:
    write_pack(folder, age=False)
    backend = InsightFaces()
    backend.load({}, "cpu")

    found = backend.run({"pixels": [picture((64, 128))]}, Context())

    assert [face["child"] for face in found["photos"][0]["faces"]] == [None]
    assert found["vectors"].shape == (1, 512)


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (900, 1), (7, 300)])
def test_pictures_too_thin_for_a_face_have_none(insight: InsightFaces, size: tuple[int, int]) -> None:
    answer = insight.run({"pixels": [np.full((*size, 3), 255, np.uint8)]}, Context())

    assert answer["photos"] == [{"faces": [], "problem": None}]
    assert answer["vectors"].shape == (0, 512)


def test_a_file_that_is_no_picture_is_said_so_and_costs_the_others_nothing(
    insight: InsightFaces, tmp_path: Path
) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"nothing")

    answer = insight.run({"paths": [str(tmp_path / "bad.jpg").encode()]}, Context())

    assert answer["photos"][0]["problem"]
    assert answer["vectors"].shape == (0, 512)


def test_a_crop_is_what_insightface_itself_would_cut() -> None:
    """Its own way warns of a function that goes away; the crop is compared with that warning off."""
    import warnings

    import skimage.data
    from insightface.utils import face_align

    points = np.array([[199, 108], [245, 103], [224, 133], [206, 152], [246, 148]], np.float32)
    pixels = np.ascontiguousarray(skimage.data.astronaut())

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = face_align.norm_crop(pixels, points, 112)

    assert np.abs(_aligned(pixels, points).astype(int) - theirs.astype(int)).mean() < 1.0
