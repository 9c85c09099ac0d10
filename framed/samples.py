"""Writes sample photos: real pictures that ship in Python packages, with dates, cameras and places of our own.

Nothing is downloaded. The dates and places are made up, so that there is something to ask for. It runs as a process of
its own (`python -m framed.samples FOLDER`), because the daemon does not load Pillow.
"""

import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from PIL import Image

_FOLDERS = {"skimage": "data", "sklearn": "datasets/images", "matplotlib": "mpl-data/sample_data"}
_DISTRIBUTIONS = {"skimage": "scikit-image", "sklearn": "scikit-learn", "matplotlib": "matplotlib"}


@dataclass(frozen=True)
class Sample:
    """`taken` is local time as EXIF writes it; `where` is latitude and longitude in degrees."""

    package: str
    file: str
    name: str
    taken: str
    keywords: tuple[str, ...] = ()
    camera: tuple[str, str] | None = ("Canon", "Canon EOS 80D")
    where: tuple[float, float] | None = None
    rating: int | None = None


_PHONE = ("Apple", "iPhone 12")
_NIKON = ("NIKON CORPORATION", "NIKON D750")
_HOUSTON, _CANAVERAL, _BEIJING = (29.5593, -95.0893), (28.6083, -80.6041), (39.9996, 116.2755)
_LISBON, _BERLIN, _EDINBURGH, _ROME = (38.7139, -9.1394), (52.5200, 13.4050), (55.9533, -3.1883), (41.8902, 12.4922)

SAMPLES: tuple[Sample, ...] = (
    Sample("skimage", "astronaut.png", "astronaut", "2016:04:12 10:15:00", ("portrait", "space"), where=_HOUSTON),
    Sample("skimage", "coffee.png", "coffee", "2023:08:19 09:20:00", ("coffee", "breakfast"), _PHONE, _LISBON, 4),
    Sample("skimage", "chelsea.png", "chelsea", "2022:12:25 16:40:00", ("cat", "pet"), _PHONE, _BERLIN, 5),
    Sample("skimage", "rocket.jpg", "rocket launch", "2015:02:11 18:03:00", ("rocket",), _NIKON, _CANAVERAL, 5),
    Sample("skimage", "camera.png", "cameraman", "2012:06:03 14:00:00", ("camera", "black and white"), None),
    Sample("skimage", "brick.png", "brick wall", "2019:03:23 11:05:00", ("wall",), where=_EDINBURGH),
    Sample("skimage", "grass.png", "grass", "2021:05:30 13:12:00", ("grass", "garden"), _PHONE),
    Sample("skimage", "gravel.png", "gravel", "2021:05:30 13:14:00", ("gravel", "garden"), _PHONE),
    Sample("skimage", "coins.png", "old coins", "2018:10:07 12:31:00", ("coins", "museum"), _NIKON, _ROME),
    Sample("skimage", "page.png", "a page", "2020:01:15 09:00:00", (), _PHONE),
    Sample("skimage", "text.png", "handwriting", "2020:01:15 09:02:00", (), _PHONE),
    Sample("skimage", "clock_motion.png", "clock", "2024:01:01 00:00:10", ("clock", "new year"), where=_BERLIN),
    Sample("skimage", "hubble_deep_field.jpg", "deep field", "2014:07:20 22:30:00", ("stars", "space"), None, None, 4),
    Sample("skimage", "moon.png", "moon", "2019:07:20 22:56:00", ("moon", "space"), _NIKON),
    Sample("skimage", "retina.jpg", "retina", "2017:09:05 15:20:00", ("medicine",), None),
    Sample("skimage", "ihc.png", "tissue", "2017:09:06 10:00:00", ("microscope",), None),
    Sample("skimage", "cell.png", "cell", "2017:09:06 10:30:00", ("microscope",), None),
    Sample("skimage", "microaneurysms.png", "microaneurysms", "2017:09:05 15:25:00", ("medicine",), None),
    Sample("skimage", "motorcycle_left.png", "motorcycle", "2014:10:18 17:00:00", ("motorcycle",), _NIKON),
    Sample("skimage", "motorcycle_right.png", "motorcycle again", "2014:10:18 17:00:01", ("motorcycle",), _NIKON),
    Sample("skimage", "horse.png", "horse", "2013:08:02 12:00:00", ("horse", "drawing"), None),
    Sample("skimage", "color.png", "colours", "2018:02:14 18:00:00", (), None),
    Sample(
        "sklearn", "china.jpg", "summer palace", "2017:10:02 11:45:00", ("temple", "holiday"), where=_BEIJING, rating=5
    ),
    Sample("sklearn", "flower.jpg", "dahlia", "2024:08:11 10:05:00", ("flower", "garden"), where=_EDINBURGH, rating=4),
    Sample("matplotlib", "grace_hopper.jpg", "grace hopper", "2013:12:09 09:00:00", ("portrait",), None),
    Sample("matplotlib", "Minduka_Present_Blue_Pack.png", "present", "2022:12:24 18:30:00", ("christmas",), _PHONE),
)


def write(folder: Path) -> list[str]:
    """Writes what is not there yet, as JPEG; returns a sentence for each package that is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    sources = {package: _source(package) for package in _FOLDERS}
    for sample in SAMPLES:
        source, target = sources[sample.package], _target(folder, sample)
        if source is not None and (source / sample.file).is_file() and not target.exists():
            _write_one(source / sample.file, target, sample)
    return [
        f"{_DISTRIBUTIONS[package]} is not installed, so its sample photos are left out."
        for package, source in sources.items()
        if source is None
    ]


def incomplete(folder: Path) -> bool:
    """Whether `write` would write something."""
    sources = {package: _source(package) for package in _FOLDERS}
    return any(
        source is not None and not _target(folder, sample).exists() and (source / sample.file).is_file()
        for sample in SAMPLES
        for source in (sources[sample.package],)
    )


def _target(folder: Path, sample: Sample) -> Path:
    return folder / f"{sample.name.replace(' ', '-')}.jpg"


def _source(package: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    return Path(places[0]) / _FOLDERS[package] if places else None


def _write_one(source: Path, target: Path, sample: Sample) -> None:
    from PIL import Image

    with Image.open(source) as opened:
        picture = _flat(opened)
        temporary = target.with_name(f".{target.name}.part")
        picture.save(temporary, format="JPEG", quality=92, exif=_exif(sample), xmp=_xmp(sample))
    temporary.replace(target)


def _flat(picture: "Image.Image") -> "Image.Image":
    """Without transparency, on white."""
    from PIL import Image

    if picture.mode in ("L", "RGB"):
        return picture.copy()
    if picture.mode.startswith("I;16") or picture.mode == "1":
        return picture.convert("L")
    over = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", over.size, "white"), over).convert("RGB")


def _exif(sample: Sample) -> "Image.Exif":
    from PIL import ExifTags, Image

    exif = Image.Exif()
    if sample.camera is not None:
        exif[ExifTags.Base.Make], exif[ExifTags.Base.Model] = sample.camera
    exif[ExifTags.Base.DateTime] = sample.taken
    exif.get_ifd(ExifTags.IFD.Exif).update(
        {ExifTags.Base.DateTimeOriginal: sample.taken, ExifTags.Base.DateTimeDigitized: sample.taken}
    )
    if sample.where is not None:
        latitude, longitude = sample.where
        exif.get_ifd(ExifTags.IFD.GPSInfo).update(
            {
                ExifTags.GPS.GPSLatitudeRef: "N" if latitude >= 0 else "S",
                ExifTags.GPS.GPSLatitude: _degrees(latitude),
                ExifTags.GPS.GPSLongitudeRef: "E" if longitude >= 0 else "W",
                ExifTags.GPS.GPSLongitude: _degrees(longitude),
            }
        )
    return exif


def _degrees(value: float) -> tuple[float, float, float]:
    minutes, seconds = divmod(round(abs(value) * 3600, 2), 60)
    degrees, minutes = divmod(minutes, 60)
    return degrees, minutes, seconds


def _xmp(sample: Sample) -> bytes:
    words = "".join(f"<rdf:li>{escape(word)}</rdf:li>" for word in sample.keywords)
    subject = f"<dc:subject><rdf:Bag>{words}</rdf:Bag></dc:subject>" if words else ""
    rating = f"<xmp:Rating>{sample.rating}</xmp:Rating>" if sample.rating is not None else ""
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"'
        f' xmlns:xmp="http://ns.adobe.com/xap/1.0/">{subject}{rating}</rdf:Description></rdf:RDF></x:xmpmeta>'
    ).encode()


if __name__ == "__main__":
    for note in write(Path(sys.argv[1])):
        print(note, file=sys.stderr)
