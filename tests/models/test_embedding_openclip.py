"""OpenCLIP's towers load apart from the files of the model hub, and give the same vectors as open_clip itself."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from framed.errors import BadPhoto, Cancelled
from framed.models import weights
from framed.models.base import Context
from framed.models.catalogue import BACKENDS
from framed.models.embedding_openclip import (
    DefaultImages,
    DefaultTexts,
    FastImages,
    FastTexts,
    OpenClipImages,
    OpenClipTexts,
    QualityImages,
)
from framed.models.openclip_profiles import DEFAULT, FAST, PROFILES
from framed.models.openclip_views import MOST_SQUARES, squares
from framed.models.weight_sets import named
from tests.installed import installed
from tests.models import tiny_openclip

installed("open_clip")

pytestmark = pytest.mark.models

DATA = installed("skimage") / "data"
NAMES = ["chelsea.png", "coffee.png", "astronaut.png", "rocket.jpg", "motorcycle_left.png"]
TEXTS = ["a cat", "An espresso, in a white CUP!", "snow", "a very long sentence about nothing at all " * 20, ""]
DEVICES = ["cpu", "cuda:0"]


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    import torch

    torch.set_num_threads(1)
    before = os.environ.get("FRAMED_MODELS")
    weights.use(tmp_path_factory.mktemp("models"))
    tiny_openclip.write(DEFAULT)
    tiny_openclip.write(FAST)
    yield weights.folder()
    os.environ.pop("FRAMED_MODELS")
    if before is not None:
        os.environ["FRAMED_MODELS"] = before


@pytest.fixture(scope="module")
def previews(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    made = tmp_path_factory.mktemp("previews")
    paths = []
    for name in NAMES:
        path = made / f"{Path(name).stem}.jpg"
        Image.open(DATA / name).convert("RGB").save(path, quality=90)
        paths.append(os.fsencode(path))
    return paths


def loaded(kind: type[Any], device: str = "cpu", **options: Any) -> Any:
    import torch

    if device != "cpu" and not torch.cuda.is_available():
        pytest.skip("no GPU")
    backend = kind()
    backend.load(options, device)
    return backend


def whole(profile: Any) -> Any:
    import open_clip

    return open_clip.create_model_from_pretrained(
        f"local-dir:{weights.folder() / profile.weights}", return_transform=True
    )


def test_what_the_list_of_backends_says_is_what_the_profiles_say() -> None:
    listed = [(entry.task, entry.backend, entry.model_id) for entry in BACKENDS if "openclip" in entry.backend]
    for task in ("image_embedding", "query_embedding"):
        assert [entry for entry in listed if entry[0] == task] == [(task, p.backend, p.model_id) for p in PROFILES]


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.id)
def test_a_profile_is_the_model_that_open_clip_has_under_that_name_and_its_weights_are_listed(profile: Any) -> None:
    import open_clip

    config = open_clip.get_model_config(profile.architecture)
    assert (config["embed_dim"], config["vision_cfg"]["image_size"]) == (profile.dim, profile.image_px)
    assert profile.pretrained in open_clip.list_pretrained_tags_by_model(profile.architecture)
    said = open_clip.get_pretrained_cfg(profile.architecture, profile.pretrained)
    assert (said.get("resize_mode") or "shortest") == profile.resize
    weights_of = named(profile.weights)
    assert weights_of is not None
    assert weights_of.licence.name == profile.licence
    assert {"open_clip_config.json", "open_clip_model.safetensors"} <= {file.name for file in weights_of.files}
    assert profile.dim % 64 == 0  # the sign bits of a vector are whole words


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.id)
def test_both_towers_take_every_weight_of_the_published_size_between_them(profile: Any) -> None:
    import open_clip
    import torch

    config = open_clip.get_model_config(profile.architecture)
    kind = open_clip.CustomTextCLIP if config.pop("custom_text", False) else open_clip.CLIP
    with torch.device("meta"):
        whole = {name: value.shape for name, value in kind(**config).state_dict().items()}
    for tower in (OpenClipImages, OpenClipTexts):
        made = type("Real", (tower,), {"profile": profile})()._build(config)
        own = {tower._tensor_name(name): shape for name, shape in whole.items() if tower._tensor_name(name)}
        assert {name: value.shape for name, value in made.state_dict().items()} == own
        size = sum(value.numel() for value in made.state_dict().values()) * 2 / 1e6
        assert size == pytest.approx(profile.image_mb if tower is OpenClipImages else profile.text_mb, rel=0.02)


def test_it_is_unavailable_until_its_weights_are_there() -> None:
    assert DefaultImages.available() is None
    assert DefaultTexts.available() is None
    assert "framed models pull openclip-quality" in str(QualityImages.available())


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", [DefaultImages, FastImages])
def test_photos_get_unit_vectors_the_same_alone_as_in_a_batch(
    kind: type[OpenClipImages], device: str, previews: list[bytes]
) -> None:
    backend = loaded(kind, device)
    together = backend.run({"paths": previews}, Context())["vectors"]
    alone = np.vstack([backend.run({"paths": [path]}, Context())["vectors"] for path in previews])
    assert together.shape == (5, 64)
    assert together.dtype == np.float32
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    assert np.allclose(together, alone, atol=1e-5 if device == "cpu" else 4e-3)
    pixels = np.stack([np.asarray(Image.open(DATA / "coffee.png").convert("RGB"))] * 2)
    twice = backend.run({"pixels": pixels}, Context())["vectors"]
    assert np.allclose(twice[0], twice[1], atol=1e-6)
    assert float(twice[0] @ together[1]) > 0.99
    assert backend.run({"paths": []}, Context())["vectors"].shape == (0, 64)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", [DefaultTexts, FastTexts])
def test_texts_get_unit_vectors_the_same_alone_as_in_a_batch(kind: type[OpenClipTexts], device: str) -> None:
    backend = loaded(kind, device)
    together = backend.run({"texts": TEXTS}, Context())["vectors"]
    alone = np.vstack([backend.run({"texts": [text]}, Context())["vectors"] for text in TEXTS])
    assert together.shape == (5, 64)
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    assert np.allclose(together, alone, atol=1e-5 if device == "cpu" else 4e-3)
    assert not np.allclose(together[0], together[2], atol=1e-2)


@pytest.mark.parametrize(("kind", "profile"), [(DefaultImages, DEFAULT), (FastImages, FAST)])
def test_the_image_tower_sees_what_open_clip_would(
    kind: type[OpenClipImages], profile: Any, previews: list[bytes]
) -> None:
    import torch

    model, transform = whole(profile)
    with torch.inference_mode():
        batch = torch.stack([transform(Image.open(os.fsdecode(path))) for path in previews])
        theirs = model.eval().encode_image(batch, normalize=True).numpy()
    pixels = [np.asarray(Image.open(os.fsdecode(path))) for path in previews]
    backend = loaded(kind, precision="fp32")
    ours = np.vstack([backend.run({"pixels": each[None]}, Context())["vectors"] for each in pixels])
    assert (ours * theirs).sum(axis=1).min() > 0.9999
    drafted = backend.run({"paths": previews}, Context())["vectors"]
    assert (drafted * theirs).sum(axis=1).min() > 0.995


def test_the_text_tower_reads_what_open_clip_would() -> None:
    import open_clip
    import torch

    model, _ = whole(DEFAULT)
    tokens = open_clip.get_tokenizer(f"local-dir:{weights.folder() / DEFAULT.weights}")(TEXTS)
    with torch.inference_mode():
        theirs = model.eval().encode_text(tokens, normalize=True).numpy()
    ours = loaded(DefaultTexts, precision="fp32").run({"texts": TEXTS}, Context())["vectors"]
    assert np.allclose(ours, theirs, atol=1e-5)


def test_siglip_text_is_lower_case_without_punctuation_ends_with_its_mark_and_is_padded() -> None:
    import torch

    backend = loaded(FastTexts, precision="fp32")
    tokens = backend._tokens(["A Cat!", "a cat", "cat " * 200])
    assert tokens.shape == (3, 64)
    assert (tokens[0] == tokens[1]).all()
    length = int((tokens[0] != 0).sum())
    assert tokens[0][length - 1] == 1
    assert (tokens[0][length:] == 0).all()
    assert 2 not in tokens
    assert tokens[2][-1] == 1  # cut, and the end mark kept
    model, _ = whole(FAST)
    with torch.inference_mode():
        theirs = model.eval().encode_text(torch.from_numpy(tokens), normalize=True).numpy()
    ours = backend.run({"texts": ["A Cat!", "a cat", "cat " * 200]}, Context())["vectors"]
    assert np.allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "profile", "own"),
    [(DefaultImages, DEFAULT, True), (FastImages, FAST, True), (DefaultTexts, DEFAULT, False)],
)
def test_a_tower_holds_no_weights_of_the_other(kind: type[Any], profile: Any, own: bool) -> None:
    from safetensors import safe_open

    with safe_open(weights.folder() / profile.weights / "open_clip_model.safetensors", "pt") as file:
        sizes = {name: file.get_tensor(name).numel() for name in file.keys()}
    visual = sum(size for name, size in sizes.items() if name.startswith("visual."))
    logit = sum(size for name, size in sizes.items() if name.startswith("logit_"))
    held = sum(value.numel() for value in loaded(kind)._network.state_dict().values())
    assert held == (visual if own else sum(sizes.values()) - visual - logit)


def test_a_batch_on_a_device_has_one_of_few_shapes() -> None:
    backend = DefaultImages()
    backend._device = "cuda:0"
    assert [size for _, _, size in backend._batches(70)] == [32, 32, 8]
    assert [size for _, _, size in backend._batches(1)] == [1]


def test_a_long_picture_is_seen_from_end_to_end_and_others_as_open_clip_sees_them() -> None:
    wide = np.zeros((100, 400, 3), np.uint8)
    wide[:, 350:] = 255  # something at its right end, which a centre crop does not see
    seen = squares(Image.fromarray(wide), 32, "shortest")
    assert len(seen) == 4
    assert [each.max() > 128 for each in seen] == [False, False, False, True]
    tall = squares(Image.fromarray(wide.transpose(1, 0, 2)), 32, "squash")
    assert [each.max() > 128 for each in tall] == [False, False, False, True]
    assert len(squares(Image.new("RGB", (4000, 10)), 32, "squash")) == MOST_SQUARES
    for size in ((300, 200), (200, 300), (1920, 1080), (1, 1)):
        assert [each.shape for each in squares(Image.new("RGB", size), 32, "shortest")] == [(32, 32, 3)]


def test_numbers_beyond_half_precision_are_computed_in_a_wider_one(previews: list[bytes]) -> None:
    path = weights.folder() / DEFAULT.weights / "open_clip_model.safetensors"
    from safetensors.torch import load_file, save_file

    kept = path.read_bytes()
    tensors = load_file(path)
    tensors["visual.conv1.weight"] = tensors["visual.conv1.weight"] * 40_000
    tensors["visual.proj"] = tensors["visual.proj"] * 60_000
    save_file(tensors, path)
    try:
        vectors = loaded(DefaultImages, precision="fp16").run({"paths": previews}, Context())["vectors"]
    finally:
        path.write_bytes(kept)
    assert np.isfinite(vectors).all()
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)


def test_a_file_that_is_no_picture_weights_of_another_model_and_a_cancelled_call_are_told_apart(
    tmp_path: Path, previews: list[bytes]
) -> None:
    backend = loaded(DefaultImages)
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no picture")
    with pytest.raises(BadPhoto, match=r"bad\.jpg"):
        backend.run({"paths": [previews[0], os.fsencode(bad)]}, Context())
    context = Context()
    context.cancel()
    with pytest.raises(Cancelled):
        backend.run({"paths": previews}, context)
    config = weights.folder() / DEFAULT.weights / "open_clip_config.json"
    kept = config.read_text()
    other = json.loads(kept)
    other["model_cfg"]["vision_cfg"]["layers"] = 3
    try:
        config.write_text(json.dumps(other))
        tiny_openclip.declare(config.parent)
        with pytest.raises(RuntimeError, match="Missing key"):
            loaded(DefaultImages)
    finally:
        config.write_text(kept)
        tiny_openclip.declare(config.parent)
