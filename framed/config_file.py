"""Where config.yaml is, what it says of itself, and the defaults that a short command needs of it.

It imports nothing of framed, and no YAML: a short command learns where the daemon is without loading all of it.
"""

import os
from pathlib import Path
from typing import Any

DATA_DIR = "~/.local/share/framed"
HTTP_PORT = 8480

Place = tuple[str | int, ...]
"""The keys that lead to a value."""


def find(given: Path | None) -> Path | None:
    """The file to use: the one named, else FRAMED_CONFIG, ./config.yaml, the user's, the system's.

    One that is named is used even where it is not there, so that reading it says so.
    """
    if given is not None:
        return given
    if named := os.environ.get("FRAMED_CONFIG"):
        return Path(named)
    places = [Path("config.yaml"), Path("~/.config/framed/config.yaml").expanduser(), Path("/etc/framed/config.yaml")]
    return next((place for place in places if place.is_file()), None)


def merge(data: dict[str, Any], over: dict[str, Any]) -> None:
    """Puts `over` into `data`, section by section."""
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(data.get(key), dict):
            merge(data[key], value)
        else:
            data[key] = value


_PATHS: tuple[Place, ...] = (
    ("data_dir",),
    ("tags", "categories"),
    ("models", "folder"),
    *(("mqtt", "tls", name) for name in ("ca", "certificate", "key")),
)


def resolve(document: dict[str, Any], file: Path) -> None:
    """Makes paths in a configuration whole: a relative one begins where the file lies, wherever framed is started."""
    for *sections, name in _PATHS:
        section: Any = document
        for part in sections:
            section = section.get(part) if isinstance(section, dict) else None
        if isinstance(section, dict) and isinstance(section.get(name), str) and section[name]:
            section[name] = str(file.absolute().parent / Path(section[name]).expanduser())


def written(at: Place) -> str:
    """The keys as people write them: http.port, frames[1].id."""
    text = ""
    for part in at:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text
