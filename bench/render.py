"""CPU time of the renderer beside pyvips, interleaved: ``python bench/render.py [PHOTO] [--rounds N]``."""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from framed.frames.base import Box, Panel, RenderRequest
from framed.frames.render import render

FACE = (Box(x=0.45, y=0.3, w=0.1, h=0.12),)
PANELS = {
    "1920x1080 cover, a face": (Panel(width=1920, height=1080), FACE),
    "1920x1080 cover, no face": (Panel(width=1920, height=1080), ()),
    "1920x1080 blur": (Panel(width=1920, height=1080, fit="blur"), ()),
    "1920x1080 matte": (Panel(width=1920, height=1080, fit="matte"), ()),
    "3840x2160 cover": (Panel(width=3840, height=2160), FACE),
    "1080x1920 rotated, blur": (Panel(width=1920, height=1080, rotation=90, fit="blur"), ()),
    "800x480 cover": (Panel(width=800, height=480), FACE),
    "800x480 grey, 2 bits": (Panel(width=800, height=480, grey_bits=2, formats=("png",)), FACE),
    "800x480 Spectra 6": (Panel(width=800, height=480, palette="spectra6", formats=("png",)), FACE),
    "1600x1200 Spectra 6": (Panel(width=1600, height=1200, palette="spectra6", formats=("png",)), FACE),
}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("photo", nargs="?", type=Path, help="a JPEG; without one, 12 megapixels are made up")
    arguments.add_argument("--rounds", type=int, default=9)
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        photo = chosen.photo or made_up(Path(folder))
        with Image.open(photo) as image:
            print(f"{photo.name}: {image.width} x {image.height}, {photo.stat().st_size / 1e6:.1f} MB")
        beside_pyvips(photo, Path(folder), chosen.rounds)
        for name, (panel, focus) in PANELS.items():
            print(f"{name:28} {median([framed(photo, Path(folder), panel, focus)], chosen.rounds)[0]:7.0f} ms")


def beside_pyvips(photo: Path, folder: Path, rounds: int) -> None:
    panel, focus = PANELS["1920x1080 cover, a face"]
    ours = framed(photo, folder, panel, focus)
    mine, theirs, bare = median([ours, vips(photo), pillow(photo)], rounds)
    print(f"12 MP to 1920x1080 JPEG q90: framed {mine:.0f} ms, pyvips {theirs:.0f} ms ({mine / theirs:.2f} x)")
    print(f"  decode, resize and encode alone, with Pillow: {bare:.0f} ms; framed adds thumb, hash and a synced file")


def median(works: list[Callable[[], object]], rounds: int) -> list[float]:
    """Milliseconds of CPU, all threads, each work taking turns so that a busy machine is unfair to none."""
    spent: list[list[float]] = [[] for _ in works]
    for number in range(rounds + 1):
        for work, times in zip(works, spent, strict=True):
            began = time.process_time()
            work()
            if number:  # the first round warms caches
                times.append((time.process_time() - began) * 1000)
    return [statistics.median(times) for times in spent]


def framed(photo: Path, folder: Path, panel: Panel, focus: tuple[Box, ...]) -> Callable[[], object]:
    def work() -> object:
        request = RenderRequest(
            source=os.fsencode(photo), output_dir=os.fsencode(folder / "out"), panel=panel, focus=focus
        )
        kept = Path(os.fsdecode(render(request).path))
        kept.unlink()  # or the next round would find it there
        return kept

    return work


def vips(photo: Path) -> Callable[[], object]:
    os.environ["VIPS_CONCURRENCY"] = "1"
    import pyvips

    pyvips.cache_set_max(0)

    def work() -> object:
        image = pyvips.Image.thumbnail_buffer(photo.read_bytes(), 1920, height=1080, crop="centre")
        return image.jpegsave_buffer(Q=90, keep="none")

    return work


def pillow(photo: Path) -> Callable[[], object]:
    def work() -> object:
        image = Image.open(BytesIO(photo.read_bytes()))
        image.draft("RGB", (1920, 1440))
        picture = image.resize(
            (1920, 1080), Image.Resampling.LANCZOS, box=(0, image.height / 8, image.width, image.height * 7 / 8)
        )
        buffer = BytesIO()
        picture.save(buffer, "JPEG", quality=90)
        return buffer

    return work


def made_up(folder: Path) -> Path:
    """4000 x 3000 of a real photo's texture, so that the entropy coder has as much to do as on a camera's file."""
    from skimage import data

    pieces = [
        Image.fromarray(picture).convert("RGB").resize((1000, 1000))
        for picture in (data.astronaut(), data.cat(), data.coffee())
    ]
    canvas = Image.new("RGB", (4000, 3000))
    for place in range(12):
        canvas.paste(pieces[place % 3].rotate(90 * (place % 4)), (place % 4 * 1000, place // 4 * 1000))
    noise = np.random.default_rng(1).normal(0, 5, (3000, 4000, 1))
    noisy = (np.asarray(canvas) + noise).clip(0, 255).astype(np.uint8)
    path = folder / "made-up.jpg"
    Image.fromarray(noisy).save(path, quality=90)
    return path


if __name__ == "__main__":
    main()
