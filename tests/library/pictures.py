"""Photo files made for the tests, from pictures that scikit-image brings."""

import struct
from functools import cache
from io import BytesIO
from typing import Any

import numpy as np
import pillow_heif
from PIL import Image
from PIL.Image import Transpose

from tests.installed import sample

# For each Exif orientation, the turn that makes a stored picture from the upright one.
STORED_FROM_UPRIGHT = {
    1: None,
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_90,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_270,
}


@cache
def cat() -> Image.Image:
    """451 × 300, RGB, nothing symmetrical about it."""
    return sample("chelsea.png")


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    if kind == "HEIF":
        pillow_heif.register_heif_opener()
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def stored(image: Image.Image, orientation: int) -> Image.Image:
    turn = STORED_FROM_UPRIGHT[orientation]
    return image if turn is None else image.transpose(turn)


def exif(orientation: int | None = None, **ifds: dict[int, Any]) -> Image.Exif:
    """`zeroth`, `photo` and `gps` are tag → value."""
    block = Image.Exif()
    if orientation is not None:
        block[0x0112] = orientation
    block.update(ifds.get("zeroth", {}))
    block.get_ifd(0x8769).update(ifds.get("photo", {}))
    block.get_ifd(0x8825).update(ifds.get("gps", {}))
    return block


def difference(image: Image.Image, other: Image.Image) -> float:
    """Mean absolute difference of two pictures of one size, in 8-bit steps."""
    first, second = np.asarray(image.convert("RGB"), float), np.asarray(other.convert("RGB"), float)
    assert first.shape == second.shape
    return float(np.abs(first - second).mean())


def dng(
    orientation: int = 1, preview: bytes | None = None, photo: dict[int, tuple[int, int, bytes]] | None = None
) -> bytes:
    """A camera raw file of 512 × 400 Bayer values that LibRaw develops, with a JPEG preview where one is given."""
    scene = np.asarray(sample("astronaut.png"))[:400, :512].astype(np.uint16) << 6
    bayer = np.empty(scene.shape[:2], "<u2")
    for row, column, channel in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2)):
        bayer[row::2, column::2] = scene[row::2, column::2, channel]
    to_camera = (3.2405, -1.5371, -0.4985, -0.9693, 1.8760, 0.0416, 0.0556, -0.2040, 1.0572)
    sensor = {
        254: _long(0),
        256: _long(512),
        257: _long(400),
        258: _short(16),
        259: _short(1),
        262: _short(32803),
        277: _short(1),
        278: _long(400),
        279: _long(bayer.nbytes),
        33421: _short(2, 2),
        33422: (1, 4, bytes([0, 1, 1, 2])),
        50717: _long(16383),
    }
    main = {
        271: _text("Acme"),
        272: _text("Test Camera"),
        274: _short(orientation),
        306: _text("2020:07:05 10:00:00"),
        50706: (1, 4, bytes([1, 4, 0, 0])),
        50708: _text("Acme Test Camera"),
        50721: (10, 9, b"".join(struct.pack("<ii", round(v * 10000), 10000) for v in to_camera)),
        50728: (5, 3, struct.pack("<6I", 1, 1, 1, 1, 1, 1)),
        50778: _short(21),
    }
    if preview is None:
        return _tiff([main | sensor], [bayer.tobytes()], photo)
    with Image.open(BytesIO(preview)) as opened:
        width, height = opened.size
    shown = {
        254: _long(1),
        256: _long(width),
        257: _long(height),
        258: _short(8, 8, 8),
        259: _short(7),
        262: _short(6),
        277: _short(3),
        278: _long(height),
        279: _long(len(preview)),
    }
    return _tiff([main | shown, sensor], [preview, bayer.tobytes()], photo)


Field = tuple[int, int, bytes]


def _short(*values: int) -> Field:
    return 3, len(values), struct.pack(f"<{len(values)}H", *values)


def _long(value: int) -> Field:
    return 4, 1, struct.pack("<I", value)


def _text(value: str) -> Field:
    return 2, len(value) + 1, value.encode() + b"\0"


def _tiff(directories: list[dict[int, Field]], strips: list[bytes], photo: dict[int, Field] | None) -> bytes:
    """The first directory points to the second as its SubIFD, and to `photo` as its Exif directory."""
    out = bytearray(struct.pack("<2sHI", b"II", 42, 0))

    def append(block: bytes) -> int:
        out.extend(bytes(len(out) % 2))
        out.extend(block)
        return len(out) - len(block)

    def directory(fields: dict[int, Field]) -> int:
        body = struct.pack("<H", len(fields))
        for tag, (kind, count, value) in sorted(fields.items()):
            body += struct.pack("<HHI", tag, kind, count)
            body += value.ljust(4, b"\0") if len(value) <= 4 else struct.pack("<I", append(value))
        return append(body + bytes(4))

    places = [append(strip) for strip in strips]
    first = directories[0] | {273: _long(places[0])}
    if len(directories) > 1:
        first[330] = _long(directory(directories[1] | {273: _long(places[1])}))
    if photo:
        first[34665] = _long(directory(photo))
    struct.pack_into("<I", out, 4, directory(first))
    return bytes(out)
