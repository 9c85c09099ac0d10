"""Made-up photo folders for the benches: pictures from packages, cropped, turned and enlarged, no two alike."""

import importlib.util
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

_PICTURES = {
    "skimage": (
        "data/astronaut.png", "data/chelsea.png", "data/coffee.png", "data/rocket.jpg", "data/motorcycle_left.png",
        "data/retina.jpg", "data/hubble_deep_field.jpg", "data/ihc.png",
    ),
    "sklearn": ("datasets/images/china.jpg", "datasets/images/flower.jpg"),
    "matplotlib": ("mpl-data/sample_data/grace_hopper.jpg",),
}  # fmt: skip
_PLACES = ((43.77, 11.26), (54.32, 10.14), (38.71, -9.14), (59.91, 10.75), (48.21, 16.37), (45.76, 4.84))
TWELVE, TWO, SMALL = (4000, 3000), (1632, 1224), (320, 240)
MIXED = (TWELVE, TWO, TWO, TWELVE)
"""What a folder holds: half from a camera, half as messengers make them small."""


def write(folder: Path, count: int, sizes: Sequence[tuple[int, int]] = MIXED, *, start: int = 0) -> list[Path]:
    """Photos `start` … `start + count` as JPEG with a camera, a time and, for two of three, a place."""
    folder.mkdir(parents=True, exist_ok=True)
    return [_write_one(folder, number, sizes[number % len(sizes)]) for number in range(start, start + count)]


def _write_one(folder: Path, number: int, size: tuple[int, int]) -> Path:
    rng = np.random.default_rng(number)
    sources = _sources()
    source = sources[number % len(sources)]
    share = rng.uniform(0.55, 0.95)
    across, down = source.width * share, source.height * share
    left, top = rng.uniform(0, source.width - across), rng.uniform(0, source.height - down)
    wide = size if rng.random() < 0.7 else size[::-1]
    picture = source.resize(wide, Image.Resampling.BICUBIC, box=(left, top, left + across, top + down))
    if rng.random() < 0.5:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    pixels = np.asarray(picture).astype(np.int16) + _grain(picture.size, rng)
    # 2 s apart would be bursts; an hour and more is what a folder mostly holds.
    day, minute = divmod(number * 97, 24 * 60)
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "Lumen", "L1"
    exif.get_ifd(0x8769)[0x9003] = (
        f"{2005 + day // 336 % 20}:{1 + day // 28 % 12:02}:{1 + day % 28:02} {minute // 60:02}:{minute % 60:02}:00"
    )
    if number % 3:
        _locate(exif, *_PLACES[number % len(_PLACES)])
    path = folder / f"{number // 500:03}" / f"IMG_{number:06}.jpg"
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path, quality=88, exif=exif)
    return path


def _locate(exif: Image.Exif, latitude: float, longitude: float) -> None:
    gps = exif.get_ifd(0x8825)
    for axis, (value, marks) in enumerate(((latitude, "NS"), (longitude, "EW"))):
        degrees = abs(value)
        gps[1 + 2 * axis] = marks[0] if value >= 0 else marks[1]
        gps[2 + 2 * axis] = (int(degrees), int(degrees % 1 * 60), 0)


@cache
def _sources() -> tuple[Image.Image, ...]:
    found = []
    for package, names in _PICTURES.items():
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.origin is not None:
            found += [Image.open(Path(spec.origin).parent / name).convert("RGB") for name in names]
    return tuple(found)


@cache
def _noise() -> "np.ndarray[Any, np.dtype[np.int16]]":
    """A sensor's grain, so that the entropy coder has as much to do as on a camera's file."""
    return np.random.default_rng(1).normal(0, 4, (4096, 4096, 1)).astype(np.int16)


def _grain(size: tuple[int, int], rng: np.random.Generator) -> "np.ndarray[Any, np.dtype[np.int16]]":
    left, top = rng.integers(0, 4097 - size[0]), rng.integers(0, 4097 - size[1])
    return _noise()[top : top + size[1], left : left + size[0]]
