"""Colours are named as a person would name them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from framed.analysis.colours import colours
from tests.installed import installed

PICTURES = installed("skimage") / "data"
SKLEARN = installed("sklearn") / "datasets" / "images"
MATPLOTLIB = installed("matplotlib") / "mpl-data" / "sample_data"


def small(path: Path) -> np.ndarray:
    image = Image.open(path).convert("RGB")
    image.thumbnail((160, 160))
    return np.asarray(image)


def flat(code: str) -> np.ndarray:
    return np.full((40, 60, 3), list(bytes.fromhex(code)), dtype=np.uint8)


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("ff0000", "red"),
        ("ff8800", "orange"),
        ("ffee00", "yellow"),
        ("00a000", "green"),
        ("224411", "green"),
        ("008080", "teal"),
        ("0000ff", "blue"),
        ("87ceeb", "blue"),
        ("000080", "blue"),
        ("800080", "purple"),
        ("ffc0cb", "pink"),
        ("663300", "brown"),
        ("f5e0c0", "beige"),
        ("cccccc", "grey"),
        ("303030", "grey"),
        ("000000", "black"),
        ("ffffff", "white"),
        ("cba135", "gold"),
    ],
)
def test_a_flat_colour_gets_its_everyday_name(code: str, name: str) -> None:
    found = colours(flat(code))
    assert found.dominant == name
    assert [(colour.name, colour.hex, colour.share) for colour in found.palette] == [(name, f"#{code}", 1.0)]


@pytest.mark.parametrize(
    ("path", "dominant", "among"),
    [
        (PICTURES / "rocket.jpg", "blue", {"blue", "black"}),
        (PICTURES / "coffee.png", "orange", {"orange", "brown", "red"}),
        (PICTURES / "astronaut.png", "grey", {"orange", "black"}),
        (PICTURES / "hubble_deep_field.jpg", "black", {"black"}),
        (PICTURES / "chelsea.png", "brown", {"brown"}),
        (SKLEARN / "flower.jpg", "teal", {"orange", "green"}),
        (MATPLOTLIB / "Minduka_Present_Blue_Pack.png", "blue", {"blue", "white"}),
    ],
)
def test_real_pictures_have_the_colours_a_person_sees(path: Path, dominant: str, among: set[str]) -> None:
    found = colours(small(path))
    assert found.dominant == dominant
    assert among <= {colour.name for colour in found.palette}
    assert not found.monochrome


def test_a_palette_has_five_names_at_most_largest_first() -> None:
    palette = colours(small(PICTURES / "coffee.png")).palette
    assert len(palette) <= 5
    assert len({colour.name for colour in palette}) == len(palette)
    assert [colour.share for colour in palette] == sorted((colour.share for colour in palette), reverse=True)


def test_grey_and_sepia_pictures_are_monochrome() -> None:
    grey = np.asarray(Image.open(PICTURES / "camera.png").convert("RGB").resize((160, 160)))
    sepia = np.clip(grey * np.array([1.0, 0.93, 0.82]), 0, 255).astype(np.uint8)
    assert colours(grey).monochrome
    assert colours(sepia).monochrome
    assert {colour.name for colour in colours(sepia).palette} <= {"black", "grey", "white"}


def test_warm_and_cold_light_have_opposite_signs() -> None:
    assert colours(small(PICTURES / "coffee.png")).warm > 0.4
    assert colours(small(PICTURES / "rocket.jpg")).warm < -0.1
    assert abs(colours(flat("808080")).warm) < 0.01


def test_brightness_and_saturation_order_pictures_as_the_eye_does() -> None:
    night, day = colours(small(PICTURES / "hubble_deep_field.jpg")), colours(small(PICTURES / "astronaut.png"))
    assert night.brightness < 0.3 < day.brightness
    assert colours(flat("ff0000")).saturation > 0.9
    assert colours(flat("808080")).saturation < 0.02


def test_one_pixel_has_colours_too() -> None:
    assert colours(np.array([[[255, 0, 0]]], dtype=np.uint8)).dominant == "red"
