"""Photos stay photos whatever became of their metadata; screens, pages and drawings are told apart from them."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont

from framed.analysis.kind import Kind, KindFacts, kind
from framed.analysis.pdq import canonical
from tests.installed import installed

DATA = installed("skimage") / "data"
PHOTOS = [
    *(DATA / name for name in ("astronaut.png", "coffee.png", "chelsea.png", "motorcycle_left.png", "rocket.jpg")),
    *(DATA / name for name in ("camera.png", "hubble_deep_field.jpg", "brick.png", "coins.png", "moon.png")),
    *(installed("sklearn") / "datasets" / "images" / name for name in ("china.jpg", "flower.jpg")),
    installed("matplotlib") / "mpl-data" / "sample_data" / "grace_hopper.jpg",
]
SENTENCES = [
    "Show Anna at the beach last summer on the kitchen frame",
    "Twelve pictures match, three of them are much the same",
    "The living room frame has been asleep since four o'clock",
    "Nothing is shown a third time before all were shown once",
]


def opened(path: Path) -> Image.Image:
    return Image.open(path).convert("RGB")


def judged(image: Image.Image, **facts: object) -> Kind:
    known = {"format": "PNG", "width": image.width, "height": image.height} | facts
    return kind(canonical(image), KindFacts.model_validate(known))


def as_jpeg(image: Image.Image, quality: int = 85) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def screen(*, dark: bool, size: tuple[int, int] = (1080, 1500)) -> Image.Image:
    """A chat: a bar on top, bubbles of text, a field below."""
    ground, ink, bubble = ("#101418", "#f0f0f0", "#1e3a5f") if dark else ("#ffffff", "#202020", "#dcecff")
    image = Image.new("RGB", size, ground)
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(34)
    draw.rectangle((0, 0, size[0], 110), fill="#2463c8")
    draw.text((40, 34), "Messages     12:41", fill="white", font=font)
    for row, y in enumerate(range(160, size[1] - 240, 190)):
        draw.rounded_rectangle((40 + 120 * (row % 2), y, size[0] - 40, y + 160), 24, fill=bubble)
        draw.text((70 + 120 * (row % 2), y + 26), SENTENCES[row % 4][:44], fill=ink, font=font)
        draw.text((70 + 120 * (row % 2), y + 86), SENTENCES[(row + 1) % 4][:44], fill=ink, font=font)
    return image


def page() -> Image.Image:
    """A sheet of A4 at 150 dpi, as a scanner gives it."""
    image = Image.new("RGB", (1240, 1754), "white")
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(26)
    for row, y in enumerate(range(150, 1600, 44)):
        draw.text((130, y), f"{SENTENCES[row % 4]} {SENTENCES[(row + 2) % 4]}"[:78], fill="black", font=font)
    return image


def photographed(sheet: Image.Image) -> Image.Image:
    """The sheet as a phone sees it: turned a little, lit from one side, with grain, slightly soft."""
    turned = sheet.rotate(0.6, Image.Resampling.BICUBIC, fillcolor=(235, 235, 235)).filter(
        ImageFilter.GaussianBlur(0.8)
    )
    light = np.linspace(0.78, 0.95, turned.width)[None, :, None]
    grain = np.random.default_rng(3).normal(0, 4, (turned.height, turned.width, 1))
    return Image.fromarray(np.clip(np.asarray(turned) * light + grain, 0, 255).astype(np.uint8))


def drawing() -> Image.Image:
    image = Image.new("RGB", (1000, 800), "#bfe3ff")
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 560, 1000, 800), fill="#6fbf4a")
    draw.polygon([(300, 360), (500, 200), (700, 360)], fill="#c0392b", outline="black", width=6)
    draw.rectangle((330, 360, 670, 620), fill="#f4d58d", outline="black", width=6)
    draw.ellipse((800, 60, 930, 190), fill="#ffd93b", outline="black", width=6)
    return image


@pytest.mark.parametrize("path", PHOTOS, ids=lambda path: path.stem)
def test_a_photo_saved_as_png_without_metadata_is_a_photo(path: Path) -> None:
    found = judged(opened(path))
    assert found.name == "photo"
    assert found.score > 0.7


@pytest.mark.parametrize("path", PHOTOS, ids=lambda path: path.stem)
def test_a_photo_sent_by_a_messenger_is_a_photo(path: Path) -> None:
    assert judged(as_jpeg(opened(path), 60), format="JPEG").name == "photo"


@pytest.mark.parametrize("path", PHOTOS, ids=lambda path: path.stem)
def test_a_black_and_white_photo_is_a_photo(path: Path) -> None:
    assert judged(opened(path).convert("L").convert("RGB"), format="JPEG").name == "photo"


@pytest.mark.parametrize("brightness", [0.6, 1.4])
def test_a_dark_or_light_photo_is_a_photo(brightness: float) -> None:
    kinds = {judged(ImageEnhance.Brightness(opened(path)).enhance(brightness)).name for path in PHOTOS}
    assert kinds == {"photo"}


def test_a_photo_in_the_size_of_a_computer_screen_is_a_photo() -> None:
    image = opened(DATA / "coffee.png").resize((1920, 1080))
    assert judged(image).name == "photo"


@pytest.mark.parametrize("dark", [False, True])
def test_a_screen_is_a_screenshot_by_its_pixels_alone(dark: bool) -> None:
    found = judged(screen(dark=dark, size=(1000, 1500)))
    assert found.name == "screenshot"
    assert "screen" in found.why


@pytest.mark.parametrize("dark", [False, True])
def test_a_screenshot_sent_by_a_messenger_is_still_one(dark: bool) -> None:
    assert judged(as_jpeg(screen(dark=dark, size=(1000, 1500))), format="JPEG").name == "screenshot"


def test_a_photo_shown_on_a_phone_screen_is_a_screenshot_by_its_size() -> None:
    image = opened(DATA / "astronaut.png").resize((1170, 2532))
    found = judged(image)
    assert (found.name, found.why) == ("screenshot", "it has the size of a phone's screen and no camera")


def test_a_name_that_says_screenshot_is_believed() -> None:
    image = opened(DATA / "coffee.png")
    assert judged(image, screenshot_hint=True, file_name="Screenshot_2024-05-01.png").name == "screenshot"


def test_a_camera_is_believed_even_of_a_flat_picture() -> None:
    found = judged(drawing(), format="JPEG", camera_make="Canon", has_exif=True)
    assert (found.name, found.why) == ("photo", "a camera took it (Canon)")


def test_a_scanned_page_is_a_document() -> None:
    assert judged(page()).name == "document"
    assert judged(as_jpeg(page()), format="JPEG").name == "document"


def test_a_photographed_page_is_a_document() -> None:
    assert judged(photographed(page()), format="JPEG").name == "document"
    assert judged(opened(DATA / "page.png")).name == "document"


def test_a_page_taken_with_the_phone_is_a_document_where_its_name_says_so() -> None:
    sheet = photographed(page())
    found = judged(sheet, format="JPEG", camera_make="Apple", has_exif=True, file_name="Receipt 12.jpg")
    assert found.name == "document"


def test_a_drawing_is_a_drawing() -> None:
    assert judged(drawing()).name == "drawing"
    assert judged(opened(DATA / "horse.png")).name == "drawing"


def test_what_illustrator_made_is_a_drawing() -> None:
    found = judged(opened(DATA / "logo.png"), software="Adobe Illustrator 28.0")
    assert (found.name, found.why) == ("drawing", "it was made with Adobe Illustrator 28.0")


@pytest.mark.parametrize("side", [1, 5, 47])
def test_the_smallest_pictures_are_judged_without_error(side: int) -> None:
    assert judged(Image.new("RGB", (side, side), "red")).name in {"photo", "drawing"}
