"""The files beside a photo that speak of it: XMP from photo programs, JSON from Google's export."""

import os
import re
from collections.abc import Mapping
from typing import Final

SUFFIXES: Final = frozenset({b".xmp", b".json"})
"""In small letters: what else lies in a folder is no sidecar."""

_GOOGLES: Final = b".supplemental-metadata"
_GOOGLES_LENGTH: Final = 46  # Google cuts the name of its JSON there
_EDITED: Final = re.compile(rb"-(?:edited|bearbeitet)$")
_NUMBERED: Final = re.compile(rb"^(.+)(\(\d+\))$", re.DOTALL)


def sidecar_names(name: bytes) -> list[bytes]:
    """What a photo's sidecars may be called, in the same folder, the most telling first.

    `IMG.jpg.xmp` and `IMG.xmp` both exist in the wild. Google cuts the name of its JSON short, gives an edited photo
    the original's, and numbers `IMG(1).jpg` behind the suffix: `IMG.jpg(1).json`.
    """
    stem, suffix = os.path.splitext(name)
    names = [whole + ending for whole in (name, stem) for ending in (b".xmp", b".XMP")]
    original = _EDITED.sub(b"", stem)
    for each in dict.fromkeys((stem, original)):
        numbered = _NUMBERED.match(each)
        photo, number = (numbered[1] + suffix, numbered[2]) if numbered else (each + suffix, b"")
        for start, behind in dict.fromkeys(((photo, number), (each + suffix, b""))):
            names += [whole[:_GOOGLES_LENGTH] + behind + b".json" for whole in (start + _GOOGLES, start)]
    return list(dict.fromkeys(names))


def newest(name: bytes, beside: Mapping[bytes, int]) -> int | None:
    """When the youngest sidecar of a photo was changed; `beside` has what may be one, by its name in small letters."""
    return max((beside[each] for each in sidecar_names(name.lower()) if each in beside), default=None)


def sidecar_paths(path: bytes) -> list[bytes]:
    """Those of a photo that exist. Looks at the disk, so not for the event loop."""
    folder, name = os.path.split(path)
    found: list[bytes] = []
    for each in sidecar_names(name):
        beside = os.path.join(folder, each)
        if os.path.isfile(beside) and not any(os.path.samefile(beside, other) for other in found):
            found.append(beside)
    return found
