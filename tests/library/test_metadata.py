"""What photo files and sidecars say becomes one record, and no file can make that fail."""

import json
import random
import struct
import zlib
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from PIL.TiffImagePlugin import IFDRational

from framed.library.embedded import parse_iptc
from framed.library.metadata import FaceRegion, Metadata, read_metadata
from framed.library.taken import from_name, parse_written
from framed.library.xmp import BrokenXmp, parse_xmp
from tests.library.pictures import cat, dng, encoded, exif

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
NAMESPACES = {
    "dc": "http://purl.org/dc/elements/1.1/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "lr": "http://ns.adobe.com/lightroom/1.0/",
    "digiKam": "http://www.digikam.org/ns/1.0/",
    "mwg-rs": "http://www.metadataworkinggroup.com/schemas/regions/",
    "stArea": "http://ns.adobe.com/xmp/sType/Area#",
    "stDim": "http://ns.adobe.com/xap/1.0/sType/Dimensions#",
    "MP": "http://ns.microsoft.com/photo/1.2/",
    "MPRI": "http://ns.microsoft.com/photo/1.2/t/RegionInfo#",
    "MPReg": "http://ns.microsoft.com/photo/1.2/t/Region#",
    "MicrosoftPhoto": "http://ns.microsoft.com/photo/1.0/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "xmpNote": "http://ns.adobe.com/xmp/note/",
}
SMALL = cat().resize((60, 40))


def xmp(body: str = "", attributes: str = "") -> bytes:
    spaces = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in NAMESPACES.items())
    return (
        f'<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        f'<rdf:RDF xmlns:rdf="{RDF}"><rdf:Description rdf:about="" {spaces} {attributes}>{body}'
        f"</rdf:Description></rdf:RDF></x:xmpmeta>{' ' * 200}<?xpacket end='w'?>"
    ).encode()


def bag(name: str, *entries: str) -> str:
    return f"<{name}><rdf:Bag>{''.join(f'<rdf:li>{entry}</rdf:li>' for entry in entries)}</rdf:Bag></{name}>"


def iptc(*sets: tuple[int, bytes], utf8: bool = True) -> bytes:
    records = [(1, 90, b"\x1b%G")] if utf8 else []
    records += [(2, number, value) for number, value in sets]
    block = b"".join(
        struct.pack(">BBBH", 0x1C, record, number, len(value)) + value for record, number, value in records
    )
    return b"Photoshop 3.0\x008BIM\x04\x04\0\0" + struct.pack(">I", len(block)) + block + bytes(len(block) % 2)


def jpeg(*, segments: dict[int, bytes] | None = None, image: Image.Image = SMALL, **options: Any) -> bytes:
    if isinstance(block := options.get("exif"), Image.Exif):
        options["exif"] = block.tobytes()
    data = encoded(image, "JPEG", **options)
    for marker, content in (segments or {}).items():
        data = data[:2] + struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content + data[2:]
    return data


def read(data: bytes = b"", name: str = "photo.jpg", **options: Any) -> Metadata:
    return read_metadata(data or jpeg(), name, **options)


def dated(original: str | None = None, **photo: Any) -> Image.Exif:
    tags = {
        "digitized": 0x9004,
        "offset_original": 0x9011,
        "offset_digitized": 0x9012,
        "offset": 0x9010,
        "subsec": 0x9291,
    }
    zeroth = {0x0132: photo.pop("changed")} if "changed" in photo else {}
    gps = photo.pop("gps", {})
    fields = {tags[key]: value for key, value in photo.items()}
    return exif(zeroth=zeroth, photo=fields | ({0x9003: original} if original else {}), gps=gps)


def gps_time(day: str, *clock: float) -> dict[int, Any]:
    return {29: day, 7: tuple(clock)}


def when(metadata: Metadata) -> tuple[str, int | None, str]:
    assert metadata.taken_local is not None
    assert metadata.taken_source is not None
    assert metadata.taken_local.tzinfo is None
    return metadata.taken_local.isoformat(" "), metadata.taken_offset_min, metadata.taken_source


# --- when


def test_the_original_date_keeps_its_fraction_and_has_no_invented_offset() -> None:
    found = read(jpeg(exif=dated("2019:08:12 15:30:00", subsec="25")))
    assert when(found) == ("2019-08-12 15:30:00.250000", None, "exif:DateTimeOriginal")
    assert found.taken_precision == "second"


@pytest.mark.parametrize(
    ("fields", "offset"),
    [
        ({"offset_original": "+02:00"}, 120),
        ({"offset_original": "-0330"}, -210),
        ({"offset_original": "Z"}, 0),
        ({"offset_original": "+05:45", "offset": "+00:00"}, 345),
        ({"offset_original": "   :  "}, None),
        ({"offset_original": "+25:00"}, None),
        # that of another date says nothing about this one (immich #15639)
        ({"offset": "-07:00", "changed": "2019:09:01 10:00:00"}, None),
        ({"offset_digitized": "+09:00", "digitized": "2020:01:01 00:00:00"}, None),
        # of the same date it does (immich #28742)
        ({"offset": "+02:00", "changed": "2019:08:12 15:30:00"}, 120),
        ({"offset_digitized": "+02:00", "digitized": "2019:08:12 15:30:00"}, 120),
    ],
)
def test_an_offset_is_believed_only_for_its_own_date(fields: dict[str, Any], offset: int | None) -> None:
    assert read(jpeg(exif=dated("2019:08:12 15:30:00", **fields))).taken_offset_min == offset


@pytest.mark.parametrize(
    ("clock", "longitude", "offset"),
    [
        ((13.0, 30.0, 1.0), (9.0, 0.0, 0.0), 120),
        ((13.0, 28.5, 0.0), (9.0, 0.0, 0.0), 120),  # a fix from a minute and a half ago
        ((13.0, 25.0, 0.0), (9.0, 0.0, 0.0), None),  # five minutes old: no multiple of a quarter
        ((13.0, 15.0, 0.0), (9.0, 0.0, 0.0), None),  # no clock on earth is at +02:15
        ((10.0, 0.0, 0.0), (85.0, 0.0, 0.0), 330),
        ((5.0, 30.0, 0.0), (9.0, 0.0, 0.0), None),  # +10 is not the hour in Germany
    ],
)
def test_satellite_time_gives_the_offset(
    clock: tuple[float, ...], longitude: tuple[float, ...], offset: int | None
) -> None:
    gps = gps_time("2019:08:12", *clock) | {1: "N", 2: (50.0, 0.0, 0.0), 3: "E", 4: longitude}
    assert read(jpeg(exif=dated("2019:08:12 15:30:00", gps=gps))).taken_offset_min == offset


def test_satellite_time_alone_is_utc_unless_an_offset_is_known() -> None:
    gps = gps_time("2019:08:12", 13.0, 30.0, 5.0)
    assert when(read(jpeg(exif=dated(gps=gps)))) == ("2019-08-12 13:30:05", 0, "gps")
    found = read(jpeg(exif=dated(gps=gps, offset_original="+02:00")))
    assert when(found) == ("2019-08-12 15:30:05", 120, "gps")


def test_a_scan_is_of_the_day_of_the_print() -> None:
    packet = xmp(attributes='photoshop:DateCreated="1974-06"')
    found = read(jpeg(exif=dated(digitized="2015:03:01 10:00:00"), xmp=packet))
    assert when(found) == ("1974-06-01 00:00:00", None, "xmp:DateCreated")
    assert found.taken_precision == "month"


def test_the_sources_follow_their_order() -> None:
    full = jpeg(
        exif=dated("2011:01:01 01:01:01", digitized="2012:02:02 02:02:02", changed="2013:03:03 03:03:03"),
        xmp=xmp(attributes='exif:DateTimeOriginal="2014-04-04T04:04:04"'),
    )
    assert read(full).taken_source == "exif:DateTimeOriginal"
    packet = xmp(attributes='exif:DateTimeOriginal="2014-04-04T04:04:04-05:00" xmp:CreateDate="2015-05-05"')
    name = "IMG_20160606_060606.jpg"
    assert when(read(jpeg(xmp=packet), name)) == ("2014-04-04 04:04:04", -300, "xmp:DateTimeOriginal")
    created = jpeg(segments={0xED: iptc((55, b"20170707"), (60, b"070707+0200"))})
    assert when(read(created, name)) == ("2017-07-07 07:07:07", 120, "iptc:DateCreated")
    assert read(jpeg(exif=dated(digitized="2012:02:02 02:02:02")), name).taken_source == "exif:DateTimeDigitized"
    assert read(jpeg(exif=dated(changed="2013:03:03 03:03:03")), name).taken_source == "exif:DateTime"
    assert read(jpeg(), name).taken_source == "filename"
    assert read(jpeg(), file_time=datetime(2018, 8, 8)).taken_source == "file"
    assert read(jpeg()).taken_local is None


def test_an_editors_own_date_gives_way_to_the_name() -> None:
    block = dated(changed="2023:03:03 03:03:03")
    block[0x0131] = "GIMP 2.10"
    found = read(jpeg(exif=block), "IMG_20160606_060606.jpg")
    assert when(found) == ("2016-06-06 06:06:06", None, "filename")
    assert found.edited


@pytest.mark.parametrize(
    "written",
    ["0000:00:00 00:00:00", "    :  :     :  :  ", "1904:01:01 00:00:00", "1970:01:01 00:00:00", "1980:01:01 00:00:00",
     "2999:01:01 00:00:00", "2019:02:30 10:00:00", "2019:13:01 10:00:00", "nonsense", "", "2019:08:12 99:00:00"],
)  # fmt: skip
def test_impossible_dates_are_passed_over(written: str) -> None:
    found = read(jpeg(exif=dated(written)), "2005-05-05 05.05.05.jpg")
    assert when(found) == ("2005-05-05 05:05:05", None, "filename")


def test_a_date_passed_over_is_noted() -> None:
    assert "2999" in read(jpeg(exif=dated("2999:01:01 00:00:00"))).notes[0]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2019:08:12 15:30:00", ("2019-08-12 15:30:00", None, "second")),
        ("2019-08-12T15:30:00.5+02:00", ("2019-08-12 15:30:00.500000", 120, "second")),
        ("2019-08-12T15:30Z", ("2019-08-12 15:30:00", 0, "second")),
        ("2019/08/12 15:30:00", ("2019-08-12 15:30:00", None, "second")),
        ("2019:08:12 24:00:00", ("2019-08-13 00:00:00", None, "second")),
        ("2019:08:12 23:59:60", ("2019-08-13 00:00:00", None, "second")),
        ("2019-08-12", ("2019-08-12 00:00:00", None, "day")),
        ("2019:08:00", ("2019-08-01 00:00:00", None, "month")),
        ("2019-08", ("2019-08-01 00:00:00", None, "month")),
        ("2019", ("2019-01-01 00:00:00", None, "year")),
    ],
)
def test_dates_are_read_as_exactly_as_they_are_written(written: str, expected: tuple[str, int | None, str]) -> None:
    found = parse_written(written)
    assert found is not None
    assert (found[0].isoformat(" "), *found[1:]) == expected


@pytest.mark.parametrize(
    ("name", "local", "precision"),
    [
        ("IMG_20190812_153000.jpg", "2019-08-12 15:30:00", "second"),
        ("20190812_153000(1).jpg", "2019-08-12 15:30:00", "second"),
        ("20190812153000.jpg", "2019-08-12 15:30:00", "second"),
        ("2019-08-12 15.30.00-2.jpg", "2019-08-12 15:30:00", "second"),
        ("IMG-20190812-WA0001.jpg", "2019-08-12 00:00:00", "day"),
        ("WhatsApp Image 2019-08-12 at 15.30.00.jpeg", "2019-08-12 15:30:00", "second"),
        ("Screenshot_20210102-101112_Chrome.png", "2021-01-02 10:11:12", "second"),
        ("Screenshot 2021-01-02 at 3.11.12\u202fPM.png", "2021-01-02 15:11:12", "second"),
        ("Bildschirmfoto 2021-01-02 um 10.11.12.png", "2021-01-02 10:11:12", "second"),
        ("Capture d’écran 2021-01-02 a\u0300 10.11.12.png", "2021-01-02 10:11:12", "second"),
        ("signal-2020-05-06-153000.jpg", "2020-05-06 15:30:00", "second"),
        ("signal-2020-05-06-15-30-00-123.jpg", "2020-05-06 15:30:00", "second"),
        ("PXL_20210912_153000123.jpg", "2021-09-12 15:30:00", "second"),
        ("FB_IMG_1565616600000.jpg", "2019-08-12 13:30:00", "second"),
        ("Scan 1987-06-05.tif", "1987-06-05 00:00:00", "day"),
    ],
)  # fmt: skip
def test_the_name_tells_the_date(name: str, local: str, precision: str) -> None:
    found = from_name(name)
    assert found is not None
    assert (found.local.isoformat(" "), found.precision) == (local, precision)
    assert (found.offset_min == 0) == name.startswith(("PXL", "FB"))  # these two write UTC


@pytest.mark.parametrize(
    "name", ["IMG_2682.HEIC", "DSC20191301.jpg", "20191345.jpg", "P1010001.jpg", "123456789012345.jpg"]
)
def test_a_name_without_a_date_tells_none(name: str) -> None:
    assert from_name(name) is None


def test_the_files_own_time_keeps_its_zone() -> None:
    stamp = datetime(2018, 8, 8, 10, 0, tzinfo=timezone(timedelta(hours=2)))
    assert when(read(file_time=stamp)) == ("2018-08-08 10:00:00", 120, "file")


def test_png_tells_its_date_in_text_and_time_chunk() -> None:
    data = encoded(SMALL, "PNG")
    body = b"tIME" + struct.pack(">H5B", 2017, 7, 8, 9, 10, 11)
    stamped = data[:33] + struct.pack(">I", 7) + body + struct.pack(">I", zlib.crc32(body)) + data[33:]
    assert when(read(stamped)) == ("2017-07-08 09:10:11", 0, "png:tIME")
    mail = b"tEXtCreation Time\0Tue, 04 Jul 2017 12:00:00 +0200"
    worded = data[:33] + struct.pack(">I", len(mail) - 4) + mail + struct.pack(">I", zlib.crc32(mail)) + data[33:]
    assert when(read(worded)) == ("2017-07-04 12:00:00", 120, "png:text")


# --- sidecars


def _profile(name: bytes, block: bytes) -> bytes:
    digits = block.hex().encode()
    lines = b"\n".join(digits[start : start + 72] for start in range(0, len(digits), 72))
    return b"\n" + name + b"\n%8d\n" % len(block) + lines + b"\n"


def _with_text(kind: bytes, key: bytes, text: bytes) -> bytes:
    body = key + b"\0" + (b"\0" + zlib.compress(text) if kind == b"zTXt" else text)
    data = encoded(SMALL, "PNG")
    chunk = struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    return data[:33] + chunk + data[33:]  # behind the header


@pytest.mark.parametrize("kind", [b"zTXt", b"tEXt"])
@pytest.mark.parametrize("name", [b"exif", b"APP1"])
def test_exif_that_imagemagick_put_into_the_text_of_a_png_is_read(kind: bytes, name: bytes) -> None:
    block = exif(6, photo={0x9003: "2018:06:01 12:00:00"}).tobytes()
    found = read(_with_text(kind, b"Raw profile type " + name, _profile(name, block)), "a.png")
    assert when(found) == ("2018-06-01 12:00:00", None, "exif:DateTimeOriginal")
    assert found.orientation == 1  # as the picture is shown


def test_other_packed_texts_of_a_png_are_read_and_damaged_ones_noted() -> None:
    packet = _profile(b"xmp", xmp(bag("dc:subject", "harbour")))
    assert read(_with_text(b"zTXt", b"Raw profile type xmp", packet), "a.png").keywords == ("harbour",)
    assert read(_with_text(b"zTXt", b"Title", b"Evening"), "a.png").title == "Evening"
    for text in (b"", b"\nexif\n 5\nnot hexadecimal\n"):
        assert "some of its metadata is damaged" in read(_with_text(b"tEXt", b"Raw profile type exif", text)).notes[0]


def test_a_sidecars_word_goes_before_the_files() -> None:
    data = jpeg(exif=dated("2011:01:01 01:01:01"), xmp=xmp(attributes='xmp:Rating="1" xmp:Label="Blue"'))
    beside = xmp(attributes='exif:DateTimeOriginal="2010-10-10T10:10:10" xmp:Rating="4" exif:GPSLatitude="47,22.5N" '
                            'exif:GPSLongitude="8,32,24W"')  # fmt: skip
    found = read(data, sidecars=[beside, xmp(attributes='xmp:Rating="2"')])
    assert when(found) == ("2010-10-10 10:10:10", None, "sidecar")
    assert (found.rating, found.label) == (4, "Blue")
    assert (found.latitude, found.longitude) == (47.375, -8.54)


def test_a_sidecar_that_repeats_the_date_keeps_the_files_offset() -> None:
    data = jpeg(exif=dated("2011:01:01 01:01:01", offset_original="+01:00"))
    beside = xmp(attributes='exif:DateTimeOriginal="2011-01-01T01:01:01.00"')
    assert when(read(data, sidecars=[beside])) == ("2011-01-01 01:01:01", 60, "sidecar")


def test_googles_export_adds_what_the_file_lacks() -> None:
    beside = json.dumps({
        "title": "a.jpg", "description": "Anna’s birthday", "photoTakenTime": {"timestamp": "1565616600"},
        "geoData": {"latitude": 47.5, "longitude": 8.5, "altitude": 400.0}, "people": [{"name": "Anna"}],
    }).encode()  # fmt: skip
    found = read(sidecars=[beside])
    assert when(found) == ("2019-08-12 13:30:00", 0, "takeout")
    assert (found.caption, found.latitude, found.people) == ("Anna’s birthday", 47.5, (FaceRegion(name="Anna"),))
    assert read(jpeg(exif=dated("2019:08:12 15:30:00")), sidecars=[beside]).taken_source == "exif:DateTimeOriginal"


@pytest.mark.parametrize("sidecar", [b"", b"{", b"[1]", b'{"people": 3}', b"<x", b"\0" * 100, xmp()[:200]])
def test_a_broken_sidecar_is_noted(sidecar: bytes) -> None:
    assert "sidecar" in read(sidecars=[sidecar]).notes[0]


# --- XMP


@pytest.mark.parametrize(
    "packet",
    [
        xmp(attributes='xmp:Rating="3"'),
        xmp("<xmp:Rating>3</xmp:Rating>"),
        xmp("<xmp:Rating> 3 </xmp:Rating>").decode().encode("utf-16"),
        b"\0\0" + xmp("<xmp:Rating>3</xmp:Rating>") + b"\0",
        xmp("<xmp:Rating>3</xmp:Rating><dc:title>\x01</dc:title>"),
        xmp("<xmp:Rating>3</xmp:Rating><dc:title>caf\xe9</dc:title>").decode().encode("latin-1", "ignore"),
        xmp("<xmp:Rating><rdf:Description><rdf:value>3</rdf:value></rdf:Description></xmp:Rating>"),
        xmp('<xmp:Rating rdf:parseType="Resource"><rdf:value>3</rdf:value></xmp:Rating>'),
    ],
)
def test_every_spelling_of_xmp_says_the_same(packet: bytes) -> None:
    assert read(jpeg(xmp=packet)).rating == 3


def test_the_default_language_is_taken() -> None:
    titles = "<rdf:li xml:lang='de'>Strand</rdf:li><rdf:li xml:lang='x-default'>Beach</rdf:li>"
    assert read(jpeg(xmp=xmp(f"<dc:title><rdf:Alt>{titles}</rdf:Alt></dc:title>"))).title == "Beach"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "HEIF", "AVIF"])
def test_every_format_carries_exif_and_xmp(kind: str) -> None:
    packet = xmp(attributes='xmp:Rating="5"')
    options: dict[str, Any] = {"exif": dated("2019:08:12 15:30:00").tobytes(), "xmp": packet}
    if kind == "TIFF":
        block = dated("2019:08:12 15:30:00")
        block[700] = packet
        options = {"exif": block.tobytes()}
    if kind == "PNG":
        text = PngInfo()
        text.add_itxt("XML:com.adobe.xmp", packet.decode())
        options = {"exif": options["exif"], "pnginfo": text}
    found = read(encoded(SMALL, kind, **options))
    assert found.taken_source == "exif:DateTimeOriginal"
    assert found.rating == 5
    assert found.notes == ()


def test_xmp_too_long_for_one_segment_is_joined() -> None:
    guid = "0123456789ABCDEF0123456789ABCDEF"
    long = xmp(bag("dc:subject", *(f"word{i}" for i in range(400))))
    main = xmp(attributes=f'xmpNote:HasExtendedXMP="{guid}" xmp:Rating="2"')
    data, half = jpeg(xmp=main), len(long) // 2
    for offset, part in ((half, long[half:]), (0, long[:half])):
        content = b"http://ns.adobe.com/xmp/extension/\0" + guid.encode() + struct.pack(">II", len(long), offset) + part
        at = data.index(b"\xff\xdb")
        data = data[:at] + struct.pack(">BBH", 0xFF, 0xE1, len(content) + 2) + content + data[at:]
    found = read(data)
    assert found.rating == 2
    assert len(found.keywords) == 400


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'


@pytest.mark.parametrize(
    ("packet", "said"),
    [
        (BOMB.encode() + xmp("<dc:title>&b;</dc:title>"), "entities or a document type"),
        (b"<a>" * 50, "cut short"),
        (bytes(9_000_000), "over the limit of 8 MB"),
        (xmp("<dc:title>" + "<dc:x>" * 60 + "</dc:x>" * 60 + "</dc:title>"), "nested too deeply"),
        (b'<?xml version="1.0" encoding="klingon"?><a/>', "encoding|cut short"),
    ],
)
def test_hostile_xmp_is_refused_and_the_photo_is_read(packet: bytes, said: str) -> None:
    with pytest.raises(BrokenXmp, match=said):
        parse_xmp(packet)
    assert read(jpeg(exif=dated("2019:08:12 15:30:00")), sidecars=[packet]).taken_source == "exif:DateTimeOriginal"


# --- camera and position


def test_the_camera_is_told() -> None:
    block = exif(
        zeroth={0x010F: "Canon\0\0", 0x0110: " EOS R5 ", 0x0131: "Firmware 1.0"},
        photo={0x8827: 400, 0x829D: 2.8, 0x829A: (1, 250), 0x920A: 50.0, 0x9209: 0x19, 0xA434: "RF50mm F1.8"},
    )
    found = read(jpeg(exif=block))
    assert (found.camera_make, found.camera_model, found.lens) == ("Canon", "EOS R5", "RF50mm F1.8")
    assert (found.iso, found.f_number, found.focal_mm, found.flash) == (400, 2.8, 50.0, True)
    assert not found.edited


@pytest.mark.parametrize(
    ("gps", "position"),
    [
        ({1: "N", 2: (52.0, 30.0, 36.0), 3: "W", 4: (13.0, 22.0, 30.0)}, (52.51, -13.375)),
        ({1: "S", 2: (33.5, 0.0, 0.0), 3: "E", 4: (151.0, 12.5, 0.0)}, (-33.5, 151.2083333)),
        ({2: (52.0, 30.0, 36.0), 4: (13.0, 22.0, 30.0)}, (None, None)),
        ({1: "N", 2: (0.0, 0.0, 0.0), 3: "E", 4: (0.0, 0.0, 0.0)}, (None, None)),
        ({1: "N", 2: (152.0, 0.0, 0.0), 3: "E", 4: (13.0, 0.0, 0.0)}, (None, None)),
        ({1: "", 3: ""}, (None, None)),
        ({1: "N", 2: (IFDRational(0, 0),) * 3, 3: "E", 4: (13.0, 0.0, 0.0)}, (None, None)),
    ],
)
def test_the_position_is_signed_by_its_half_of_the_earth(gps: dict[int, Any], position: tuple[Any, Any]) -> None:
    found = read(jpeg(exif=exif(gps=gps)))
    assert (found.latitude, found.longitude) == position


def test_altitude_below_the_sea_is_negative() -> None:
    gps = {1: "N", 2: (31.0, 30.0, 0.0), 3: "E", 4: (35.0, 28.0, 0.0), 5: b"\x01", 6: 430.5}
    assert read(jpeg(exif=exif(gps=gps))).altitude_m == -430.5


def test_raw_files_tell_their_exif() -> None:
    block = {0x9003: (2, 20, b"2020:07:05 10:00:00\0"), 0x9011: (2, 7, b"+03:00\0")}
    found = read(dng(6, photo=block), "IMG_1.dng")
    assert when(found) == ("2020-07-05 10:00:00", 180, "exif:DateTimeOriginal")
    assert (found.camera_make, found.orientation) == ("Acme", 6)


def test_canon_cr3_tells_its_exif() -> None:
    directories = {b"CMT1": exif(6, zeroth={0x010F: "Canon"}), b"CMT2": exif(zeroth={0x9003: "2021:02:03 04:05:06"})}
    boxes = b"".join(
        struct.pack(">I", len(body := d.tobytes()[6:]) + 8) + mark + body for mark, d in directories.items()
    )
    data = struct.pack(">I", 24) + b"ftypcrx \0\0\0\1crx isom" + struct.pack(">I", len(boxes) + 8) + b"moov" + boxes
    found = read(data, "IMG_1.CR3")
    assert when(found)[0] == "2021-02-03 04:05:06"
    assert (found.camera_make, found.orientation) == ("Canon", 6)


# --- words


def test_keywords_are_gathered_once_and_hierarchies_kept() -> None:
    packet = xmp(
        bag("dc:subject", "Beach", "beach", "Rome")
        + bag("lr:hierarchicalSubject", "Places|Italy|Rome", "Solo")
        + bag("digiKam:TagsList", "People/Anna")
    )
    block = exif(zeroth={0x9C9E: "Sea;Beach\0".encode("utf-16-le")})
    data = jpeg(xmp=packet, exif=block, segments={0xED: iptc((25, "Käse".encode()), (25, b"Rome"))})
    found = read(data)
    assert found.keywords == ("Beach", "Rome", "Käse", "Sea", "Solo", "Anna")
    assert found.keyword_paths == ("Places|Italy|Rome", "People|Anna")


@pytest.mark.parametrize(
    ("content", "utf8"),
    [
        ("Zürich".encode(), True),
        ("Zürich".encode(), False),
        ("Zürich".encode("cp1252"), False),
        ("Zürich".encode("cp1252"), True),
    ],
)
def test_iptc_is_read_in_the_characters_it_has(content: bytes, utf8: bool) -> None:
    found = read(jpeg(segments={0xED: iptc((90, content), (5, b"Title"), (120, b"Words"), utf8=utf8)}))
    assert (found.city, found.title, found.caption) == ("Zürich", "Title", "Words")


@given(st.binary(max_size=200))
def test_no_iptc_block_raises(block: bytes) -> None:
    parse_iptc(b"\x1c" + block)


@pytest.mark.parametrize(
    "comment",
    [b"ASCII\0\0\0Gr\xc3\xbc\xc3\x9fe", b"UNICODE\0" + "Grüße".encode("utf-16-le"),
     b"UNICODE\0" + "Grüße".encode("utf-16-be"),
     b"\0\0\0\0\0\0\0\0Gr\xfc\xdfe", "Grüße".encode()],
)  # fmt: skip
def test_the_comment_is_read_in_its_characters(comment: bytes) -> None:
    assert read(jpeg(exif=exif(photo={0x9286: comment}))).user_comment == "Grüße"


def test_a_description_is_put_right_where_utf8_was_taken_for_latin() -> None:
    assert read(jpeg(exif=exif(zeroth={0x010E: "Grüße".encode()}))).caption == "Grüße"


@pytest.mark.parametrize(
    "phrase", ["OLYMPUS DIGITAL CAMERA         ", "SONY DSC", "DCIM\\100MEDIA\\DJI_0001.JPG", "   ", "default"]
)
def test_what_the_camera_writes_under_every_photo_is_no_caption(phrase: str) -> None:
    assert read(jpeg(exif=exif(zeroth={0x010E: phrase}))).caption is None


@pytest.mark.parametrize(
    ("attributes", "rating"),
    [('xmp:Rating="-1"', -1), ('xmp:Rating="0"', 0), ('xmp:Rating="5.0"', 5), ('xmp:Rating="99"', None),
     ('MicrosoftPhoto:Rating="75"', 4), ('MicrosoftPhoto:Rating="1"', 1)],
)  # fmt: skip
def test_ratings_are_stars(attributes: str, rating: int | None) -> None:
    assert read(jpeg(xmp=xmp(attributes=attributes))).rating == rating


@pytest.mark.parametrize(
    ("name", "comment", "shot"),
    [("Screenshot_20210102-101112.png", None, True), ("Bildschirmfoto 2021.png", None, True),
     ("IMG_1.PNG", "Screenshot", True),
     ("Capture d'écran.png", None, True), ("IMG_1.jpg", None, False), ("Schirm.jpg", "nice", False)],
)  # fmt: skip
def test_screenshots_are_told(name: str, comment: str | None, shot: bool) -> None:
    block = exif(photo={0x9286: b"ASCII\0\0\0" + comment.encode()} if comment else {})
    assert read(jpeg(exif=block), name).screenshot_hint is shot


# --- people


def mwg(area: str, kind: str = "Face", name: str = "Anna", applied: str = "") -> str:
    return (
        f'<mwg-rs:Regions rdf:parseType="Resource">{applied}<mwg-rs:RegionList><rdf:Bag><rdf:li>'
        f'<rdf:Description mwg-rs:Name="{name}" mwg-rs:Type="{kind}"><mwg-rs:Area {area}/></rdf:Description>'
        f"</rdf:li></rdf:Bag></mwg-rs:RegionList></mwg-rs:Regions>"
    )


AREA = 'stArea:x="0.25" stArea:y="0.4" stArea:w="0.1" stArea:h="0.2" stArea:unit="normalized"'


def boxes(found: Metadata) -> list[tuple[Any, ...]]:
    return [(p.name, p.kind, p.x, p.y, p.w, p.h) for p in found.people]


@pytest.mark.parametrize(
    ("orientation", "box"),
    [
        (1, (0.2, 0.3, 0.1, 0.2)), (2, (0.7, 0.3, 0.1, 0.2)), (3, (0.7, 0.5, 0.1, 0.2)), (4, (0.2, 0.5, 0.1, 0.2)),
        (5, (0.3, 0.2, 0.2, 0.1)), (6, (0.5, 0.2, 0.2, 0.1)), (7, (0.5, 0.7, 0.2, 0.1)), (8, (0.3, 0.7, 0.2, 0.1)),
    ],
)  # fmt: skip
def test_regions_follow_the_picture_upright(orientation: int, box: tuple[float, ...]) -> None:
    assert boxes(read(jpeg(xmp=xmp(mwg(AREA)), exif=exif(orientation)))) == [("Anna", "face", *box)]


def test_regions_drawn_on_the_upright_picture_are_not_turned() -> None:
    applied = '<mwg-rs:AppliedToDimensions stDim:w="40" stDim:h="60" stDim:unit="pixel"/>'
    found = read(jpeg(xmp=xmp(mwg(AREA, applied=applied)), exif=exif(6)))
    assert boxes(found) == [("Anna", "face", 0.2, 0.3, 0.1, 0.2)]


def test_regions_in_pixels_become_parts() -> None:
    applied = '<mwg-rs:AppliedToDimensions stDim:w="60" stDim:h="40" stDim:unit="pixel"/>'
    area = 'stArea:x="15" stArea:y="16" stArea:w="6" stArea:h="8" stArea:unit="pixel"'
    assert boxes(read(jpeg(xmp=xmp(mwg(area, applied=applied))))) == [("Anna", "face", 0.2, 0.3, 0.1, 0.2)]


def test_microsofts_regions_and_plain_names_are_people_too() -> None:
    body = (
        '<MP:RegionInfo rdf:parseType="Resource"><MPRI:Regions><rdf:Bag><rdf:li MPReg:Rectangle="0.2, 0.3, 0.1, 0.2" '
        'MPReg:PersonDisplayName="Anna"/><rdf:li MPReg:PersonDisplayName="Ben"/></rdf:Bag>'
        "</MPRI:Regions></MP:RegionInfo>"
    )
    found = read(jpeg(xmp=xmp(body + bag("Iptc4xmpExt:PersonInImage", "anna", "Cleo"))))
    assert boxes(found) == [
        ("Anna", "face", 0.2, 0.3, 0.1, 0.2),
        ("Ben", "face", None, None, None, None),
        ("Cleo", "face", None, None, None, None),
    ]


@pytest.mark.parametrize("kind", ["Focus", "BarCode"])
def test_regions_of_things_are_not_people(kind: str) -> None:
    assert read(jpeg(xmp=xmp(mwg(AREA, kind)))).people == ()


def test_pets_are_kept_as_pets_and_nameless_faces_are_not_kept() -> None:
    assert read(jpeg(xmp=xmp(mwg(AREA, "Pet", "Rex")))).people[0].kind == "pet"
    assert read(jpeg(xmp=xmp(mwg(AREA, name="")))).people == ()


def test_regions_in_heic_follow_the_turned_picture() -> None:
    data = encoded(SMALL, "HEIF", exif=exif(6).tobytes(), xmp=xmp(mwg(AREA)))
    assert boxes(read(data)) == [("Anna", "face", 0.5, 0.2, 0.2, 0.1)]


# --- places in words


def test_places_in_words_are_read_from_xmp() -> None:
    body = (
        '<Iptc4xmpExt:LocationCreated><rdf:Bag><rdf:li rdf:parseType="Resource">'
        "<Iptc4xmpExt:City>Rome</Iptc4xmpExt:City><Iptc4xmpExt:CountryName>Italy</Iptc4xmpExt:CountryName></rdf:li></rdf:Bag></Iptc4xmpExt:LocationCreated>"
    )
    found = read(jpeg(xmp=xmp(body, 'photoshop:State="Lazio"')))
    assert (found.city, found.state, found.country) == ("Rome", "Lazio", "Italy")


# --- nothing raises


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 100_000), kind=st.sampled_from(["JPEG", "PNG", "WEBP", "TIFF", "HEIF", "AVIF"]))
def test_damage_anywhere_still_gives_a_record(seed: int, kind: str) -> None:
    chance = random.Random(seed)
    block = dated("2019:08:12 15:30:00", gps={1: "N", 2: (52.0, 30.0, 36.0), 3: "W", 4: (13.0, 22.0, 30.0)})
    data = bytearray(encoded(SMALL, kind, exif=block.tobytes(), xmp=xmp(mwg(AREA))))
    for _ in range(chance.randint(1, 40)):
        data[chance.randrange(min(len(data), 1500))] = chance.randrange(256)
    assert isinstance(read_metadata(bytes(data), "photo.jpg"), Metadata)


@pytest.mark.parametrize("data", [b"", b"text", b"\xff\xd8\xff", jpeg()[:40], dng()[:200]])
def test_what_is_no_picture_still_has_its_name_and_time(data: bytes) -> None:
    found = read_metadata(data, "IMG_20190812_153000.dng", file_time=datetime(2020, 1, 1, tzinfo=UTC))
    assert found.taken_source == "filename"


def test_the_record_survives_its_way_as_json() -> None:
    found = read(jpeg(xmp=xmp(mwg(AREA) + bag("dc:subject", "Beach")), exif=dated("2019:08:12 15:30:00")))
    assert Metadata.model_validate_json(found.model_dump_json()) == found
