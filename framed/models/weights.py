"""Weights that do not come in a Python package: what there is to have, where they lie, and whether they are whole.

Each set has a folder of its own under `folder()`. `framed models pull` fills it and writes its manifest last,
so a folder with a manifest is whole; nothing else in framed writes there.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from framed.errors import Unavailable

MANIFEST = "framed.json"
ENVIRONMENT = "environment"
_VARIABLE = "FRAMED_MODELS"


@dataclass(frozen=True)
class Licence:
    """`ask`: these weights are fetched only after somebody said yes to this licence; `says` is why, in a sentence."""

    name: str
    url: str
    says: str = ""
    ask: bool = False


@dataclass(frozen=True)
class File:
    """One file of a set: `name` is what it is called in the set's folder.

    `sha256` None: the hub says it, or else the first download does; from then on it is pinned. `about` is roughly how
    large a file is whose size is not known to the byte. `optional`: the hub may lack it. `path`, `repo` and `revision`
    are where it lies on the hub when not under its own name in the set's repo; `url` is for what lies outside the hub.
    `package`: nothing is downloaded, a Python package of framed's own environment carries it at `path`.
    """

    name: str
    size: int | None = None
    sha256: str | None = None
    url: str | None = None
    path: str | None = None
    repo: str | None = None
    revision: str | None = None
    about: int = 0
    optional: bool = False
    package: str | None = None
    members: tuple[File, ...] = ()
    """What is taken out of it; it is a zip then and is not kept."""
    becomes: str | None = None
    """The safetensors file that `by` ("module:function") makes of it; it is a pickle then and is not kept."""
    by: str | None = None

    @property
    def kept(self) -> tuple[str, ...]:
        """The files of the set's folder that come of it."""
        if self.members:
            return tuple(member.name for member in self.members)
        return (self.becomes or self.name,)


@dataclass(frozen=True)
class Environment:
    """Python packages that do not go with framed's own, as pip names them.

    `over` is laid over them afterwards without what it wants itself. `modules` must import, or the environment is none.
    `about` is what it takes of the disk.
    """

    packages: tuple[str, ...]
    modules: tuple[str, ...]
    over: tuple[str, ...] = ()
    about: int = 0


@dataclass(frozen=True)
class Weights:
    """A set of weights: `repo` at `revision` of the model hub, or files with addresses of their own; and the Python
    environment they run in, where that is not framed's."""

    name: str
    title: str
    task: str
    backend: str
    repo: str
    revision: str
    files: tuple[File, ...]
    licence: Licence
    environment: Environment | None = None

    @property
    def size(self) -> int:
        """Bytes to download, as far as they are known; of an environment, what it takes of the disk."""
        return sum(file.size or file.about for file in self.files) + (self.environment.about if self.environment else 0)


def use(folder: Path) -> None:
    """Every process of this installation looks for weights there; the compute hosts inherit it."""
    os.environ[_VARIABLE] = str(folder)


def folder() -> Path:
    return Path(os.environ.get(_VARIABLE) or "~/.local/share/framed/models").expanduser()


def missing(name: str) -> str | None:
    """None where this set is here and whole as far as sizes tell, else a sentence with the command that mends it."""
    manifest = read_manifest(name)
    if manifest is None:
        return f"Its weights are not here: framed models pull {name}"
    for file, facts in manifest["files"].items():
        try:
            found = (folder() / name / file).stat().st_size
        except OSError:
            found = -1
        if found != facts["size"]:
            return f"Its weights are damaged ({file}): framed models verify {name}"
    if manifest.get("environment") and not os.access(python(name), os.X_OK):
        return f"The Python of its environment is gone: framed models pull {name}"
    return None


def which(name: str) -> str:
    """Tells these weights of a set from those that it had before: when its manifest was written, in hexadecimal."""
    try:
        return f"{(folder() / name / MANIFEST).stat().st_mtime_ns:x}"
    except OSError:
        return ""


def path(name: str) -> Path:
    """The folder of a whole set. Raises Unavailable with the sentence of `missing`."""
    if problem := missing(name):
        raise Unavailable(problem)
    return folder() / name


def python(name: str) -> Path:
    """The Python of a set's own environment; whether it is there is for `missing` to say."""
    return folder() / name / ENVIRONMENT / "bin" / "python"


def read_manifest(name: str) -> dict[str, Any] | None:
    """What was fetched: `{"revision": …, "files": {name: {"size": bytes, "sha256": hex}}}`, and `"environment":
    {"packages": […], "size": bytes}` where there is one; None: not (all) here."""
    try:
        found = json.loads((folder() / name / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("files"), dict) else None


def write_manifest(
    name: str,
    revision: str,
    files: dict[str, dict[str, Any]],
    *,
    listed: str = "",
    environment: dict[str, Any] | None = None,
    home: Path | None = None,
) -> None:
    """Declares a set whole. The rename is the one step at which it becomes so. `listed`: the revision that framed
    asked for, where the hub resolved it to another name. `home`: the set's folder, where `folder()` may have become
    another meanwhile."""
    target = (home or folder() / name) / MANIFEST
    draft = target.with_suffix(".new")
    manifest = {"revision": revision, "listed": listed or revision, "files": files}
    manifest |= {"environment": environment} if environment else {}
    draft.write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    os.replace(draft, target)
