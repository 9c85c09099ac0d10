"""Pixels of any mode and colour profile become upright-agnostic 8-bit sRGB."""

import hashlib
import math
import struct
from collections import OrderedDict
from io import BytesIO
from typing import Final

import numpy as np
from PIL import Image, ImageChops, ImageCms
from PIL.ImageCms import Flags, ImageCmsTransform, Intent

MAX_PROFILE_BYTES: Final = 8_000_000  # press profiles reach 3 MB; anything past this is not a profile
DISPLAY_P3_PRIMARIES: Final = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
ADOBE_RGB_PRIMARIES: Final = ((0.640, 0.330), (0.210, 0.710), (0.150, 0.060))
_D65: Final = (0.3127, 0.3290)
_D50_XYZ: Final = np.array([0.9642, 1.0, 0.8249])  # the connection space of every ICC profile
_BRADFORD: Final = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_SPACES: Final = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK", "LAB": "Lab"}
_INVISIBLE: Final = 2  # a profile that moves no colour by more than this is sRGB under another name

_transforms: OrderedDict[tuple[bytes, str], ImageCmsTransform | None] = OrderedDict()


def to_plain(image: Image.Image, notes: list[str]) -> Image.Image:
    """The same colours in a mode without alpha, palette or more than 8 bits: L, RGB, CMYK or LAB.

    Transparent parts lie on white, as they do on the web page or document that such a picture was made for. A picture
    that is transparent everywhere is an alpha channel gone wrong, and is shown without it.
    """
    if image.has_transparency_data and not image.mode.startswith("I;16"):
        return _on_white(image, notes)
    match image.mode:
        case "L" | "RGB" | "CMYK" | "LAB":
            return image
        case "1":
            return image.convert("L")
        case "I" | "F" | "I;16" | "I;16L" | "I;16B" | "I;16N":
            return _to_8_bit(image, notes)
        case _:  # P, YCbCr, HSV, RGBX
            return image.convert("RGB")


def to_srgb(image: Image.Image, profile: bytes | None, notes: list[str]) -> tuple[Image.Image, str | None]:
    """The picture (L, RGB, CMYK or LAB) in sRGB, and what its profile calls itself, None where it had none.

    A profile that is broken, too large or for another kind of pixels is left out with a note: wrong colours are worse
    than plain ones, and no picture at all is worse than both.
    """
    if profile:
        if len(profile) > MAX_PROFILE_BYTES:
            notes.append("its colour profile is too large and was ignored")
        else:
            try:
                return _apply(image, profile, notes)
            except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as problem:
                notes.append(f"its colour profile is broken and was ignored ({_short(problem)})")
    if image.mode == "LAB":
        lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
        return ImageCms.profileToProfile(image, lab, _srgb(), outputMode="RGB") or image, None
    if image.mode == "CMYK":
        notes.append("its ink colours have no profile, so they are approximate")
    return (image if image.mode == "RGB" else image.convert("RGB")), None


def matrix_profile(description: str, primaries: tuple[tuple[float, float], ...], gamma: float | None = None) -> bytes:
    """A small ICC v2 display profile with a D65 white; `gamma` None is the sRGB curve.

    For pictures that name their colour space without carrying a profile (Exif R03, nclx in HEIC).
    """
    curve = _curve(gamma)
    columns = _adapted_columns(primaries)
    text = description.encode("ascii", "replace") + b"\0"
    body = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(78),
        b"cprt": b"text\0\0\0\0no copyright\0",
        b"wtpt": _xyz(_D50_XYZ),
        b"rXYZ": _xyz(columns[:, 0]),
        b"gXYZ": _xyz(columns[:, 1]),
        b"bXYZ": _xyz(columns[:, 2]),
        b"rTRC": curve,
        b"gTRC": curve,
        b"bTRC": curve,
    }
    offset = 128 + 4 + 12 * len(body)
    table, blob = struct.pack(">I", len(body)), b""
    for tag, value in body.items():
        table += tag + struct.pack(">II", offset + len(blob), len(value))
        blob += value + bytes(-len(value) % 4)
    header = struct.pack(">I4sI4s4s4s", 128 + len(table) + len(blob), bytes(4), 0x02100000, b"mntr", b"RGB ", b"XYZ ")
    header += struct.pack(">6H4s", 2024, 1, 1, 0, 0, 0, b"acsp") + bytes(28) + _xyz(_D50_XYZ)[8:]
    return header.ljust(128, b"\0") + table + blob


def _apply(image: Image.Image, profile: bytes, notes: list[str]) -> tuple[Image.Image, str | None]:
    source = ImageCms.ImageCmsProfile(BytesIO(profile))
    name = ImageCms.getProfileDescription(source).strip() or "unnamed"
    space = source.profile.xcolor_space.strip()
    if space == "RGB" and image.mode == "L":
        image = image.convert("RGB")
    if _SPACES[image.mode] != space:
        notes.append(f"its colour profile “{name}” is for {space} pixels, not {image.mode}, and was ignored")
        return to_srgb(image, None, notes)[0], name
    transform = _transform(source, profile, image.mode)
    if transform is None:
        return image.convert("RGB"), name
    return transform.apply(image), name


def _transform(source: ImageCms.ImageCmsProfile, profile: bytes, mode: str) -> ImageCmsTransform | None:
    """Built once per profile; None where it would change nothing that an eye or an 8-bit value could tell."""
    key = hashlib.blake2b(profile, digest_size=16).digest(), mode
    if key in _transforms:
        _transforms.move_to_end(key)
        return _transforms[key]
    transform: ImageCmsTransform | None = ImageCms.buildTransform(
        source, _srgb(), mode, "RGB", Intent.RELATIVE_COLORIMETRIC, Flags.BLACKPOINTCOMPENSATION
    )
    if transform and mode == "RGB":
        levels = np.linspace(0, 255, 16).round().astype(np.uint8)
        cube = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(64, 64, 3)
        moved = np.asarray(transform.apply(Image.fromarray(cube))).astype(int) - cube
        if np.abs(moved).max() <= _INVISIBLE:
            transform = None
    _transforms[key] = transform
    if len(_transforms) > 16:
        _transforms.popitem(last=False)
    return transform


def _on_white(image: Image.Image, notes: list[str]) -> Image.Image:
    layered = image if image.mode == "RGBA" else image.convert("RGBA")
    alpha = layered.getchannel("A")
    lowest, highest = alpha.getextrema()
    opaque = layered.convert("RGB")
    if lowest == 255:
        return opaque
    if highest == 0:
        notes.append("it is transparent everywhere, so its transparency was ignored")
        return opaque
    return Image.composite(opaque, Image.new("RGB", opaque.size, "white"), alpha)


def _to_8_bit(image: Image.Image, notes: list[str]) -> Image.Image:
    """16-bit values by their high byte; others by the range they use (0–1, 0–255, 0–65535), else by their extremes."""
    values = np.asarray(image)
    if image.mode.startswith("I;16"):
        return Image.fromarray((values >> 8).astype(np.uint8))
    values = np.nan_to_num(values.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    if image.mode == "F" and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    elif low >= 0 and high <= 255:
        low, high = 0.0, 255.0
    elif low >= 0 and high <= 65535:
        low, high = 0.0, 65535.0
    else:
        notes.append("its values have no known range, so they were stretched from the lowest to the highest")
    values -= low
    values *= 255 / ((high - low) or 1)
    values += 0.5
    return Image.fromarray(values.astype(np.uint8))


def inverted_ink(image: Image.Image) -> Image.Image:
    """CMYK with the meaning of every value turned round: Pillow takes every CMYK JPEG for Adobe's inverted kind."""
    return ImageChops.invert(image)


def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _adapted_columns(primaries: tuple[tuple[float, float], ...]) -> np.ndarray:
    """RGB → XYZ (D50), the columns that the profile stores; Bradford adaptation as ICC.1 Annex E has it."""
    unscaled = np.array([[x / y, 1.0, (1 - x - y) / y] for x, y in primaries]).T
    white = np.array([_D65[0] / _D65[1], 1.0, (1 - sum(_D65)) / _D65[1]])
    to_xyz = unscaled * np.linalg.solve(unscaled, white)
    gain = np.diag((_BRADFORD @ _D50_XYZ) / (_BRADFORD @ white))
    return np.asarray(np.linalg.inv(_BRADFORD) @ gain @ _BRADFORD @ to_xyz)


def _curve(gamma: float | None) -> bytes:
    if gamma is not None:
        return struct.pack(">4s4xIH", b"curv", 1, round(gamma * 256))
    steps = [i / 1023 for i in range(1024)]
    linear = [v / 12.92 if v <= 0.04045 else math.pow((v + 0.055) / 1.055, 2.4) for v in steps]
    return struct.pack(">4s4xI1024H", b"curv", 1024, *(round(v * 65535) for v in linear))


def _xyz(values: np.ndarray) -> bytes:
    return struct.pack(">4s4x3i", b"XYZ ", *(round(float(v) * 65536) for v in values))


def _short(problem: Exception) -> str:
    return str(problem).strip().splitlines()[0][:80] if str(problem).strip() else "unreadable"
