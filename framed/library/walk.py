"""What one folder holds: its photo files, their sidecars and the folders to descend into, under a root's rules."""

import fnmatch
import os
import re
import stat
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, field_validator, model_validator

from framed.library import sidecars
from framed.library.mounts import within

Scandir = Callable[[bytes], AbstractContextManager[Any]]

EXCLUDED = (
    ".*",
    "*.crdownload",
    "*.lrdata",
    "*.part",
    "*.partial",
    "*.tmp",
    "**/*.photoslibrary/resources/",
    "@eaDir",
    "@Recycle",
    "@Recently-Snapshot",
    "#recycle",
    "#snapshot",
    "$RECYCLE.BIN",
    "__MACOSX",
    "lost+found",
    "node_modules",
    "System Volume Information",
    "Thumbs.db",
)
"""What NAS systems, desktops and half-done downloads leave behind in photo folders."""

_LINKS = 3
GROUP = 32
_GROUP_FILES = 4000
_GROUP_S = 1.0


class Root(BaseModel):
    """A photo folder. A pattern without `/` is held against the name of every file and folder below the root, one
    with `/` against the path from the root (`**` stands for any folders); a final `/` limits it to folders. Case
    does not matter. What is excluded is never opened."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str
    include: list[str] = []
    exclude: list[str] = []
    default_excludes: bool = True
    follow_symlinks: bool = False
    watch: Literal["auto", "events", "poll", "off"] = "auto"

    @model_validator(mode="before")
    @classmethod
    def _bare_path(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str) else value

    @field_validator("path")
    @classmethod
    def _absolute(cls, path: str) -> str:
        path = os.path.expanduser(path)
        if not os.path.isabs(path) or "\0" in path:
            raise ValueError("a photo folder needs its whole path, from / on")
        return os.path.normpath(path)

    @field_validator("include", "exclude")
    @classmethod
    def _patterns(cls, patterns: list[str]) -> list[str]:
        if any(not pattern.strip("/") for pattern in patterns):
            raise ValueError("a pattern is empty")
        return patterns


class Seen(NamedTuple):
    """A photo file as the file system shows it."""

    size: int
    mtime_ns: int
    inode: int
    sidecar_ns: int | None
    ctime_ns: int
    device: int


@dataclass(slots=True)
class Listing:
    """`problem` is set when the folder could not be read to its end; then nothing may be concluded from the rest."""

    folder: bytes
    mtime_ns: int = 0
    files: dict[bytes, Seen] = field(default_factory=dict)
    folders: list[bytes] = field(default_factory=list)
    unknown: set[bytes] = field(default_factory=set)
    skipped: int = 0
    bare: bool = True
    problem: OSError | None = None


def int64(value: int) -> int:
    """A 64-bit number as SQL stores it; some file systems give inodes and times above 2^63."""
    return (value + (1 << 63)) % (1 << 64) - (1 << 63)


def join(folder: bytes, name: bytes) -> bytes:
    return folder + b"/" + name if folder else name


def display(path: bytes) -> str:
    """A path as text for people and JSON; bytes that are not UTF-8 become the replacement character."""
    return path.decode("utf-8", "replace")


def display_name(path: bytes | str) -> str:
    """The last part of a path in a form that any terminal, log and JSON document takes."""
    text = display(os.fsencode(path)).rpartition("/")[2]
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)[-120:] or "the file"


class _Globs:
    """Patterns compiled once: names by one regular expression, paths segment by segment."""

    def __init__(self, patterns: Sequence[str]) -> None:
        lowered = [pattern.casefold() for pattern in patterns]
        self._names = self._compile([p for p in lowered if "/" not in p])
        self._folder_names = self._compile([p[:-1] for p in lowered if p.find("/") == len(p) - 1])
        paths = [p for p in lowered if "/" in p.rstrip("/")]
        self._paths = [p.strip("/").split("/") for p in paths if not p.endswith("/")]
        self._folder_paths = [p.strip("/").split("/") for p in paths]
        self.by_path = bool(self._paths or self._folder_paths)
        self.by_name = self._names is not None or self._folder_names is not None

    @staticmethod
    def _compile(patterns: list[str]) -> re.Pattern[str] | None:
        return re.compile("|".join(fnmatch.translate(pattern) for pattern in patterns)) if patterns else None

    def file(self, folder: bytes, name: bytes) -> bool:
        text = os.fsdecode(name).casefold()
        if self._names is not None and self._names.match(text):
            return True
        return bool(self._paths) and self._path(self._paths, join(folder, name))

    def folder(self, path: bytes) -> bool:
        text = os.fsdecode(path.rpartition(b"/")[2]).casefold()
        for names in (self._names, self._folder_names):
            if names is not None and names.match(text):
                return True
        return bool(self._folder_paths) and self._path(self._folder_paths, path)

    def beneath(self, path: bytes) -> bool:
        """True when something below folder `path` could still match."""
        parts = os.fsdecode(path).casefold().split("/")
        return self.by_name or any(_starts(glob, parts) for glob in self._paths + self._folder_paths)

    @staticmethod
    def _path(globs: list[list[str]], path: bytes) -> bool:
        parts = os.fsdecode(path).casefold().split("/")
        return any(_matches(glob, parts) for glob in globs)


def _matches(glob: list[str], parts: list[str]) -> bool:
    if not glob:
        return not parts
    if glob[0] == "**":
        return any(_matches(glob[1:], parts[start:]) for start in range(len(parts) + 1))
    return bool(parts) and fnmatch.fnmatchcase(parts[0], glob[0]) and _matches(glob[1:], parts[1:])


def _starts(glob: list[str], parts: list[str]) -> bool:
    for pattern, part in zip(glob, parts, strict=False):
        if pattern == "**":
            return True
        if not fnmatch.fnmatchcase(part, pattern):
            return False
    return True


class Walker:
    """Lists folders of one root. Its methods block: call them in a thread."""

    def __init__(self, root: Root, suffixes: frozenset[str], scandir: Scandir = os.scandir) -> None:
        self.top = os.fsencode(root.path)
        self.follows = root.follow_symlinks
        self._suffixes = frozenset(b"." + suffix.lower().lstrip(".").encode() for suffix in suffixes)
        self._exclude = _Globs([*(EXCLUDED if root.default_excludes else ()), *root.exclude])
        self._include = _Globs(root.include) if root.include else None
        self._scandir = scandir

    def path(self, folder: bytes) -> bytes:
        return os.path.join(self.top, folder) if folder else self.top

    def nearest(self, folder: bytes) -> bytes | None:
        """The folder that a scan would list to learn about `folder`: itself, or where it is missing the one above that
        is there. None where a scan does not go: it is excluded, or behind a link that is not followed."""
        path = b""
        for name in folder.split(b"/") if folder else []:
            parent, path = path, join(path, name)
            if not self._wanted_folder(path):
                return None
            try:
                mode = os.lstat(self.path(path)).st_mode
                if stat.S_ISLNK(mode):
                    if not self.follows or not self._leads_out(self.path(parent), self.path(path)):
                        return None
                    mode = os.stat(self.path(path)).st_mode
            except OSError:
                return parent
            if not stat.S_ISDIR(mode):
                return parent
        return path

    def allows(self, folder: bytes, name: bytes) -> bool:
        """Whether the patterns let a scan take this file; looks at no disk."""
        above = b""
        for part in folder.split(b"/") if folder else []:
            above = join(above, part)
            if not self._wanted_folder(above):
                return False
        if self._exclude.file(folder, name):
            return False
        return self._include is None or self._included(folder) or self._include.file(folder, name)

    def some(self, folders: Sequence[bytes]) -> list[Listing]:
        """Lists a first part of `folders`: as many as make one round of work, at least one."""
        listings: list[Listing] = []
        files, until = 0, time.monotonic() + _GROUP_S
        for folder in folders[:GROUP]:
            listings.append(self.look(folder))
            files += len(listings[-1].files)
            if files >= _GROUP_FILES or time.monotonic() > until:
                break
        return listings

    def look(self, folder: bytes) -> Listing:
        listing = Listing(folder)
        path = self.path(folder)
        beside: dict[bytes, int] = {}
        included = self._include is None or self._included(folder)
        try:
            # Taken first: a name that comes while we list moves the time on, and the folder is looked at again.
            listing.mtime_ns = int64(os.stat(path).st_mtime_ns)
            with self._scandir(path) as entries:
                for entry in entries:
                    listing.bare = False
                    self._take(entry, listing, beside, included)
        except OSError as error:
            listing.problem = error
            return listing
        if beside:
            for name, seen in listing.files.items():
                listing.files[name] = seen._replace(sidecar_ns=sidecars.newest(name, beside))
        listing.folders.sort()
        return listing

    def probe(self) -> tuple[int, bool]:
        """The device of the root, and whether it holds anything to scan. OSError: it is missing or unreadable."""
        device = int64(os.stat(self.top).st_dev)
        listing = Listing(b"")
        with self._scandir(self.top) as entries:
            for entry in entries:
                self._take(entry, listing, {}, included=self._include is None)
                if listing.files or listing.folders or listing.unknown:
                    return device, True
        return device, False

    def _take(self, entry: Any, listing: Listing, beside: dict[bytes, int], included: bool) -> None:
        name: bytes = entry.name
        link = entry.is_symlink()
        if link and not (self.follows and self._leads_out(self.path(listing.folder), entry.path)):
            listing.skipped += 1
            return
        if entry.is_dir():
            path = join(listing.folder, name)
            if self._wanted_folder(path):
                listing.folders.append(name)
            else:
                listing.skipped += 1
            return
        suffix = os.path.splitext(name)[1].lower()
        sidecar = suffix in sidecars.SUFFIXES
        if not sidecar and suffix not in self._suffixes:
            return
        wanted = included or sidecar or (self._include is not None and self._include.file(listing.folder, name))
        if not wanted or self._exclude.file(listing.folder, name):
            listing.skipped += 1
            return
        try:
            status = entry.stat()
        except FileNotFoundError:
            return  # deleted since the folder was read, or a link to nothing
        except OSError:
            listing.unknown.add(name)
            return
        if not stat.S_ISREG(status.st_mode):
            listing.skipped += 1
        elif sidecar:
            beside[name.lower()] = int64(status.st_mtime_ns)
        else:
            listing.files[name] = seen(status)

    def _wanted_folder(self, path: bytes) -> bool:
        if self._exclude.folder(path):
            return False
        return self._include is None or self._include.beneath(path) or self._included(path)

    def _included(self, folder: bytes) -> bool:
        """Whether the folder or one above it matches `include`; then everything below does."""
        assert self._include is not None
        while folder:
            if self._include.folder(folder):
                return True
            folder = folder.rpartition(b"/")[0]
        return False

    def _leads_out(self, folder: bytes, link: bytes) -> bool:
        """Whether a link may be followed: what it leads to is not in the root already and is no folder above it."""
        target = os.path.realpath(link)
        if within(target, os.path.realpath(self.top)) or within(os.path.realpath(folder), target):
            return False
        links = 0
        while folder != self.top and within(folder, self.top):
            links += os.path.islink(folder)
            folder = os.path.dirname(folder)
        return links < _LINKS


def seen(status: os.stat_result) -> Seen:
    return Seen(
        status.st_size,
        int64(status.st_mtime_ns),
        int64(status.st_ino),
        None,
        int64(status.st_ctime_ns),
        int64(status.st_dev),
    )
