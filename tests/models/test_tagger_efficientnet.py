"""EfficientNet-Lite2 sees what is in real pictures, and its words are ones that a person agrees with."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from framed.analysis.tag_words import words
from framed.errors import BadPhoto, Cancelled
from framed.models.base import Context
from framed.models.tagger_efficientnet import EfficientNetLite2
from tests.installed import installed

pytestmark = pytest.mark.models

PICTURES = installed("skimage") / "data"
SKLEARN = installed("sklearn") / "datasets" / "images"
NAMES = ["coffee.png", "chelsea.png", "camera.png", "motorcycle_left.png", "astronaut.png", "page.png", "moon.png"]


@pytest.fixture(scope="module")
def model() -> EfficientNetLite2:
    import torch

    torch.set_num_threads(1)
    backend = EfficientNetLite2()
    backend.load({}, "cpu")
    return backend


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


@pytest.fixture(scope="module")
def previews(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("previews")
    paths = []
    for picture in [*(PICTURES / name for name in NAMES), SKLEARN / "china.jpg", SKLEARN / "flower.jpg"]:
        path = folder / f"{picture.stem}.jpg"
        Image.open(picture).convert("RGB").save(path, quality=88)
        paths.append(os.fsencode(path))
    return paths


@pytest.fixture(scope="module")
def seen(model: EfficientNetLite2, previews: list[bytes]) -> dict[str, dict[str, float]]:
    scores = model.run({"paths": previews}, Context())["scores"]
    return {
        Path(os.fsdecode(path)).stem: {tag.name: tag.score for tag in words(row)}
        for path, row in zip(previews, scores, strict=True)
    }


def test_it_is_available_where_its_packages_are() -> None:
    assert EfficientNetLite2.available() is None


@pytest.mark.parametrize(
    ("picture", "there"),
    [
        ("coffee", {"espresso", "coffee", "cup", "drink"}),
        ("chelsea", {"cat", "pet", "animal"}),
        ("camera", {"camera", "tripod"}),
        ("motorcycle_left", {"vehicle"}),
        ("china", {"building"}),
    ],
)
def test_what_is_in_a_picture_is_said(seen: dict[str, dict[str, float]], picture: str, there: set[str]) -> None:
    assert there <= set(seen[picture])


@pytest.mark.parametrize("picture", ["astronaut", "page", "moon", "flower"])
def test_what_imagenet_does_not_know_gets_no_word_rather_than_a_wrong_one(
    seen: dict[str, dict[str, float]], picture: str
) -> None:
    assert seen[picture] == {}


@pytest.mark.parametrize("picture", ["coffee", "camera", "china", "motorcycle_left"])
def test_no_animal_is_seen_where_there_is_none(seen: dict[str, dict[str, float]], picture: str) -> None:
    assert not {"animal", "dog", "cat", "bird"} & set(seen[picture])


def test_scores_are_probabilities_and_features_have_length_one(model: EfficientNetLite2, previews: list[bytes]) -> None:
    answer = model.run({"paths": previews[:2]}, Context())
    assert (answer["scores"].shape, answer["scores"].dtype) == ((2, 1000), np.float32)
    assert (answer["features"].shape, answer["features"].dtype) == ((2, 1280), np.float16)
    np.testing.assert_allclose(answer["scores"].sum(axis=1), 1, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(answer["features"].astype(np.float32), axis=1), 1, atol=1e-2)


def test_a_batch_gives_what_each_photo_alone_gives(model: EfficientNetLite2, previews: list[bytes]) -> None:
    together = model.run({"paths": previews}, Context())
    alone = [model.run({"paths": [path]}, Context()) for path in previews]
    np.testing.assert_allclose(together["scores"], np.concatenate([one["scores"] for one in alone]), atol=1e-4)
    np.testing.assert_allclose(together["features"], np.concatenate([one["features"] for one in alone]), atol=1e-3)


def test_pixels_and_files_are_the_same_input(model: EfficientNetLite2) -> None:
    square = Image.open(PICTURES / "chelsea.png").convert("RGB").resize((260, 260))
    exact = model.run({"pixels": np.asarray(square)[None]}, Context())
    assert {tag.name for tag in words(exact["scores"][0])} >= {"cat", "animal"}
    larger = model.run({"pixels": pixels(PICTURES / "coffee.png")[None]}, Context())
    assert "coffee" in {tag.name for tag in words(larger["scores"][0])}


def test_a_resized_copy_is_more_alike_than_another_picture(model: EfficientNetLite2) -> None:
    cat = Image.open(PICTURES / "chelsea.png").convert("RGB")
    inputs = [cat, cat.resize((225, 150)), Image.open(PICTURES / "coffee.png").convert("RGB")]
    features = np.concatenate(
        [model.run({"pixels": np.asarray(image)[None]}, Context())["features"] for image in inputs]
    ).astype(np.float32)
    likeness = features @ features[0]
    assert likeness[1] > 0.85
    assert likeness[2] < 0.5


def test_no_photo_gives_no_score(model: EfficientNetLite2) -> None:
    answer = model.run({"paths": []}, Context())
    assert answer["scores"].shape == (0, 1000)


def test_a_preview_that_cannot_be_read_is_named(model: EfficientNetLite2, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not a picture")
    with pytest.raises(BadPhoto, match=r"broken\.jpg"):
        model.run({"paths": [os.fsencode(tmp_path / "broken.jpg")]}, Context())


def test_a_cancelled_call_stops_between_batches(model: EfficientNetLite2, previews: list[bytes]) -> None:
    context = Context(lambda fraction, note: context.cancel())
    with pytest.raises(Cancelled):
        model.run({"paths": previews}, context)
