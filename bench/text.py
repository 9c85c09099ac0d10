"""Words read in photos: `python bench/text.py [FOLDER] [--backend rapidocr]`.

Signs are written by Pillow onto real photos of packages, 1,440 pixels wide: a usual one, and others that differ from it
in one thing each, its font, size, angle, contrast or script. A word counts as right where it is read letter by letter,
accents and all; what is read and stands nowhere is a false word. Then photos without any text, and printed pages.
FOLDER's pictures are read, too: where `name.txt` lies beside `name.jpg` it is compared, else what was read is printed.
"""

import argparse
import importlib.util
import re
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont, ImageOps

from framed.models.base import Context, backend_class
from framed.models.catalogue import PACKAGED, choose

WIDE = 1440
BEHIND = ("coffee.png", "chelsea.png", "rocket.jpg", "astronaut.png", "motorcycle_left.png", "retina.jpg")
WITHOUT = (
    "coffee.png", "chelsea.png", "brick.png", "grass.png", "gravel.png", "moon.png", "ihc.png", "retina.jpg",
    "hubble_deep_field.jpg", "horse.png", "cell.png", "camera.png",
)  # fmt: skip
TEXTS = {
    "Latin": (
        "Bahnhof Zürich", "Boulangerie du Marché", "PLEASE KEEP OFF THE GRASS", "Gasthof zum Löwen 1874",
        "Calle de la Señora", "Museum open daily 10-18",
    ),
    "Greek": ("ΚΑΛΩΣ ΗΡΘΑΤΕ", "ΕΘΝΙΚΟ ΜΟΥΣΕΙΟ", "ΠΛΑΤΕΙΑ ΣΥΝΤΑΓΜΑΤΟΣ", "Καλημέρα Αθήνα", "ΦΑΡΜΑΚΕΙΟ", "ΕΞΟΔΟΣ"),
    "Cyrillic": ("Добро пожаловать", "АПТЕКА", "Выход в город", "Красная площадь", "СТОП", "Хлеб и молоко"),
    "Chinese": ("欢迎光临", "北京大学", "中国银行", "出口", "小心地滑", "人民广场"),
    "Japanese": ("東京駅", "いらっしゃいませ", "出口はこちら", "ラーメン", "営業中", "京都市"),
}  # fmt: skip
KNOWN_BY = {"Greek": "Ω", "Cyrillic": "Ж", "Chinese": "欢", "Japanese": "駅"}
"""A letter that a font of the script has."""

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Sign:
    font: str = "DejaVu Sans"
    px: int = 48
    """Height of the letters' line: a line of a road sign seen across a street."""
    degrees: float = 0.0
    ink: Colour = (20, 20, 30)
    board: Colour | None = (248, 246, 238)
    script: str = "Latin"


USUAL = Sign()
ROUNDS: dict[str, dict[str, Sign]] = {
    "": {"the usual sign": USUAL},
    "font": {
        name: replace(USUAL, font=name)
        for name in ("DejaVu Serif", "DejaVu Sans Mono:bold", "STIXGeneral:italic", "cmr10")
    },
    "height": {f"{px} px": replace(USUAL, px=px) for px in (16, 22, 32, 96, 160)},
    "angle": {f"{degrees}°": replace(USUAL, degrees=degrees) for degrees in (5, 15, 30, 45, 90, 180, 270)},
    "contrast": {
        "white on the photo": replace(USUAL, ink=(255, 255, 255), board=None),
        "yellow on blue": replace(USUAL, ink=(250, 220, 40), board=(20, 60, 140)),
        "grey on grey": replace(USUAL, ink=(110, 110, 110), board=(160, 160, 160)),
        "dark on dark": replace(USUAL, ink=(30, 30, 30), board=(62, 60, 58)),
    },
    "script": {name: replace(USUAL, script=name) for name in TEXTS if name != "Latin"},
}


def package_picture(name: str) -> Image.Image:
    found = importlib.util.find_spec("skimage")
    assert found is not None, "scikit-image is missing: pip install framed[samples]"
    assert found.origin is not None
    picture = Image.open(Path(found.origin).parent / "data" / name).convert("RGB")
    return picture.resize((WIDE, round(picture.height * WIDE / picture.width)), Image.Resampling.LANCZOS)


def font_file(sign: Sign) -> str | None:
    """None where no installed font has the script's letters."""
    letter = KNOWN_BY.get(sign.script)
    family, _, style = sign.font.partition(":")
    wanted = font_manager.FontProperties(
        family=family,
        weight="bold" if style == "bold" else "normal",
        style="italic" if style == "italic" else "normal",
    )
    file = font_manager.findfont(wanted)
    if letter is None or _has(file, letter):
        return str(file)
    return next((font.fname for font in font_manager.fontManager.ttflist if _has(font.fname, letter)), None)


def _has(file: str, letter: str) -> bool:
    if "LastResort" in file:
        return False
    return ord(letter) in font_manager.get_font(file).get_charmap()


def photo(sign: Sign, text: str, behind: str, file: str) -> Image.Image:
    picture = package_picture(behind)
    font = ImageFont.truetype(file, sign.px)
    left, top, right, bottom = font.getbbox(text)
    pad = round(sign.px * 0.5)
    board = Image.new("RGBA", (int(right - left) + 2 * pad, int(bottom - top) + 2 * pad), (0, 0, 0, 0))
    draw = ImageDraw.Draw(board)
    if sign.board:
        draw.rectangle((0, 0, *board.size), fill=sign.board)
    draw.text((pad - left, pad - top), text, font=font, fill=sign.ink)
    if board.width > WIDE * 0.9:
        board = board.resize(
            (int(WIDE * 0.9), round(board.height * WIDE * 0.9 / board.width)), Image.Resampling.LANCZOS
        )
    board = board.rotate(sign.degrees, Image.Resampling.BICUBIC, expand=True)
    picture.paste(board, ((picture.width - board.width) // 2, (picture.height - board.height) // 3), board)
    return picture


def words(text: str, script: str = "Latin") -> Counter[str]:
    """Chinese and Japanese have no spaces: there each character counts."""
    if script in ("Chinese", "Japanese"):
        return Counter(letter for letter in text if letter.isalnum())
    return Counter(re.findall(r"\w+", text))


@dataclass
class Score:
    there: int = 0
    right: int = 0
    false: int = 0

    def count(self, written: Counter[str], read: Counter[str]) -> None:
        self.there += written.total()
        self.right += (written & read).total()
        self.false += (read - written).total()

    def __str__(self) -> str:
        return f"{self.right:4}/{self.there:<4} {self.right / max(self.there, 1):6.1%} right, {self.false} false"


class Reader:
    """A loaded backend, and what it has cost since somebody asked."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._photos, self._cpu_s = 0, 0.0

    def read(self, picture: Image.Image) -> str:
        pixels = np.asarray(picture.convert("RGB"))
        began = time.process_time()
        answer = self._model.run({"pixels": pixels}, Context())
        self._photos, self._cpu_s = self._photos + 1, self._cpu_s + time.process_time() - began
        return " ".join(line["text"] for line in answer["lines"])

    def cost(self) -> str:
        each = self._cpu_s * 1000 / max(self._photos, 1)
        said = f"{self._photos} photos read, {each:.0f} ms of CPU each"
        self._photos, self._cpu_s = 0, 0.0
        return said


def signs(reader: Reader) -> None:
    latin = Score()
    theirs = {behind: words(reader.read(package_picture(behind))) for behind in BEHIND}
    print(f"on the photos themselves: {', '.join(word for found in theirs.values() for word in found) or '-'}")
    for thing, variants in ROUNDS.items():
        for name, sign in variants.items():
            label = f"{thing}: {name}" if thing else name
            file = font_file(sign)
            if file is None:
                print(f"{label:32} no font installed has it")
                continue
            score = Score()
            for text, behind in zip(TEXTS[sign.script], BEHIND, strict=True):
                found = words(reader.read(photo(sign, text, behind, file)), sign.script) - theirs[behind]
                for one in (score, latin) if sign.script == "Latin" else (score,):
                    one.count(words(text, sign.script), found)
            print(f"{label:32} {score}", flush=True)
    print(f"{'Latin signs, all together':32} {latin}; {reader.cost()}")


def without(reader: Reader) -> None:
    score = Score()
    for name in WITHOUT:
        if found := words(reader.read(package_picture(name))):
            print(f"   {name}: {', '.join(found)}")
        score.count(Counter(), found)
    print(f"{len(WITHOUT)} photos without text: {score.false} false words; {reader.cost()}")


def page(reader: Reader) -> None:
    """A scanned page of a book; it is written out here as a person reads it."""
    text = """Region-based segmentation Let us first determine markers of the coins and the background These markers are
    pixels that we can label unambiguously as either object or background Here the markers are found at the two extreme
    parts of the histogram of grey values markers np zeros_like coins"""
    score = Score()
    score.count(words(text), words(reader.read(package_picture("page.png"))))
    print(f"a page of print: {score.right}/{score.there} words, {score.right / score.there:.1%}; {reader.cost()}")


def folder(reader: Reader, top: Path) -> None:
    for path in sorted(top.rglob("*")):
        if path.suffix.lower() not in (".jpg", ".jpeg", ".png", ".webp"):
            continue
        picture = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
        picture.thumbnail((2000, 2000))
        text, truth = reader.read(picture), path.with_suffix(".txt")
        if truth.is_file():
            score = Score()
            score.count(words(truth.read_text()), words(text))
            print(f"{path.name}: {score}")
        else:
            print(f"{path.name}: {text or '-'}; {reader.cost()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--backend", default="rapidocr", help="one that runs in this very Python")
    given = parser.parse_args()
    chosen = choose("ocr", given.backend)
    model = backend_class(PACKAGED.entry("ocr", chosen.backend).where)()
    model.load({}, "cpu")
    reader = Reader(model)
    print(chosen.model_id)
    if given.folder:
        folder(reader, given.folder)
        return
    signs(reader)
    page(reader)
    without(reader)


if __name__ == "__main__":
    main()
