"""Panels of few colours: exactly their inks, light as it was, greys without tint."""

import io
import os
import struct
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile, get_sampling

from framed.errors import BadRequest
from framed.frames import palette
from framed.frames.base import Dither, PaletteName, Panel, RenderRequest
from framed.frames.palette import PRESETS, Inks, dither, inks_of, is_monochrome, lab, paint
from framed.frames.render import render
from tests.installed import sample

SPECTRA = PRESETS["spectra6"]
WIRE_6 = {(0, 0, 0), (255, 255, 255), (255, 255, 0), (255, 0, 0), (0, 0, 255), (0, 255, 0)}


@pytest.fixture(params=["rust", "pillow"])
def diffuser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways of dithering: the extension is missing on some platforms."""
    if request.param == "rust":
        pytest.importorskip("epaper_dithering")
    monkeypatch.setattr(palette, "_DIFFUSER", request.param)
    return str(request.param)


def ramp(low: int = 0, high: int = 255) -> Image.Image:
    return Image.fromarray(np.tile(np.linspace(low, high, 256), (64, 1)).astype(np.uint8)).convert("RGB")


def pixels(image: Image.Image) -> list[tuple[int, ...]]:
    return [tuple(colour) for colour in np.asarray(image.convert("RGB")).reshape(-1, 3).tolist()]


def colours(image: Image.Image) -> set[tuple[int, ...]]:
    return set(pixels(image))


def file_of(image: Image.Image, folder: Path, panel: Panel, **more: object) -> bytes:
    source = folder / "source.png"
    image.save(source)
    request = RenderRequest(source=os.fsencode(source), output_dir=os.fsencode(folder / "out"), panel=panel, **more)
    return Path(os.fsdecode(render(request).path)).read_bytes()


def spectra(**more: object) -> Panel:
    return Panel(**{"width": 200, "height": 120, "palette": "spectra6", "formats": ["png"], **more})


def png_header(file: bytes) -> tuple[int, int]:
    """Bit depth and colour type."""
    return file[24], file[25]


# -- exactly the inks -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["png", "bmp"])
@pytest.mark.parametrize("fit", ["cover", "contain", "blur", "matte"])
def test_file_holds_the_wire_colours_and_no_other(tmp_path: Path, diffuser: str, kind: str, fit: str) -> None:
    panel = spectra(fit=fit, formats=[kind], background="#334455", overlay="caption")
    file = file_of(sample("astronaut.png"), tmp_path, panel, overlay_text="Eileen")
    assert colours(Image.open(io.BytesIO(file))) <= WIRE_6


def test_wire_palette_replaces_what_is_sent_but_not_what_is_dithered(tmp_path: Path) -> None:
    wire = ["#000000", "#ffffff", "#111111", "#222222", "#333333", "#444444"]
    plain = Image.open(io.BytesIO(file_of(sample("astronaut.png"), tmp_path, spectra())))
    image = sample("astronaut.png")
    other = Image.open(io.BytesIO(file_of(image, tmp_path, spectra(wire_palette=wire)))).convert("RGB")
    named: dict[tuple[int, ...], tuple[int, ...]] = dict(
        zip(SPECTRA.wire, [palette.parse_colour(colour) for colour in wire], strict=True)
    )
    assert [named[pixel] for pixel in pixels(plain)] == pixels(other)


def test_listed_palette_is_sent_as_it_is_unless_named_otherwise(tmp_path: Path) -> None:
    listed = spectra(palette=["#c8c8c8", "#0a0a0a", "#780f05"])
    file = file_of(sample("astronaut.png"), tmp_path, listed)
    assert colours(Image.open(io.BytesIO(file))) <= {(200, 200, 200), (10, 10, 10), (120, 15, 5)}


def test_wire_palette_of_the_wrong_length_for_a_named_palette_is_refused() -> None:
    with pytest.raises(BadRequest, match="6 inks") as refusal:
        inks_of(spectra(wire_palette=["#000000", "#ffffff"]))
    assert refusal.value.field == "wire_palette"


def test_every_palette_name_has_its_inks() -> None:
    assert set(PRESETS) == set(get_args(PaletteName))
    assert all(len(inks.measured) == len(inks.wire) for inks in PRESETS.values())


def test_thumb_is_in_measured_colours(tmp_path: Path) -> None:
    source = tmp_path / "white.png"
    Image.new("RGB", (200, 120), "white").save(source)
    request = RenderRequest(source=os.fsencode(source), output_dir=os.fsencode(tmp_path), panel=spectra())
    seen = pixels(Image.open(io.BytesIO(render(request).thumb)))[100]
    assert np.abs(np.subtract(seen, SPECTRA.measured[1])).max() <= 4


def test_order_in_which_inks_are_listed_does_not_matter() -> None:
    turned = Inks(SPECTRA.measured[::-1], SPECTRA.wire[::-1])
    image = sample("astronaut.png").resize((160, 160))
    one = paint(dither(image, SPECTRA, mode="floyd-steinberg", tone=1.0), SPECTRA.measured).convert("RGB")
    two = paint(dither(image, turned, mode="floyd-steinberg", tone=1.0), turned.measured).convert("RGB")
    assert np.abs(np.asarray(one, float).mean((0, 1)) - np.asarray(two, float).mean((0, 1))).max() < 2


# -- tone -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mono", "spectra6", "spectra6-v2", "acep7"])
def test_black_and_white_picture_stays_black_and_white(diffuser: str, name: str) -> None:
    """Automatic tone once made such pictures black all over (py-opendisplay 122)."""
    image = Image.new("RGB", (120, 80), "white")
    image.paste((0, 0, 0), (20, 20, 60, 60))
    inks = PRESETS[name]
    indices = np.asarray(dither(image, inks, mode="floyd-steinberg", tone=1.0, monochrome=True))
    dark, light = indices[22:58, 22:58], np.delete(indices, np.s_[18:62], axis=0)
    assert (dark == inks.wire.index((0, 0, 0))).mean() > 0.97
    assert (light == int(np.argmax(lab(inks.measured)[:, 0]))).mean() > 0.97


@pytest.mark.parametrize("name", ["mono", "spectra6", "spectra6-v2"])
def test_lightness_is_compressed_and_not_clipped(diffuser: str, name: str) -> None:
    inks = PRESETS[name]
    indices = dither(ramp(), inks, mode="floyd-steinberg", tone=1.0, monochrome=True)
    seen = np.asarray(paint(indices, inks.wire).convert("L"), float)
    lights = seen[:, 200:240].mean()
    assert 80 < lights < 250  # clipped lights would be nothing but white
    assert seen[:, 230:].mean() > lights > seen[:, 100:140].mean() > seen[:, 10:40].mean()


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_grey_panel_keeps_the_brightness_of_the_photo(tmp_path: Path, diffuser: str, bits: int) -> None:
    panel = Panel(width=256, height=64, grey_bits=bits, formats=["png"])
    seen = np.asarray(Image.open(io.BytesIO(file_of(ramp(), tmp_path, panel))).convert("L"), float)
    assert len(np.unique(seen)) <= 1 << bits
    columns = seen.mean(axis=0).reshape(8, 32).mean(axis=1)
    assert (np.diff(columns) > 0).all()
    assert columns[0] < 40
    assert columns[-1] > 215


@pytest.mark.parametrize("mode", get_args(Dither))
def test_every_way_of_dithering_works(diffuser: str, mode: Dither) -> None:
    image = sample("astronaut.png").resize((60, 40))
    indices = dither(image, SPECTRA, mode=mode, tone=1.0)
    assert indices.size == (60, 40)
    assert int(np.asarray(indices).max()) < 6


def test_dithering_is_the_same_every_time() -> None:
    image = sample("astronaut.png").resize((80, 80))
    first = dither(image, SPECTRA, mode="floyd-steinberg", tone=1.0)
    assert first.tobytes() == dither(image, SPECTRA, mode="floyd-steinberg", tone=1.0).tobytes()


# -- no colour where there is none ----------------------------------------------------------------------------------


def test_black_and_white_photo_gets_no_coloured_ink(tmp_path: Path, diffuser: str) -> None:
    file = file_of(sample("camera.png"), tmp_path, spectra())
    assert colours(Image.open(io.BytesIO(file))) == {(0, 0, 0), (255, 255, 255)}


def test_photo_said_to_be_monochrome_gets_no_coloured_ink(tmp_path: Path) -> None:
    file = file_of(sample("astronaut.png"), tmp_path, spectra(), monochrome=True)
    assert colours(Image.open(io.BytesIO(file))) == {(0, 0, 0), (255, 255, 255)}


@pytest.mark.parametrize(("picture", "grey"), [("camera", True), ("astronaut", False), ("coffee", False)])
def test_black_and_white_photos_are_told_from_colour_photos(picture: str, grey: bool) -> None:
    assert is_monochrome(sample(f"{picture}.png")) is grey


@pytest.mark.parametrize(("colour", "red_share"), [((60, 130, 60), 0.02), ((60, 80, 160), 0.02)])
def test_leaves_and_skies_do_not_turn_red_on_black_white_red_paper(
    diffuser: str, colour: tuple[int, int, int], red_share: float
) -> None:
    image = Image.new("RGB", (80, 80), colour)
    indices = np.asarray(dither(image, PRESETS["bwr"], mode="floyd-steinberg", tone=1.0))
    assert (indices == 2).mean() < red_share


def test_red_stays_red_on_black_white_red_paper(diffuser: str) -> None:
    image = Image.new("RGB", (80, 80), (190, 30, 20))
    indices = np.asarray(dither(image, PRESETS["bwr"], mode="floyd-steinberg", tone=1.0))
    assert (indices == 2).mean() > 0.5


def test_flat_grounds_are_one_ink_without_specks(tmp_path: Path) -> None:
    panel = spectra(width=300, height=100, fit="matte")
    picture = Image.open(io.BytesIO(file_of(sample("astronaut.png"), tmp_path, panel))).convert("RGB")
    assert colours(picture.crop((0, 0, 80, 100))) == {(255, 255, 255)}
    ground = spectra(width=300, height=100, fit="contain", background="#ff2010")
    picture = Image.open(io.BytesIO(file_of(sample("astronaut.png"), tmp_path, ground))).convert("RGB")
    assert colours(picture.crop((0, 0, 90, 100))) == {(255, 0, 0)}


# -- files as firmware reads them -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("bits", "depth"), [(1, 1), (2, 2), (4, 4), (8, 8)])
def test_grey_png_is_grey_and_not_indexed(tmp_path: Path, bits: int, depth: int) -> None:
    """TRMNL firmware reads indexed greys with their colours swapped (trmnl-firmware 220)."""
    panel = Panel(width=400, height=240, grey_bits=bits, formats=["png"])
    assert png_header(file_of(sample("astronaut.png"), tmp_path, panel)) == (depth, 0)


def test_spectra_png_is_indexed_with_four_bits(tmp_path: Path) -> None:
    assert png_header(file_of(sample("astronaut.png"), tmp_path, spectra())) == (4, 3)


def test_one_bit_bmp_has_the_size_that_trmnl_expects(tmp_path: Path) -> None:
    panel = Panel(width=800, height=480, grey_bits=1, formats=["bmp"])
    file = file_of(sample("astronaut.png").resize((800, 480)), tmp_path, panel)
    assert len(file) == 48_062
    assert struct.unpack_from("<iiHH", file, 18) == (800, 480, 1, 1)
    assert file[54:62] == b"\0\0\0\0\xff\xff\xff\0"


def test_spectra_bmp_has_eight_bits(tmp_path: Path) -> None:
    file = file_of(sample("astronaut.png"), tmp_path, spectra(formats=["bmp"]))
    assert struct.unpack_from("<HH", file, 26) == (1, 8)


def test_inks_go_as_jpeg_only_where_nothing_else_is_read(tmp_path: Path) -> None:
    image = sample("astronaut.png")
    assert file_of(image, tmp_path, spectra(formats=["jpeg", "png"])).startswith(b"\x89PNG")
    jpeg = Image.open(io.BytesIO(file_of(image, tmp_path, spectra(formats=["jpeg"]))))
    assert isinstance(jpeg, JpegImageFile)
    assert get_sampling(jpeg) == 0  # 4:4:4


def test_grey_photo_on_two_bits_stays_under_the_limit_of_trmnl(tmp_path: Path) -> None:
    panel = Panel(width=800, height=480, grey_bits=2, formats=["png"], max_bytes=90_000)
    image = sample("coffee.png").resize((800, 480))
    assert len(file_of(image, tmp_path, panel)) <= 90_000
