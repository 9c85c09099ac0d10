"""The inks of panels that show a few exact colours, and dithering a photo down to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt
import structlog
from PIL import Image, ImageChops, ImageFilter

from framed.errors import BadRequest
from framed.frames.base import Dither, Panel

try:
    import epaper_dithering
except ImportError:  # its wheels are per platform; Pillow's own quantiser stands in, and each use says so
    _DIFFUSER: Literal["rust", "pillow"] = "pillow"
else:
    _DIFFUSER = "rust"

log = structlog.get_logger(__name__)

Rgb = tuple[int, int, int]
Floats = npt.NDArray[np.float32]

# Names of the Rust core's algorithms; Pillow's quantiser knows only Floyd-Steinberg, ordered is nearest colour there.
_MODES: dict[Dither, str] = {
    "floyd-steinberg": "FLOYD_STEINBERG",
    "burkes": "BURKES",
    "atkinson": "ATKINSON",
    "stucki": "STUCKI",
    "sierra": "SIERRA",
    "jarvis": "JARVIS_JUDICE_NINKE",
    "ordered": "ORDERED",
    "none": "NONE",
}
_MONOCHROME_CHROMA = 8.0  # 95th percentile in CIELAB; what hokku's frames settled on
_MONOCHROME_SIDE = 200
_COLOURED_INK = 16.5  # CIELAB chroma from which an ink has a hue: measured blacks reach 15, dull greens have 18
_MIXABLE = 200.0  # degrees between two inks whose mixtures still have the hues between them
_HUE_NEAR, _HUE_FAR = 15.0, 42.0  # degrees beside an ink: kept as it is; grey
_LUT_SIDE = 25
_GREY_SPREAD = 24  # between the strongest and the weakest channel


def parse_colour(colour: str) -> Rgb:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


@dataclass(frozen=True, slots=True)
class Inks:
    """The colours of one panel, ink by ink: as they look on the panel, and as its firmware names them."""

    measured: tuple[Rgb, ...]
    wire: tuple[Rgb, ...]

    @property
    def named_grey(self) -> bool:
        """Whether the firmware knows its inks by greys."""
        return all(red == green == blue for red, green, blue in self.wire)


def _inks(measured: str, wire: str) -> Inks:
    return Inks(tuple(parse_colour(c) for c in measured.split()), tuple(parse_colour(c) for c in wire.split()))


_PURE_6 = "#000000 #ffffff #ffff00 #ff0000 #0000ff #00ff00"  # black white yellow red blue green
_PURE_7 = "#000000 #ffffff #00ff00 #0000ff #ff0000 #ffff00 #ff8000"  # black white green blue red yellow orange
_PURE_BWRY = "#000000 #ffffff #ffff00 #ff0000"

PRESETS: dict[str, Inks] = {
    # Good Display and Solum panels as measured for epaper-dithering
    "mono": _inks("#050505 #dcdcdc", "#000000 #ffffff"),
    "bwr": _inks("#050505 #c8c8c8 #780f05", "#000000 #ffffff #ff0000"),
    "bwy": _inks("#050505 #c8c8c8 #c8b400", "#000000 #ffffff #ffff00"),
    "bwry": _inks("#050505 #c8c8c8 #c8b400 #780f05", _PURE_BWRY),
    # E Ink Spectra 6: five people measured it, 20 to 50 units apart
    "spectra6": _inks("#020202 #bec8c8 #cdca00 #871300 #05409e #27663c", _PURE_6),  # aitjcize, hokku
    "spectra6-pure": _inks(_PURE_6, _PURE_6),
    "spectra6-v1": _inks("#1a0d23 #b9cacd #cab800 #790900 #00458b #285239", _PURE_6),  # epaper-dithering
    "spectra6-v2": _inks("#1f1829 #a8b4b6 #b4ad00 #711813 #24468b #32543c", _PURE_6),  # epaper-dithering
    "spectra6-pimoroni": _inks("#000000 #a1a4a5 #d0be47 #9c484b #3d3b5e #3a5b46", _PURE_6),
    "spectra6-epdoptimize": _inks("#191e21 #e8e8e8 #efde44 #b21318 #2157ba #125f20", _PURE_6),
    # E Ink ACeP (Gallery), Pimoroni's measurement
    "acep7": _inks("#000000 #d9f2ff #037c4c #1b2ec6 #f55022 #ffff44 #ef792c", _PURE_7),
}


def inks_of(panel: Panel) -> Inks | None:
    """The panel's inks, None where it shows full colour. Raises BadRequest where wire_palette does not fit them."""
    if panel.grey_bits is not None:
        top = (1 << panel.grey_bits) - 1
        greys = tuple((value, value, value) for value in (round(step * 255 / top) for step in range(top + 1)))
        return Inks(greys, greys)
    if panel.palette is None:
        return None
    if isinstance(panel.palette, str):
        preset = PRESETS[panel.palette]
        measured, wire = preset.measured, preset.wire
    else:
        measured = wire = tuple(parse_colour(colour) for colour in panel.palette)
    if panel.wire_palette is not None:
        wire = tuple(parse_colour(colour) for colour in panel.wire_palette)
    if len(wire) != len(measured):
        raise BadRequest(
            f"The palette {panel.palette} has {len(measured)} inks, wire_palette names {len(wire)}.",
            field="wire_palette",
        )
    return Inks(measured, wire)


def _linear(srgb: npt.ArrayLike) -> Floats:
    value = np.asarray(srgb, dtype=np.float32) / np.float32(255)
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4).astype(np.float32)


_LINEAR = _linear(np.arange(256))
_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]], dtype=np.float32)
_WHITE = np.array([0.9505, 1.0, 1.089], dtype=np.float32)  # D65


def _curve(ratio: Floats) -> Floats:
    return np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116).astype(np.float32)


def lab(rgb: npt.ArrayLike) -> Floats:
    """CIELAB (D65) of 8-bit sRGB; the last axis is the channel."""
    xyz = _LINEAR[np.asarray(rgb, dtype=np.uint8)] @ _TO_XYZ.T / _WHITE
    x, y, z = np.moveaxis(_curve(xyz), -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def unlab(colours: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    """8-bit sRGB of CIELAB, the last axis being the channel; what sRGB cannot show is clipped."""
    lightness, a, b = np.moveaxis(np.asarray(colours, dtype=np.float64), -1, 0)
    y = (lightness + 16) / 116
    curved = np.stack([y + a / 500, y, y - b / 200], axis=-1)
    xyz = np.where(curved > 6 / 29, curved**3, (curved - 16 / 116) / 7.787) * _WHITE
    return _encoded(xyz @ np.linalg.inv(_TO_XYZ.astype(np.float64)).T)


def _encoded(linear: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    clipped = np.clip(linear, 0, 1)
    srgb = np.where(clipped <= 0.0031308, clipped * 12.92, 1.055 * clipped ** (1 / 2.4) - 0.055)
    return np.asarray(srgb * 255 + 0.5, dtype=np.uint8)


def is_monochrome(image: Image.Image) -> bool:
    """Whether an RGB picture is black and white to the eye, so that coloured inks would only tint it."""
    scale = min(_MONOCHROME_SIDE / max(image.size), 1.0)
    size = max(round(image.width * scale), 1), max(round(image.height * scale), 1)
    small = image.resize(size, Image.Resampling.BOX, reducing_gap=1.0)
    _, a, b = np.moveaxis(lab(np.asarray(small)), -1, 0)
    return bool(np.percentile(np.hypot(a, b), 95) < _MONOCHROME_CHROMA)


def nearest_ink(colour: Rgb, inks: Inks) -> int:
    """The ink for a flat area, compared as meant rather than as measured: white paper is the white ink."""
    distance = np.linalg.norm(lab(inks.wire) - lab(colour), axis=-1)
    return int(np.argmin(distance))


def dither(image: Image.Image, inks: Inks, *, mode: Dither, tone: float, monochrome: bool = False) -> Image.Image:
    """The index of the ink of each pixel, as an image of mode L.

    ``tone`` compresses lightness into the inks' range first: without it the lights clip to white, which costs more
    than a wrong palette does. ``monochrome`` uses black, white and greys alone.
    """
    neutral = _neutral(inks)
    if monochrome or len(neutral) == len(inks.measured):
        return _dither_lightness(image, inks, neutral, mode, tone)
    reach = _hue_filter(inks.measured)
    if reach is None:
        return _diffuse(image, inks.measured, mode, tone)
    image = image.filter(reach)
    indices = _diffuse(image, inks.measured, mode, tone)
    # Two inks and a colour cannot mix to a grey but for black and white, so greys are made from these alone.
    indices.paste(_dither_lightness(image, inks, neutral, mode, tone), (0, 0), _greys(image))
    return indices


def _dither_lightness(image: Image.Image, inks: Inks, chosen: list[int], mode: Dither, tone: float) -> Image.Image:
    """With some of the inks, each taken for a grey: a tint that the picture cannot show would pile up as error."""
    colours = [_grey_of(inks.measured[index]) for index in chosen]
    if len(colours) == 256:
        return image.convert("L")
    indices = _diffuse(image.convert("L").convert("RGB"), colours, mode, tone)
    return indices.point(chosen + [0] * (256 - len(chosen)))


def _diffuse(image: Image.Image, colours: Sequence[Rgb], mode: Dither, tone: float) -> Image.Image:
    if _DIFFUSER == "rust":
        return _dither_rust(image, colours, mode, tone)
    log.info("epaper-dithering is not installed, dithering with Pillow", wanted=mode)
    return _dither_pillow(image, colours, mode, tone)


def _neutral(inks: Inks) -> list[int]:
    """Black, white and greys: the inks without a hue, and the ends of the scale whatever they look like."""
    lightness, a, b = np.moveaxis(lab(inks.measured), -1, 0)
    ends = int(np.argmin(lightness)), int(np.argmax(lightness))
    return [index for index in range(len(inks.measured)) if index in ends or np.hypot(a, b)[index] < _COLOURED_INK]


def _greys(image: Image.Image) -> Image.Image:
    """Mask of what has no colour to speak of, over a few pixels' neighbourhood."""
    red, green, blue = image.filter(ImageFilter.BoxBlur(1)).split()
    most = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    least = ImageChops.darker(ImageChops.darker(red, green), blue)
    return ImageChops.subtract(most, least).point([255 if spread < _GREY_SPREAD else 0 for spread in range(256)])


@cache
def _hue_filter(colours: tuple[Rgb, ...]) -> ImageFilter.Color3DLUT | None:
    """Greys out the hues that no mixture of the inks gets near, None where there are none such.

    On black, white and red paper, leaves would else be diffused into red: the one ink that has any colour.
    """
    _, a, b = np.moveaxis(lab(colours), -1, 0)
    hues = np.sort(np.degrees(np.arctan2(b, a))[np.hypot(a, b) > _COLOURED_INK] % 360)
    if hues.size == 0:
        return None
    following = np.append(hues[1:], hues[0] + 360)
    gaps = [(start, end) for start, end in zip(hues, following, strict=True) if end - start > _MIXABLE]
    if not gaps:
        return None
    levels = np.linspace(0, 255, _LUT_SIDE)
    blue, green, red = np.meshgrid(levels, levels, levels, indexing="ij")
    cube = lab(np.rint(np.stack([red, green, blue], axis=-1)))
    hue = np.degrees(np.arctan2(cube[..., 2], cube[..., 1]))
    keep = np.ones(hue.shape)
    for start, end in gaps:
        into, left = (hue - start) % 360, (end - hue) % 360
        inside = into < end - start
        # The gap may span the whole circle: one ink, whose both sides fade.
        away = np.minimum(into, left)
        keep = np.where(inside, np.clip((_HUE_FAR - away) / (_HUE_FAR - _HUE_NEAR), 0, 1), keep)
    cube[..., 1:] *= keep[..., None]
    return ImageFilter.Color3DLUT(_LUT_SIDE, (unlab(cube) / np.float32(255)).ravel().tolist())


def _grey_of(colour: Rgb) -> Rgb:
    luminance = float(_TO_XYZ[1] @ _LINEAR[list(colour)])
    level = int(np.abs(_LINEAR - luminance).argmin())
    return level, level, level


def _dither_rust(image: Image.Image, colours: Sequence[Rgb], mode: Dither, tone: float) -> Image.Image:
    # Its tone compression takes the first colour for black and the second for white, whatever they are.
    lightness = lab(colours)[:, 0]
    dark, light = int(np.argmin(lightness)), int(np.argmax(lightness))
    order = [dark, light, *(index for index in range(len(colours)) if index not in (dark, light))]
    names = {f"ink {index}": colours[index] for index in order}
    palette = epaper_dithering.ColorPalette(colors=names, accent=f"ink {dark}")
    result: Image.Image = epaper_dithering.dither_image(
        image,
        palette,
        mode=epaper_dithering.DitherMode[_MODES[mode]],
        serpentine=True,
        tone=tone,  # its own default is off
        gamut=0.0,  # changed nothing on twelve photos and costs as much again
    )
    indices = Image.frombytes("L", result.size, result.tobytes())
    return indices.point(order + [0] * (256 - len(order)))


def _dither_pillow(image: Image.Image, colours: Sequence[Rgb], mode: Dither, tone: float) -> Image.Image:
    holder = Image.new("P", (1, 1))
    padded = [*colours, *[colours[0]] * (256 - len(colours))]
    holder.putpalette([channel for colour in padded for channel in colour])
    diffused = Image.Dither.NONE if mode in ("none", "ordered") else Image.Dither.FLOYDSTEINBERG
    result = compress_lightness(image, colours, tone).quantize(palette=holder, dither=diffused)
    indices = Image.frombytes("L", result.size, result.tobytes())
    return indices.point([index if index < len(colours) else 0 for index in range(256)])


def compress_lightness(image: Image.Image, colours: Sequence[Rgb], strength: float) -> Image.Image:
    """Fit L* from 0..100 into what lies between the darkest and the lightest of ``colours``; hue is kept."""
    reach = lab(colours)[:, 0]
    dark, light = float(reach.min()) * strength, 100 - (100 - float(reach.max())) * strength
    linear = _LINEAR[np.asarray(image)]
    luminance = linear @ _TO_XYZ[1]
    lightness = dark + (116 * _curve(luminance) - 16) * ((light - dark) / 100)
    scaled = np.where(lightness > 8, ((lightness + 16) / 116) ** 3, lightness / 903.3)
    gain = scaled / np.maximum(luminance, 1e-4)
    # Black has no hue to keep: lift it as grey, or the gain would leave it where it is.
    target = np.where(luminance[..., None] < 1e-4, scaled[..., None], linear * gain[..., None])
    return Image.fromarray(_encoded(target))


def paint(indices: Image.Image, colours: Sequence[Rgb]) -> Image.Image:
    """An image of mode P whose index n is ``colours[n]``."""
    painted = Image.frombytes("P", indices.size, indices.tobytes())
    painted.putpalette([channel for colour in colours for channel in colour])
    return painted
