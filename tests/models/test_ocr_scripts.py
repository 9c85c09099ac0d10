"""Readers of further scripts: what they read, when their reading counts, and the order of what is read."""

from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import yaml

from framed.errors import Unavailable
from framed.models import weights
from framed.models.ocr_scripts import FILE, SCRIPTS, Line, ScriptReader, here, logical, read_again, unmixed
from framed.models.weight_sets import named
from tests.models.tiny_reader import line, write_reader

CYRILLIC = "МОСКВАТРУ"
ARABIC = "ابتحرس2"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FRAMED_MODELS", str(tmp_path))
    return tmp_path


@pytest.fixture
def cyrillic(folder: Path) -> ScriptReader:
    write_reader(folder, "cyrillic", CYRILLIC)
    return ScriptReader("cyrillic")


def test_scripts_are_there_once_their_weights_are(folder: Path) -> None:
    assert here() == {}

    write_reader(folder, "cyrillic", CYRILLIC)

    assert list(here()) == ["cyrillic"]


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_can_be_fetched_and_what_is_fetched_is_pinned(script: str) -> None:
    found = named(f"ocr-{script}")

    assert found is not None
    assert (found.task, found.backend) == ("ocr", "")  # it adds to one, and nobody gets it for naming that one
    assert [file.name for file in found.files] == [FILE]
    assert (found.files[0].url, found.files[0].sha256) in _listed_by_rapidocr()


@cache
def _listed_by_rapidocr() -> set[tuple[str, str]]:
    """What its wheel says itself of its recognisers."""
    text = (files("rapidocr") / "default_models.yaml").read_text(encoding="utf-8")
    listed = yaml.safe_load(text)["onnxruntime"]
    return {(one["model_dir"], one["SHA256"]) for kind in listed.values() for one in kind.get("rec", {}).values()}


def test_lines_are_read_alone_as_together(cyrillic: ScriptReader) -> None:
    said = ["МОСКВА", "ТУ", "СССР", "РОТА МОСТ", "А", "КОТ", "УТРО", "ВАТРУ" * 6]
    lines = [line(text, CYRILLIC) for text in said]

    together = cyrillic.read(lines)

    assert [found.text for found in together] == said  # СССР: a letter that comes twice has a blank between
    assert all(found.score > 0.95 for found in together)
    assert [cyrillic.read([one])[0].text for one in lines] == said


def test_an_empty_line_is_empty_and_counts_for_nothing(cyrillic: ScriptReader) -> None:
    assert cyrillic.read([np.full((48, 200, 3), 128, np.uint8)]) == [Line("", 0.0)]
    assert cyrillic.read([]) == []


@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (48, 1), (300, 20)])
def test_a_line_of_any_shape_is_no_fault(cyrillic: ScriptReader, shape: tuple[int, int]) -> None:
    assert len(cyrillic.read([np.zeros((*shape, 3), np.uint8)])) == 1


def test_arabic_is_kept_as_it_is_typed(folder: Path) -> None:
    write_reader(folder, "arabic", ARABIC)

    (found,) = ScriptReader("arabic").read([line("22 بحرم"[::-1].replace("م", "س"), ARABIC)])

    assert found.text == "22 بحرس"


@pytest.mark.parametrize("broken", ["no metadata", "no model"])
def test_weights_that_are_no_reader_are_said_so(folder: Path, broken: str) -> None:
    write_reader(folder, "cyrillic", CYRILLIC, metadata=False)
    if broken == "no model":
        (folder / "ocr-cyrillic" / "rec.onnx").write_bytes(b"nothing")
        weights.write_manifest("ocr-cyrillic", "test", {"rec.onnx": {"size": 7, "sha256": ""}})

    with pytest.raises(Unavailable, match="framed models verify ocr-cyrillic --fetch"):
        ScriptReader("cyrillic")


def test_only_what_the_first_reader_doubts_is_read_again_and_the_surer_reading_counts(cyrillic: ScriptReader) -> None:
    lines = [line(text, CYRILLIC) for text in ("МОСТ", "КОТ", "УТРО")]
    own = [Line("GOLD", 0.97), Line("KOT", 0.8), Line("", 0.0)]

    found = read_again(own, lines, [cyrillic])

    assert found[0] == own[0]
    assert [one.text for one in found[1:]] == ["КОТ", "УТРО"]


def test_letters_that_look_the_same_are_of_the_script_that_the_rest_is_in(cyrillic: ScriptReader) -> None:
    """МОСКВА is surely MOCKBA to a reader that knows no Cyrillic; beside a line that it cannot read it is not."""
    lines = [line("МОСКВА", CYRILLIC), line("УТРО", CYRILLIC)]

    alone = read_again([Line("MOCKBA", 0.999)], lines[:1], [cyrillic])
    beside = read_again([Line("MOCKBA", 0.999), Line("", 0.0)], lines, [cyrillic])

    assert alone[0].text == "MOCKBA"
    assert [one.text for one in beside] == ["МОСКВА", "УТРО"]


def test_a_reader_is_not_asked_for_letters_of_others(folder: Path) -> None:
    """What a reader of Arabic makes of a blurred line in Latin letters is not written in Arabic."""
    write_reader(folder, "arabic", "EXITab")
    own = [Line("EX1T", 0.7)]

    assert read_again(own, [line("EXIT", "EXITab")], [ScriptReader("arabic")]) == own


def test_most_of_a_line_unread_is_a_doubt_however_sure_the_rest_was(cyrillic: ScriptReader) -> None:
    long = line("МОСКВА УТРО", CYRILLIC)

    assert read_again([Line("3", 0.99)], [long], [cyrillic])[0].text == "МОСКВА УТРО"


@pytest.mark.parametrize(
    ("typed", "seen"),
    [
        ("שלום", "םולש"),
        ("שלום 2024", "2024 םולש"),
        ("שלום hello world טוב", "בוט hello world םולש"),
        ("iPhone 15 חדש", "שדח iPhone 15"),
        ("(שלום)", "(םולש)"),
        ("טל 03-555", "03-555 לט"),
        ("12.50 שח", "חש 12.50"),
        ("10 20 שח", "חש 20 10"),
        ("50% הנחה", "החנה 50%"),
        ("₪50 הנחה", "החנה ₪50"),
        ("سلام", "مالس"),
        ("سلام", "\ufee1\ufefc\ufeb3"),
        ("EXIT 12", "EXIT 12"),
        ("Москва", "Москва"),
        ("", ""),
    ],
)
def test_what_runs_from_right_to_left_is_kept_in_the_order_of_reading(typed: str, seen: str) -> None:
    assert logical(seen) == typed


@pytest.mark.parametrize(
    ("read", "typed"),
    [
        ("KAΛHMEPA KOΣME", "ΚΑΛΗΜΕΡΑ ΚΟΣΜΕ"),
        ("Kαλημερα", "Καλημερα"),
        ("10kΩ", "10kΩ"),
        ("ΔT", "ΔT"),
        ("EXIT Ωmega", "EXIT Ωmega"),
    ],
)
def test_a_greek_word_is_greek_throughout_and_others_stay_as_they_are(read: str, typed: str) -> None:
    assert unmixed(read) == typed
