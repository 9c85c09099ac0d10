"""RapidOCR reads what a person can read in real pictures, and nothing where there is nothing."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from framed.errors import BadPhoto, Cancelled
from framed.models.base import Context
from framed.models.ocr_rapidocr import RapidOcr
from framed.models.text_look import FINE_PX, GLANCE_PX
from tests.installed import installed
from tests.models.tiny_reader import write_reader

pytestmark = pytest.mark.models

PICTURES = installed("skimage") / "data"
FONT = installed("matplotlib") / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
SCRIPTS = {
    "Latin": "Grüße aus Zürich",
    "Greek": "ΚΑΛΗΜΕΡΑ",
    "Cyrillic": "Добро пожаловать",
    "Arabic": "مرحبا بكم",
    "Georgian": "გამარჯობა",
    "Armenian": "Բարեւ",
}


@pytest.fixture(scope="module")
def reader() -> RapidOcr:
    backend = RapidOcr()
    backend.load({}, "cpu")
    return backend


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def sign(text: str, size: tuple[int, int] = (900, 300), px: int = 72) -> Image.Image:
    """A board with writing on it, in front of a real picture."""
    picture = Image.open(PICTURES / "rocket.jpg").convert("RGB").resize(size)
    draw = ImageDraw.Draw(picture)
    draw.rectangle((20, 60, size[0] - 20, size[1] - 60), fill=(250, 248, 240))
    draw.text((50, size[1] // 2), text, font=ImageFont.truetype(FONT, px), fill=(20, 20, 30), anchor="lm")
    return picture


def words(found: dict) -> str:
    return " ".join(line["text"] for line in found["lines"])


def test_a_printed_page_is_read(reader: RapidOcr) -> None:
    said = words(reader.run({"pixels": pixels(PICTURES / "page.png")}, Context()))
    assert "Region-based segmentation" in said
    assert "Let us first determine markers of the coins" in said
    assert "label unambiguously as either object or background" in said


@pytest.mark.parametrize("name", ["chelsea.png", "coffee.png", "brick.png"])
def test_there_are_no_words_in_a_picture_without_writing(reader: RapidOcr, name: str) -> None:
    assert reader.run({"pixels": pixels(PICTURES / name)}, Context())["lines"] == []


def test_what_bears_no_text_costs_no_more_than_a_glance(reader: RapidOcr) -> None:
    assert reader.run({"pixels": pixels(PICTURES / "brick.png")}, Context())["looked"] == GLANCE_PX


def test_small_words_are_read_in_the_original_where_the_preview_shows_that_there_are_words(
    reader: RapidOcr, tmp_path: Path
) -> None:
    big = sign("EXIT", (2200, 1650), 300)
    draw = ImageDraw.Draw(big)
    draw.rectangle((110, 1320, 1210, 1408), fill="white")
    draw.text(
        (132, 1364), "Please close the door behind you", font=ImageFont.truetype(FONT, 34), fill="black", anchor="lm"
    )
    big.save(tmp_path / "photo.jpg", quality=92)
    small = big.copy()
    small.thumbnail((1440, 1440))
    small.save(tmp_path / "preview.jpg", quality=85)
    found = reader.run(
        {"path": os.fsencode(tmp_path / "preview.jpg"), "original": os.fsencode(tmp_path / "photo.jpg")}, Context()
    )
    assert found["looked"] == FINE_PX
    assert "EXIT" in words(found)
    assert "close the door" in words(found)
    x, y, w, h = next(line["box"] for line in found["lines"] if "door" in line["text"])
    assert 0.04 < x < 0.08
    assert 0.79 < y < 0.83
    assert w > 0.2
    assert h < 0.06


def test_a_lost_or_foreign_original_leaves_the_preview(reader: RapidOcr, tmp_path: Path) -> None:
    sign("OPEN 24 HOURS").save(tmp_path / "preview.jpg")
    (tmp_path / "raw.nef").write_bytes(b"II*\0 no picture")
    for original in (tmp_path / "raw.nef", tmp_path / "gone.jpg"):
        inputs = {"path": os.fsencode(tmp_path / "preview.jpg"), "original": os.fsencode(original)}
        assert "OPEN" in words(reader.run(inputs, Context()))


def test_the_detector_that_runs_is_not_the_file_but_its_weights_without_the_slow_ones(reader: RapidOcr) -> None:
    session = reader._detector.session.session
    assert session._model_path is None
    assert session.get_session_options().intra_op_num_threads == 1


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_photo_that_lies_on_its_side_or_head_is_read(reader: RapidOcr, degrees: int) -> None:
    turned = sign("Bahnhof Zürich", (720, 300), 64).rotate(degrees, expand=True)
    found = reader.run({"pixels": np.asarray(turned)}, Context())
    assert words(found) == "Bahnhof Zürich"


@pytest.mark.parametrize("script", SCRIPTS)
def test_no_script_is_a_fault_and_none_is_made_up_of_one_that_the_reader_does_not_know(
    reader: RapidOcr, script: str
) -> None:
    found = reader.run({"pixels": np.asarray(sign(SCRIPTS[script]))}, Context())

    if script == "Latin":
        assert words(found) == SCRIPTS[script]
    elif script == "Greek":
        assert words(found) == SCRIPTS[script]
    else:
        assert found["lines"] == []
        assert found["looked"] > GLANCE_PX  # that something is written there was seen


def test_with_the_weights_for_a_script_its_lines_are_read_and_those_of_others_stay(
    reader: RapidOcr, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRAMED_MODELS", str(tmp_path))
    write_reader(tmp_path, "cyrillic", "абвгдежзик")
    (tmp_path / "ocr-thai").mkdir()
    more = RapidOcr()
    more.load({"scripts": {"cyrillic": "1", "thai": "2"}}, "cpu")  # thai is not there: that costs nobody else anything
    both = sign("WELCOME", (900, 600))
    both.paste(sign(SCRIPTS["Cyrillic"], (900, 260)), (0, 340))

    before = reader.run({"pixels": np.asarray(both)}, Context())
    after = more.run({"pixels": np.asarray(both)}, Context())

    assert words(before) == "WELCOME"
    assert after["lines"][0]["text"] == "WELCOME"
    assert len(after["lines"]) == 2
    assert any("\u0430" <= letter <= "\u043a" for letter in after["lines"][1]["text"])
    assert after["lines"][1]["box"][1] > 0.5
    assert (before["scripts"], after["scripts"]) == ("", "cyrillic")
    assert (before["broken"], after["broken"]) == ("", "thai@2")
    more.unload()


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (900, 1), (7, 400)])
def test_a_sliver_of_a_picture_has_no_text(reader: RapidOcr, size: tuple[int, int]) -> None:
    assert reader.run({"pixels": np.zeros((*size, 3), np.uint8)}, Context())["lines"] == []


def test_a_preview_that_cannot_be_read_is_a_bad_photo(reader: RapidOcr, tmp_path: Path) -> None:
    (tmp_path / "preview.jpg").write_bytes(b"\xff\xd8\xff no picture")
    with pytest.raises(BadPhoto):
        reader.run({"path": os.fsencode(tmp_path / "preview.jpg")}, Context())


def test_a_cancelled_reading_stops(reader: RapidOcr) -> None:
    context = Context()
    context.cancel()
    with pytest.raises(Cancelled):
        reader.run({"pixels": np.asarray(sign("CANCEL ME"))}, context)
