"""Any photo file is decoded upright in sRGB, or refused with a sentence."""

import os
import random
import re
import struct
import threading
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from framed.errors import BadPhoto
from framed.library.colour import ADOBE_RGB_PRIMARIES, DISPLAY_P3_PRIMARIES, matrix_profile
from framed.library.files import (
    FORMATS,
    SUFFIXES,
    Decoded,
    Limits,
    PhotoChanging,
    encode_jpeg,
    open_photo,
    read_bytes,
    sniff,
    thumbnail,
    write_atomic,
)
from tests.installed import sample
from tests.library.pictures import STORED_FROM_UPRIGHT, cat, difference, dng, encoded, exif, stored

DISPLAY_P3 = matrix_profile("Display P3", DISPLAY_P3_PRIMARIES)
ADOBE_RGB = matrix_profile("Adobe RGB", ADOBE_RGB_PRIMARIES, gamma=563 / 256)
ALL_ORIENTATIONS = sorted(STORED_FROM_UPRIGHT)


def decode(data: bytes, name: str = "photo.jpg", **options: object) -> Decoded:
    return open_photo(data, name, **options)  # type: ignore[arg-type]


def pixels(data: bytes, name: str = "photo.jpg") -> np.ndarray:
    return np.asarray(decode(data, name).image).astype(int)


def one_colour(colour: tuple[int, ...], mode: str = "RGB", size: tuple[int, int] = (16, 16)) -> Image.Image:
    return Image.new(mode, size, colour)


def picture_or_sentence(data: bytes, **options: object) -> Image.Image | str:
    try:
        return decode(data, **options).image
    except BadPhoto as problem:
        return problem.message


# --- orientation


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "HEIF", "AVIF", "TIFF"])
@pytest.mark.parametrize("orientation", ALL_ORIENTATIONS)
def test_every_orientation_comes_out_upright_once(kind: str, orientation: int) -> None:
    options = {"lossless": True} if kind == "WEBP" else {"quality": 90} if kind in ("JPEG", "HEIF", "AVIF") else {}
    if kind == "TIFF":
        options = {"tiffinfo": {0x0112: orientation}}
    else:
        options["exif"] = exif(orientation).tobytes()
    small = cat().resize((150, 100))
    decoded = decode(encoded(stored(small, orientation), kind, **options))
    assert (decoded.width, decoded.height) == decoded.image.size == small.size
    assert decoded.format == kind
    assert difference(decoded.image, small) < 4


@pytest.mark.parametrize("orientation", ALL_ORIENTATIONS)
def test_scaled_decode_is_upright_and_covers_the_target(orientation: int) -> None:
    upright = cat().resize((1804, 1200))
    data = encoded(stored(upright, orientation), "JPEG", exif=exif(orientation).tobytes())
    decoded = decode(data, target=(400, 280))
    assert decoded.image.size == (451, 300)
    assert (decoded.width, decoded.height) == (1804, 1200)
    assert difference(decoded.image, cat()) < 4


@pytest.mark.parametrize("value", [0, 9, 255, 65535])
def test_senseless_orientation_is_upright(value: object) -> None:
    block = Image.Exif()
    block[0x0112] = value
    assert decode(encoded(cat(), "JPEG", exif=block.tobytes())).image.size == cat().size


def test_damaged_exif_does_not_cost_the_picture() -> None:
    data = encoded(cat(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f garbage")
    assert decode(data).image.size == cat().size


def test_orientation_in_xmp_alone_turns_nothing() -> None:
    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><tiff:Orientation>6</tiff:Orientation></x:xmpmeta>'
    assert decode(encoded(cat(), "JPEG", xmp=packet)).image.size == cat().size


# --- scaled decoding


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "HEIF", "AVIF", "TIFF"])
def test_never_smaller_than_the_target(kind: str) -> None:
    data = encoded(cat().resize((650, 450)), kind)
    covered = decode(data, target=(250, 250)).image
    contained = decode(data, target=(250, 250), contain=True).image
    assert covered.width >= 361
    assert covered.height >= 250
    assert contained.width >= 250
    assert contained.height >= 173
    assert contained.width < 650


def test_a_target_larger_than_the_picture_changes_nothing() -> None:
    assert decode(encoded(cat(), "JPEG"), target=(5000, 5000)).image.size == cat().size


# --- colour


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "HEIF", "AVIF"])
@pytest.mark.parametrize("p3", [(200, 100, 50), (100, 150, 200), (128, 128, 128), (255, 255, 255), (90, 140, 60)])
def test_display_p3_becomes_srgb(kind: str, p3: tuple[int, int, int]) -> None:
    quality = {"quality": 100} if kind in ("JPEG", "AVIF", "HEIF") else {"lossless": True} if kind == "WEBP" else {}
    decoded = decode(encoded(one_colour(p3), kind, icc_profile=DISPLAY_P3, **quality))
    assert decoded.icc == "Display P3"
    # one step for the transform, the others for what the lossy codecs do to a flat colour
    allowed = 1 if kind in ("PNG", "TIFF", "WEBP") else 4
    assert np.abs(np.asarray(decoded.image).reshape(-1, 3)[100] - srgb_of_display_p3(p3)).max() <= allowed


def srgb_of_display_p3(colour: tuple[int, int, int]) -> np.ndarray:
    """As CSS Color 4 computes it, in floating point."""
    encoded_light = np.array(colour) / 255
    light = np.where(encoded_light <= 0.04045, encoded_light / 12.92, ((encoded_light + 0.055) / 1.055) ** 2.4)
    light = np.array([[1.22494, -0.22494, 0], [-0.04206, 1.04206, 0], [-0.01964, -0.07864, 1.09828]]) @ light
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055) * 255


def test_adobe_rgb_becomes_srgb() -> None:
    data = encoded(one_colour((100, 150, 100)), "PNG", icc_profile=ADOBE_RGB)
    assert np.abs(pixels(data)[8, 8] - (65, 151, 99)).max() <= 2


def test_adobe_rgb_said_in_exif_alone_is_believed() -> None:
    block = exif(photo={0xA005: {1: "R03"}})
    data = encoded(one_colour((100, 150, 100)), "JPEG", quality=100, exif=block.tobytes())
    assert np.abs(pixels(data)[8, 8] - (65, 151, 99)).max() <= 3


def test_an_srgb_profile_changes_nothing() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert difference(decode(encoded(cat(), "PNG", icc_profile=profile)).image, cat()) == 0


@pytest.mark.parametrize("profile", [b"not a profile", DISPLAY_P3[:200], bytes(9_000_000)])
def test_a_bad_profile_is_ignored_with_a_note(profile: bytes) -> None:
    decoded = decode(encoded(cat(), "TIFF", icc_profile=profile))
    assert difference(decoded.image, cat()) == 0
    assert "colour profile" in decoded.notes[0]


def test_a_profile_for_other_pixels_is_ignored_with_a_note() -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    decoded = decode(encoded(cat(), "PNG", icc_profile=lab))
    assert difference(decoded.image, cat()) == 0
    assert "was ignored" in decoded.notes[0]


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_is_not_inverted(kind: str) -> None:
    decoded = decode(encoded(cat().convert("CMYK"), kind))
    assert difference(decoded.image, cat()) < 4


def test_cmyk_jpeg_without_adobe_marker_is_read_as_plain_ink() -> None:
    data = encoded(one_colour((255, 0, 0, 0), "CMYK"), "JPEG", quality=100)
    start = data.index(b"\xff\xee")
    plain = data[:start] + data[start + 2 + int.from_bytes(data[start + 2 : start + 4], "big") :]
    assert pixels(data)[8, 8].tolist() == [0, 255, 255]
    # The same bytes without the marker mean the opposite: no cyan, all of the rest.
    assert pixels(plain)[8, 8].tolist() == [0, 0, 0]


def test_sixteen_bit_grey_is_scaled_not_clipped() -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None, :].repeat(4, axis=0)
    for kind in ("PNG", "TIFF"):
        assert np.abs(pixels(encoded(Image.fromarray(ramp), kind))[0, :, 0] - np.arange(256)).max() <= 1


def test_sixteen_bit_colour_png_is_scaled_not_clipped() -> None:
    row = b"\0" + struct.pack(">6H", 0x8000, 0x4000, 0xFFFF, 0, 0x1234, 0x7FFF)
    assert pixels(png_of(2, 1, row, depth=16, colour=2))[0].tolist() == [[128, 64, 255], [0, 18, 127]]


@pytest.mark.parametrize(("values", "shown"), [((0.0, 0.5, 1.0), (0, 128, 255)), ((0.0, 100.0, 200.0), (0, 100, 200))])
def test_float_tiff_is_scaled_by_its_range(values: tuple[float, ...], shown: tuple[int, ...]) -> None:
    data = encoded(Image.fromarray(np.array([values], np.float32)), "TIFF")
    assert np.abs(pixels(data)[0, :, 0] - shown).max() <= 1


def test_float_tiff_with_holes_is_shown() -> None:
    data = encoded(Image.fromarray(np.array([[np.nan, -4.0, np.inf, 12.0]], np.float32)), "TIFF")
    assert pixels(data)[0, :, 0].tolist() == [64, 0, 64, 255]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "RGB", "I;16"])
def test_every_png_mode_becomes_rgb(mode: str) -> None:
    source = (
        Image.fromarray(np.asarray(cat().convert("L")).astype(np.uint16) * 257)
        if mode == "I;16"
        else cat().convert(mode)
    )
    decoded = decode(encoded(source, "PNG"))
    assert decoded.image.mode == "RGB"
    assert abs(np.asarray(decoded.image.convert("L")).mean() - np.asarray(cat().convert("L")).mean()) < 3


def test_lab_tiff_becomes_srgb() -> None:
    lab = ImageCms.createProfile("LAB")
    source = ImageCms.profileToProfile(cat(), ImageCms.createProfile("sRGB"), lab, outputMode="LAB")
    assert difference(decode(encoded(source, "TIFF")).image, cat()) < 4


def test_transparent_parts_lie_on_white() -> None:
    glass = Image.new("RGBA", (8, 8), (255, 0, 0, 128))
    glass.paste((0, 0, 255, 255), (0, 0, 8, 4))
    assert pixels(encoded(glass, "PNG"))[0, 0].tolist() == [0, 0, 255]
    assert pixels(encoded(glass, "PNG"))[7, 7].tolist() == [255, 127, 127]


def test_palette_with_transparency_lies_on_white() -> None:
    picture = Image.new("P", (4, 4), 1)
    picture.putpalette([0, 0, 0, 10, 20, 30])
    picture.putpixel((0, 0), 0)
    found = pixels(encoded(picture, "PNG", transparency=0))
    assert found[0, 0].tolist() == [255, 255, 255]
    assert found[3, 3].tolist() == [10, 20, 30]


def test_a_picture_that_is_transparent_everywhere_is_shown_without_it() -> None:
    ghost = cat().convert("RGBA")
    ghost.putalpha(0)
    decoded = decode(encoded(ghost, "PNG"))
    assert difference(decoded.image, cat()) == 0
    assert "transparent everywhere" in decoded.notes[0]


# --- formats


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "HEIF", "AVIF", "BMP"])
@pytest.mark.parametrize("name", ["photo.jpg", "photo.png", "photo", "photo.txt"])
def test_the_content_tells_the_format_not_the_name(kind: str, name: str) -> None:
    small = cat().resize((150, 100))
    data = encoded(small, kind)
    assert sniff(data, name) == kind
    decoded = decode(data, name)
    assert (decoded.format, decoded.image.mode, decoded.image.size) == (kind, "RGB", small.size)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "AVIF"])
def test_of_an_animation_the_first_picture_is_shown(kind: str) -> None:
    first = cat().resize((64, 48))
    rest = [first.transpose(Image.Transpose.ROTATE_180)] * 2
    decoded = decode(encoded(first, kind, save_all=True, append_images=rest, duration=100))
    assert decoded.animated
    assert difference(decoded.image, first) < 12


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_raw_without_preview_is_developed_upright(orientation: int) -> None:
    upright = {1: (256, 200), 3: (256, 200), 6: (200, 256), 8: (200, 256)}[orientation]
    decoded = decode(dng(orientation), "IMG_1.DNG")
    assert decoded.format == "RAW"
    assert decoded.image.size == upright
    assert (decoded.width, decoded.height) == (upright[0] * 2, upright[1] * 2)
    assert (
        difference(
            decoded.image, decode(dng(), "a.dng").image.rotate({1: 0, 3: 180, 6: -90, 8: 90}[orientation], expand=True)
        )
        < 3
    )


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("own", [False, True])
def test_the_preview_of_a_raw_file_is_used_and_turned_once(orientation: int, own: bool) -> None:
    picture = stored(cat(), orientation)
    preview = encoded(picture, "JPEG", quality=95, **({"exif": exif(orientation).tobytes()} if own else {}))
    decoded = decode(dng(orientation, preview), "IMG_1.dng")
    assert decoded.format == "RAW"
    assert difference(decoded.image, cat()) < 6


def test_a_preview_too_small_for_a_wall_is_not_used() -> None:
    preview = encoded(cat().resize((120, 80)), "JPEG")
    assert decode(dng(preview=preview), "IMG_1.dng").image.size == (256, 200)


def test_one_pixel_is_a_picture() -> None:
    assert decode(encoded(one_colour((1, 2, 3), size=(1, 1)), "PNG"), target=(800, 480)).image.size == (1, 1)


def test_formats_outside_the_list_are_refused() -> None:
    for kind in ("PPM", "TGA", "ICO", "EPS", "PDF"):
        with pytest.raises(BadPhoto, match="not a picture in a format that framed reads"):
            decode(encoded(cat().resize((32, 32)), kind), "photo.jpg")


def test_the_suffixes_are_lower_case_with_a_dot() -> None:
    assert {".jpg", ".heic", ".cr3"} <= SUFFIXES
    assert all(re.fullmatch(r"\.[a-z0-9]+", suffix) for suffix in SUFFIXES)
    assert len(FORMATS) == 9


# --- refusals


def png_of(width: int, height: int, raw: bytes, depth: int = 8, colour: int = 0) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b"")


def jpeg_claiming(width: int, height: int) -> bytes:
    data = bytearray(encoded(cat(), "JPEG"))
    start = data.index(b"\xff\xc0")
    struct.pack_into(">HH", data, start + 5, height, width)
    return bytes(data)


def webp_claiming(width: int, height: int) -> bytes:
    data = bytearray(encoded(cat(), "WEBP", icc_profile=DISPLAY_P3))
    assert data[12:16] == b"VP8X"
    data[24:30] = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return bytes(data)


def gif_claiming(width: int, height: int) -> bytes:
    data = bytearray(encoded(cat(), "GIF"))
    struct.pack_into("<HH", data, 6, width, height)
    return bytes(data)


@pytest.mark.parametrize(
    "data",
    [
        png_of(50_000, 50_000, b""),
        jpeg_claiming(50_000, 50_000),
        webp_claiming(50_000, 50_000),
        gif_claiming(50_000, 50_000),
    ],
    ids=["PNG", "JPEG", "WEBP", "GIF"],
)
def test_a_giant_is_refused_by_its_header(data: bytes) -> None:
    with pytest.raises(BadPhoto, match=r"claims 50,000 × 50,000 pixels, over the limit of 150 megapixels"):
        decode(data)


def test_a_bomb_under_pillows_own_limit_is_refused_by_ours() -> None:
    bomb = png_of(12_000, 12_500, bytes(12_501 * 1_000))
    assert len(bomb) < 20_000
    with pytest.raises(BadPhoto, match="over the limit of 100 megapixels"):
        decode(bomb, limits=Limits(max_pixels=100_000_000))


def test_a_picture_over_pillows_limit_and_under_ours_is_read() -> None:
    large = encoded(Image.new("L", (10_000, 9_500), 77), "JPEG")
    assert decode(large, target=(1000, 1000)).image.getpixel((500, 500)) == (77, 77, 77)


def test_an_endless_strip_is_refused() -> None:
    with pytest.raises(BadPhoto, match="along one side"):
        decode(png_of(100_000, 1, b"\0" * 100_001))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "HEIF", "AVIF", "BMP"])
def test_a_file_cut_anywhere_is_refused_or_whole(kind: str) -> None:
    data = encoded(cat(), kind)
    whole = decode(data).image
    for length in sorted({*range(1, 64, 7), *range(64, len(data), max(1, len(data) // 25)), len(data) - 1}):
        found = picture_or_sentence(data[:length])
        if isinstance(found, str):
            assert re.fullmatch(r"photo\.jpg (is|holds|says|claims) [^\n]+", found)
            assert not re.search("Error|truncat|PIL|object|None", found)
        else:
            assert difference(found, whole) < 0.5


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "HEIF"])
def test_a_cut_file_says_how_much_is_missing(kind: str) -> None:
    data = encoded(cat(), kind)
    with pytest.raises(BadPhoto, match="cut short") as refusal:
        decode(data[: len(data) // 2])
    share = int(re.findall(r"(\d+) %", refusal.value.message)[0])
    assert 30 <= share <= 70


@pytest.mark.parametrize("data", [b"", bytes(5000), b"hello", b"\xff\xd8\xff", b"<?xml version='1.0'?>"])
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(BadPhoto, match=r"photo\.jpg"):
        decode(data)


@settings(max_examples=60, deadline=None)
@given(kind=st.sampled_from(["JPEG", "PNG", "WEBP", "GIF", "TIFF", "AVIF", "BMP", "HEIF"]), seed=st.integers(0, 10_000))
def test_damage_anywhere_ends_in_a_picture_or_a_sentence(kind: str, seed: int) -> None:
    chance = random.Random(seed)
    data = bytearray(encoded(cat().resize((60, 40)), kind))
    for _ in range(chance.randint(1, 12)):
        data[chance.randrange(len(data))] = chance.randrange(256)
    found = picture_or_sentence(bytes(data), limits=Limits(max_pixels=5_000_000))
    assert found.startswith("photo.jpg ") if isinstance(found, str) else found.mode == "RGB"


def test_a_damaged_raw_file_is_refused() -> None:
    with pytest.raises(BadPhoto, match="cannot be developed"):
        decode(dng()[:3000], "IMG_1.dng")


# --- reading


def test_a_file_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(encoded(cat(), "JPEG"))
    assert read_bytes(os.fsencode(path)) == path.read_bytes()


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    with pytest.raises(BadPhoto, match=r"a\.jpg is empty"):
        read_bytes(str(tmp_path / "a.jpg"))


def test_a_file_over_the_limit_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "a.jpg").open("wb") as file:
        file.truncate(10_000_000_000)
    with pytest.raises(BadPhoto, match="10,000 MB, over the limit of 400 MB"):
        read_bytes(str(tmp_path / "a.jpg"))


def test_folders_and_pipes_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    for path in (tmp_path, tmp_path / "pipe.jpg", Path("/dev/zero")):
        with pytest.raises(BadPhoto, match="not a regular file"):
            read_bytes(str(path))


def test_a_file_that_is_gone_is_worth_another_try(tmp_path: Path) -> None:
    with pytest.raises(PhotoChanging, match="moved or removed"):
        read_bytes(str(tmp_path / "a.jpg"))


def test_a_file_that_changes_while_it_is_read_is_worth_another_try(tmp_path: Path) -> None:
    path, stop = tmp_path / "a.jpg", threading.Event()
    path.write_bytes(bytes(30_000_000))

    def keep_writing() -> None:
        with path.open("ab") as file:
            while not stop.is_set():
                file.write(b"more")
                file.flush()

    writer = threading.Thread(target=keep_writing)
    writer.start()
    try:
        with pytest.raises(PhotoChanging, match="changed while it was read"):
            read_bytes(str(path))
    finally:
        stop.set()
        writer.join()


def test_a_name_that_is_not_utf8_can_be_said(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/caf\xe9.jpg"
    with pytest.raises(PhotoChanging) as refusal:
        read_bytes(path)
    assert refusal.value.message.encode("utf-8").startswith("caf�.jpg".encode())


# --- writing


def test_a_thumbnail_keeps_the_shape_and_never_grows() -> None:
    assert thumbnail(cat(), (200, 200)).size == (200, 133)
    assert thumbnail(cat(), (2000, 2000)).size == cat().size
    assert thumbnail(Image.new("RGB", (5000, 2)), (100, 100)).size == (100, 1)


def test_a_preview_is_baseline_with_halved_colour_and_no_metadata() -> None:
    block = exif(6, gps={1: "N", 2: (52.0, 30.0, 0.0)})
    source = decode(encoded(cat(), "JPEG", exif=block.tobytes(), comment=b"secret", icc_profile=DISPLAY_P3)).image
    data = encode_jpeg(source, 80)
    with Image.open(BytesIO(data)) as written:
        assert "progressive" not in written.info
        assert not {"exif", "comment", "icc_profile", "xmp"} & set(written.info)
        assert [component[1:3] for component in written.layer] == [(2, 2), (1, 1), (1, 1)]
    assert b"\xff\xc0" in data


def test_a_cache_file_is_written_whole_with_its_folders(tmp_path: Path) -> None:
    path = tmp_path / "ab" / "cd" / "preview.jpg"
    data = encode_jpeg(sample("astronaut.png"), 85, path)
    assert path.read_bytes() == data
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    assert os.listdir(path.parent) == ["preview.jpg"]
