"""One photo on one panel: upright, whole where it must be, exact in size and bytes."""

import io
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from framed.errors import BadPhoto, Cancelled, CannotStore, TooLarge
from framed.frames.base import RENDERER_VERSION, Box, Matte, Panel, Rendered, RenderRequest, logical_size, render_key
from framed.frames.render import Renderer, render
from framed.library.colour import DISPLAY_P3_PRIMARIES, matrix_profile
from framed.models.base import Context
from tests.installed import sample

RED, GREEN, BLUE, WHITE = (220, 30, 30), (30, 180, 30), (30, 30, 220), (235, 235, 235)
CORNERS = [RED, GREEN, WHITE, BLUE]  # clockwise from the top left
TURN_CLOCKWISE = {
    0: None,
    90: Image.Transpose.ROTATE_270,
    180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_90,
}
# What a camera does to an upright picture before it writes this orientation.
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def save(image: Image.Image, path: Path, **options: Any) -> Path:
    image.save(path, quality=95, **options)
    return path


def marked(width: int, height: int) -> Image.Image:
    """Grey, with a quarter in each corner's colour."""
    image = Image.new("RGB", (width, height), (128, 128, 128))
    right, low = width - width // 4, height - height // 4
    for colour, place in zip(CORNERS, [(0, 0), (right, 0), (right, low), (0, low)], strict=True):
        image.paste(colour, (*place, place[0] + width // 4, place[1] + height // 4))
    return image


def pixel(image: Image.Image, x: int, y: int) -> tuple[int, int, int]:
    red, green, blue = np.asarray(image.convert("RGB"))[y, x].tolist()
    return red, green, blue


def corners(image: Image.Image) -> list[str]:
    """The name of the nearest marker in each corner, clockwise from the top left."""
    right, low = image.width - 3, image.height - 3
    seen = [pixel(image, *at) for at in [(2, 2), (right, 2), (right, low), (2, low)]]
    return ["rgwb"[int(np.argmin([np.linalg.norm(np.subtract(s, c)) for c in CORNERS]))] for s in seen]


def undotted(image: Image.Image) -> Image.Image:
    return image.convert("RGB").resize((24, 24), Image.Resampling.BOX)


def photo(folder: Path, image: Image.Image | None = None, name: str = "photo.jpg", **options: Any) -> Path:
    return save(image or sample("astronaut.png"), folder / name, **options)


def rendered(source: Path, folder: Path, panel: Panel, **more: object) -> Rendered:
    request = RenderRequest(source=os.fsencode(source), output_dir=os.fsencode(folder / "out"), panel=panel, **more)
    return render(request)


def shown(result: Rendered) -> Image.Image:
    return Image.open(io.BytesIO(Path(os.fsdecode(result.path)).read_bytes()))


def as_hung(result: Rendered, panel: Panel) -> Image.Image:
    """What people see once the panel is turned as its rotation says."""
    turn = TURN_CLOCKWISE[panel.rotation]
    image = shown(result)
    return image if turn is None else image.transpose(turn)


# -- the right way up -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("fit", ["cover", "contain"])
def test_picture_is_upright_however_the_panel_hangs(tmp_path: Path, rotation: int, fit: str) -> None:
    panel = Panel(width=320, height=240, rotation=rotation, fit=fit)
    source = photo(tmp_path, marked(*logical_size(panel)))
    result = rendered(source, tmp_path, panel)
    assert shown(result).size == (320, 240) == (result.width, result.height)
    assert corners(as_hung(result, panel)) == ["r", "g", "w", "b"]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("rotation", [0, 90])
def test_picture_is_upright_however_the_camera_was_held(tmp_path: Path, orientation: int, rotation: int) -> None:
    panel = Panel(width=320, height=240, rotation=rotation)
    image = marked(*logical_size(panel))
    turn = STORED[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    source = photo(tmp_path, image if turn is None else image.transpose(turn), exif=exif)
    assert corners(as_hung(rendered(source, tmp_path, panel), panel)) == ["r", "g", "w", "b"]


@pytest.mark.parametrize("rotation", [90, 180])
def test_inked_picture_and_its_thumb_are_upright_too(tmp_path: Path, rotation: int) -> None:
    panel = Panel(width=320, height=240, rotation=rotation, palette="spectra6-pure", formats=["png"])
    source = photo(tmp_path, marked(*logical_size(panel)))
    result = rendered(source, tmp_path, panel)
    thumb = Image.open(io.BytesIO(result.thumb))
    assert corners(undotted(as_hung(result, panel))) == ["r", "g", "w", "b"]
    assert corners(undotted(thumb)) == ["r", "g", "w", "b"]
    assert thumb.size == logical_size(panel)


# -- size, fit ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fit", ["cover", "contain", "blur", "matte"])
@pytest.mark.parametrize("size", [(1, 1), (1, 900), (20000, 10), (333, 777), (640, 480)])
def test_every_shape_of_photo_fills_every_fit_exactly(tmp_path: Path, fit: str, size: tuple[int, int]) -> None:
    source = photo(tmp_path, Image.new("RGB", size, (200, 120, 40)), name="photo.png")
    result = rendered(source, tmp_path, Panel(width=480, height=321, rotation=270, fit=fit))
    assert shown(result).size == (480, 321)
    assert len(result.thumb) <= 100_000


@pytest.mark.parametrize("panel_size", [(1, 1), (16, 400), (3, 2)])
@pytest.mark.parametrize("fit", ["blur", "matte"])
def test_absurdly_small_panels_get_their_picture(tmp_path: Path, panel_size: tuple[int, int], fit: str) -> None:
    panel = Panel(width=panel_size[0], height=panel_size[1], fit=fit, palette="mono", formats=["png"])
    assert shown(rendered(photo(tmp_path), tmp_path, panel)).size == panel_size


@pytest.mark.parametrize("fit", ["contain", "blur", "matte"])
def test_surrounded_photo_is_shown_whole(tmp_path: Path, fit: str) -> None:
    source = photo(tmp_path, marked(1200, 400))
    panel = Panel(width=600, height=600, fit=fit, matte=Matte(style="plain", colour="#808080", width=0.1))
    result = rendered(source, tmp_path, panel)
    box = {"contain": (0, 200, 600, 400), "blur": (0, 200, 600, 400), "matte": (60, 214, 540, 374)}[fit]
    assert corners(shown(result).crop(box)) == ["r", "g", "w", "b"]
    assert result.lost_share == 0
    assert result.crop is None


def test_contain_uses_the_background_asked_for(tmp_path: Path) -> None:
    panel = Panel(width=300, height=100, fit="contain", background="#204060", formats=["png"])
    assert pixel(shown(rendered(photo(tmp_path), tmp_path, panel)), 5, 50) == (0x20, 0x40, 0x60)


def test_cover_that_would_lose_too_much_becomes_a_blurred_surround(tmp_path: Path) -> None:
    source = photo(tmp_path, sample("astronaut.png").resize((600, 900)))
    result = rendered(source, tmp_path, Panel(width=800, height=480))
    assert (result.fit, result.lost_share) == ("blur", 0)
    assert "60%" in result.notes[0]


def test_limit_of_one_means_that_cutting_is_wanted(tmp_path: Path) -> None:
    source = photo(tmp_path, sample("astronaut.png").resize((600, 900)))
    result = rendered(source, tmp_path, Panel(width=800, height=480, cover_limit=1))
    assert result.fit == "cover"
    assert result.lost_share == pytest.approx(0.6, abs=0.01)


def test_fallback_on_a_panel_with_inks_is_a_matte(tmp_path: Path) -> None:
    source = photo(tmp_path, sample("astronaut.png").resize((600, 900)))
    result = rendered(source, tmp_path, Panel(width=800, height=480, palette="spectra6", formats=["png"]))
    assert result.fit == "matte"


def test_small_photo_is_never_blown_up_more_than_twice(tmp_path: Path) -> None:
    source = photo(tmp_path, Image.new("RGB", (320, 180), (250, 0, 0)))
    result = rendered(source, tmp_path, Panel(width=1920, height=1080, cover_fallback="contain", formats=["png"]))
    assert result.fit == "contain"
    red = np.asarray(shown(result))[..., 0] > 125
    assert (red.any(axis=0).sum(), red.any(axis=1).sum()) == (640, 360)


# -- crop -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("x", [0.0, 0.3, 0.88])
def test_face_is_never_cut_at_the_sides(tmp_path: Path, x: float) -> None:
    source = photo(tmp_path, sample("coffee.png").resize((1200, 800)))
    face = Box(x=x, y=0.3, w=0.12, h=0.2)
    crop = rendered(source, tmp_path, Panel(width=500, height=500), focus=[face]).crop
    assert crop is not None
    assert crop.x <= face.x + 1e-4
    assert crop.x + crop.w >= face.x + face.w - 1e-4


@pytest.mark.parametrize("y", [0.0, 0.1, 0.4, 0.8])
def test_head_keeps_the_room_above_it_that_the_photo_has(tmp_path: Path, y: float) -> None:
    source = photo(tmp_path, sample("coffee.png").resize((900, 900)))
    face = Box(x=0.4, y=y, w=0.2, h=0.2)
    crop = rendered(source, tmp_path, Panel(width=800, height=560), focus=[face]).crop
    assert crop is not None
    assert crop.y <= max(face.y - 0.12 * face.h, 0) + 1e-4
    assert crop.y + crop.h >= face.y + face.h - 1e-4


def test_faces_too_far_apart_for_the_panel_are_shown_whole(tmp_path: Path) -> None:
    source = photo(tmp_path, sample("coffee.png").resize((1200, 800)))
    faces = [Box(x=0.01, y=0.3, w=0.1, h=0.15), Box(x=0.88, y=0.3, w=0.1, h=0.15)]
    result = rendered(source, tmp_path, Panel(width=600, height=480), focus=faces)
    assert result.fit == "blur"
    assert "face" in result.notes[0]


def test_light_box_pulls_but_may_be_cut(tmp_path: Path) -> None:
    source = photo(tmp_path, sample("coffee.png").resize((1200, 800)))
    wide = Box(x=0.0, y=0.0, w=1.0, h=1.0, weight=0.5)
    right = Box(x=0.8, y=0.4, w=0.2, h=0.2, weight=0.5)
    assert rendered(source, tmp_path, Panel(width=600, height=480), focus=[wide]).fit == "cover"
    pulled = rendered(source, tmp_path, Panel(width=600, height=480), focus=[right]).crop
    assert pulled is not None
    assert pulled.x + pulled.w == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("place", [0.12, 0.85])
def test_without_faces_the_crop_follows_what_catches_the_eye(tmp_path: Path, place: float) -> None:
    image = Image.new("RGB", (1200, 800), (150, 170, 190))
    subject = sample("astronaut.png").resize((240, 400))
    image.paste(subject, (round(place * 1200) - 120, 250))
    crop = rendered(photo(tmp_path, image), tmp_path, Panel(width=800, height=800)).crop
    assert crop is not None
    assert crop.x <= place - 0.1 + 0.01
    assert crop.x + crop.w >= place + 0.1 - 0.01


# -- colour ---------------------------------------------------------------------------------------------------------


def test_display_p3_source_becomes_srgb(tmp_path: Path) -> None:
    profile = matrix_profile("Display P3", DISPLAY_P3_PRIMARIES)
    source = photo(tmp_path, Image.new("RGB", (400, 300), (200, 100, 100)), icc_profile=profile)
    transform = ImageCms.buildTransform(
        ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB"), "RGB", "RGB"
    )
    converted = transform.apply(Image.new("RGB", (1, 1), (200, 100, 100)))
    expected = pixel(converted, 0, 0)
    picture = shown(rendered(source, tmp_path, Panel(width=200, height=150, quality=100)))
    assert np.abs(np.subtract(pixel(picture, 100, 75), expected)).max() <= 3
    assert expected[0] > 205  # the test means something: sRGB needs more red for the same colour


def test_cmyk_source_is_shown_in_its_colours(tmp_path: Path) -> None:
    source = photo(tmp_path, Image.new("RGB", (400, 300), (210, 40, 40)).convert("CMYK"))
    red, green, blue = pixel(shown(rendered(source, tmp_path, Panel(width=200, height=150))), 100, 75)
    assert red > green + 80
    assert red > blue + 80


def test_nothing_of_the_file_but_its_picture_leaves(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "SecretCamera"
    source = photo(tmp_path, exif=exif, comment=b"SecretComment")
    for kind in ("jpeg", "png", "bmp"):
        result = rendered(source, tmp_path, Panel(width=200, height=150, formats=[kind]))
        leaving = Path(os.fsdecode(result.path)).read_bytes() + result.thumb
        assert b"Secret" not in leaving


# -- files ----------------------------------------------------------------------------------------------------------


def markers(jpeg: bytes) -> set[int]:
    found, at = set(), 2
    while jpeg[at + 1] != 0xDA:
        found.add(jpeg[at + 1])
        at += 2 + struct.unpack_from(">H", jpeg, at + 2)[0]
    return found


@pytest.mark.parametrize("quality", [40, 90, 100])
def test_jpeg_is_baseline_as_microcontrollers_need_it(tmp_path: Path, quality: int) -> None:
    result = rendered(photo(tmp_path), tmp_path, Panel(width=300, height=200, quality=quality))
    data = Path(os.fsdecode(result.path)).read_bytes()
    assert markers(data) & {0xC0, 0xC1, 0xC2} == {0xC0}
    assert result.bytes == len(data)
    assert (result.mime, result.ext) == ("image/jpeg", "jpg")


def test_same_request_gives_the_same_bytes_under_the_same_name(tmp_path: Path) -> None:
    source = photo(tmp_path)
    panel = Panel(width=320, height=200, fit="matte", palette="spectra6", formats=["png"])
    first = rendered(source, tmp_path / "a", panel)
    again = rendered(source, tmp_path / "b", panel)
    assert (first.sha256, first.thumb) == (again.sha256, again.thumb)
    assert first.path != again.path
    assert os.path.basename(first.path) == f"{first.sha256}.png".encode()
    assert os.path.basename(os.path.dirname(first.path)) == first.sha256[:2].encode()


def test_kept_file_is_left_alone_and_a_cut_one_is_mended(tmp_path: Path) -> None:
    source, panel = photo(tmp_path), Panel(width=320, height=200)
    path = Path(os.fsdecode(rendered(source, tmp_path, panel).path))
    inode, whole = path.stat().st_ino, path.read_bytes()
    rendered(source, tmp_path, panel)
    assert path.stat().st_ino == inode
    path.write_bytes(whole[:100])
    rendered(source, tmp_path, panel)
    assert path.read_bytes() == whole
    assert [file for file in (tmp_path / "out").rglob("*") if file.is_file()] == [path]


def test_file_is_no_larger_than_the_frame_takes(tmp_path: Path) -> None:
    source = photo(tmp_path)
    free = rendered(source, tmp_path, Panel(width=480, height=480, quality=95))
    tight = rendered(source, tmp_path, Panel(width=480, height=480, quality=95, max_bytes=30_000))
    assert free.bytes > 30_000 >= tight.bytes
    assert tight.bytes > 15_000  # no more was given up than needed
    assert "quality" in tight.notes[-1]


def test_what_no_quality_can_shrink_is_refused_with_the_figure(tmp_path: Path) -> None:
    with pytest.raises(TooLarge, match=r"takes 1,000") as refusal:
        rendered(photo(tmp_path), tmp_path, Panel(width=480, height=480, max_bytes=1000))
    assert refusal.value.field == "max_bytes"
    assert not (tmp_path / "out").exists()


def test_next_format_is_used_where_the_first_is_too_large(tmp_path: Path) -> None:
    panel = Panel(width=480, height=480, formats=["png", "jpeg"], max_bytes=90_000)
    assert rendered(photo(tmp_path), tmp_path, panel).ext == "jpg"
    assert rendered(photo(tmp_path), tmp_path, panel.model_copy(update={"max_bytes": None})).ext == "png"


def test_full_colour_bmp_has_24_bits(tmp_path: Path) -> None:
    result = rendered(photo(tmp_path), tmp_path, Panel(width=123, height=77, formats=["bmp"]))
    header = Path(os.fsdecode(result.path)).read_bytes()[:54]
    assert struct.unpack_from("<iiHHI", header, 18) == (123, 77, 1, 24, 0)


# -- when things are missing ----------------------------------------------------------------------------------------


def test_preview_stands_in_for_a_lost_original_and_says_so(tmp_path: Path) -> None:
    preview = photo(tmp_path, marked(320, 240), name="preview.jpg")
    panel = Panel(width=320, height=240)
    result = rendered(tmp_path / "gone.jpg", tmp_path, panel, preview=os.fsencode(preview))
    assert corners(shown(result)) == ["r", "g", "w", "b"]
    assert "preview" in result.notes[0]


def test_preview_stands_in_for_a_broken_original(tmp_path: Path) -> None:
    preview = photo(tmp_path, marked(320, 240), name="preview.jpg")
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(preview.read_bytes()[:400])
    result = rendered(broken, tmp_path, Panel(width=320, height=240), preview=os.fsencode(preview))
    assert corners(shown(result)) == ["r", "g", "w", "b"]


def test_lost_original_without_preview_is_a_bad_photo(tmp_path: Path) -> None:
    with pytest.raises(BadPhoto):
        rendered(tmp_path / "gone.jpg", tmp_path, Panel(width=320, height=240))


def test_unwritable_folder_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file where the folder should be")
    with pytest.raises(CannotStore, match="cannot be written"):
        rendered(photo(tmp_path), tmp_path, Panel(width=64, height=48))


def test_file_name_that_is_not_text_can_be_read(tmp_path: Path) -> None:
    source = os.path.join(os.fsencode(tmp_path), b"caf\xe9.jpg")
    Path(os.fsdecode(source)).write_bytes(photo(tmp_path).read_bytes())
    request = RenderRequest(source=source, output_dir=os.fsencode(tmp_path / "out"), panel=Panel(width=64, height=48))
    assert render(request).width == 64


# -- lettering ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [{}, {"palette": "mono", "formats": ["png"]}])
def test_text_is_drawn_only_where_the_panel_wants_it(tmp_path: Path, more: dict[str, object]) -> None:
    source = photo(tmp_path)
    bare = rendered(source, tmp_path, Panel(width=400, height=300, **more))
    off = rendered(source, tmp_path, Panel(width=400, height=300, **more), overlay_text="Anna, Málaga")
    drawn = rendered(source, tmp_path, Panel(width=400, height=300, overlay="caption", **more), overlay_text="Anna")
    assert off.sha256 == bare.sha256 != drawn.sha256


@pytest.mark.parametrize("text", ["W" * 400, "many words " * 40, "a\nb\tc\u202e", "日本語 🙂"])
def test_any_text_fits(tmp_path: Path, text: str) -> None:
    for more in ({}, {"palette": "mono", "formats": ["png"]}):
        panel = Panel(width=200, height=120, overlay="caption", **more)
        assert rendered(photo(tmp_path), tmp_path, panel, overlay_text=text).width == 200


# -- key and backend ------------------------------------------------------------------------------------------------


def test_key_changes_with_whatever_changes_the_picture() -> None:
    panel = Panel(width=800, height=480)
    face = Box(x=0.1, y=0.1, w=0.2, h=0.2)
    lettered = panel.model_copy(update={"overlay": "caption"})
    inked = Panel(width=800, height=480, palette="spectra6")
    keys = [
        render_key("a", panel),
        render_key("b", panel),
        render_key("a", panel, [face]),
        render_key("a", panel, version=RENDERER_VERSION + 1),
        render_key("a", panel.model_copy(update={"quality": 80})),
        render_key("a", lettered, overlay_text="Anna"),
        render_key("a", lettered, overlay_text="Ben"),
        render_key("a", inked),
        render_key("a", inked, monochrome=True),
    ]
    assert len(set(keys)) == len(keys)
    assert all(len(key) == 64 for key in keys)


def test_key_ignores_what_cannot_change_the_picture() -> None:
    panel = Panel(width=800, height=480)
    boxes = [Box(x=0.1, y=0.1, w=0.2, h=0.2), Box(x=0.6, y=0.1, w=0.2, h=0.2)]
    assert render_key("a", panel, boxes) == render_key("a", panel, boxes[::-1])
    assert render_key("a", panel, overlay_text="Anna") == render_key("a", panel)
    assert render_key("a", panel, monochrome=True) == render_key("a", panel)


def test_key_survives_the_way_through_json() -> None:
    panel = Panel(width=800, height=480, palette=["#FFFFFF", "#000000"], matte=Matte(colour="#AABBCC"))
    assert render_key("a", Panel.model_validate_json(panel.model_dump_json())) == render_key("a", panel)


@pytest.mark.parametrize(
    "wrong",
    [
        {"width": 0},
        {"width": 20_000, "height": 20_000},
        {"palette": ["#ffffff"]},
        {"palette": ["#ffffff", "black"]},
        {"palette": ["#ffffff", "#000000"], "wire_palette": ["#ffffff", "#000000", "#ff0000"]},
        {"wire_palette": ["#ffffff", "#000000"]},
        {"palette": "mono", "grey_bits": 2},
        {"rotation": 45},
        {"formats": []},
    ],
)
def test_impossible_panel_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="Panel"):
        Panel(**{"width": 800, "height": 480, **wrong})


def test_backend_takes_and_gives_plain_values(tmp_path: Path) -> None:
    backend = Renderer()
    backend.load({}, "cpu")
    request = RenderRequest(
        source=os.fsencode(photo(tmp_path)), output_dir=os.fsencode(tmp_path / "out"), panel=Panel(width=64, height=48)
    )
    answer = backend.run(request.model_dump(mode="python"), Context())
    assert Rendered.model_validate(answer).width == 64
    assert isinstance(answer["path"], bytes)


def test_cancelled_call_stops(tmp_path: Path) -> None:
    context = Context()
    context.cancel()
    request = RenderRequest(
        source=os.fsencode(photo(tmp_path)), output_dir=os.fsencode(tmp_path / "out"), panel=Panel(width=64, height=48)
    )
    with pytest.raises(Cancelled):
        render(request, context)
    assert not (tmp_path / "out").exists()


def test_limits_of_the_host_are_obeyed(tmp_path: Path) -> None:
    backend = Renderer()
    backend.load({"limits": {"max_pixels": 10_000}}, "cpu")
    request = RenderRequest(
        source=os.fsencode(photo(tmp_path)), output_dir=os.fsencode(tmp_path / "out"), panel=Panel(width=64, height=48)
    )
    with pytest.raises(BadPhoto, match="limit"):
        backend.run(request.model_dump(), Context())


def test_daemon_learns_about_panels_without_loading_pillow() -> None:
    code = "import sys, framed.frames.base; sys.exit('PIL' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
