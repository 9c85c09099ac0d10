"""Opens any photo file: read once, told by content, decoded upright in sRGB within limits."""

import errno
import math
import os
import stat
import struct
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
import pillow_heif
import rawpy
from PIL import Image
from PIL.ExifTags import IFD, Base
from PIL.Image import Resampling, Transpose
from pydantic import BaseModel, ConfigDict

from framed.errors import BadPhoto, CannotStore, PhotoChanging, PhotoForbidden
from framed.library.colour import (
    ADOBE_RGB_PRIMARIES,
    DISPLAY_P3_PRIMARIES,
    inverted_ink,
    matrix_profile,
    to_plain,
    to_srgb,
)
from framed.library.formats import FORMATS, SUFFIXES, Format
from framed.library.walk import display_name

__all__ = ["FORMATS", "SUFFIXES", "Format", "PhotoChanging", "display_name"]

_HEIF_BRANDS: Final = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
_TIFF_STARTS: Final = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_RAW_STARTS: Final = (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0")
_BMP_HEADERS: Final = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
# Anything lower in a raw file is a thumbnail for the camera's screen, not a picture for a wall.
_PREVIEW_SIDE: Final = 1600
# libraw's flip → what turns the picture upright
_FLIPS: Final = {3: Transpose.ROTATE_180, 5: Transpose.ROTATE_90, 6: Transpose.ROTATE_270}
_TURNS: Final = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
_NCLX_DISPLAY_P3: Final = 12

pillow_heif.register_heif_opener(thumbnails=False)


class Limits(BaseModel):
    """What one photo file may cost; a file over a limit is refused before its pixels are touched."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_file_bytes: int = 400_000_000
    max_pixels: int = 150_000_000
    max_side: int = 65_535


@dataclass(frozen=True, slots=True)
class Decoded:
    """A picture in 8-bit sRGB, upright; `width` and `height` are those of the file in full, upright.

    `image` can be smaller than that, never smaller than the target asked for, and carries none of the file's metadata.
    `orientation_applied` is the Exif value that was undone; 1 also where the decoder itself had turned the picture.
    """

    image: Image.Image
    width: int
    height: int
    format: Format
    animated: bool
    orientation_applied: int
    icc: str | None
    notes: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Wanted:
    """The upright size that a decoded picture will be put to."""

    width: int
    height: int
    contain: bool

    def of(self, width: int, height: int) -> tuple[int, int]:
        """The least size, in the shape of an upright picture of `width` × `height`, that loses nothing."""
        ratios = self.width / width, self.height / height
        scale = min(1.0, min(ratios) if self.contain else max(ratios))
        return max(1, math.ceil(width * scale)), max(1, math.ceil(height * scale))


def read_bytes(path: bytes | str, limits: Limits | None = None) -> bytes:
    """The file in one read. Raises PhotoChanging where it is worth trying again, BadPhoto where it is not."""
    limits = limits or Limits()
    name = display_name(path)
    try:
        # O_NONBLOCK: a named pipe in a photo folder would otherwise block the process for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            before = os.fstat(descriptor)
            _check_file(name, before, limits)
            data = _read_whole(file, before.st_size)
            after = os.fstat(descriptor)
    except OSError as problem:
        raise _unreadable(name, problem) from problem
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or len(data) != before.st_size:
        raise PhotoChanging(f"{name} changed while it was read; it is probably still being copied.")
    return data


def sniff(data: bytes, name: str) -> Format | None:
    """What the bytes are, whatever the file is called; the name only tells TIFF-like camera raw from TIFF."""
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp":
        return _sniff_boxes(data)
    if data.startswith(_RAW_STARTS) or (data.startswith(_TIFF_STARTS) and data[8:10] == b"CR"):
        return "RAW"
    if data.startswith(_TIFF_STARTS):
        return "RAW" if _suffix(name) in FORMATS["RAW"] else "TIFF"
    if data[:2] == b"BM" and int.from_bytes(data[14:18], "little") in _BMP_HEADERS:
        return "BMP"
    return None


def open_photo(
    data: bytes,
    name: str,
    limits: Limits | None = None,
    target: tuple[int, int] | None = None,
    *,
    contain: bool = False,
) -> Decoded:
    """Decodes a photo; with a target (upright width, height) it may come back smaller, which is much faster.

    It still covers the target, so that it can be cropped to it; with `contain` it is only as large as a picture that
    fits inside the target must be. Raises BadPhoto, whatever is wrong with the bytes.
    """
    wanted = None if target is None else Wanted(*target, contain)
    limits = limits or Limits()
    name = display_name(name)
    kind = sniff(data, name)
    if kind is None:
        raise BadPhoto(_unknown(data, name))
    if len(data) > limits.max_file_bytes:
        raise BadPhoto(_too_big(name, len(data), limits))
    if kind == "RAW":
        return _open_raw(data, name, limits, wanted)
    return _open_picture(data, name, kind, limits, wanted)


def thumbnail(image: Image.Image, box: tuple[int, int]) -> Image.Image:
    """A new picture that fits inside the box in its own shape; never larger than it was."""
    scale = min(box[0] / image.width, box[1] / image.height, 1.0)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    if size == image.size:
        return image.copy()
    return image.resize(size, Resampling.LANCZOS, reducing_gap=3.0)


def encode_jpeg(image: Image.Image, quality: int = 85, path: Path | None = None) -> bytes:
    """Baseline 4:2:0 JPEG without metadata, as every microcontroller decoder reads it; also written to `path`."""
    plain = image if image.mode in ("RGB", "L") else image.convert("RGB")
    plain = plain.copy() if plain.info else plain
    plain.info = {}  # Pillow would carry a comment over into the new file
    buffer = BytesIO()
    plain.save(buffer, "JPEG", quality=quality, subsampling="4:2:0", progressive=False, optimize=False)
    data = buffer.getvalue()
    if path is not None:
        write_atomic(path, data)
    return data


def write_atomic(path: Path, data: bytes) -> None:
    """Readers see the old file or the whole new one. Not synced: for caches, which can be made again."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=".", suffix=".part", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as problem:
        raise CannotStore.because(problem) from problem


@contextmanager
def pixel_ceiling(pixels: int | None) -> Iterator[None]:
    """Pillow's own guard set to ours: its default lets 179 megapixels pass with a warning."""
    previous = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = pixels
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = previous


def _check_file(name: str, status: os.stat_result, limits: Limits) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise BadPhoto(f"{name} is not a regular file.")
    if status.st_size == 0:
        raise BadPhoto(_empty(name))
    if status.st_size > limits.max_file_bytes:
        raise BadPhoto(_too_big(name, status.st_size, limits))


def _read_whole(file: object, size: int) -> bytes:
    """One byte more than the file said it has, so that growth is noticed."""
    parts, left = [], size + 1
    while left > 0 and (part := file.read(left)):  # type: ignore[attr-defined]  # io.FileIO, unbuffered
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _unreadable(name: str, problem: OSError) -> BadPhoto:
    if problem.errno in (errno.ENOENT, errno.ENOTDIR):
        return PhotoChanging(f"{name} was moved or removed before it could be read.")
    if problem.errno in (errno.EACCES, errno.EPERM):
        return PhotoForbidden(f"{name} may not be read: its permissions do not allow framed to. Let everybody read it.")
    if problem.errno in (errno.ENXIO, errno.ELOOP, errno.EISDIR):
        return BadPhoto(f"{name} is not a regular file.")
    return PhotoChanging(f"{name} could not be read just now ({os.strerror(problem.errno or errno.EIO)}).")


def _sniff_boxes(data: bytes) -> Format | None:
    """HEIF, AVIF and CR3 share a container; its brands tell them apart."""
    end = min(int.from_bytes(data[:4], "big"), 256)
    brands = [data[8:12], *(data[i : i + 4] for i in range(16, end, 4))]
    if brands[0] == b"crx ":
        return "RAW"
    if brands[0] in (b"avif", b"avis"):
        return "AVIF"
    if brands[0] in _HEIF_BRANDS:
        return "HEIF"
    if brands[0] in (b"mif1", b"msf1"):
        return "AVIF" if {b"avif", b"avis"} & set(brands) else "HEIF"
    return None


def _open_picture(data: bytes, name: str, kind: Format, limits: Limits, wanted: Wanted | None) -> Decoded:
    notes: list[str] = []
    if size := _canvas(data, kind):
        _check_size(name, size, limits)
    image: Image.Image | None = None
    try:
        image = open_header(data, kind, limits)
        _check_size(name, image.size, limits)
        if kind == "PNG":
            image.load()  # it may hold its Exif behind its pixels, and has no scaled decoding to lose
        orientation = _orientation(image, kind, notes)
        width, height = image.size
        if orientation >= 5:
            width, height = height, width
        with pixel_ceiling(limits.max_pixels):
            least = wanted.of(width, height) if wanted else (width, height)
            if orientation >= 5:
                least = least[1], least[0]
            if kind == "JPEG":
                image.draft(None, least)
            image.load()
        animated = kind in ("GIF", "WEBP", "PNG", "AVIF") and bool(getattr(image, "is_animated", False))
        plain, icc = _upright_srgb(image, kind, orientation, least, notes)
    except BadPhoto:
        raise
    except MemoryError as problem:
        raise BadPhoto(too_much(name)) from problem
    except Exception as problem:  # decoders fail in every way there is; the photo is what is wrong
        raise BadPhoto(_broken(data, name, kind, image)) from problem
    return Decoded(plain, width, height, kind, animated, orientation, icc, tuple(notes))


def open_header(data: bytes, kind: Format, limits: Limits) -> Image.Image:
    """The picture with nothing decoded yet; raises whatever Pillow raises."""
    # GIF and WebP make their canvas while opening, so there the guard must already be up; elsewhere it would hide the
    # width and height that the refusal should name.
    with pixel_ceiling(limits.max_pixels if kind in ("GIF", "WEBP") else None):
        return Image.open(BytesIO(data), formats=[kind])


def _upright_srgb(
    image: Image.Image, kind: Format, orientation: int, least: tuple[int, int], notes: list[str]
) -> tuple[Image.Image, str | None]:
    """Shrinks before it converts colours: a colour transform costs 40 ns a pixel, whole 12 MP half a second."""
    profile = _profile(image, kind, notes)
    if image.mode == "CMYK" and kind == "JPEG" and "adobe" not in image.info:
        image = inverted_ink(image)
    plain = to_plain(image, notes)
    factor = min(plain.width // least[0], plain.height // least[1])
    if factor >= 2:
        plain = plain.reduce(factor)
    plain, icc = to_srgb(plain, profile, notes)
    if orientation in _TURNS:
        plain = plain.transpose(_TURNS[orientation])
    plain = plain.copy() if plain is image else plain
    plain.info = {}
    return plain, icc


def _profile(image: Image.Image, kind: Format, notes: list[str]) -> bytes | None:
    """The colour profile the file carries, or the one it names without carrying it."""
    profile = image.info.get("icc_profile")
    if isinstance(profile, bytes) and profile:
        return profile
    if kind == "HEIF" and image.mode == "RGB":
        nclx = image.info.get("nclx_profile")
        if isinstance(nclx, dict) and nclx.get("color_primaries") == _NCLX_DISPLAY_P3:
            return matrix_profile("Display P3 (nclx)", DISPLAY_P3_PRIMARIES)
    if kind == "JPEG" and image.mode == "RGB" and _says_adobe_rgb(image, notes):
        return matrix_profile("Adobe RGB (Exif R03)", ADOBE_RGB_PRIMARIES, gamma=563 / 256)
    return None


def _says_adobe_rgb(image: Image.Image, notes: list[str]) -> bool:
    """Cameras set to Adobe RGB say so in Exif alone (DCF 2.0, interoperability index R03)."""
    try:
        return str(image.getexif().get_ifd(IFD.Interop).get(1, "")).startswith("R03")
    except Exception as problem:  # a broken Exif block says nothing about colour
        notes.append(f"its Exif block is damaged ({type(problem).__name__})")
        return False


def _orientation(image: Image.Image, kind: Format, notes: list[str]) -> int:
    """The Exif orientation still to be undone.

    Pillow undoes it for TIFF while loading and libheif always for HEIF. Pillow reports AVIF's own rotation as Exif
    orientation, in place of whatever Exif says, as MIAF demands. Orientation in XMP is not looked at: browsers and
    libvips do not either, and editors leave it behind on pictures that they have turned.
    """
    if kind in ("TIFF", "HEIF"):
        return 1
    block = image.info.get("exif")
    if not isinstance(block, bytes):
        return 1
    try:
        exif = Image.Exif()  # not image.getexif(), which takes the orientation from XMP where Exif has none
        exif.load(block)
        value = exif.get(Base.Orientation, 1)
    except Exception as problem:  # damaged Exif must not cost the picture
        notes.append(f"its Exif block is damaged ({type(problem).__name__})")
        return 1
    return value if isinstance(value, int) and value in _TURNS else 1


def _open_raw(data: bytes, name: str, limits: Limits, wanted: Wanted | None) -> Decoded:
    """The JPEG that the camera put into its raw file; developed at half size where that is too small to show."""
    try:
        with rawpy.imread(BytesIO(data)) as raw:
            sizes = raw.sizes
            width, height = int(sizes.iwidth), int(sizes.iheight)
            _check_size(name, (max(width, int(sizes.raw_width)), max(height, int(sizes.raw_height))), limits)
            shown = _raw_preview(raw, name, limits, wanted, (width, height))
            if shown is None:
                pixels = raw.postprocess(half_size=True, use_camera_wb=True, output_bps=8)
                shown = Decoded(Image.fromarray(pixels), width, height, "RAW", False, 1, None)
    except BadPhoto:
        raise
    except MemoryError as problem:
        raise BadPhoto(too_much(name)) from problem
    except Exception as problem:  # LibRaw's errors are of no use to who reads this
        raise BadPhoto(
            f"{name} is a camera raw file that cannot be developed: damaged, or from a camera not yet known. "
            "Save it as JPEG or DNG."
        ) from problem
    if (shown.image.width > shown.image.height) != (width > height):
        width, height = height, width
    return Decoded(shown.image, width, height, "RAW", False, shown.orientation_applied, shown.icc, shown.notes)


def _raw_preview(
    raw: rawpy.RawPy, name: str, limits: Limits, wanted: Wanted | None, size: tuple[int, int]
) -> Decoded | None:
    """The embedded picture where it is at least as large as what half-size development would give or as is needed."""
    try:
        preview = raw.extract_thumb()
    except (rawpy.LibRawNoThumbnailError, rawpy.LibRawUnsupportedThumbnailError):
        return None
    if preview.format == rawpy.ThumbFormat.BITMAP:
        shown = Decoded(Image.fromarray(np.asarray(preview.data)), 0, 0, "RAW", False, 1, None)
        full = max(shown.image.size)
    else:
        try:
            shown = _open_picture(bytes(preview.data), name, "JPEG", limits, wanted)
        except BadPhoto:
            return None  # developing the raw data is the answer
        full = max(shown.width, shown.height)
    if full < min(max(wanted.of(*size)) if wanted else _PREVIEW_SIDE, max(size) // 2):
        return None
    flip = _FLIPS.get(int(raw.sizes.flip))
    if flip is None or shown.orientation_applied != 1:
        return shown
    return Decoded(shown.image.transpose(flip), 0, 0, "RAW", False, 1, shown.icc, shown.notes)


def _canvas(data: bytes, kind: Format) -> tuple[int, int] | None:
    """Width and height as the header has them, for the formats whose decoder allocates on opening."""
    if kind == "GIF" and len(data) >= 10:
        return struct.unpack_from("<HH", data, 6)
    if kind == "WEBP" and len(data) >= 30:
        if data[12:16] == b"VP8X":
            return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
        if data[12:16] == b"VP8L":
            bits = int.from_bytes(data[21:25], "little")
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        across, down = struct.unpack_from("<HH", data, 26)
        return across & 0x3FFF, down & 0x3FFF
    return None


def _check_size(name: str, size: tuple[int, int], limits: Limits) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise BadPhoto(f"{name} says that it has no pixels. Copy it here again.")
    claim = f"{name} claims {width:,} × {height:,} pixels"
    if width * height > limits.max_pixels:
        raise BadPhoto(f"{claim}, over the limit of {limits.max_pixels / 1e6:,.4g} megapixels (photos.max_megapixels).")
    if max(size) > limits.max_side:
        raise BadPhoto(f"{claim}, over the limit of {limits.max_side:,} along one side. Save a smaller one.")


def _broken(data: bytes, name: str, kind: Format, image: Image.Image | None) -> str:
    share = _missing(data, kind, image)
    if share is None:
        return f"{name} is damaged: its {kind} data cannot be decoded. Copy it here again, or put back a backup of it."
    if share < 0.01:
        return f"{name} is cut short: part of the picture is missing. Copy it here again."
    return f"{name} is cut short: {min(round(share * 100), 99)} % of the picture is missing. Copy it here again."


def _missing(data: bytes, kind: Format, image: Image.Image | None) -> float | None:
    """How much of a cut file is not there, 0–1; None where nothing says that it is cut."""
    whole = _declared_bytes(data, kind)
    if whole is not None:
        return 1 - len(data) / whole if whole > len(data) else None
    ended = {"JPEG": b"\xff\xd9", "PNG": b"IEND", "GIF": b"\x3b"}.get(kind)
    if ended is None or ended in data[-4096:]:
        return None
    core = getattr(image, "_im", None)  # rows that the decoder did not reach are still zero
    box = core.getbbox() if core is not None else None
    if image is None or core is None:
        return 0.99
    return 1.0 - int(box[3] if box else 0) / image.height


def _declared_bytes(data: bytes, kind: Format) -> int | None:
    """How long the file says it is, for the containers that say so."""
    if kind == "WEBP":
        return int.from_bytes(data[4:8], "little") + 8
    if kind == "BMP":
        return int.from_bytes(data[2:6], "little") or None
    if kind not in ("HEIF", "AVIF"):
        return None
    end = 0
    for _ in range(64):
        size = int.from_bytes(data[end : end + 4], "big")
        if size == 1:
            size = int.from_bytes(data[end + 8 : end + 16], "big")
        if size < 8:  # 0: up to the end of the file
            break
        end += size
        if end >= len(data):
            break
    return end or None


def _unknown(data: bytes, name: str) -> str:
    if not data:
        return _empty(name)
    if not data.strip(b"\0"):
        return f"{name} holds nothing but zeros: it was probably never copied to its end. Copy it here again."
    if _suffix(name) in FORMATS["RAW"]:
        return f"{name} is not a camera raw file that framed knows. Save it as JPEG or DNG."
    return f"{name} is not a picture in a format that framed reads. Save it as JPEG or take it away."


def _empty(name: str) -> str:
    return f"{name} is empty. Copy it here again."


def too_much(name: str) -> str:
    return f"{name} needs more memory to decode than one photo may use (compute.cpu_address_space_mb)."


def _too_big(name: str, size: int, limits: Limits) -> str:
    limit = f"{limits.max_file_bytes / 1e6:,.4g} MB (photos.max_file_mb)"
    return f"{name} has {size / 1e6:,.0f} MB, over the limit of {limit}."


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()
