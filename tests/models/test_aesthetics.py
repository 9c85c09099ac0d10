"""The heads on their encoders: real architectures and file formats, small and random, through the real loading code."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from framed.errors import BadPhoto, Unavailable
from framed.models import aesthetics_laion, aesthetics_v25, weights
from framed.models.aesthetic_head import LinearHead, share
from framed.models.aesthetics_laion import AestheticsLaion
from framed.models.aesthetics_v25 import AestheticsV25
from framed.models.base import Backend, Context
from tests.installed import installed
from tests.models import tiny_openclip

PICTURES = installed("skimage") / "data"
NAMES = ["chelsea.png", "coffee.png", "rocket.jpg", "astronaut.png", "page.png"]


def chain(dim: int, prefix: str, numbers: tuple[int, ...], seed: int = 4) -> dict[str, np.ndarray]:
    """The layers of a published head: dim → 1024 → 128 → 64 → 16 → 1."""
    rng = np.random.default_rng(seed)
    sizes = [dim, 1024, 128, 64, 16, 1]
    tensors = {}
    for number, (wide, narrow) in zip(numbers, pairwise(sizes), strict=True):
        tensors[f"{prefix}.{number}.weight"] = (rng.normal(size=(narrow, wide)) / np.sqrt(wide)).astype(np.float32)
        tensors[f"{prefix}.{number}.bias"] = rng.normal(size=narrow).astype(np.float32)
    return tensors


def write_v25() -> None:
    import torch
    from safetensors.numpy import save_file
    from transformers import SiglipConfig, SiglipModel

    torch.manual_seed(5)
    small = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = SiglipConfig(
        vision_config={**small, "image_size": 56, "patch_size": 14},
        text_config={**small, "vocab_size": 100, "max_position_embeddings": 8, "projection_size": 64},
    )
    folder = weights.folder() / aesthetics_v25.SET
    SiglipModel(config).save_pretrained(folder, safe_serialization=True)
    save_file(chain(64, "scoring_head", (0, 2, 4, 6, 8)), folder / aesthetics_v25.HEAD)
    tiny_openclip.declare(folder)


def write_laion() -> None:
    from safetensors.numpy import save_file

    folder = tiny_openclip.write(aesthetics_laion._ENCODER)
    save_file(chain(64, "layers", (0, 2, 4, 6, 7)), folder / aesthetics_laion.HEAD)
    tiny_openclip.declare(folder)


@pytest.fixture(
    scope="module", params=[(AestheticsV25, write_v25), (AestheticsLaion, write_laion)], ids=["v25", "laion"]
)
def judge(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Backend:
    import torch

    torch.set_num_threads(1)
    kind, write = request.param
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FRAMED_MODELS", str(tmp_path_factory.mktemp("models")))
        assert "framed models pull" in (kind.available() or "")
        write()
        assert kind.available() is None
        backend: Backend = kind()
        backend.load({}, "cpu")
    return backend


@pytest.fixture(scope="module")
def previews(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("previews")
    for name in NAMES:
        Image.open(PICTURES / name).convert("RGB").save(folder / f"{name}.jpg", quality=90)
    return [str(folder / f"{name}.jpg").encode() for name in NAMES]


def test_each_photo_gets_a_number_that_does_not_depend_on_its_neighbours(judge: Backend, previews: list[bytes]) -> None:
    together = judge.run({"paths": previews}, Context())
    assert together["scores"].shape == together["ratings"].shape == (len(previews),)
    assert together["scores"].dtype == np.float32
    assert ((together["scores"] > 0) & (together["scores"] < 1)).all()
    alone = [float(judge.run({"paths": [path]}, Context())["ratings"][0]) for path in previews]
    assert together["ratings"].tolist() == pytest.approx(alone, abs=2e-3)
    assert np.ptp(together["ratings"]) > 0


def test_a_picture_that_cannot_be_read_is_a_bad_photo(judge: Backend, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8 no picture")
    with pytest.raises(BadPhoto):
        judge.run({"paths": [str(tmp_path / "bad.jpg").encode()]}, Context())


@pytest.mark.parametrize(("prefix", "numbers"), [("scoring_head", (0, 2, 4, 6, 8)), ("layers", (0, 2, 4, 6, 7))])
def test_the_layers_of_a_head_are_one_linear_map(tmp_path: Path, prefix: str, numbers: tuple[int, ...]) -> None:
    from safetensors.numpy import save_file

    tensors = chain(48, prefix, numbers)
    save_file(tensors, tmp_path / "head.safetensors")
    vectors = np.random.default_rng(1).normal(size=(7, 48))
    values = vectors
    for number in numbers:
        values = values @ tensors[f"{prefix}.{number}.weight"].T + tensors[f"{prefix}.{number}.bias"]
    assert LinearHead.read(tmp_path / "head.safetensors").scores(vectors) == pytest.approx(values[:, 0])


def test_another_file_in_the_heads_place_is_said(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"layers.0.weight": np.ones((4, 8), np.float32)}, tmp_path / "head.safetensors")
    with pytest.raises(Unavailable, match="framed models verify"):
        LinearHead.read(tmp_path / "head.safetensors")


def test_scores_rise_with_ratings_and_are_a_half_in_the_middle() -> None:
    scores = share(np.array([1.0, 5.0, 9.0, np.nan]), middle=5.0, spread=0.8)
    assert scores[0] < 0.05 < scores[1] == 0.5 < 0.95 < scores[2]
    assert np.isnan(scores[3])
