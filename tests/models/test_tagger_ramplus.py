"""RAM++ by framed's own forward pass: a small random one of the real architecture, from a file of the real format."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from framed.analysis import ram_words
from framed.errors import BadPhoto, Unavailable
from framed.models import weights
from framed.models.base import Context
from framed.models.convert_ramplus import DESCRIPTIONS, _convert
from framed.models.convert_ramplus import convert as convert_published
from framed.models.swin import SwinShape, encoder
from framed.models.tagger_ramplus import FILE, SET, RamPlus, RamShape, reweighted

pytestmark = pytest.mark.models

SMALL = RamShape(SwinShape(image_px=96, window=3, width=16, depths=(2, 2, 2, 2), heads=(1, 2, 4, 8)), heads=4)
CLASSES, WORDS, HIDDEN, BETWEEN = 7, 32, 48, 96


def _one(name: str) -> float:
    """Norms start out as one, so that small random networks tell their inputs apart."""
    return float("norm" in name.lower() and name.endswith("weight"))


def published(seed: int = 1) -> dict[str, Any]:
    """A checkpoint as its authors publish it: their names, the descriptions in one row, training's leftovers."""
    import torch

    torch.manual_seed(seed)
    state = {f"visual_encoder.{name}": value for name, value in encoder(SMALL.swin).state_dict().items()}
    state = {name: torch.randn_like(value) * 0.2 + _one(name) for name, value in state.items()}
    state["visual_encoder.layers.0.blocks.1.attn_mask"] = torch.zeros(64, 9, 9)
    state["visual_encoder.layers.0.blocks.0.attn.relative_position_index"] = torch.zeros(9, 9, dtype=torch.long)
    sizes: dict[str, tuple[int, ...]] = {
        "image_proj": (WORDS, SMALL.swin.features),
        "wordvec_proj": (HIDDEN, WORDS),
        "fc": (1, HIDDEN),
    }
    for layer in range(2):
        at = f"tagging_head.encoder.layer.{layer}"
        sizes[f"{at}.crossattention.self.query"] = (HIDDEN, HIDDEN)
        sizes[f"{at}.crossattention.self.key"] = (HIDDEN, WORDS)
        sizes[f"{at}.crossattention.self.value"] = (HIDDEN, WORDS)
        sizes[f"{at}.crossattention.output.dense"] = (HIDDEN, HIDDEN)
        sizes[f"{at}.crossattention.output.LayerNorm"] = (HIDDEN,)
        sizes[f"{at}.intermediate.dense"] = (BETWEEN, HIDDEN)
        sizes[f"{at}.output.dense"] = (HIDDEN, BETWEEN)
        sizes[f"{at}.output.LayerNorm"] = (HIDDEN,)
    for name, size in sizes.items():
        state[f"{name}.weight"] = torch.randn(size) * 0.2 + _one(f"{name}.weight")
        state[f"{name}.bias"] = torch.randn(size[0]) * 0.1
    state["label_embed"] = torch.randn(CLASSES * DESCRIPTIONS, WORDS)
    state["reweight_scale"] = torch.tensor(2.66)
    state["tagging_head.embeddings.position_ids"] = torch.arange(512)
    return {"model": state, "optimizer": {"lr": 1e-5}, "epoch": 4}


def installed(folder: Path, seed: int = 1) -> None:
    """What `framed models pull` leaves behind."""
    import torch

    source, target = folder / "ram.pth", folder / SET / FILE
    target.parent.mkdir(parents=True)
    torch.save(published(seed), source)
    _convert(source, target, SMALL)
    weights.write_manifest(SET, "test", {FILE: {"size": target.stat().st_size, "sha256": "0" * 64}})


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def model(home: Path) -> RamPlus:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FRAMED_MODELS", str(home))
        installed(home)
        backend = RamPlus()
        backend.load({}, "cpu")
    return backend


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    coarse = np.random.default_rng(4).integers(0, 255, (5, 4, 4, 3), np.uint8)
    return coarse.repeat(24, axis=1).repeat(24, axis=2)


def test_every_tag_gets_a_score_between_nought_and_one(model: RamPlus, pictures: np.ndarray) -> None:
    scores = model.run({"pixels": pictures}, Context())["scores"]
    assert scores.shape == (5, CLASSES)
    assert scores.dtype == np.float32
    assert ((scores >= 0) & (scores <= 1)).all()
    assert scores.std(axis=0).max() > 0.005, "different pictures get different scores"


def test_a_batch_scores_as_its_pictures_do_alone(model: RamPlus, pictures: np.ndarray) -> None:
    together = model.run({"pixels": pictures}, Context())["scores"]
    alone = [model.run({"pixels": picture[None]}, Context())["scores"][0] for picture in pictures]
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_no_pictures_give_no_scores(model: RamPlus) -> None:
    assert model.run({"paths": []}, Context())["scores"].shape == (0, CLASSES)


def test_previews_are_read_and_squeezed_and_a_broken_one_is_named(model: RamPlus, tmp_path: Path) -> None:
    path = tmp_path / "wide.jpg"
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (120, 400, 3), np.uint8)).save(path)
    assert model.run({"paths": [os.fsencode(path)]}, Context())["scores"].shape == (1, CLASSES)
    path.write_bytes(b"\xff\xd8no picture")
    with pytest.raises(BadPhoto, match=r"wide\.jpg"):
        model.run({"paths": [os.fsencode(path)]}, Context())


def test_all_descriptions_at_once_weigh_as_one_picture_after_another() -> None:
    import torch

    torch.manual_seed(3)
    whole, labels, scale = torch.randn(4, 32), torch.randn(CLASSES, DESCRIPTIONS, 32), torch.tensor(2.66)
    looped = []
    for one in whole:
        fit = (scale.exp() * (one / one.norm()) @ labels.reshape(-1, 32).T).view(CLASSES, DESCRIPTIONS).softmax(dim=1)
        looped.append((fit[:, :, None] * labels).sum(dim=1))
    torch.testing.assert_close(reweighted(whole, labels, scale), torch.stack(looped), atol=1e-5, rtol=1e-5)


def test_the_image_encoder_agrees_with_timms() -> None:
    import timm
    import torch

    shape = SwinShape(image_px=128, window=4, width=16, depths=(2, 2, 2, 2), heads=(1, 2, 4, 8))
    theirs = timm.models.swin_transformer.SwinTransformer(
        img_size=128, window_size=4, embed_dim=16, depths=shape.depths, num_heads=shape.heads, num_classes=0
    ).eval()
    torch.manual_seed(2)
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    ours = encoder(shape).eval()
    state = {}
    for name, value in theirs.state_dict().items():
        parts = name.split(".")
        if parts[2:3] == ["downsample"]:  # timm joins patches before a stage, the published weights after one
            parts[1] = str(int(parts[1]) - 1)
        state[".".join(parts)] = value
    ours.load_state_dict(state)
    pixels = torch.randn(3, 3, 128, 128)
    with torch.inference_mode():
        patches = theirs.forward_features(pixels).flatten(1, 2)
        found = ours(pixels)
    torch.testing.assert_close(found[:, 1:], patches, atol=2e-4, rtol=1e-3)
    torch.testing.assert_close(found[:, 0], patches.mean(dim=1), atol=2e-4, rtol=1e-3)


def test_the_converted_file_is_half_precision_and_holds_the_tagger_alone(model: RamPlus, home: Path) -> None:
    import torch
    from safetensors import safe_open

    with safe_open(home / SET / FILE, framework="pt") as file:
        names = set(file.keys())
        assert all(file.get_tensor(name).dtype == torch.float16 for name in names)
        assert file.get_tensor("label_embed").shape == (CLASSES, DESCRIPTIONS, WORDS)
    assert not any("attn_mask" in name or "embeddings" in name or "position_index" in name for name in names)


@pytest.mark.parametrize("lost", ["label_embed", "fc.weight", "image_proj.bias", "visual_encoder.norm.weight"])
def test_a_checkpoint_that_lacks_something_is_refused_when_converted(tmp_path: Path, lost: str) -> None:
    import torch

    checkpoint = published()
    del checkpoint["model"][lost]
    torch.save(checkpoint, tmp_path / "ram.pth")
    with pytest.raises(ValueError, match=lost):
        _convert(tmp_path / "ram.pth", tmp_path / "out.safetensors", SMALL)


def test_a_checkpoint_of_another_size_is_refused(tmp_path: Path) -> None:
    import torch

    torch.save(published(), tmp_path / "ram.pth")
    with pytest.raises(ValueError, match="another size"):
        convert_published(tmp_path / "ram.pth", tmp_path / "out.safetensors")
    shape = replace(SMALL, swin=replace(SMALL.swin, width=32))
    with pytest.raises(ValueError, match="another size"):
        _convert(tmp_path / "ram.pth", tmp_path / "out.safetensors", shape)


def test_weights_that_are_missing_or_broken_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAMED_MODELS", str(tmp_path))
    assert "framed models pull ramplus" in (RamPlus.available() or "")
    installed(tmp_path)
    assert RamPlus.available() is None
    file = tmp_path / SET / FILE
    file.write_bytes(b"\0" * file.stat().st_size)
    with pytest.raises(Unavailable, match="framed models verify ramplus"):
        RamPlus().load({}, "cpu")


def test_neither_transformers_nor_timm_is_imported(model: RamPlus, home: Path) -> None:
    code = (
        "import sys; from framed.models.tagger_ramplus import RamPlus; from framed.models.base import Context;"
        "import numpy as np; b = RamPlus(); b.load({}, 'cpu');"
        "b.run({'pixels': np.zeros((1, 96, 96, 3), np.uint8)}, Context());"
        "sys.exit(','.join({'transformers', 'timm', 'torchvision'} & sys.modules.keys()) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "FRAMED_MODELS": str(home)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


# -- words -----------------------------------------------------------------------------------------------------------


def scores_of(**present: float) -> np.ndarray:
    """Scores of the real 4,585 tags, by the model's own names."""
    text = (Path(ram_words.__file__).parent / "data" / "ram_tags.tsv").read_text(encoding="utf-8")
    names = [line.split("\t")[1] for line in text.splitlines()]
    scores = np.full(len(names), 0.05, np.float32)
    for name, score in present.items():
        scores[names.index(name.replace("_", " "))] = score
    return scores


def test_there_are_as_many_words_as_the_published_model_has_outputs() -> None:
    assert scores_of().shape == (4585,)


def test_a_tag_counts_from_its_own_threshold_on() -> None:
    def found(**present: float) -> list[str]:
        return [tag.name for tag in ram_words.words(scores_of(**present))]

    assert "abacus" in found(abacus=0.7)
    assert "abacus" not in found(abacus=0.6), "the authors' threshold for most tags is 0.65"
    assert "accessory" in found(accessory=0.81)
    assert "accessory" not in found(accessory=0.79)


def test_tags_are_framed_everyday_words_and_bring_their_wider_ones() -> None:
    found = {tag.name: tag.score for tag in ram_words.words(scores_of(pug=0.9, cappuccino=0.8, harbor=0.95))}
    assert found["dog"] == pytest.approx(0.9)
    assert found["animal"] == pytest.approx(0.9)
    assert found["coffee"] == pytest.approx(0.8)
    assert found["cappuccino"] == pytest.approx(0.8)
    assert "harbour" in found
    assert "harbor" not in found


def test_verbs_notions_and_colours_are_no_tags() -> None:
    found = {tag.name for tag in ram_words.words(scores_of(lead_to=0.99, take=0.99, green=0.99, cat=0.99))}
    assert "cat" in found
    assert not found & {"lead to", "take", "green"}


def test_a_picture_of_everything_keeps_its_thirty_surest_words() -> None:
    assert len(ram_words.words(np.full(4585, 0.99, np.float32))) == ram_words.MOST_TAGS
