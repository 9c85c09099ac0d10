"""How many changed copies of real pictures are found as duplicates, and how many others by mistake:
``python bench/duplicates.py [FOLDER]``. The pictures are those of `framed run --samples`, or a folder's.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from io import BytesIO
from itertools import combinations
from pathlib import Path

from PIL import Image, ImageEnhance, ImageOps

from framed import samples
from framed.analysis.pdq import DUPLICATE_BITS, NEAR_BITS, canonical, pdq

QUALITY = 50

Change = Callable[[Image.Image], Image.Image]


def distance(one: bytes, other: bytes) -> int:
    """By how many of 256 bits two hashes differ."""
    return (int.from_bytes(one) ^ int.from_bytes(other)).bit_count()


def saved(picture: Image.Image, kind: str = "JPEG", **options: int) -> Image.Image:
    data = BytesIO()
    picture.save(data, kind, **options)
    return Image.open(BytesIO(data.getvalue())).convert("RGB")


def resized(picture: Image.Image, side: int) -> Image.Image:
    small = picture.copy()
    small.thumbnail((side, side))
    return saved(small, quality=75)


def cropped(picture: Image.Image, share: float) -> Image.Image:
    w, h = picture.size
    return picture.crop((int(w * share), int(h * share), int(w * (1 - share)), int(h * (1 - share))))


CHANGES: dict[str, Change] = {
    "JPEG 90": lambda p: saved(p, quality=90),
    "JPEG 40": lambda p: saved(p, quality=40),
    "WebP 80": lambda p: saved(p, "WEBP", quality=80),
    "half size, JPEG 75": lambda p: resized(p, max(p.size) // 2),
    "a quarter, JPEG 75": lambda p: resized(p, max(p.size) // 4),
    "cropped 2 %": lambda p: cropped(p, 0.02),
    "brighter 20 %": lambda p: ImageEnhance.Brightness(p).enhance(1.2),
    "grey": lambda p: ImageOps.grayscale(p).convert("RGB"),
    "re-oriented and back, JPEG 75": lambda p: saved(p.rotate(90, expand=True), quality=75).rotate(-90, expand=True),
    "mirrored": ImageOps.mirror,
}


def main() -> None:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(made)
        if len(sys.argv) < 2:
            samples.write(folder)
        paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
        pictures = {path.name: ImageOps.exif_transpose(Image.open(path)).convert("RGB") for path in paths}
    first = {name: pdq(canonical(picture)) for name, picture in pictures.items()}
    usable = {name: value for name, (value, quality) in first.items() if quality >= QUALITY}
    print(f"{len(pictures)} pictures, {len(usable)} with enough structure for a hash")
    pairs = [(distance(usable[a], usable[b]), a, b) for a, b in combinations(usable, 2)]
    false = [(bits, a, b) for bits, a, b in pairs if bits <= NEAR_BITS]
    print(f"different pictures: {len(pairs)} pairs, {len(false)} within {NEAR_BITS} bits; nearest {min(pairs)[0]} bits")
    for bits, a, b in sorted(false):
        print(f"   {bits:3d} bits: {a} and {b}")
    print(f"{'change':32}{'<= 8 bits':>12}{'<= 31 bits':>12}{'most bits':>12}")
    for name, change in CHANGES.items():
        bits = sorted(distance(usable[photo], pdq(canonical(change(pictures[photo])))[0]) for photo in usable)
        same, near = (sum(value <= limit for value in bits) / len(bits) for limit in (DUPLICATE_BITS, NEAR_BITS))
        print(f"{name:32}{same:>11.0%}{near:>12.0%}{bits[-1]:>12}")


if __name__ == "__main__":
    main()
