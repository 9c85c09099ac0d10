"""What a panel is, what may be asked of a renderer, and the key under which one rendered picture is kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

RENDERER_VERSION = 1
"""Raised whenever the same photo on the same panel would come out differently: every picture is then made again."""

MAX_PANEL_PIXELS = 50_000_000

Blob = bytes
Colour = Annotated[str, StringConstraints(to_lower=True, pattern=r"^#[0-9a-fA-F]{6}$")]
Rotation = Literal[0, 90, 180, 270]
Fit = Literal["cover", "contain", "blur", "matte"]
Format = Literal["jpeg", "png", "bmp"]
Overlay = Literal["none", "caption", "date", "place"]
Dither = Literal["floyd-steinberg", "burkes", "atkinson", "stucki", "sierra", "jarvis", "ordered", "none"]
PaletteName = Literal[
    "mono",
    "bwr",
    "bwy",
    "bwry",
    "spectra6",
    "spectra6-pure",
    "spectra6-v1",
    "spectra6-v2",
    "spectra6-pimoroni",
    "spectra6-epdoptimize",
    "acep7",
]


class Box(BaseModel):
    """A part of the upright picture in shares of its size; x and y are the top left corner.

    A box of weight 1 or more (a face) must not be cut; a lighter one (a subject, a salient region) only pulls.
    """

    model_config = ConfigDict(frozen=True)

    x: float = Field(ge=0, le=1)
    y: float = Field(ge=0, le=1)
    w: float = Field(ge=0, le=1)
    h: float = Field(ge=0, le=1)
    weight: float = Field(default=1.0, ge=0)


class Matte(BaseModel):
    """How the passe-partout is cut.

    ``mat`` has a bevelled opening, ``plain`` is a bare surround, ``float`` lays the picture on the mat with a shadow.
    ``auto`` takes a muted colour from the picture, light for most and dark for dark ones. ``width`` is the mat's
    share of the panel's shorter side.
    """

    model_config = ConfigDict(frozen=True)

    style: Literal["mat", "plain", "float"] = "mat"
    colour: Literal["auto", "light", "dark"] | Colour = "auto"
    width: float = Field(default=0.09, ge=0.02, le=0.3)


class Panel(BaseModel):
    """A panel and how pictures are to be made for it.

    ``width`` and ``height`` are pixels of the panel's own raster; ``rotation`` says how many degrees clockwise the
    panel was turned to hang where it hangs. Files are always width x height; their content is turned to look upright.

    ``palette`` is what the inks look like (it decides the dither), ``wire_palette`` what the firmware wants to read,
    ink by ink; where it is not given, a named palette brings its own and a listed one is sent as it is. The two are
    never mixed. A panel with ``grey_bits`` shows that many bits of evenly spaced greys and has no palette.

    The first of ``formats`` that can carry the picture within ``max_bytes`` is used; JPEG cannot carry exact inks
    and is the last resort where there are any.

    ``cover`` gives way to ``cover_fallback`` where more than ``cover_limit`` of the photo, or any face, would be lost,
    or a small photo would have to be blown up; ``auto`` is a matte on panels with inks and ``blur`` on all others.
    A limit of 1 says that cutting is wanted: then only smallness stops it.

    ``tone`` is how far the photo's lightness is compressed into what the inks reach, 0 to 1.
    ``overlay`` says whether the text that comes with a request is drawn.
    """

    model_config = ConfigDict(frozen=True)

    width: int = Field(ge=1, le=20_000)
    height: int = Field(ge=1, le=20_000)
    rotation: Rotation = 0
    fit: Fit = "cover"
    cover_limit: float = Field(default=0.35, ge=0, le=1)
    cover_fallback: Literal["auto", "blur", "matte", "contain"] = "auto"
    background: Colour = "#000000"
    matte: Matte = Matte()
    palette: PaletteName | Annotated[tuple[Colour, ...], Field(min_length=2, max_length=64)] | None = None
    wire_palette: Annotated[tuple[Colour, ...], Field(min_length=2, max_length=64)] | None = None
    grey_bits: Literal[1, 2, 4, 8] | None = None
    dither: Dither = "floyd-steinberg"
    tone: float = Field(default=1.0, ge=0, le=1)
    formats: Annotated[tuple[Format, ...], Field(min_length=1)] = ("jpeg",)
    quality: int = Field(default=90, ge=30, le=100)
    max_bytes: int | None = Field(default=None, ge=1_000)
    overlay: Overlay = "none"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.width * self.height > MAX_PANEL_PIXELS:
            raise ValueError(f"A panel of {self.width} x {self.height} is over {MAX_PANEL_PIXELS:,} pixels.")
        if self.palette is not None and self.grey_bits is not None:
            raise ValueError("A panel has a palette or grey_bits, not both.")
        if self.wire_palette is not None and self.palette is None:
            raise ValueError("wire_palette goes with a palette; without one there are no inks to name.")
        listed = self.palette if isinstance(self.palette, tuple) else None
        if listed and self.wire_palette and len(listed) != len(self.wire_palette):
            raise ValueError(f"palette has {len(listed)} colours and wire_palette {len(self.wire_palette)}.")
        return self

    @property
    def has_inks(self) -> bool:
        """Whether the panel shows a few exact colours only, so that pictures for it are dithered."""
        return self.palette is not None or self.grey_bits is not None


def logical_size(panel: Panel) -> tuple[int, int]:
    """Width and height as people in front of the frame see them."""
    if panel.rotation in (90, 270):
        return panel.height, panel.width
    return panel.width, panel.height


def render_key(
    photo_sha256: str,
    panel: Panel,
    focus: Sequence[Box] = (),
    overlay_text: str = "",
    version: int = RENDERER_VERSION,
    *,
    monochrome: bool = False,
) -> str:
    """Hex SHA-256 of all that decides a rendered picture: equal keys mean equal bytes.

    What cannot change the picture is left out: text on a panel that draws none, the monochrome flag where no inks
    are dithered, the order of the boxes. Boxes count to 1/10,000 of the picture.
    """
    boxes = sorted([round(box.x, 4), round(box.y, 4), round(box.w, 4), round(box.h, 4), box.weight] for box in focus)
    parts = {
        "boxes": boxes,
        "monochrome": monochrome and panel.has_inks,
        "panel": panel.model_dump(mode="json"),
        "photo": photo_sha256,
        "text": overlay_text if panel.overlay != "none" else "",
        "version": version,
    }
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


class RenderRequest(BaseModel):
    """One photo for one panel. Paths are bytes, since a file name need not be text.

    ``preview`` is the library's upright sRGB JPEG; it stands in where the original cannot be read. ``focus`` is in
    shares of the upright picture. ``monochrome`` sends the photo to a colour panel's black and white alone.
    ``rough`` asks for a stand-in that somebody waits for: quicker, softer, soon replaced.
    """

    model_config = ConfigDict(frozen=True)

    source: bytes
    preview: bytes | None = None
    output_dir: bytes
    panel: Panel
    focus: tuple[Box, ...] = ()
    monochrome: bool = False
    overlay_text: str = Field(default="", max_length=500)
    rough: bool = False


class Rendered(BaseModel):
    """A picture file ready for its panel.

    ``width`` and ``height`` are the panel's own; ``thumb`` is a small JPEG of what people will see, upright; a rough
    picture has none, the sharp one brings it.
    ``fit`` is the one really used, ``crop`` the part of the photo shown where it was cut, ``lost_share`` the area that
    was not. ``notes`` are sentences about what had to be done differently than asked.
    """

    model_config = ConfigDict(frozen=True)

    sha256: str
    path: Blob
    ext: Literal["jpg", "png", "bmp"]
    mime: str
    width: int
    height: int
    bytes: int
    thumb: Blob
    fit: Fit
    crop: Box | None = None
    lost_share: float = 0.0
    notes: tuple[str, ...] = ()
