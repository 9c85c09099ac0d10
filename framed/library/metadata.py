"""What a photo file and its sidecars say about the photo, as one checked record."""

import json
import math
import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from framed.library.embedded import Embedded, clean_text, comment_text, number, read_embedded, wide_text
from framed.library.files import display_name
from framed.library.taken import Precision, Taken, taken
from framed.library.xmp import BrokenXmp, Properties, parse_xmp, structure, structures, text, texts

_MAX_KEYWORDS: Final = 500
# What cameras write as the description of every picture.
_CAMERA_PHRASES: Final = re.compile(
    r"olympus digital camera|sony dsc|minolta dsc|samsung(?: camera pictures| digital camera)?|kodak .*digital .*camera"
    r"|konica minolta digital camera|exif[_ ]jpeg[_ ]picture|dcim.*|dsc_?\d*|default|untitled|ascii|binary comment"
    r"|created with gimp|jpeg[_ ]picture|mde|edf|sdc\d*|\W*",
    re.IGNORECASE,
)
_EDITORS: Final = re.compile(
    r"photoshop|lightroom|gimp|snapseed|darktable|rawtherapee|capture one|affinity|luminar|picasa|photoscape|paint"
    r"|pixelmator|digikam|dxo|on1|facetune|vsco|polarr|pixlr|canva|krita|aperture|acdsee|irfanview|windows photo",
    re.IGNORECASE,
)
_EDITED_NAMES: Final = re.compile(r"(?:^IMG_E\d{4}|[-_ ](?:edited|edit|bearbeitet|modifié|editado|modificato)\b)", re.I)
# English, German, French, Spanish, Portuguese, Dutch, Italian, the Nordic languages, Polish, Czech, Turkish,
# Russian, Japanese, Chinese, Korean
_SCREENSHOT_NAMES: Final = re.compile(
    r"screen[-_ ]?shot|screen[-_ ]?cap|bildschirm(?:foto|aufnahme)|capture[-_ ]d.?[ée]cran"
    r"|captura[-_ ]de[-_ ](?:pantalla|tela|ecr[ãa])|schermafbeelding|schermata|istantanea"
    r"|skjerm(?:bilde|billede)|skærmbillede|sk[äa]rm(?:bild|avbild)|zrzut[-_ ]ekranu|snímek[-_ ]obrazovky"
    r"|ekran[-_ ]g[öo]r[üu]nt[üu]s[üu]|снимок[-_ ]экрана|スクリーンショット|截屏|截图|屏幕截图|螢幕截圖|스크린샷",
    re.IGNORECASE,
)
_REGION_KINDS: Final = {"face": "face", "": "face", "pet": "pet"}
_PERCENT_STARS: Final = ((99, 5), (75, 4), (50, 3), (25, 2), (1, 1))  # Windows keeps stars as a percentage


class FaceRegion(BaseModel):
    """Somebody in the photo. The box is of the upright picture: left, top, width, height, 0–1; None where only the
    name is known."""

    model_config = ConfigDict(frozen=True)

    name: str
    x: float | None = None
    y: float | None = None
    w: float | None = None
    h: float | None = None
    kind: str = "face"


class Metadata(BaseModel):
    """Everything the file itself says. What is None or empty was not said, or could not be right (then see `notes`).

    `taken_local` is naive: the wall clock where the photo was taken. `taken_offset_min` is minutes east of UTC, None
    where nothing says. `keywords` are single words as people typed them, of a hierarchy the last one;
    `keyword_paths` keeps hierarchies whole, as `Places|Italy|Rome`. `rating` is −1 for rejected, else 0–5.
    """

    model_config = ConfigDict(frozen=True)

    taken_local: datetime | None = None
    taken_offset_min: int | None = None
    taken_source: str | None = None
    taken_precision: Precision | None = None
    camera_make: str | None = None
    camera_model: str | None = None
    lens: str | None = None
    iso: int | None = None
    f_number: float | None = None
    exposure_s: float | None = None
    focal_mm: float | None = None
    flash: bool | None = None
    software: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    altitude_m: float | None = None
    orientation: int = 1
    title: str | None = None
    caption: str | None = None
    user_comment: str | None = None
    keywords: tuple[str, ...] = ()
    keyword_paths: tuple[str, ...] = ()
    rating: int | None = None
    label: str | None = None
    people: tuple[FaceRegion, ...] = ()
    location: str | None = None
    city: str | None = None
    state: str | None = None
    country: str | None = None
    screenshot_hint: bool = False
    edited: bool = False
    notes: tuple[str, ...] = ()


class _Stamp(BaseModel):
    timestamp: int


class _Spot(BaseModel):
    latitude: float = 0.0
    longitude: float = 0.0
    altitude: float = 0.0


class _Somebody(BaseModel):
    name: str


class _Takeout(BaseModel):
    """The JSON that Google's export puts beside a photo."""

    photoTakenTime: _Stamp | None = None
    geoData: _Spot | None = None
    geoDataExif: _Spot | None = None
    description: str = ""
    people: list[_Somebody] = []


def read_metadata(
    data: bytes, name: str, sidecars: Sequence[bytes] = (), file_time: datetime | None = None
) -> Metadata:
    """The record of one photo; never raises for what a file says, however wrong it is.

    A sidecar's word goes before the file's, an earlier sidecar's before a later one's. Sidecars are XMP packets or the
    JSON of a Google export. `file_time` is the last resort for the date.
    """
    name = display_name(name)
    notes: list[str] = []
    embedded = read_embedded(data, name, notes)
    beside, takeout = _read_sidecars(sidecars, notes)
    packets = [*beside, embedded.xmp]
    exif = _ExifText(embedded)
    software = exif.software or _first(packets, "xmp:CreatorTool")
    edited = bool(_EDITORS.search(software or "") or _EDITED_NAMES.search(name))
    latitude, longitude, altitude = _position(embedded, packets, takeout, notes)
    moment = taken(
        embedded,
        name=name,
        sidecars=beside,
        elsewhere=_takeout_taken(takeout),
        edited=edited,
        position=None if latitude is None or longitude is None else (latitude, longitude),
        file_time=file_time,
        notes=notes,
    )
    keywords, paths = _keywords(packets, embedded, exif)
    comment = exif.comment or _first(packets, "exif:UserComment")
    return Metadata(
        **_moment_fields(moment),
        **_camera_fields(embedded, exif, packets),
        software=software,
        latitude=latitude,
        longitude=longitude,
        altitude_m=altitude,
        orientation=embedded.orientation,
        title=_title(packets, embedded, exif),
        caption=_caption(packets, embedded, exif, takeout),
        user_comment=comment,
        keywords=keywords,
        keyword_paths=paths,
        rating=_rating(packets, embedded),
        label=_first(packets, "xmp:Label"),
        people=_people(packets, embedded, takeout),
        **_place_fields(packets, embedded),
        screenshot_hint=_is_screenshot(name, comment),
        edited=edited,
        notes=tuple(dict.fromkeys(notes)),
    )


class _ExifText:
    """The texts of the Exif block, each decoded the way its tag is."""

    def __init__(self, embedded: Embedded) -> None:
        zeroth, photo = embedded.zeroth, embedded.photo
        self.software = clean_text(zeroth.get(0x0131))
        self.comment = comment_text(photo.get(0x9286))
        self.description = _said(clean_text(zeroth.get(0x010E)))
        self.title = wide_text(zeroth.get(0x9C9B))
        self.remark = wide_text(zeroth.get(0x9C9C))
        self.keywords = wide_text(zeroth.get(0x9C9E)) or ""


def _read_sidecars(sidecars: Sequence[bytes], notes: list[str]) -> tuple[list[Properties], _Takeout]:
    packets: list[Properties] = []
    takeout = _Takeout()
    for sidecar in sidecars:
        try:
            if sidecar.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"{"):
                takeout = _Takeout.model_validate(json.loads(sidecar[:1_000_000]))
            else:
                packets.append(parse_xmp(sidecar))
        except BrokenXmp as problem:
            notes.append(f"its sidecar {problem}")
        except (ValueError, RecursionError) as problem:  # JSON, and pydantic's ValidationError
            wrong = "is not one of Google's" if isinstance(problem, ValidationError) else "is not JSON"
            notes.append(f"its sidecar {wrong}")
    return packets, takeout


def _moment_fields(moment: Taken | None) -> dict[str, Any]:
    if moment is None:
        return {}
    return {
        "taken_local": moment.local,
        "taken_offset_min": moment.offset_min,
        "taken_source": moment.source,
        "taken_precision": moment.precision,
    }


def _takeout_taken(takeout: _Takeout) -> Taken | None:
    """Seconds since 1970: the moment is certain, the wall clock is not."""
    if takeout.photoTakenTime is None:
        return None
    try:
        moment = datetime.fromtimestamp(takeout.photoTakenTime.timestamp, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return Taken(moment.replace(tzinfo=None), 0, "takeout")


def _camera_fields(embedded: Embedded, exif: _ExifText, packets: list[Properties]) -> dict[str, Any]:
    zeroth, photo, packet = embedded.zeroth, embedded.photo, embedded.xmp
    iso = (
        _positive(photo.get(0x8827))
        or _positive(photo.get(0x8831))
        or _positive(_listed(packet, "exif:ISOSpeedRatings"))
    )
    flash = number(photo.get(0x9209))
    lens = clean_text(photo.get(0xA434)) or text(packet, "exifEX:LensModel", "aux:Lens")
    return {
        "camera_make": clean_text(zeroth.get(0x010F)) or text(packet, "tiff:Make"),
        "camera_model": clean_text(zeroth.get(0x0110)) or text(packet, "tiff:Model"),
        "lens": lens if lens and re.search(r"\w", lens) else None,
        "iso": round(iso) if iso and iso < 10_000_000 else None,
        "f_number": _rounded(_positive(photo.get(0x829D)) or _positive(text(packet, "exif:FNumber"))),
        "exposure_s": _rounded(_positive(photo.get(0x829A)) or _positive(text(packet, "exif:ExposureTime")), 8),
        "focal_mm": _rounded(_positive(photo.get(0x920A)) or _positive(text(packet, "exif:FocalLength"))),
        "flash": bool(int(flash) & 1) if flash is not None and flash >= 0 else None,
    }


def _listed(packet: Properties, name: str) -> str | None:
    return next(iter(texts(packet, name)), None)


def _positive(value: object) -> float | None:
    found = number(value)
    return found if found is not None and found > 0 else None


def _rounded(value: float | None, digits: int = 2) -> float | None:
    return None if value is None else round(value, digits)


def _position(
    embedded: Embedded, packets: list[Properties], takeout: _Takeout, notes: list[str]
) -> tuple[float | None, float | None, float | None]:
    """Latitude, longitude, altitude: of the sidecars, of Exif, of XMP, of Google's export."""
    *beside, own = packets
    for found in (*map(_xmp_position, beside), _exif_position(embedded, notes), _xmp_position(own), _google(takeout)):
        if found is None:
            continue
        latitude, longitude, altitude = found
        if not (abs(latitude) <= 90 and abs(longitude) <= 180):
            notes.append("its coordinates are not on earth")
        elif abs(latitude) < 0.001 and abs(longitude) < 0.001:
            notes.append("its coordinates are 0, 0, which is what devices write that do not know")
        else:
            if altitude is not None:  # from the Dead Sea to a passenger jet
                altitude = round(altitude, 1) if -500 <= altitude <= 20_000 else None
            return round(latitude, 7), round(longitude, 7), altitude
    return None, None, None


_Position = tuple[float, float, float | None]


def _exif_position(embedded: Embedded, notes: list[str]) -> _Position | None:
    gps = embedded.gps
    latitude, longitude = _degrees(gps.get(2)), _degrees(gps.get(4))
    if latitude is None or longitude is None:
        return None
    north_south, east_west = (clean_text(gps.get(tag)) or "" for tag in (1, 3))
    if north_south[:1].upper() not in ("N", "S") or east_west[:1].upper() not in ("E", "W"):
        if latitude or longitude:
            notes.append("its coordinates do not say which half of the earth they are of")
        return None
    altitude = number(gps.get(6))
    if altitude is not None and number(gps.get(5)) in (1, 3):
        altitude = -altitude
    south, west = north_south[:1].upper() == "S", east_west[:1].upper() == "W"
    return -latitude if south else latitude, -longitude if west else longitude, altitude


def _degrees(value: object) -> float | None:
    """Degrees, minutes, seconds; any of the last two may be missing or 0/0."""
    parts = [number(part) for part in value[:3]] if isinstance(value, tuple | list) else [number(value)]
    if not parts or parts[0] is None:
        return None
    return _decimal(parts)


def _decimal(parts: Sequence[float | None]) -> float:
    """Of degrees, minutes, seconds."""
    return sum((abs(part or 0.0) / float(60**power) for power, part in enumerate(parts)), 0.0)


def _xmp_position(packet: Properties) -> _Position | None:
    latitude = _xmp_degrees(text(packet, "exif:GPSLatitude"))
    longitude = _xmp_degrees(text(packet, "exif:GPSLongitude"))
    if latitude is None or longitude is None:
        return None
    altitude = number(text(packet, "exif:GPSAltitude"))
    if altitude is not None and text(packet, "exif:GPSAltitudeRef") == "1":
        altitude = -altitude
    return latitude, longitude, altitude


def _xmp_degrees(written: str | None) -> float | None:
    """`47,22.5N`, `47,22,30N`, or a plain signed number, which some programs write."""
    found = re.fullmatch(r"\s*([-+]?[\d.]+)(?:,([\d.]+))?(?:,([\d.]+))?\s*([NSEW])?\s*", written or "", re.IGNORECASE)
    if found is None:
        return None
    parts = [number(part) for part in found.groups()[:3] if part]
    if None in parts:
        return None
    value = _decimal(parts)
    negative = (found[4] or "").upper() in ("S", "W") or found[1].startswith("-")
    return -value if negative else value


def _google(takeout: _Takeout) -> _Position | None:
    for spot in (takeout.geoData, takeout.geoDataExif):
        if spot and (spot.latitude or spot.longitude) and math.isfinite(spot.latitude + spot.longitude):
            return spot.latitude, spot.longitude, spot.altitude or None
    return None


def _first(packets: Iterable[Properties], *names: str) -> str | None:
    return next((clean_text(found) for packet in packets if (found := text(packet, *names))), None)


def _iptc(embedded: Embedded, data_set: int) -> str | None:
    return next(iter(embedded.iptc.get(data_set, ())), None)


def _said(value: str | None) -> str | None:
    """None for what the camera and not a person wrote."""
    return None if value is None or _CAMERA_PHRASES.fullmatch(value) else value


def _title(packets: list[Properties], embedded: Embedded, exif: _ExifText) -> str | None:
    own = embedded.texts.get("Title")
    return (
        _first(packets, "dc:title") or _iptc(embedded, 5) or exif.title or own or _first(packets, "photoshop:Headline")
    )


def _caption(packets: list[Properties], embedded: Embedded, exif: _ExifText, takeout: _Takeout) -> str | None:
    """What people wrote into Google Photos was written last."""
    *beside, own = packets
    candidates = [
        _first(beside, "dc:description"),
        clean_text(takeout.description),
        _said(_first([own], "dc:description", "tiff:ImageDescription")),
        _said(_iptc(embedded, 120)),
        exif.description,
        _said(exif.remark),
        _said(embedded.texts.get("Description")),
        _said(embedded.texts.get("Comment")),
    ]
    return next((found for found in candidates if found), None)


def _keywords(
    packets: list[Properties], embedded: Embedded, exif: _ExifText
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    flat: list[str] = []
    paths: list[str] = []
    for packet in packets:
        flat += texts(packet, "dc:subject")
        paths += texts(packet, "lr:hierarchicalSubject")
        paths += [tag.replace("/", "|") for tag in texts(packet, "digiKam:TagsList", "MicrosoftPhoto:LastKeywordXMP")]
    flat += embedded.iptc.get(25, [])
    flat += exif.keywords.split(";")
    words: list[str] = []
    for entry in [*flat, *paths]:
        # Some programs put the whole path among the plain words too.
        if "|" in entry and entry not in paths:
            paths.append(entry)
        words.append(entry.rpartition("|")[2])
    return _distinct(words), _distinct(path for path in paths if "|" in path.strip("|"))


def _distinct(words: Iterable[str]) -> tuple[str, ...]:
    """In order, without repeats in another case or another spelling of the same letters."""
    kept: dict[str, str] = {}
    for word in words:
        tidy = unicodedata.normalize("NFC", clean_text(word) or "")[:200].strip("| ")
        if tidy:
            kept.setdefault(tidy.casefold(), tidy)
    return tuple(kept.values())[:_MAX_KEYWORDS]


def _rating(packets: list[Properties], embedded: Embedded) -> int | None:
    for packet in packets:
        if (stars := number(text(packet, "xmp:Rating"))) is not None and -1 <= stars <= 5:
            return round(stars)
        if (percent := number(text(packet, "MicrosoftPhoto:Rating"))) is not None and 0 <= percent <= 100:
            return next((stars for least, stars in _PERCENT_STARS if percent >= least), 0)
    stars = number(embedded.zeroth.get(0x4746))
    return round(stars) if stars is not None and 0 <= stars <= 5 else None


def _people(packets: list[Properties], embedded: Embedded, takeout: _Takeout) -> tuple[FaceRegion, ...]:
    """The first packet that marks people is believed about who is where; names without a place are added."""
    for packet in packets:
        boxed = [*_mwg_regions(packet, embedded), *_microsoft_regions(packet, embedded)]
        if boxed:
            break
    else:
        boxed = []
    known = {region.name.casefold() for region in boxed}
    loose = [name for packet in packets for name in texts(packet, "Iptc4xmpExt:PersonInImage")]
    loose += [somebody.name for somebody in takeout.people]
    names = [name for name in _distinct(loose) if name.casefold() not in known]
    unique = {(region.name.casefold(), region.x, region.y): region for region in boxed}
    return (*unique.values(), *(FaceRegion(name=name) for name in names))


def _mwg_regions(packet: Properties, embedded: Embedded) -> Iterable[FaceRegion]:
    """Metadata Working Group: the centre and the size, as parts of the stored picture or in its pixels."""
    info = structure(packet, "mwg-rs:Regions")
    applied = structure(info, "mwg-rs:AppliedToDimensions")
    across, down = number(text(applied, "stDim:w")) or 0.0, number(text(applied, "stDim:h")) or 0.0
    for region in structures(info, "mwg-rs:RegionList"):
        name = clean_text(text(region, "mwg-rs:Name"))
        kind = _REGION_KINDS.get((text(region, "mwg-rs:Type") or "").casefold())
        if not name or kind is None:
            continue
        area = structure(region, "mwg-rs:Area")
        x, y, w, h = (number(text(area, f"stArea:{key}")) for key in "xywh")
        if text(area, "stArea:unit") == "pixel" and across and down:
            x, w = (None if v is None else v / across for v in (x, w))
            y, h = (None if v is None else v / down for v in (y, h))
        box = None if x is None or y is None or w is None or h is None else (x - w / 2, y - h / 2, w, h)
        yield _region(name, kind, _upright(box, embedded, (across, down)))


def _microsoft_regions(packet: Properties, embedded: Embedded) -> Iterable[FaceRegion]:
    """Windows: `left, top, width, height` of the stored picture."""
    for region in structures(structure(packet, "MP:RegionInfo"), "MPRI:Regions"):
        name = clean_text(text(region, "MPReg:PersonDisplayName"))
        parts = [number(part) for part in (text(region, "MPReg:Rectangle") or "").split(",")]
        if name:
            whole = [part for part in parts if part is not None]
            box = (whole[0], whole[1], whole[2], whole[3]) if len(whole) == 4 else None
            yield _region(name, "face", _upright(box, embedded, (0.0, 0.0)))


_Box = tuple[float, float, float, float]


def _region(name: str, kind: str, box: _Box | None) -> FaceRegion:
    """Cut to the picture; a box that is outside it, or is nearly nothing, is left out and the name kept."""
    if box is not None:
        left, top = max(box[0], 0.0), max(box[1], 0.0)
        right, bottom = min(box[0] + box[2], 1.0), min(box[1] + box[3], 1.0)
        if right - left > 0.001 and bottom - top > 0.001:
            x, y, w, h = (round(v, 5) for v in (left, top, right - left, bottom - top))
            return FaceRegion(name=name, x=x, y=y, w=w, h=h, kind=kind)
    return FaceRegion(name=name, kind=kind)


def _upright(box: _Box | None, embedded: Embedded, applied: tuple[float, float]) -> _Box | None:
    """Regions are of the stored picture, before its orientation, unless the dimensions that they were drawn on lie the
    other way: then the program looked at it upright."""
    if box is None:
        return None
    orientation = embedded.orientation
    stored_wide = embedded.width > embedded.height
    if orientation >= 5 and embedded.width != embedded.height and all(applied):
        if applied[0] != applied[1] and (applied[0] > applied[1]) != stored_wide:
            orientation = 1
    x, y, w, h = box
    match orientation:
        case 2:
            return 1 - x - w, y, w, h
        case 3:
            return 1 - x - w, 1 - y - h, w, h
        case 4:
            return x, 1 - y - h, w, h
        case 5:
            return y, x, h, w
        case 6:
            return 1 - y - h, x, h, w
        case 7:
            return 1 - y - h, 1 - x - w, h, w
        case 8:
            return y, 1 - x - w, h, w
    return box


def _place_fields(packets: list[Properties], embedded: Embedded) -> dict[str, str | None]:
    """Where the photographer stood, else what is shown, else the old fields that do not say which."""
    spots = [
        spot
        for name in ("Iptc4xmpExt:LocationCreated", "Iptc4xmpExt:LocationShown")
        for packet in packets
        for spot in structures(packet, name)
    ]
    fields = {
        "location": ("Iptc4xmpExt:Sublocation", "Iptc4xmpCore:Location", 92),
        "city": ("Iptc4xmpExt:City", "photoshop:City", 90),
        "state": ("Iptc4xmpExt:ProvinceState", "photoshop:State", 95),
        "country": ("Iptc4xmpExt:CountryName", "photoshop:Country", 101),
    }
    return {
        field: _first(packets, plain) or _first(spots, structured) or _iptc(embedded, data_set)
        for field, (structured, plain, data_set) in fields.items()
    }


def _is_screenshot(name: str, comment: str | None) -> bool:
    """iOS says it in the comment, everything else in the name."""
    spoken = unicodedata.normalize("NFC", os.path.splitext(name)[0])
    return (comment or "").strip().casefold() == "screenshot" or bool(_SCREENSHOT_NAMES.search(spoken))
