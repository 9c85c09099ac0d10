"""PDQ: copies of a picture are near, other pictures are far, and both implementations agree."""

import io

import numpy as np
import pytest
from PIL import Image

from framed.analysis.pdq import DUPLICATE_BITS, MIN_QUALITY, NEAR_BITS, canonical, distance, distances, near_pairs, pdq
from tests.installed import installed

DATA = installed("skimage") / "data"
PICTURES = ["astronaut.png", "chelsea.png", "coffee.png", "hubble_deep_field.jpg", "moon.png", "page.png", "rocket.jpg"]


def hash_of(image: Image.Image) -> bytes:
    return pdq(canonical(image), implementation="numpy")[0]


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
    ours, our_quality = pdq(pixels, implementation="numpy")
    theirs, their_quality = pdq(pixels, implementation="pdqhash")
    assert distance(ours, theirs) <= 2
    assert abs(our_quality - their_quality) <= 1


def test_a_hash_never_changes_between_releases() -> None:
    # Hashes are stored for years; a changed one would make every old photo a stranger.
    gradient = np.add.outer(np.arange(96) ** 2 // 40, np.arange(128)).astype(np.uint8)
    hash_, quality = pdq(np.stack([gradient, gradient[::-1], gradient[:, ::-1]], axis=2), implementation="numpy")
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
    assert pdq(flat, implementation="numpy")[1] < MIN_QUALITY
    assert pdq(np.zeros((1, 1, 3), dtype=np.uint8), implementation="numpy")[1] == 0


def test_the_canonical_picture_is_512_pixels_on_its_longer_side() -> None:
    assert canonical(Image.new("RGB", (4000, 3000))).shape == (384, 512, 3)
    assert canonical(Image.new("RGBA", (50, 25))).shape == (256, 512, 3)


def random_hashes(count: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 32), dtype=np.uint8)


def flipped(row: np.ndarray, bits: int, seed: int) -> np.ndarray:
    chosen = np.random.default_rng(seed).choice(256, bits, replace=False)
    changed = np.unpackbits(row)
    changed[chosen] ^= 1
    return np.packbits(changed)


def test_distances_to_many_equal_the_distance_to_each() -> None:
    matrix = random_hashes(50)
    assert distances(matrix, matrix[7].tobytes()).tolist() == [
        distance(r.tobytes(), matrix[7].tobytes()) for r in matrix
    ]


def test_all_pairs_within_fifteen_bits_are_found_and_no_others() -> None:
    matrix = random_hashes(3000)
    for copy, bits in zip(range(1000, 1100), range(100), strict=True):
        matrix[copy] = flipped(matrix[copy - 1000], bits % 16, seed=copy)
    found = near_pairs(matrix, 15)
    assert found.tolist() == [[i, 1000 + i] for i in range(100)]


def test_most_pairs_within_31_bits_are_found() -> None:
    matrix = random_hashes(4000)
    for copy in range(2000, 2300):
        matrix[copy] = flipped(matrix[copy - 2000], 24 + copy % 8, seed=copy)
    assert len(near_pairs(matrix, NEAR_BITS)) > 270


def test_three_copies_of_one_picture_are_three_pairs() -> None:
    matrix = random_hashes(20)
    matrix[[3, 9, 14]] = matrix[3]
    assert near_pairs(matrix, DUPLICATE_BITS).tolist() == [[3, 9], [3, 14], [9, 14]]


@pytest.mark.parametrize("count", [0, 1])
def test_a_library_of_none_or_one_has_no_pairs(count: int) -> None:
    assert near_pairs(random_hashes(count), NEAR_BITS).shape == (0, 2)


def test_thousands_of_flat_pictures_are_skipped_instead_of_compared() -> None:
    matrix = np.zeros((6000, 32), dtype=np.uint8)
    assert len(near_pairs(matrix, DUPLICATE_BITS)) == 0
