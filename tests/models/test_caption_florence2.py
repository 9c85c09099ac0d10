"""Florence-2's real loading and generating code on a tiny model of its architecture and files."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray
from PIL import Image

from framed.errors import BadRequest, Cancelled, Unavailable
from framed.models import weights
from framed.models.base import Context
from framed.models.caption_florence2 import Florence2
from tests.models import tiny_florence2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FRAMED_MODELS", str(tmp_path_factory.mktemp("weights")))
        yield tiny_florence2.write()


@pytest.fixture(scope="module")
def florence(folder: Path) -> Iterator[Florence2]:
    backend = Florence2()
    backend.load({}, "cpu")
    yield backend
    backend.unload()


def pictures() -> list[NDArray[np.uint8]]:
    return [skimage.data.chelsea(), skimage.data.coffee(), np.full((1, 900, 3), 90, np.uint8)]


def test_a_picture_is_put_into_words(florence: Florence2) -> None:
    answer = florence.run({"pixels": pictures()[:1], "task": "<CAPTION>"}, Context())

    assert answer["model"] == "florence2-base"
    assert answer["captions"][0]["problem"] is None
    assert answer["captions"][0]["text"].strip()
    assert "<" not in answer["captions"][0]["text"]


def test_many_at_once_say_what_each_says_alone_every_time(florence: Florence2) -> None:
    alone = [florence.run({"pixels": [one]}, Context())["captions"][0] for one in pictures()]
    florence._device, before = "cpu:0", florence._device  # a device that takes several at a time
    together = florence.run({"pixels": pictures()}, Context())["captions"]
    florence._device = before

    assert together == alone


def test_a_file_says_what_its_pixels_say_and_a_broken_one_harms_no_other(florence: Florence2, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.png", tmp_path / "bad.jpg"
    Image.fromarray(pictures()[0]).save(good)
    broken = io.BytesIO()
    Image.fromarray(pictures()[1]).save(broken, "JPEG")
    bad.write_bytes(broken.getvalue()[:200])

    found = florence.run({"paths": [bytes(bad), bytes(good)]}, Context())["captions"]

    assert found[1] == florence.run({"pixels": pictures()[:1]}, Context())["captions"][0]
    assert found[0] == {"text": "", "problem": "The preview bad.jpg cannot be read."}


def test_weights_that_give_no_numbers_give_no_caption(folder: Path, florence: Florence2) -> None:
    import torch

    kept = florence._network.lm_head.weight.detach().clone()
    with torch.no_grad():
        florence._network.lm_head.weight.fill_(float("nan"))
    found = florence.run({"pixels": pictures()[:1]}, Context())["captions"][0]
    with torch.no_grad():
        florence._network.lm_head.weight.copy_(kept)

    assert found == {"text": "", "problem": "Florence-2 gave no numbers for this photo."}


def test_it_stops_between_two_words(florence: Florence2) -> None:
    class Impatient(Context):
        checks = 0

        def check(self) -> None:
            self.checks += 1
            if self.checks == 4:
                self.cancel()
            super().check()

    context = Impatient()
    with pytest.raises(Cancelled):
        florence.run({"pixels": pictures()[:1], "task": "<DETAILED_CAPTION>"}, context)
    assert context.checks == 4


def test_it_is_asked_for_captions_only(florence: Florence2) -> None:
    with pytest.raises(BadRequest, match="<CAPTION>"):
        florence.run({"pixels": pictures()[:1], "task": "<OD>"}, Context())


def test_no_photos_have_no_captions(florence: Florence2) -> None:
    assert florence.run({"pixels": []}, Context())["captions"] == []


def test_without_its_weights_it_names_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FRAMED_MODELS", str(tmp_path))

    assert Florence2.available() == "Its weights are not here: framed models pull florence2-base"


def test_the_larger_one_is_used_where_it_was_fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FRAMED_MODELS", str(tmp_path))
    tiny_florence2.write("florence2-large", seed=4)
    backend = Florence2()
    backend.load({}, "cpu")

    assert Florence2.available() is None
    assert backend.run({"pixels": pictures()[:1]}, Context())["model"] == "florence2-large"


def test_a_pickle_in_place_of_the_weights_is_not_opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import torch

    monkeypatch.setenv("FRAMED_MODELS", str(tmp_path))
    folder = tiny_florence2.write()
    (folder / "model.safetensors").unlink()
    torch.save({"lm_head.weight": torch.zeros(1)}, folder / "pytorch_model.bin")
    weights.write_manifest("florence2-base", "tiny", {})

    with pytest.raises(Unavailable, match="framed models verify florence2-base"):
        Florence2().load({}, "cpu")
