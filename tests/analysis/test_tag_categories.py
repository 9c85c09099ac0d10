"""The file of categories: what belongs to each, and a mistake found by its line and key."""

from pathlib import Path

import pytest

from framed.analysis.tag_categories import of_tags, read
from framed.errors import ConfigError


def file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "tags.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_packaged_categories_hold_what_a_person_would_put_there() -> None:
    found = read(None)
    for category, tag in {
        "animals": "pug",
        "pets": "tabby cat",
        "food": "espresso",
        "vehicles": "motorcycle",
        "people": "bride",
        "flowers": "rose",
        "buildings": "castle",
        "sports": "tennis",
        "city": "skyscraper",
        "music": "violin",
    }.items():
        assert tag in found[category], (category, tag)
    assert "car" not in found["animals"]
    assert "pug" not in found["vehicles"]


def test_a_tag_brings_its_narrower_words_and_what_else_they_are_called(tmp_path: Path) -> None:
    found = read(file(tmp_path, "my animals: [Dog]\n"))
    assert {"dog", "pug", "terrier", "puppy"} <= found["my animals"]
    assert "cat" not in found["my animals"]


def test_a_photo_is_in_every_category_of_its_tags(tmp_path: Path) -> None:
    found = read(file(tmp_path, "pets: [dog, cat]\nanimals: [animal]\ncars: [car]\n"))
    assert of_tags(found, ["pug", "sofa"]) == ["pets", "animals"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pets: dog\n", r"tags\.yaml, line 1: pets: expected a list of tags"),
        ("a: [cat]\n\npets:\n  - dog\n  - 2024\n", r"tags\.yaml, line 5: pets\[1\]: expected a tag .*put quotes"),
        ("pets: []\n", r"tags\.yaml, line 1: pets: expected a list"),
        ("pets: [dog]\nPets: [cat]\n", r"tags\.yaml, line 2: Pets: this category is given twice"),
        ("pets: [dog]\npets: [cat]\n", r"tags\.yaml, line 2: pets is given twice"),
        ("12: [dog]\n", r"12: a category is named by"),
        ('"<b>": [dog]\n', r"tags\.yaml, line 1: <b>: a category is named by"),
        ("pets: [dog\n", r"tags\.yaml, line \d"),
        ("- dog\n", r"tags\.yaml, line 1"),
    ],
)
def test_a_mistake_is_named_by_file_line_and_key(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read(file(tmp_path, text))


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no file .*missing\.yaml"):
        read(tmp_path / "missing.yaml")
