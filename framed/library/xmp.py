"""XMP packets as plain values, whichever of RDF's spellings a program wrote them in."""

import re
from typing import Final
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

Value = str | list["Value"] | dict[str, "Value"]
Properties = dict[str, Value]

MAX_PACKET_BYTES: Final = 8_000_000
_MAX_DEPTH: Final = 24
_RDF: Final = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_LANG: Final = "{http://www.w3.org/XML/1998/namespace}lang"
_LISTS: Final = frozenset({f"{_RDF}Bag", f"{_RDF}Seq", f"{_RDF}Alt"})
# Only these are kept. Prefixes are free in XML, so names are told by namespace and written with the usual prefix.
_PREFIXES: Final = {
    "http://purl.org/dc/elements/1.1/": "dc",
    "http://ns.adobe.com/xap/1.0/": "xmp",
    "http://ns.adobe.com/exif/1.0/": "exif",
    "http://cipa.jp/exif/1.0/": "exifEX",
    "http://ns.adobe.com/exif/1.0/aux/": "aux",
    "http://ns.adobe.com/tiff/1.0/": "tiff",
    "http://ns.adobe.com/photoshop/1.0/": "photoshop",
    "http://ns.adobe.com/lightroom/1.0/": "lr",
    "http://ns.adobe.com/xmp/note/": "xmpNote",
    "http://ns.adobe.com/xmp/sType/Area#": "stArea",
    "http://ns.adobe.com/xap/1.0/sType/Area#": "stArea",
    "http://ns.adobe.com/xap/1.0/sType/Dimensions#": "stDim",
    "http://www.metadataworkinggroup.com/schemas/regions/": "mwg-rs",
    "http://ns.microsoft.com/photo/1.2/": "MP",
    "http://ns.microsoft.com/photo/1.2/t/RegionInfo#": "MPRI",
    "http://ns.microsoft.com/photo/1.2/t/Region#": "MPReg",
    "http://ns.microsoft.com/photo/1.0/": "MicrosoftPhoto",
    "http://ns.microsoft.com/photo/1.0": "MicrosoftPhoto",
    "http://www.digikam.org/ns/1.0/": "digiKam",
    "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/": "Iptc4xmpCore",
    "http://iptc.org/std/Iptc4xmpExt/2008-02-29/": "Iptc4xmpExt",
}
_FORBIDDEN: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class BrokenXmp(ValueError):
    """The packet cannot be read; the message completes the sentence “its XMP …”."""


def parse_xmp(packet: bytes) -> Properties:
    """Property name with its usual prefix (`dc:subject`) → text, list or structure.

    Of alternatives by language the default one comes first. Properties of namespaces that framed does not use are left
    out. Raises BrokenXmp; entities and document types are refused, as they have no place in XMP.
    """
    if len(packet) > MAX_PACKET_BYTES:
        raise BrokenXmp(f"has {len(packet) / 1e6:,.0f} MB, over the limit of {MAX_PACKET_BYTES / 1e6:.0f} MB")
    root = _root(packet)
    found: Properties = {}
    for block in [root] if root.tag == f"{_RDF}RDF" else root.iter(f"{_RDF}RDF"):
        for description in block.findall(f"{_RDF}Description"):
            for name, value in _structure(description, 0).items():
                found.setdefault(name, value)
    return found


def text(properties: Properties, *names: str) -> str | None:
    """The first of the names that has a text; of a list its first entry."""
    for name in names:
        value = properties.get(name)
        while isinstance(value, list):
            value = value[0] if value else None
        if isinstance(value, dict):
            value = value.get("rdf:value")
        if isinstance(value, str) and value.strip():
            return value.strip()
    return None


def texts(properties: Properties, *names: str) -> list[str]:
    """All texts of all the names, in order."""
    found: list[str] = []
    for name in names:
        value = properties.get(name)
        for entry in value if isinstance(value, list) else [value]:
            if isinstance(entry, str) and entry.strip():
                found.append(entry.strip())
    return found


def structure(properties: Properties, name: str) -> Properties:
    value = properties.get(name)
    return value if isinstance(value, dict) else {}


def structures(properties: Properties, name: str) -> list[Properties]:
    value = properties.get(name)
    return [entry for entry in (value if isinstance(value, list) else [value]) if isinstance(entry, dict)]


def _root(packet: bytes) -> Element:
    """As it stands; else the part that is XMP, as text, without what XML does not allow."""
    trimmed = packet.strip(b"\0 \t\r\n")
    if not trimmed:
        raise BrokenXmp("is empty")
    try:
        return _parsed(trimmed)
    except ParseError:
        pass  # cut out and cleaned below, where a second failure is an error
    loose = trimmed.decode("utf-16" if b"\0<" in trimmed[:8] or b"<\0" in trimmed[:8] else "utf-8", "replace")
    whole = re.search(r"<([\w.-]+:)?(xmpmeta|xapmeta|RDF)\b.*</\1\2\s*>", loose, re.DOTALL)
    if whole is None:
        raise BrokenXmp("is cut short or is not XMP")
    try:
        return _parsed(_FORBIDDEN.sub("", whole.group()))
    except ParseError as problem:
        raise BrokenXmp(f"is not well formed (line {problem.position[0]})") from problem


def _parsed(document: bytes | str) -> Element:
    try:
        root: Element = fromstring(document, forbid_dtd=True)
    except DefusedXmlException as problem:
        raise BrokenXmp("declares entities or a document type, which XMP never does") from problem
    except (LookupError, ValueError) as problem:
        raise BrokenXmp("is in an encoding that does not exist") from problem
    return root


def _structure(element: Element, depth: int) -> Properties:
    found: Properties = {}
    for key, value in element.attrib.items():
        if name := _name(key):
            found[name] = value
    for child in element:
        if name := _name(child.tag):
            found.setdefault(name, _value(child, depth + 1))
    return found


def _value(element: Element, depth: int) -> Value:
    if depth > _MAX_DEPTH:
        raise BrokenXmp("is nested too deeply")
    children = list(element)
    if not children:
        if resource := element.get(f"{_RDF}resource"):
            return resource
        return _structure(element, depth) or (element.text or "")
    if children[0].tag in _LISTS:
        entries = [child for child in children[0] if child.tag == f"{_RDF}li"]
        if children[0].tag == f"{_RDF}Alt":
            entries.sort(key=lambda entry: entry.get(_LANG, "") != "x-default")
        return [_value(entry, depth + 1) for entry in entries]
    if children[0].tag == f"{_RDF}Description":
        return _qualified(children[0], depth)
    return _qualified(element, depth)


def _qualified(element: Element, depth: int) -> Value:
    """A structure, or the value inside one that only adds remarks to it."""
    value = element.find(f"{_RDF}value")
    return _structure(element, depth) if value is None else (value.text or "")


def _name(tag: str) -> str | None:
    namespace, _, local = tag[1:].partition("}")
    prefix = _PREFIXES.get(namespace) if tag.startswith("{") else None
    return f"{prefix}:{local}" if prefix else None
