"""Quality orders pictures as a person does, and complains only of what a person would."""

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter

from framed.analysis.pdq import canonical
from framed.analysis.quality import Quality, quality
from tests.installed import installed

DATA = installed("skimage") / "data"
SHARP = ["astronaut.png", "coffee.png", "chelsea.png", "motorcycle_left.png", "rocket.jpg", "retina.jpg"]
LARGE = (4000, 3000)


def opened(name: str) -> Image.Image:
    return Image.open(DATA / name).convert("RGB")


def judged(image: Image.Image, size: tuple[int, int] | None = LARGE) -> Quality:
    return quality(canonical(image), *(size or image.size))


def noisy(image: Image.Image, sigma: float) -> Image.Image:
    pixels = np.asarray(image.resize((512, 512)), dtype=np.float32)
    grain = np.random.default_rng(1).normal(0, sigma, pixels.shape)
    return Image.fromarray(np.clip(pixels + grain, 0, 255).astype(np.uint8))


@pytest.mark.parametrize("name", SHARP)
def test_the_more_blur_the_less_sharp(name: str) -> None:
    image = opened(name)
    blurs = [judged(image.filter(ImageFilter.GaussianBlur(image.width * blur / 512))) for blur in (0, 1, 2, 4)]
    sharpness = [found.sharpness for found in blurs]
    assert sharpness == sorted(sharpness, reverse=True)
    assert sharpness[0] > 0.7
    assert sharpness[3] < 0.1
    assert blurs[0].score > blurs[1].score > blurs[2].score


@pytest.mark.parametrize("name", SHARP)
def test_a_good_photo_gets_no_complaint(name: str) -> None:
    found = judged(opened(name))
    assert found.words == []
    assert found.score > 0.75


@pytest.mark.parametrize("name", SHARP)
def test_a_strong_blur_is_called_blurred(name: str) -> None:
    image = opened(name)
    found = judged(image.filter(ImageFilter.GaussianBlur(image.width * 4 / 512)))
    assert found.words == ["blurred"]
    assert found.score < 0.5


def test_a_sharp_subject_before_a_soft_background_is_sharp() -> None:
    image = opened("astronaut.png")
    portrait = image.filter(ImageFilter.GaussianBlur(6))
    portrait.paste(image.crop((150, 0, 350, 250)), (150, 0))
    assert judged(portrait).sharpness > 0.6
    assert judged(portrait).words == []


@pytest.mark.parametrize("name", ["rocket.jpg", "hubble_deep_field.jpg"])
def test_a_night_photo_is_not_bad_for_being_dark(name: str) -> None:
    found = judged(opened(name))
    assert found.exposure > 0.8
    assert "too dark" not in found.words


@pytest.mark.parametrize("name", SHARP)
def test_a_photo_without_light_is_too_dark(name: str) -> None:
    found = judged(ImageEnhance.Brightness(opened(name)).enhance(0.15))
    assert "too dark" in found.words
    assert found.score < 0.6


@pytest.mark.parametrize("name", ["chelsea.png", "motorcycle_left.png"])
def test_a_burnt_out_photo_is_overexposed(name: str) -> None:
    found = judged(ImageEnhance.Brightness(opened(name)).enhance(3.5))
    assert "overexposed" in found.words
    assert found.exposure < 0.3


def test_ink_on_white_paper_is_not_overexposed() -> None:
    assert judged(opened("horse.png")).words == []


@pytest.mark.parametrize("name", ["astronaut.png", "coffee.png", "rocket.jpg"])
def test_grain_is_noise_and_lowers_the_score(name: str) -> None:
    clean, grainy = judged(opened(name)), judged(noisy(opened(name), 20))
    assert clean.noise < 0.1
    assert grainy.noise > 0.6
    assert grainy.score < clean.score


@pytest.mark.parametrize("name", ["grass.png", "gravel.png", "brick.png"])
def test_rough_texture_is_not_noise(name: str) -> None:
    assert judged(opened(name)).noise < 0.1


def test_a_small_original_is_said_to_be_small_and_scores_less() -> None:
    image = opened("coffee.png")
    small, large = judged(image.resize((320, 213)), None), judged(image)
    assert small.words == ["small"]
    assert small.score < large.score
    assert (large.resolution, judged(image, (640, 480)).resolution < 0.5) == (1.0, True)


def test_low_contrast_is_measured() -> None:
    image = opened("astronaut.png")
    assert judged(ImageEnhance.Contrast(image).enhance(0.2)).contrast < 0.5 < judged(image).contrast


@pytest.mark.parametrize("pixels", [np.zeros((512, 512, 3), np.uint8), np.full((9, 512, 3), 200, np.uint8)])
def test_an_empty_picture_is_judged_without_error(pixels: np.ndarray) -> None:
    assert 0 <= quality(pixels, pixels.shape[1], pixels.shape[0]).score < 0.5


def test_a_picture_of_one_pixel_is_judged_without_error() -> None:
    assert quality(np.zeros((1, 1, 3), np.uint8), 1, 1).score < 0.5
