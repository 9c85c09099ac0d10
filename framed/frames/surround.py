"""What lies around a photo that does not fill its panel: a plain ground, a blurred copy of itself, a passe-partout."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFilter

from framed.frames.base import Matte
from framed.frames.palette import Rgb, lab, parse_colour, unlab

_BACKDROP_SIDE = 160  # a blur this wide needs no more pixels
_BACKDROP_BLUR = 5.0
_BACKDROP_LIGHT = 0.56
_BACKDROP_COLOUR = 0.92
_CORE = (250, 248, 243)  # the white core of mat board, seen on the bevel
_LAMP = 3.0  # 8-bit levels
_GRAIN = 0.4
_GRAIN_TILE = 256
_LOW_WEIGHT = 0.10  # of the mat's width: pictures hang a little above the middle of their mat
_DARK_MEDIAN, _DARK_LIGHTS = 30.0, 62.0  # L* under which a light mat would outshine the photo


@dataclass(frozen=True, slots=True)
class Laid:
    """A finished panel: where on it the photo lies, and the flat colour around it, None where there is none."""

    image: Image.Image
    picture: tuple[int, int, int, int]
    flat: Rgb | None


def contained(picture: tuple[int, int], room: tuple[int, int], enlarge: float) -> tuple[int, int]:
    """The largest size of the picture's shape inside the room, blown up ``enlarge`` times at most."""
    scale = min(room[0] / picture[0], room[1] / picture[1], enlarge)
    return (
        min(max(round(picture[0] * scale), 1), room[0]),
        min(max(round(picture[1] * scale), 1), room[1]),
    )


def opening(size: tuple[int, int], matte: Matte) -> tuple[int, int]:
    """The room for the photo inside the mat."""
    edge = _edge(size, matte)
    return max(size[0] - 2 * edge, 1), max(size[1] - 2 * edge, 1)


def on_ground(picture: Image.Image, size: tuple[int, int], colour: Rgb) -> Laid:
    canvas = Image.new("RGB", size, colour)
    box = _centred(picture.size, size)
    canvas.paste(picture, box[:2])
    return Laid(canvas, box, colour)


def on_blur(photo: Image.Image, picture: Image.Image, size: tuple[int, int]) -> Laid:
    """The photo again behind itself: out of focus, darker, a shadow between the two."""
    canvas = _backdrop(photo, size)
    box = _centred(picture.size, size)
    _drop_shadow(canvas, box, reach=0.022, strength=0.55)
    canvas.paste(picture, box[:2])
    return Laid(canvas, box, None)


def on_matte(picture: Image.Image, size: tuple[int, int], matte: Matte) -> Laid:
    colour = mat_colour(picture, matte)
    canvas = _board(size, colour)
    lift = min(round(_edge(size, matte) * _LOW_WEIGHT), (size[1] - picture.height) // 2)
    left, top, right, bottom = _centred(picture.size, size)
    box = left, top - lift, right, bottom - lift
    if matte.style == "float":
        _drop_shadow(canvas, box, reach=0.02, strength=0.45)
    canvas.paste(picture, box[:2])
    if matte.style == "mat":
        _cut_bevel(canvas, box, colour)
    return Laid(canvas, box, colour)


def _board(size: tuple[int, int], colour: Rgb) -> Image.Image:
    """Mat board under a lamp: a little lighter at the top than at the foot, with the faint grain of cotton paper."""
    light = np.linspace(_LAMP, -_LAMP, size[1], dtype=np.float32)[:, None]
    fibres = np.random.default_rng(7).normal(0, 1, (_GRAIN_TILE, _GRAIN_TILE)).astype(np.float32)
    fibres = (fibres + np.roll(fibres, 1, axis=1) + np.roll(fibres, (1, 2), axis=(0, 1))) * _GRAIN
    rows, columns = -(-size[1] // _GRAIN_TILE), -(-size[0] // _GRAIN_TILE)
    relief = light + np.tile(fibres, (rows, columns))[: size[1], : size[0]]
    relief = np.rint(relief).astype(np.int16)
    channels = [Image.fromarray((relief + level).clip(0, 255).astype(np.uint8)) for level in colour]
    return Image.merge("RGB", channels)


def mat_colour(picture: Image.Image, matte: Matte) -> Rgb:
    """Mat board that goes with the photo: nearly white or nearly black, with a breath of the photo's own hue."""
    if matte.colour not in ("auto", "light", "dark"):
        return parse_colour(matte.colour)
    small = picture.resize((48, 48), Image.Resampling.BOX, reducing_gap=2.0)
    colours = lab(np.asarray(small)).reshape(-1, 3)
    lightness = colours[:, 0]
    median, lights = float(np.median(lightness)), float(np.percentile(lightness, 90))
    dark = matte.colour == "dark" or (matte.colour == "auto" and median < _DARK_MEDIAN and lights < _DARK_LIGHTS)
    hue, chroma = _leading_hue(colours)
    strength = min(0.09 * chroma, 3.2)
    # Board is never pure: a little ivory under the tint keeps a red photo's mat from turning pink.
    a, b = strength * float(np.cos(hue)), strength * float(np.sin(hue)) + (1.0 if dark else 3.2)
    red, green, blue = (int(channel) for channel in unlab([17.0 if dark else 91.0, a, b]))
    return red, green, blue


def _leading_hue(colours: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> tuple[float, float]:
    """The hue that carries most colour, in radians, and how strong the photo's colour is (chroma in CIELAB)."""
    a, b = colours[:, 1], colours[:, 2]
    chroma = np.hypot(a, b)
    hues = np.arctan2(b, a)
    weights, edges = np.histogram(hues, bins=24, range=(-np.pi, np.pi), weights=chroma)
    around = weights + np.roll(weights, 1) + np.roll(weights, -1)
    best = int(np.argmax(around))
    near = np.cos(hues - (edges[best] + edges[best + 1]) / 2) > np.cos(np.pi / 8)
    if not near.any() or float(chroma.mean()) < 1.0:
        return 1.4, 6.0  # no colour to go by: the warm white of paper
    return float(np.arctan2(b[near].sum(), a[near].sum())), float(np.percentile(chroma, 75))


def _edge(size: tuple[int, int], matte: Matte) -> int:
    return round(min(size) * matte.width)


def _centred(inner: tuple[int, int], outer: tuple[int, int]) -> tuple[int, int, int, int]:
    left, top = (outer[0] - inner[0]) // 2, (outer[1] - inner[1]) // 2
    return left, top, left + inner[0], top + inner[1]


def _backdrop(photo: Image.Image, size: tuple[int, int]) -> Image.Image:
    scale = _BACKDROP_SIDE / max(size)
    small = max(2, round(size[0] * scale)), max(2, round(size[1] * scale))
    aspect = small[0] / small[1]
    width, height = min(photo.width, photo.height * aspect), min(photo.height, photo.width / aspect)
    left, top = (photo.width - width) / 2, (photo.height - height) / 2
    # An eighth is cut off all round, so that the backdrop does not repeat the edges of the photo beside them.
    window = (left + width / 8, top + height / 8, left + width * 7 / 8, top + height * 7 / 8)
    ground = photo.resize(small, Image.Resampling.BOX, box=window, reducing_gap=2.0)
    ground = ground.filter(ImageFilter.GaussianBlur(_BACKDROP_BLUR))
    ground = ImageEnhance.Color(ground).enhance(_BACKDROP_COLOUR)
    ground = ground.point([round(value * _BACKDROP_LIGHT) for value in range(256)] * 3)
    return ground.resize(size, Image.Resampling.BICUBIC)


def _drop_shadow(canvas: Image.Image, box: tuple[int, int, int, int], *, reach: float, strength: float) -> None:
    """Light from above: the shadow is soft and lies a little lower than what throws it."""
    radius = max(min(canvas.size) * reach, 1.0)
    shrink = max(radius / 4, 1.0)
    mask = Image.new("L", (max(round(canvas.width / shrink), 1), max(round(canvas.height / shrink), 1)), 0)
    left, top, right, bottom = (edge / shrink for edge in box)
    lower = radius / shrink / 3
    ImageDraw.Draw(mask).rectangle((left, top + lower, right, bottom + lower), fill=round(255 * strength))
    mask = mask.filter(ImageFilter.GaussianBlur(radius / shrink))
    canvas.paste((0, 0, 0), (0, 0), mask.resize(canvas.size, Image.Resampling.BICUBIC))


def _cut_bevel(canvas: Image.Image, box: tuple[int, int, int, int], colour: Rgb) -> None:
    """The slanted white cut of the board: its upper face looks down and is in shade, its lower one catches light."""
    depth = max(2, round(min(canvas.size) * 0.0055))
    left, top, right, bottom = box
    _shade_inside(canvas, box, depth)
    outer = (left - depth, top - depth, right + depth, bottom + depth)
    draw = ImageDraw.Draw(canvas)
    for shade, inset in ((0.90, 1), (0.96, 2)):  # the board's edge, burnished by the knife
        draw.rectangle(
            (outer[0] - inset, outer[1] - inset, outer[2] + inset - 1, outer[3] + inset - 1),
            outline=_dimmed(colour, shade),
        )
    corners = [(outer[0], outer[1]), (outer[2], outer[1]), (outer[2], outer[3]), (outer[0], outer[3])]
    inner = [(left, top), (right, top), (right, bottom), (left, bottom)]
    core = _CORE if sum(colour) > 300 else (214, 210, 203)
    for side, shade in enumerate((0.80, 0.95, 1.0, 0.88)):  # top, right, bottom, left
        following = (side + 1) % 4
        _fill_slanted(canvas, [corners[side], corners[following], inner[following], inner[side]], _dimmed(core, shade))


def _fill_slanted(canvas: Image.Image, corners: list[tuple[int, int]], colour: Rgb) -> None:
    """A polygon between pixel edges (not centres), so that the four faces neither overlap nor leave the photo."""
    left, top = min(x for x, _ in corners), min(y for _, y in corners)
    right, bottom = max(x for x, _ in corners), max(y for _, y in corners)
    mask = Image.new("L", (right - left, bottom - top), 0)
    if 0 in mask.size:
        return
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = corners
    columns, rows = np.meshgrid(np.arange(mask.width) + left + 0.5, np.arange(mask.height) + top + 0.5)
    inside = np.ones(columns.shape, dtype=bool)
    for (ax, ay), (bx, by) in (((x0, y0), (x1, y1)), ((x1, y1), (x2, y2)), ((x2, y2), (x3, y3)), ((x3, y3), (x0, y0))):
        inside &= (bx - ax) * (rows - ay) - (by - ay) * (columns - ax) >= 0
    canvas.paste(colour, (left, top), Image.fromarray(inside.astype(np.uint8) * 255))


def _shade_inside(canvas: Image.Image, box: tuple[int, int, int, int], depth: int) -> None:
    """The board stands above the photo and throws a thin shadow on it from above and from the left."""
    left, top, right, bottom = box
    reach = min(depth * 2, bottom - top, right - left)
    for area, darkest, axis in (
        ((left, top, right, top + reach), 0.72, 1),
        ((left, top, left + reach, bottom), 0.84, 0),
    ):
        strip = canvas.crop(area)
        ramp = np.expand_dims((np.linspace(darkest, 1.0, reach) * 255).astype(np.uint8), axis)
        mask = Image.fromarray(ramp).resize(strip.size, Image.Resampling.NEAREST)
        canvas.paste(ImageChops.multiply(strip, Image.merge("RGB", (mask, mask, mask))), area[:2])


def _dimmed(colour: Rgb, shade: float) -> Rgb:
    red, green, blue = (round(channel * shade) for channel in colour)
    return red, green, blue
