"""When a photo was taken: the wall clock where it was, its offset from UTC if known, and who said so."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final, Literal

from framed.library.embedded import Embedded, clean_text, number
from framed.library.xmp import Properties, text

Precision = Literal["second", "day", "month", "year"]

_WRITTEN: Final = re.compile(
    r"""\s*(?P<year>\d{4})
    (?:[-:/.\ ](?P<month>\d{1,2})
      (?:[-:/.\ ](?P<day>\d{1,2})
        (?:[T\ ]+(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d+))?)?
          \s*(?P<zone>Z|[+-]\d{2}:?(?:\d{2})?)?
    )?)?)?\s*(?:\0.*)?""",
    re.VERBOSE | re.DOTALL,
)
_ZONE: Final = re.compile(r"\s*(?:(?P<utc>Z)|(?P<sign>[+-])(?P<hours>\d{1,2}):?(?P<minutes>\d{2})?)\s*")
_NAMED_DATE: Final = re.compile(
    r"""(?<!\d)(?P<year>(?:19|20)\d\d)(?P<gap>[-_.]?)(?P<month>\d\d)(?P=gap)(?P<day>\d\d)
    (?:(?:[-_.\ T]*|\ (?:at|um|à|a|om|kl\.?)\ )
       (?P<hour>\d{1,2})(?P<colon>[-_.:h]?)(?P<minute>\d\d)(?:[-_.:hm]?)(?P<second>\d\d)(?:\d{3})?
       (?:\s?(?P<half>[AP]M)\b)?)?
    (?!\d)""",
    re.VERBOSE | re.IGNORECASE,
)
_NAMED_EPOCH: Final = re.compile(r"(?<!\d)(1\d{12})(?!\d)")
# Offsets in use somewhere; whole hours are all accepted. Fewer than “every quarter of an hour” means fewer stale GPS
# times that look like an offset by chance.
_PART_HOURS: Final = frozenset({-570, -210, -150, 210, 270, 330, 345, 390, 525, 570, 630, 765, 825})
# What clocks show when they were never set: classic Mac, Unix, DOS and GPS week zero.
_UNSET: Final = frozenset({date(1904, 1, 1), date(1970, 1, 1), date(1980, 1, 1), date(1980, 1, 6)})
_FIRST_PHOTO: Final = 1826


@dataclass(frozen=True, slots=True)
class Taken:
    """`local` is naive: what a clock on the wall said. `offset_min` is None where nothing says how far from UTC."""

    local: datetime
    offset_min: int | None
    source: str
    precision: Precision = "second"


def taken(
    embedded: Embedded,
    *,
    name: str,
    sidecars: Iterable[Properties],
    elsewhere: Taken | None,
    edited: bool,
    position: tuple[float, float] | None,
    file_time: datetime | None,
    notes: list[str],
) -> Taken | None:
    """The best of everything that says when; what cannot be true is passed over with a note.

    A sidecar's date goes before all others. Then what says “original” before what says “digitised”: a scan is of the
    day of the print. GPS, PNG, Google's export (`elsewhere`), the name, the camera's plain date, the file's own time.
    """
    gps = gps_utc(embedded)
    candidates = [
        *(moment for packet in sidecars for moment in _from_xmp(packet, "sidecar")),
        *_from_exif(embedded, gps),
    ]
    plain = _written(clean_text(embedded.zeroth.get(0x0132)), "exif:DateTime")
    plain = plain and _or_offset(plain, _zone(embedded.photo.get(0x9010)))
    candidates += [elsewhere] if elsewhere else []
    # An editor puts the time of its last change there, a simple camera the time of the shot.
    candidates += [plain] if plain and not edited else []
    candidates += [moment for moment in (*_from_png(embedded), from_name(name)) if moment]
    candidates += [plain] if plain and edited else []
    if file_time is not None:
        offset = file_time.utcoffset()
        minutes = None if offset is None else round(offset.total_seconds() / 60)
        candidates.append(Taken(file_time.replace(tzinfo=None), minutes, "file"))
    latest = datetime.now(UTC).replace(tzinfo=None) + timedelta(days=1)
    for moment in candidates:
        if not _possible(moment, latest):
            notes.append(f"its date {moment.local:%Y-%m-%d} ({moment.source}) cannot be right")
            continue
        return _with_offset(moment, embedded, gps, position)
    return None


def gps_utc(embedded: Embedded) -> datetime | None:
    """The satellites' time, which is UTC."""
    day = re.match(r"\s*(\d{4})[:\-/](\d{1,2})[:\-/](\d{1,2})", clean_text(embedded.gps.get(29)) or "")
    clock = embedded.gps.get(7)
    if day is None or not isinstance(clock, tuple) or len(clock) != 3:
        return None
    hours, minutes, seconds = (number(part) for part in clock)
    if hours is None or minutes is None or seconds is None:
        return None
    try:
        return datetime(int(day[1]), int(day[2]), int(day[3])) + timedelta(
            hours=hours, minutes=minutes, seconds=seconds
        )
    except (ValueError, OverflowError):
        return None


def from_name(name: str) -> Taken | None:
    """The date in a file name, as cameras, phones, messengers and screenshot tools write it."""
    name = unicodedata.normalize("NFC", name)
    if found := _NAMED_EPOCH.search(name):  # Facebook and others: milliseconds since 1970
        moment = datetime.fromtimestamp(int(found[1]) / 1000, UTC)
        return Taken(moment.replace(tzinfo=None, microsecond=0), 0, "filename")
    for found in _NAMED_DATE.finditer(name):
        try:
            day = datetime(int(found["year"]), int(found["month"]), int(found["day"]))
        except ValueError:
            continue
        if found["hour"] is None:
            return Taken(day, None, "filename", "day")
        hour = int(found["hour"])
        if found["half"]:
            hour = hour % 12 + (12 if found["half"].upper() == "PM" else 0)
        try:
            moment = day.replace(hour=hour, minute=int(found["minute"]), second=int(found["second"]))
        except ValueError:
            return Taken(day, None, "filename", "day")
        # Pixel phones write UTC into the name, everything else the wall clock.
        return Taken(moment, 0 if name.upper().startswith("PXL_") else None, "filename")
    return None


def parse_written(written: str | None) -> tuple[datetime, int | None, Precision] | None:
    """An Exif, XMP or ISO date: local time, offset in minutes if it has one, and how much of it was there."""
    found = _WRITTEN.fullmatch(written or "")
    if found is None:
        return None
    year, month, day = int(found["year"]), int(found["month"] or 0), int(found["day"] or 0)
    precision: Precision = "day" if day else "month" if month else "year"
    try:
        local = datetime(year, month or 1, day or 1)
        if found["hour"] is not None and precision == "day":
            # A clock may say 24:00 or :60; adding gives the moment meant.
            local += timedelta(hours=_up_to(found["hour"], 24), minutes=_up_to(found["minute"], 59))
            local += timedelta(seconds=_up_to(found["second"] or "0", 60))
            local += timedelta(microseconds=int((found["fraction"] or "0")[:6].ljust(6, "0")))
            precision = "second"
    except (ValueError, OverflowError):
        return None
    return local, _zone(found["zone"]), precision


def _up_to(digits: str, most: int) -> int:
    if int(digits) > most:
        raise ValueError(digits)
    return int(digits)


def _written(value: str | None, source: str) -> Taken | None:
    parsed = parse_written(value)
    return Taken(parsed[0], parsed[1], source, parsed[2]) if parsed else None


def _from_exif(embedded: Embedded, gps: datetime | None) -> Iterator[Taken]:
    photo = embedded.photo
    original = _exif_moment(embedded, 0x9003, 0x9291, "exif:DateTimeOriginal")
    digitised = _exif_moment(embedded, 0x9004, 0x9292, "exif:DateTimeDigitized")
    if original:
        yield _or_offset(original, _exif_offset(embedded, original, digitised))
    yield from _from_xmp(embedded.xmp, "xmp")
    if found := _from_iptc(embedded.iptc, 55, 60, "iptc:DateCreated"):
        yield found
    if digitised:
        yield _or_offset(digitised, _exif_offset(embedded, digitised, digitised))
    yield from _from_xmp(embedded.xmp, "xmp", digitised=True)
    if found := _from_iptc(embedded.iptc, 62, 63, "iptc:DigitalCreationDate"):
        yield found
    if gps:
        offset = _zone(photo.get(0x9011))
        if offset is None:
            offset = _zone(photo.get(0x9012))
        yield Taken(gps + timedelta(minutes=offset or 0), offset or 0, "gps")


def _or_offset(moment: Taken, offset_min: int | None) -> Taken:
    """Its own offset if the date was written with one, else this."""
    return moment if moment.offset_min is not None else replace(moment, offset_min=offset_min)


def _exif_moment(embedded: Embedded, tag: int, fraction_tag: int, source: str) -> Taken | None:
    moment = _written(clean_text(embedded.photo.get(tag, embedded.zeroth.get(tag))), source)
    fraction = re.match(r"\d+", clean_text(embedded.photo.get(fraction_tag)) or "")
    if moment and fraction and moment.precision == "second" and not moment.local.microsecond:
        return replace(moment, local=moment.local.replace(microsecond=int(fraction[0][:6].ljust(6, "0"))))
    return moment


def _exif_offset(embedded: Embedded, moment: Taken, digitised: Taken | None) -> int | None:
    """OffsetTimeOriginal, else that of the digitising, else that of the last change, each only if it is of this time.

    The last one is why photos jump by hours elsewhere: editors on the other side of the world write it (immich #15639),
    and some phones write no other (immich #28742).
    """
    photo = embedded.photo
    if moment is not digitised and (offset := _zone(photo.get(0x9011))) is not None:
        return offset
    changed = _written(clean_text(embedded.zeroth.get(0x0132)), "")
    for tag, its_time in ((0x9012, digitised), (0x9010, changed)):
        agrees = its_time is not None and abs(its_time.local - moment.local) < timedelta(seconds=2)
        if agrees and (offset := _zone(photo.get(tag))) is not None:
            return offset
    return None


def _from_xmp(packet: Properties, source: str, *, digitised: bool = False) -> Iterator[Taken]:
    """A sidecar's dates are all taken, the plain name of the source standing for each."""
    originals = ("exif:DateTimeOriginal", "photoshop:DateCreated")
    digital = ("exif:DateTimeDigitized", "xmp:CreateDate")
    names = (*originals, *digital) if source == "sidecar" else digital if digitised else originals
    for name in names:
        if moment := _written(text(packet, name), source if source == "sidecar" else f"xmp:{name.partition(':')[2]}"):
            yield _or_offset(moment, _zone(text(packet, "exif:OffsetTimeOriginal", "exifEX:OffsetTimeOriginal")))


def _from_iptc(iptc: dict[int, list[str]], day_number: int, time_number: int, source: str) -> Taken | None:
    """IIM 4.2: CCYYMMDD with zeros for what is not known, HHMMSS±HHMM."""
    day = re.fullmatch(r"(\d{4})-?(\d\d)-?(\d\d)", (iptc.get(day_number) or [""])[0])
    if day is None:
        return None
    clock = re.fullmatch(r"(\d\d):?(\d\d):?(\d\d)([+-]\d\d:?\d\d)?", (iptc.get(time_number) or [""])[0])
    written = "-".join(day.groups())
    if clock:
        written += f"T{clock[1]}:{clock[2]}:{clock[3]}{clock[4] or ''}"
    return _written(written, source)


def _from_png(embedded: Embedded) -> Iterator[Taken | None]:
    """Text is free in form (the standard suggests that of e-mail); tIME is the last change, in UTC."""
    for key in ("Creation Time", "creation_time", "date:create"):
        if value := embedded.texts.get(key):
            yield _written(value, "png:text") or _mail_date(value)
    if embedded.changed:
        try:
            yield Taken(datetime(*embedded.changed), 0, "png:tIME")  # type: ignore[arg-type]  # six numbers
        except ValueError:
            yield None


def _mail_date(value: str) -> Taken | None:
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    offset = moment.utcoffset()
    minutes = None if offset is None else round(offset.total_seconds() / 60)
    return Taken(moment.replace(tzinfo=None), minutes, "png:text")


def _zone(value: object) -> int | None:
    """Minutes east of UTC; None where it is no offset that a place on earth can have."""
    found = _ZONE.fullmatch(value if isinstance(value, str) else clean_text(value) or "")
    if found is None:
        return None
    if found["utc"]:
        return 0
    minutes = int(found["hours"]) * 60 + int(found["minutes"] or 0)
    minutes = -minutes if found["sign"] == "-" else minutes
    return minutes if -12 * 60 <= minutes <= 14 * 60 else None


def _with_offset(
    moment: Taken, embedded: Embedded, gps: datetime | None, position: tuple[float, float] | None
) -> Taken:
    if moment.offset_min is not None or moment.precision != "second":
        return moment
    if moment.source == "sidecar":  # it often repeats the camera's time without its offset
        original = _exif_moment(embedded, 0x9003, 0x9291, "exif:DateTimeOriginal")
        if original and abs(original.local - moment.local) < timedelta(seconds=2):
            offset = _exif_offset(embedded, original, _exif_moment(embedded, 0x9004, 0x9292, ""))
            if offset is not None:
                return replace(moment, offset_min=offset)
    if gps is None or moment.source in ("file", "filename"):
        return moment
    return replace(moment, offset_min=_offset_from_gps(moment.local, gps, position))


def _offset_from_gps(local: datetime, gps: datetime, position: tuple[float, float] | None) -> int | None:
    """Wall clock minus satellite time, if that is an offset in use, and one of about this longitude."""
    minutes = (local - gps).total_seconds() / 60
    offset = round(minutes / 15) * 15
    if abs(minutes - offset) > 2 or not -12 * 60 <= offset <= 14 * 60:
        return None
    if offset % 60 and offset not in _PART_HOURS:
        return None
    if position is not None:
        # Clocks are up to 3 h from the sun (western China), 4 with summer time.
        from_sun = (offset / 60 - position[1] / 15 + 12) % 24 - 12
        if abs(from_sun) > 4:
            return None
    return offset


def _possible(moment: Taken, latest: datetime) -> bool:
    if not _FIRST_PHOTO <= moment.local.year or moment.local > latest:
        return False
    never_set = moment.local.date() in _UNSET and moment.local.time() < datetime.min.replace(minute=1).time()
    return not (never_set and moment.precision == "second")
