"""Takes the metadata blocks out of a photo file as they are: Exif, XMP, IPTC, PNG text."""

import math
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from PIL import Image
from PIL.ExifTags import IFD, Base

from framed.library.files import Format, Limits, open_header, sniff
from framed.library.xmp import BrokenXmp, Properties, parse_xmp, text

_MAX_BLOCK: Final = 16_000_000
_MAX_TEXT: Final = 10_000
_EXTENDED_XMP: Final = b"http://ns.adobe.com/xmp/extension/\0"
_XMP_UUID: Final = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_IPTC_RESOURCE: Final = 0x0404
_UTF8_ESCAPE: Final = b"\x1b%G"
_PROFILE: Final = "Raw profile type "
_JPEG_OF_RAF: Final = 84  # where a Fuji raw file says where its JPEG is


@dataclass(slots=True)
class Embedded:
    """What a file says about itself. `width` and `height` are the stored picture's, before its orientation."""

    zeroth: dict[int, Any] = field(default_factory=dict)
    photo: dict[int, Any] = field(default_factory=dict)
    gps: dict[int, Any] = field(default_factory=dict)
    xmp: Properties = field(default_factory=dict)
    iptc: dict[int, list[str]] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    changed: tuple[int, ...] | None = None  # PNG tIME: year, month, day, hour, minute, second in UTC
    width: int = 0
    height: int = 0
    orientation: int = 1


def read_embedded(data: bytes, name: str, notes: list[str]) -> Embedded:
    """Never raises for damaged blocks: what can be read is returned, what cannot is noted."""
    found = Embedded()
    kind = sniff(data, name)
    if kind is None:
        return found
    if kind == "RAW":
        _guarded(_read_raw, data, found, notes=notes)
    else:
        _guarded(_read_picture, data, kind, found, notes=notes)
    value = found.zeroth.get(Base.Orientation)
    if kind != "HEIF" and isinstance(value, int) and 1 <= value <= 8:
        found.orientation = value
    if kind == "TIFF" and found.orientation >= 5:
        found.width, found.height = found.height, found.width  # Pillow says the upright size of a TIFF
    return found


def _guarded(read: Any, *arguments: Any, notes: list[str]) -> None:
    try:
        read(*arguments, notes)
    except Exception as problem:  # any byte of a metadata block can be wrong, and none of them is worth a photo
        notes.append(f"some of its metadata is damaged ({type(problem).__name__})")


def _read_picture(data: bytes, kind: Format, found: Embedded, notes: list[str]) -> None:
    with open_header(data, kind, Limits()) as image:
        found.width, found.height = image.size
        if kind == "PNG":
            _guarded(_read_png_chunks, data, found, notes=notes)
        elif kind == "TIFF":
            _guarded(_read_exif, image.getexif, found, notes=notes)
        elif isinstance(block := image.info.get("exif"), bytes):
            _guarded(_read_exif, lambda: _exif_of(block), found, notes=notes)
        if kind == "HEIF":
            _set_heif_orientation(image, found)
        _guarded(_read_xmp, image, found, notes=notes)
        _guarded(_read_iptc, image, found, notes=notes)
        comment = image.info.get("comment")
        if isinstance(comment, bytes | str):
            found.texts.setdefault("Comment", clean_text(comment) or "")


def _set_heif_orientation(image: Image.Image, found: Embedded) -> None:
    """libheif has turned the picture and blanked the tag; the plug-in keeps what it was, and the size is upright."""
    original = image.info.get("original_orientation") or 1
    if isinstance(original, int) and 1 <= original <= 8:
        found.orientation = original
    if found.orientation >= 5:
        found.width, found.height = found.height, found.width


def _read_exif(load: Any, found: Embedded, notes: list[str]) -> None:
    exif: Image.Exif = load()
    found.zeroth = dict(exif)
    for target, directory in ((found.photo, IFD.Exif), (found.gps, IFD.GPSInfo)):
        _guarded(lambda target, directory, _: target.update(exif.get_ifd(directory)), target, directory, notes=notes)


def _exif_of(block: bytes) -> Image.Exif:
    exif = Image.Exif()
    exif.load(block)
    return exif


def _read_xmp(image: Image.Image, found: Embedded, notes: list[str]) -> None:
    packet = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    if isinstance(packet, str):
        packet = packet.encode("utf-8", "replace")
    if isinstance(packet, bytes) and packet:
        found.xmp = _parse(packet, notes)
    if guid := text(found.xmp, "xmpNote:HasExtendedXMP"):
        for name, value in _parse(_extended_packet(image, guid), notes).items():
            found.xmp.setdefault(name, value)


def _parse(packet: bytes, notes: list[str]) -> Properties:
    try:
        return parse_xmp(packet)
    except BrokenXmp as problem:
        notes.append(f"its XMP {problem}")
        return {}


def _extended_packet(image: Image.Image, guid: str) -> bytes:
    """A JPEG segment holds 64 KB; longer XMP is spread over several, which may come in any order."""
    parts: dict[int, bytes] = {}
    for segment, content in getattr(image, "applist", []):
        if segment == "APP1" and content.startswith(_EXTENDED_XMP):
            body = content[len(_EXTENDED_XMP) :]
            if body[:32] == guid.encode("ascii", "replace"):
                parts[int.from_bytes(body[36:40], "big")] = body[40:]
    return b"".join(parts[offset] for offset in sorted(parts))


def _read_iptc(image: Image.Image, found: Embedded, notes: list[str]) -> None:
    resources = image.info.get("photoshop")
    block = resources.get(_IPTC_RESOURCE) if isinstance(resources, dict) else None
    if block is None and isinstance(tags := getattr(image, "tag_v2", None), Mapping):
        block = tags.get(33723)
        if isinstance(block, tuple):  # written as 32-bit numbers by old programs
            block = struct.pack(f"{'>' if getattr(tags, 'prefix', b'II') == b'MM' else '<'}{len(block)}I", *block)
    if isinstance(block, bytes):
        found.iptc = parse_iptc(block)


def parse_iptc(block: bytes) -> dict[int, list[str]]:
    """Data sets of record 2 (IIM 4.2): number → texts, by the character set that record 1 names, else by what fits."""
    raw: list[tuple[int, bytes]] = []
    utf8 = False
    position = 0
    while position + 5 <= len(block) and block[position] == 0x1C:
        record, number = block[position + 1], block[position + 2]
        length = int.from_bytes(block[position + 3 : position + 5], "big")
        position += 5
        if length & 0x8000:  # extended: the low bits say how many bytes the length takes
            width = length & 0x7FFF
            length = int.from_bytes(block[position : position + width], "big")
            position += width
        content = block[position : position + length]
        position += length
        if (record, number) == (1, 90):
            utf8 = content.startswith(_UTF8_ESCAPE)
        elif record == 2:
            raw.append((number, content))
    found: dict[int, list[str]] = {}
    for number, content in raw:
        if value := clean_text(content.decode("utf-8", "replace") if utf8 and _is_utf8(content) else content):
            found.setdefault(number, []).append(value)
    return found


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False  # it said UTF-8 and is not: some programs change the text and leave the mark
    return True


def _read_png_chunks(data: bytes, found: Embedded, notes: list[str]) -> None:
    """Pillow would decode every pixel to reach the chunks behind them."""
    for kind, body in _png_chunks(data):
        if kind == b"eXIf":
            _guarded(_read_exif, lambda body=body: _exif_of(body), found, notes=notes)
        elif kind == b"tIME" and len(body) == 7:
            found.changed = struct.unpack(">H5B", body)
        elif kind in (b"tEXt", b"zTXt"):
            key, _, value = body.partition(b"\0")
            _guarded(_read_png_text, key.decode("latin-1"), value, kind == b"zTXt", found, notes=notes)
        elif kind == b"iTXt" and len(parts := body.split(b"\0", 1)) == 2 and parts[1][:1] == b"\0":
            value = parts[1][2:].split(b"\0", 2)[-1]
            if parts[0] == b"XML:com.adobe.xmp":
                found.xmp = found.xmp or _parse(value, notes)
            else:
                found.texts.setdefault(parts[0].decode("latin-1"), clean_text(value) or "")


def _read_png_text(key: str, value: bytes, packed: bool, found: Embedded, notes: list[str]) -> None:
    if packed:  # behind a byte that says how
        value = zlib.decompressobj().decompress(value[1:], _MAX_BLOCK)
    if not key.startswith(_PROFILE):
        found.texts.setdefault(key, clean_text(value) or "")
        return
    # ImageMagick's way before PNG had a chunk for Exif: the name, the length, and the block in hexadecimal digits.
    block = bytes.fromhex(value.split(b"\n", 3)[3].decode("ascii"))
    if block.startswith(b"Exif\0\0"):
        _read_exif(lambda: _exif_of(block), found, notes)
        found.zeroth.pop(Base.Orientation, None)  # no program turns the picture for it, and framed does not either
    elif b"<x:xmpmeta" in block or b"<rdf:RDF" in block:
        found.xmp = found.xmp or _parse(block[block.index(b"<") :], notes)


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 8
    while position + 8 <= len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        kind = data[position + 4 : position + 8]
        if kind != b"IDAT" and length <= _MAX_BLOCK:
            yield kind, data[position + 8 : position + 8 + length]
        position += 12 + length


def _read_raw(data: bytes, found: Embedded, notes: list[str]) -> None:
    if data.startswith(b"FUJIFILMCCD-RAW"):
        start, length = struct.unpack_from(">II", data, _JPEG_OF_RAF)
        _read_picture(data[start : start + length], "JPEG", found, notes)
        return
    if data[4:8] == b"ftyp":
        _read_cr3(data, found, notes)
        return
    # Olympus and Panasonic changed the two bytes that say “TIFF”; all else is TIFF.
    plain = data[:2] + (b"\0*" if data[:2] == b"MM" else b"*\0") + data[4:]
    _read_exif(lambda: _exif_of(plain), found, notes)
    packet = found.zeroth.get(700)
    if isinstance(packet, bytes):
        found.xmp = _parse(packet, notes)


def _read_cr3(data: bytes, found: Embedded, notes: list[str]) -> None:
    """Canon keeps each Exif directory as a TIFF of its own in a box (CMT1 zeroth, CMT2 photo, CMT4 GPS)."""
    head = data[:1_000_000]
    for mark, target in ((b"CMT1", found.zeroth), (b"CMT2", found.photo), (b"CMT4", found.gps)):
        at = head.find(mark)
        if at >= 4:
            size = int.from_bytes(head[at - 4 : at], "big") - 8
            _guarded(
                lambda block, into, _: into.update(_exif_of(block)), head[at + 4 : at + 4 + size], target, notes=notes
            )
    at = head.find(_XMP_UUID)
    if at >= 8:
        size = int.from_bytes(head[at - 8 : at - 4], "big") - 24
        found.xmp = _parse(head[at + 16 : at + 16 + max(size, 0)], notes)


def clean_text(value: object) -> str | None:
    """A text without padding and control characters; bytes are UTF-8 where they can be, else Windows Latin.

    Pillow reads Exif text as Latin-1, so what was UTF-8 is put right here.
    """
    if isinstance(value, str):
        try:
            content = value.encode("latin-1").decode("utf-8")
        except UnicodeError:
            content = value  # it was no mistaken UTF-8
    elif isinstance(value, bytes):
        try:
            content = value.decode("utf-8")
        except UnicodeDecodeError:
            content = value.decode("cp1252", "replace")
    else:
        return None
    kept = "".join(c for c in content.partition("\0")[0] if c.isprintable() or c in "\n\t")
    return kept.strip()[:_MAX_TEXT] or None


def wide_text(value: object) -> str | None:
    """Microsoft's XP tags: UTF-16 little endian in bytes or in a tuple of them."""
    if isinstance(value, tuple):
        value = bytes(v for v in value if isinstance(v, int) and 0 <= v < 256)
    if isinstance(value, bytes):
        return clean_text(value.decode("utf-16-le", "ignore").replace("\0", ""))
    return clean_text(value)


def comment_text(value: object) -> str | None:
    """Exif UserComment: eight bytes name the character set."""
    if not isinstance(value, bytes):
        return clean_text(value)
    code, body = value[:8], value[8:]
    if code.startswith(b"UNICODE"):
        return clean_text(_utf16(body))
    if code.startswith(b"JIS"):
        return clean_text(body.decode("iso2022_jp", "replace"))
    if code.startswith((b"ASCII", b"\0\0\0")):
        return clean_text(body)
    return clean_text(value)


def _utf16(body: bytes) -> str:
    """In the byte order that gives letters: programs disagree, whatever order the rest of the file is in."""
    if body[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return body.decode("utf-16", "ignore")
    little, big = body.decode("utf-16-le", "ignore"), body.decode("utf-16-be", "ignore")
    return little if sum(map(_common, little)) >= sum(map(_common, big)) else big


def _common(character: str) -> bool:
    return character < "\u0250" and character != "\0"


def number(value: object) -> float | None:
    """A finite number from a rational, a text (`1/200`), or the first of several; None for 0/0 and the like."""
    if isinstance(value, tuple | list):
        value = value[0] if value else None
    if isinstance(value, bytes) and len(value) == 1:
        value = value[0]
    try:
        if isinstance(value, str) and "/" in value:
            above, _, below = value.partition("/")
            result = float(above) / float(below)
        else:
            result = float(value)  # type: ignore[arg-type]  # what cannot be a number raises TypeError
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return result if math.isfinite(result) else None
