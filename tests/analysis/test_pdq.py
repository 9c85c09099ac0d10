"""PDQ: copies of a picture are near, other pictures are far, and both implementations agree."""

import io

import numpy as np
import pytest
from PIL import Image

from framed.analysis.pdq import DUPLICATE_BITS, MIN_QUALITY, NEAR_BITS, by_numpy, by_package, canonical
from tests.installed import installed

DATA = installed("skimage") / "data"
PICTURES = ["astronaut.png", "chelsea.png", "coffee.png", "hubble_deep_field.jpg", "moon.png", "page.png", "rocket.jpg"]


def distance(a: bytes, b: bytes) -> int:
    """How many of the 256 bits differ; two unrelated pictures are near 128."""
    return (int.from_bytes(a) ^ int.from_bytes(b)).bit_count()


def hash_of(image: Image.Image) -> bytes:
    return by_numpy(canonical(image))[0]


def reencoded(image: Image.Image, *, width: int, quality: int, kind: str = "JPEG") -> Image.Image:
    buffer = io.BytesIO()
    image.resize((width, image.height * width // image.width), Image.Resampling.LANCZOS).save(
        buffer, kind, quality=quality
    )
    return Image.open(buffer).convert("RGB")


@pytest.mark.parametrize("name", PICTURES)
def test_numpy_and_the_pdqhash_package_agree(name: str) -> None:
    pytest.importorskip("pdqhash")
    pixels = canonical(Image.open(DATA / name))
    ours, our_quality = by_numpy(pixels)
    theirs, their_quality = by_package(pixels)
    assert distance(ours, theirs) <= 2
    assert abs(our_quality - their_quality) <= 1


def test_a_hash_never_changes_between_releases() -> None:
    # Hashes are stored for years; a changed one would make every old photo a stranger.
    gradient = np.add.outer(np.arange(96) ** 2 // 40, np.arange(128)).astype(np.uint8)
    hash_, quality = by_numpy(np.stack([gradient, gradient[::-1], gradient[:, ::-1]], axis=2))
    assert hash_.hex() == "954e1d4e3bac2aac2aa43ba45dc65556555675523b822aab2aab6aab73c17745"
    assert quality == 81


@pytest.mark.parametrize("name", ["astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg"])
def test_a_reencoded_or_resized_copy_is_a_duplicate(name: str) -> None:
    image = Image.open(DATA / name).convert("RGB")
    original = hash_of(image)
    assert distance(original, hash_of(reencoded(image, width=image.width, quality=75))) <= DUPLICATE_BITS
    assert distance(original, hash_of(reencoded(image, width=240, quality=85))) <= DUPLICATE_BITS
    assert distance(original, hash_of(reencoded(image, width=400, quality=80, kind="WEBP"))) <= DUPLICATE_BITS
    assert distance(original, hash_of(image.convert("L"))) <= DUPLICATE_BITS


def test_different_pictures_are_far_apart() -> None:
    hashes = [hash_of(Image.open(DATA / name)) for name in PICTURES]
    apart = [distance(a, b) for i, a in enumerate(hashes) for b in hashes[:i]]
    assert min(apart) > 2 * NEAR_BITS


def test_a_flat_picture_says_that_its_hash_means_nothing() -> None:
    flat = np.full((300, 512, 3), 128, dtype=np.uint8)
    assert by_numpy(flat)[1] < MIN_QUALITY
    assert by_numpy(np.zeros((1, 1, 3), dtype=np.uint8))[1] == 0


def test_the_canonical_picture_is_512_pixels_on_its_longer_side() -> None:
    assert canonical(Image.new("RGB", (4000, 3000))).shape == (384, 512, 3)
    assert canonical(Image.new("RGBA", (50, 25))).shape == (256, 512, 3)
