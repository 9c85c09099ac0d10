"""One photo becomes the picture file for one panel: cropped or set, sharpened, dithered, lettered, encoded, kept."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any, ClassVar, Literal

import structlog
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from framed.errors import BadPhoto, CannotStore, TooLarge, Unavailable
from framed.frames.base import Box, Fit, Format, Panel, Rendered, RenderRequest, logical_size
from framed.frames.crop import choose_window
from framed.frames.palette import Inks, dither, inks_of, is_monochrome, lab, nearest_ink, paint, parse_colour
from framed.frames.surround import Laid, contained, on_blur, on_ground, on_matte, opening
from framed.library.files import Decoded, Limits, encode_jpeg, open_photo, read_bytes
from framed.models.base import Backend, Context, HostKind

log = structlog.get_logger(__name__)

Resampling = Image.Resampling

_ENLARGE = 2.0  # beyond this a photo looks blown up, so it gets a surround instead
_ENLARGE_PREVIEW = 3.0  # the preview is only standing in for something larger
_STRONG_REDUCTION = 3.0  # from here on resampling leaves fine detail soft
_SHARPEN_FOR_INKS = ImageFilter.UnsharpMask(radius=1.0, percent=90, threshold=2)
# An unsharp mask of 40 % at radius 0.6, in less than half of its time.
_SHARPEN = ImageFilter.Kernel((3, 3), [-0.04, -0.08, -0.04, -0.08, 1.48, -0.08, -0.04, -0.08, -0.04], 1)
_THUMB_SIDE = 640
_THUMB_BYTES = 100_000
_QUALITIES = (97, 94, 90, 85, 80, 74, 67, 60, 52, 44, 36, 30)
_FONTS = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf")
_EXTENSIONS: dict[Format, Literal["jpg", "png", "bmp"]] = {"jpeg": "jpg", "png": "png", "bmp": "bmp"}
_UPRIGHT: dict[int, Image.Transpose] = {
    90: Image.Transpose.ROTATE_90,  # Pillow turns counter-clockwise: it undoes the panel's own turn
    180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_270,
}


class Renderer(Backend):
    """Renders with Pillow. Options: ``limits``, the fields of ``framed.library.files.Limits``."""

    task: ClassVar[str] = "render"
    name: ClassVar[str] = "pillow"
    host: ClassVar[HostKind] = "cpu"

    def __init__(self) -> None:
        self._limits = Limits()

    @classmethod
    def available(cls) -> str | None:
        return None

    def load(self, options: dict[str, Any], device: str) -> None:
        self._limits = Limits.model_validate(options.get("limits", {}))

    def run(self, inputs: dict[str, Any], context: Context) -> dict[str, Any]:
        """``inputs`` are RenderRequest's fields, the answer is Rendered's."""
        return render(RenderRequest.model_validate(inputs), context, self._limits).model_dump()


@dataclass(frozen=True, slots=True)
class _Photo:
    """A photo as far as it had to be decoded; ``reduction`` is how many of its own pixels make one decoded one."""

    image: Image.Image
    reduction: float
    enlarge: float
    notes: tuple[str, ...]
    filter: Image.Resampling = Resampling.LANCZOS


@dataclass(frozen=True, slots=True)
class _Composed:
    laid: Laid
    fit: Fit
    crop: Box | None = None
    lost_share: float = 0.0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Encoded:
    data: bytes
    format: Format
    notes: tuple[str, ...] = ()


def render(request: RenderRequest, context: Context | None = None, limits: Limits | None = None) -> Rendered:
    """Make the picture and keep it under its hash.

    Raises BadPhoto where neither the original nor the preview can be read, TooLarge where no format and quality gets
    under the panel's ``max_bytes``, Unavailable where the file cannot be written, Cancelled.
    """
    context = context or Context()
    panel = request.panel
    inks = inks_of(panel)
    photo = _decode(request, limits)
    if request.rough:
        photo = replace(photo, filter=Resampling.BILINEAR)  # a third of the time, and soft it is anyway
    context.check()
    composed = _compose(photo, panel, request.focus)
    text = request.overlay_text.strip() if panel.overlay != "none" else ""
    context.check()
    if inks is None:
        shown = _letter(composed.laid.image, text)
        final = shown
    else:
        indices = _to_inks(composed, panel, inks, request.monochrome or is_monochrome(photo.image))
        indices = _letter_in_inks(indices, inks, text)
        shown = paint(indices, inks.measured).convert("RGB")
        final = indices
    context.check()
    if panel.rotation:
        final = final.transpose(_UPRIGHT[panel.rotation])
    encoded = _encode(final, panel, inks)
    sha256, path = _keep(encoded, request.output_dir, lasting=not request.rough)
    return Rendered(
        sha256=sha256,
        path=path,
        ext=_EXTENSIONS[encoded.format],
        mime=f"image/{encoded.format}",
        width=final.width,
        height=final.height,
        bytes=len(encoded.data),
        thumb=b"" if request.rough else _thumb(shown),
        fit=composed.fit,
        crop=composed.crop,
        lost_share=composed.lost_share,
        notes=photo.notes + composed.notes + encoded.notes,
    )


# -- decode ---------------------------------------------------------------------------------------------------------


def _decode(request: RenderRequest, limits: Limits | None) -> _Photo:
    size = logical_size(request.panel)
    whole = request.panel.fit != "cover"
    try:
        decoded = _open(request.source, size, whole, limits)
    except BadPhoto as problem:
        if request.preview is None or request.preview == request.source:
            raise
        log.warning("original unreadable, rendering the preview", problem=problem.message)
        decoded = _open(request.preview, size, whole, limits)
        note = f"The original could not be read, so this was made from its preview: {problem.message}."
        return _photo(decoded, _ENLARGE_PREVIEW, (note,))
    return _photo(decoded, _ENLARGE_PREVIEW if request.source == request.preview else _ENLARGE, ())


def _open(path: bytes, size: tuple[int, int], whole: bool, limits: Limits | None) -> Decoded:
    return open_photo(read_bytes(path, limits), os.fsdecode(path), limits, size, contain=whole)


def _photo(decoded: Decoded, enlarge: float, notes: tuple[str, ...]) -> _Photo:
    reduction = max(decoded.width / decoded.image.width, 1.0)
    return _Photo(decoded.image, reduction, enlarge, notes + tuple(f"The photo: {note}." for note in decoded.notes))


# -- compose --------------------------------------------------------------------------------------------------------


def _compose(photo: _Photo, panel: Panel, focus: tuple[Box, ...]) -> _Composed:
    size = logical_size(panel)
    if panel.fit != "cover":
        return _set(photo, panel, panel.fit)
    window = choose_window(photo.image, size, focus)
    lost = window.lost_share(photo.image.size)
    reason = None
    if panel.cover_limit < 1 and not window.keeps_faces:
        reason = "a face would be cut"
    elif lost > panel.cover_limit:
        reason = f"{lost:.0%} of it would be lost"
    elif size[0] > window.width * photo.enlarge:
        reason = "it is too small"
    if reason is not None:
        fallback = panel.cover_fallback
        chosen: Fit = fallback if fallback != "auto" else "matte" if panel.has_inks else "blur"
        composed = _set(photo, panel, chosen)
        return replace(composed, notes=(f"The photo does not fill the panel: {reason}.",))
    picture = _scaled(photo, size, panel, window.edges)
    laid = Laid(picture, (0, 0, *size), None)
    return _Composed(laid, "cover", window.share(photo.image.size), lost)


def _set(photo: _Photo, panel: Panel, fit: Fit) -> _Composed:
    """The whole photo, with something around it."""
    size = logical_size(panel)
    room = opening(size, panel.matte) if fit == "matte" else size
    picture = _scaled(photo, contained(photo.image.size, room, photo.enlarge), panel)
    if fit == "matte":
        laid = on_matte(picture, size, panel.matte)
    elif fit == "blur" and picture.size != size:
        laid = on_blur(photo.image, picture, size)
    else:
        laid = on_ground(picture, size, parse_colour(panel.background))
    return _Composed(laid, fit)


def _scaled(
    photo: _Photo, size: tuple[int, int], panel: Panel, window: tuple[float, float, float, float] | None = None
) -> Image.Image:
    """Resample, then sharpen lightly: what was reduced a lot is soft, and ink dots soften everything."""
    image = photo.image
    across = (window[2] - window[0]) if window else image.width
    # After a scaled JPEG decode Lanczos keeps 98 % of the edge contrast of the full way, bicubic 95 % (48 dB to 52 dB).
    picture = image.resize(size, photo.filter, box=window, reducing_gap=3.0)
    reduction = across * photo.reduction / size[0]
    if panel.has_inks and reduction > 1.2:
        return picture.filter(_SHARPEN_FOR_INKS)
    if reduction >= _STRONG_REDUCTION:
        return picture.filter(_SHARPEN)
    return picture


# -- inks -----------------------------------------------------------------------------------------------------------


def _to_inks(composed: _Composed, panel: Panel, inks: Inks, monochrome: bool) -> Image.Image:
    """Only what is picture is dithered; flat grounds are one exact ink, which specks would spoil."""
    laid = composed.laid
    picture = laid.image if laid.flat is None else laid.image.crop(laid.picture)
    indices = dither(picture, inks, mode=panel.dither, tone=panel.tone, monochrome=monochrome)
    if laid.flat is None:
        return indices
    ground = _ground_ink(laid, composed.fit, panel, inks)
    canvas = Image.new("L", laid.image.size, ground)
    canvas.paste(indices, laid.picture[:2])
    if composed.fit == "matte" and panel.matte.style != "plain":
        _draw_keyline(canvas, laid.picture, _opposite(ground, inks))
    return canvas


def _ground_ink(laid: Laid, fit: Fit, panel: Panel, inks: Inks) -> int:
    """A mat with a tint cannot be had in ink: it is the paper's white, or black where it was dark."""
    flat = laid.flat or (255, 255, 255)
    if fit == "matte" and panel.matte.colour in ("auto", "light", "dark"):
        flat = (255, 255, 255) if float(lab(flat)[0]) > 50 else (0, 0, 0)
    return nearest_ink(flat, inks)


def _opposite(ink: int, inks: Inks) -> int:
    dark = float(lab(inks.wire[ink])[0]) < 50
    return nearest_ink((255, 255, 255) if dark else (0, 0, 0), inks)


def _draw_keyline(canvas: Image.Image, picture: tuple[int, int, int, int], ink: int) -> None:
    """Instead of a bevel, which would need greys: a line around the photo, a little off it."""
    line = max(1, round(min(canvas.size) / 480))
    gap = line * 5
    left, top, right, bottom = picture
    box = left - gap, top - gap, right + gap - 1, bottom + gap - 1
    if box[2] > box[0] and box[3] > box[1]:
        ImageDraw.Draw(canvas).rectangle(box, outline=ink, width=line)


# -- lettering ------------------------------------------------------------------------------------------------------


def _letter(image: Image.Image, text: str) -> Image.Image:
    """White text at the foot, on a shade that fades upwards so that it can be read on snow."""
    if not text:
        return image
    short = min(image.size)
    font = _font(max(round(short * 0.034), 9))
    margin = round(short * 0.045)
    lines, height = _wrapped(text, font, image.width - 2 * margin)
    depth = min(height + 3 * margin, image.height)
    ramp = Image.linear_gradient("L").resize((image.width, depth), Resampling.BILINEAR)
    shade = ramp.point([round((value / 255) ** 1.5 * 150) for value in range(256)])
    lettered = image.copy()
    lettered.paste((0, 0, 0), (0, image.height - depth), shade)
    position = margin, image.height - margin - height
    ImageDraw.Draw(lettered).multiline_text(position, lines, font=font, fill=(255, 255, 255), spacing=font.size // 4)
    return lettered


def _letter_in_inks(indices: Image.Image, inks: Inks, text: str) -> Image.Image:
    """Black on a plate of white, in exact inks and without soft edges: dithered text cannot be read."""
    if not text:
        return indices
    short = min(indices.size)
    font = _font(max(round(short * 0.036), 11))
    pad = max(font.size // 2, 3)
    lines, height = _wrapped(text, font, indices.width - 4 * pad)
    lettered = indices.copy()
    draw = ImageDraw.Draw(lettered)
    draw.fontmode = "1"
    spacing = font.size // 4
    width = round(draw.multiline_textbbox((0, 0), lines, font=font, spacing=spacing)[2])
    top = indices.height - height - 2 * pad
    white, black = nearest_ink((255, 255, 255), inks), nearest_ink((0, 0, 0), inks)
    draw.rectangle((0, top, width + 2 * pad, indices.height), fill=white)
    draw.multiline_text((pad, top + pad * 0.8), lines, font=font, fill=black, spacing=spacing)
    return lettered


def _font(pixels: int) -> ImageFont.FreeTypeFont:
    for name in _FONTS:
        with suppress(OSError):
            return ImageFont.truetype(name, pixels)
    fallback = ImageFont.load_default(pixels)
    if isinstance(fallback, ImageFont.FreeTypeFont):
        return fallback
    raise Unavailable("No font to write captions with: install the package fonts-dejavu-core.")


def _wrapped(text: str, font: ImageFont.FreeTypeFont, width: float) -> tuple[str, int]:
    """At most two lines, the rest cut with an ellipsis; and how high they are in pixels."""
    clean = "".join(c if c.isprintable() else " " for c in text)
    lines: list[str] = []
    for word in clean.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    if len(lines) > 2:
        lines = [lines[0], lines[1] + "…"]
    fitted = [_shortened(line, font, width) for line in lines]
    return "\n".join(fitted), round(len(fitted) * font.size * 1.25)


def _shortened(line: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    if font.getlength(line) <= width:
        return line
    kept = line.rstrip("…")
    while kept and font.getlength(kept + "…") > width:
        kept = kept[:-1].rstrip()
    return kept + "…"


# -- encode ---------------------------------------------------------------------------------------------------------


def _encode(final: Image.Image, panel: Panel, inks: Inks | None) -> _Encoded:
    """The first of the panel's formats that carries the picture and keeps under ``max_bytes``."""
    ceiling = panel.max_bytes
    smallest = 0
    for kind in _format_order(panel, inks):
        for data, note in _attempts(kind, final, panel, inks):
            if ceiling is None or len(data) <= ceiling:
                return _Encoded(data, kind, (note,) if note else ())
            smallest = min(smallest or len(data), len(data))
    raise TooLarge(
        f"The picture needs {smallest:,} bytes and the frame takes {ceiling:,}: raise its max_bytes or allow it JPEG.",
        field="max_bytes",
    )


def _format_order(panel: Panel, inks: Inks | None) -> list[Format]:
    """JPEG smears exact inks, so a panel that has them gets it last."""
    return sorted(dict.fromkeys(panel.formats), key=lambda kind: inks is not None and kind == "jpeg")


def _attempts(kind: Format, final: Image.Image, panel: Panel, inks: Inks | None) -> Iterator[tuple[bytes, str | None]]:
    """Ever smaller encodings in one format, each with what was given up for it."""
    if kind == "jpeg":
        yield from _jpegs(final if inks is None else paint(final, inks.wire).convert("RGB"), panel, inks)
        return
    image, options = (final, {}) if inks is None else _exact(final, inks)
    buffer = BytesIO()
    image.info = {}
    if kind == "bmp":
        image.save(buffer, "BMP")
    else:
        image.save(buffer, "PNG", compress_level=9 if inks else 6, **options)
    yield buffer.getvalue(), None


def _jpegs(image: Image.Image, panel: Panel, inks: Inks | None) -> Iterator[tuple[bytes, str | None]]:
    """Baseline always: microcontrollers cannot decode progressive files. Full chroma where quality asks for it."""
    top = panel.quality if inks is None else 100
    if top >= 95:
        yield _jpeg(image, top, "4:4:4"), None
    else:
        yield _jpeg(image, top, "4:2:0"), None
    for quality in (value for value in _QUALITIES if value < top):
        yield _jpeg(image, quality, "4:2:0"), f"JPEG quality is {quality}, to keep under the frame's max_bytes."


def _jpeg(image: Image.Image, quality: int, subsampling: str) -> bytes:
    image.info = {}  # Pillow would carry a comment over
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=quality, subsampling=subsampling, progressive=False, optimize=False)
    return buffer.getvalue()


def _exact(indices: Image.Image, inks: Inks) -> tuple[Image.Image, dict[str, Any]]:
    """Inks as the firmware names them. Greys are written as greys: TRMNL reads indexed PNG with its colours swapped."""
    bits = max(1, (len(inks.wire) - 1).bit_length())
    bits = bits if bits <= 2 else 4 if bits <= 4 else 8
    if not inks.named_grey:
        return paint(indices, inks.wire), {"bits": bits}
    levels = [ink[0] for ink in inks.wire]
    grey = indices.point(levels + [0] * (256 - len(levels)))
    if set(levels) <= {0, 255}:
        return grey.convert("1", dither=Image.Dither.NONE), {}
    top = (1 << bits) - 1
    evenly = all(abs(level * top / 255 - round(level * top / 255)) < 0.01 for level in levels)
    return grey, {"bits": bits if evenly else 8}


def _thumb(shown: Image.Image) -> bytes:
    """What people see, small enough for MQTT. Averaged, not Lanczos: a tenth of the time, and it melts ink dots."""
    size = contained(shown.size, (_THUMB_SIDE, _THUMB_SIDE), enlarge=1.0)
    small = shown.resize(size, Resampling.BICUBIC, reducing_gap=1.0)
    data = encode_jpeg(small, 82)
    for quality in (70, 55, 40, 25):
        if len(data) <= _THUMB_BYTES:
            break
        data = encode_jpeg(small, quality)
    return data


# -- keep -----------------------------------------------------------------------------------------------------------


def _keep(encoded: _Encoded, folder: bytes, *, lasting: bool) -> tuple[str, bytes]:
    """Write the file under its hash, whole or not at all. One that is lasting is synced: a frame may sleep for days on
    it. A stand-in is not: the wait for the disk is most of its wait, and a power cut ends its use anyway."""
    sha256 = hashlib.sha256(encoded.data).hexdigest()
    home = os.path.join(folder, sha256[:2].encode())
    path = os.path.join(home, f"{sha256}.{_EXTENSIONS[encoded.format]}".encode())
    try:
        with suppress(FileNotFoundError):
            if os.stat(path).st_size == len(encoded.data):
                return sha256, path
        os.makedirs(home, exist_ok=True)
        _write_whole(path, encoded.data, sync=lasting)
    except OSError as problem:
        raise CannotStore.because(problem) from problem
    return sha256, path


def _write_whole(path: bytes, data: bytes, *, sync: bool) -> None:
    temporary = path + f".{secrets.token_hex(6)}.part".encode()
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
