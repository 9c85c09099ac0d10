"""A picture comes out upright, in colour and no larger than asked; what is none is refused in a sentence."""

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from framed.errors import BadPhoto
from framed.models.upright import ORIGINALS, upright

RED, BLUE = (200, 20, 20), (20, 20, 200)


def write(path: Path, kind: str, orientation: int = 1, **more: Any) -> bytes:
    """Red above blue when upright, 60 wide and 80 high."""
    picture = Image.new("RGB", (60, 80), BLUE)
    picture.paste(RED, (0, 0, 60, 40))
    turned = {1: None, 3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    if (turn := turned[orientation]) is not None:
        picture = picture.transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture.save(path, kind, exif=exif, **more)
    return os.fsencode(path)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_it_is_upright_however_the_camera_was_held(tmp_path: Path, kind: str, orientation: int) -> None:
    seen = upright(write(tmp_path / "a", kind, orientation), 40, ORIGINALS)
    assert seen.shape == (40, 30, 3)
    assert np.abs(seen[4, 15].astype(int) - RED).max() < 30
    assert np.abs(seen[36, 15].astype(int) - BLUE).max() < 30


def test_a_small_one_stays_small_and_a_grey_one_gets_three_channels(tmp_path: Path) -> None:
    Image.new("L", (5, 1), 77).save(tmp_path / "grey.png")
    seen = upright(os.fsencode(tmp_path / "grey.png"), 1440)
    assert seen.shape == (1, 5, 3)
    assert (seen == 77).all()


def test_what_is_no_preview_is_refused_and_so_is_what_is_no_picture(tmp_path: Path) -> None:
    tiff = write(tmp_path / "a.tif", "TIFF")
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64)).save(buffer, "JPEG")
    (tmp_path / "cut.jpg").write_bytes(buffer.getvalue()[:100])
    for path in (tiff, os.fsencode(tmp_path / "cut.jpg"), b"/nowhere/at/all.jpg"):
        with pytest.raises(BadPhoto, match="cannot be read"):
            upright(path, 100)


def test_a_picture_of_too_many_pixels_is_not_decoded(tmp_path: Path) -> None:
    Image.new("1", (20_000, 13_000)).save(tmp_path / "bomb.png")
    with pytest.raises(BadPhoto, match="too many pixels"):
        upright(os.fsencode(tmp_path / "bomb.png"), 100)
