"""A set of weights as a whole: fetched, unpacked, converted, declared whole; looked through; removed.

Everything is gathered in a folder `.new` inside the set's own, so what broke off is gone on with, and a set that is
there stays usable until its successor is complete.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import importlib.util
import json
import os
import shutil
import stat
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import structlog

from framed.errors import Busy, Unavailable
from framed.models import environment, weights
from framed.models.convert import convert
from framed.models.download import OFFLINE, Damaged, Downloader, Fetched, NotThere, Wanted, gigabytes, hash_of, safe
from framed.models.weights import Environment, File, Weights

log = structlog.get_logger(__name__)

NEW = ".new"
_NOTES = "pulled.json"

Report = Callable[[int, int, str], None]
"""Bytes done and bytes of the whole set, as far as known, and what is being done."""


@dataclass(frozen=True)
class Pins:
    """What was fetched first, for ever after: the commit, and the SHA-256 of each file that is not listed with one."""

    revision: str | None = None
    files: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Pulled:
    """`fetched`: bytes that came now. `published`: every hash was listed, pinned before, or said by the hub itself."""

    fetched: int
    size: int
    pins: Pins
    published: bool


@dataclass(frozen=True)
class Damage:
    file: str
    why: str


class Puller:
    """One pull, verify or remove of a set at a time; a second one of the same set waits for the first."""

    def __init__(self, downloader: Downloader) -> None:
        self._downloader = downloader
        self._locks: dict[str, asyncio.Lock] = {}

    async def pull(self, wanted: Weights, pins: Pins = Pins(), report: Report = lambda *_: None) -> Pulled:
        """Makes the set whole; what is there and whole is not fetched again. Raises Unavailable with a sentence."""
        async with self._alone(wanted.name):
            work = _Work(self._downloader, wanted, pins, report)
            return await work.do()

    async def verify(self, name: str, report: Report = lambda *_: None) -> list[Damage]:
        """Reads every file again. A damaged one is set aside, so nothing loads it."""
        async with self._alone(name):
            manifest = weights.read_manifest(name)
            if manifest is None:
                raise Unavailable(f"The weights {name} are not here: framed models pull {name}")
            home = weights.folder() / name
            loop = asyncio.get_running_loop()

            def told(done: int, total: int, what: str) -> None:
                loop.call_soon_threadsafe(report, done, total, what)

            damaged = await asyncio.to_thread(_verify, home, manifest["files"], told)
            return damaged + (await _broken(home, manifest["environment"]) if manifest.get("environment") else [])

    async def remove(self, name: str) -> int:
        """The bytes that are free now."""
        async with self._alone(name):
            return await asyncio.to_thread(_remove, weights.folder() / safe(name))

    @asynccontextmanager
    async def _alone(self, name: str) -> AsyncIterator[None]:
        """Also among processes, where the file system has locks: two framed may share a folder of models."""
        async with self._locks.setdefault(safe(name), asyncio.Lock()):
            lock = await asyncio.to_thread(_locked, weights.folder(), name)
            with lock:
                yield


class _Work:
    """One pull."""

    def __init__(self, downloader: Downloader, wanted: Weights, pins: Pins, report: Report) -> None:
        self._downloader = downloader
        self._wanted = wanted
        self._report = report
        self._folder = weights.folder() / wanted.name
        self._new = self._folder / NEW
        self._pins = dict(pins.files)
        # What was once served for a moving name such as `main` is asked for by its commit ever after.
        self._revision = pins.revision if pins.revision and not _is_commit(wanted.revision) else wanted.revision
        self._served: str | None = None
        self._done = 0
        self._fetched = 0
        self._published = True

    async def do(self) -> Pulled:
        here = await asyncio.to_thread(self._here)
        await asyncio.to_thread(self._new.mkdir, parents=True, exist_ok=True)
        notes = await asyncio.to_thread(self._resume)
        todo = [file for file in self._wanted.files if not all(name in here or name in notes for name in file.kept)]
        # What is converted or unpacked lies there twice for a while.
        room = sum((file.size or file.about) * (2 if file.by or file.members else 1) for file in todo)
        wanted = await asyncio.to_thread(self._environment_wanted)
        building = wanted.about if wanted else 0
        self._downloader.room(self._folder, room + building - _begun(self._new), self._wanted.title)
        self._done = self._wanted.size - building - sum(file.size or file.about for file in todo)
        for file in todo:
            notes |= await self._bring(file)
            await asyncio.to_thread(self._remember, notes)
            self._done += file.size or file.about
        made = await self._make(wanted) if wanted else None
        facts = {name: fact for name, fact in (here | notes).items() if fact}
        await asyncio.to_thread(self._settle, facts, list(notes), made)
        pins = Pins(self._served or self._revision, self._pins)
        size = sum(fact["size"] for fact in facts.values()) + (made["size"] if made else 0)
        log.info("weights are here", weights=self._wanted.name, bytes=size, fetched=self._fetched)
        return Pulled(self._fetched, size, pins, self._published)

    def _here(self) -> dict[str, Any]:
        """What the set has already, of this revision."""
        manifest = weights.read_manifest(self._wanted.name)
        if manifest is None or manifest.get("listed", self._wanted.revision) != self._wanted.revision:
            return {}
        lacking = {
            file.name: None for file in self._wanted.files if file.optional and file.name not in manifest["files"]
        }
        whole = {name: fact for name, fact in manifest["files"].items() if _whole(self._folder / safe(name), fact)}
        return lacking | whole

    def _resume(self) -> dict[str, Any]:
        """What an earlier pull of this revision had finished."""
        try:
            kept = json.loads((self._new / _NOTES).read_text(encoding="utf-8"))
            if kept["revision"] != self._revision:
                raise ValueError(kept["revision"])
            found = {n: fact for n, fact in kept["files"].items() if fact is None or _whole(self._new / safe(n), fact)}
            self._served, self._published = kept["served"], bool(kept["published"])
            self._pins = {**kept["pins"], **self._pins}
            return found
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}  # none, or none that can be trusted: all is fetched again

    def _remember(self, facts: dict[str, Any]) -> None:
        kept = {"revision": self._revision, "served": self._served, "published": self._published}
        (self._new / _NOTES).write_text(json.dumps(kept | {"pins": self._pins, "files": facts}), encoding="utf-8")

    async def _bring(self, file: File) -> dict[str, Any]:
        """The files that come of it, in `.new`: {name: {"size", "sha256"}}; an empty fact where the hub lacks it."""
        target = self._new / safe(file.name)
        await asyncio.to_thread(target.parent.mkdir, parents=True, exist_ok=True)
        if file.package:
            return {file.name: await asyncio.to_thread(_carried, file, target)}
        try:
            fetched = await self._downloader.fetch(self._address(file), target, self._told(file))
        except NotThere:
            if file.optional:
                return {name: None for name in file.kept}
            raise
        self._note(file, fetched)
        if file.members:
            self._report(self._done + fetched.size, self._wanted.size, f"unpacking {file.name}")
            return await asyncio.to_thread(_unpack, target, file.members, self._new)
        if file.by and file.becomes:
            self._report(self._done + fetched.size, self._wanted.size, f"converting {file.name}")
            return {file.becomes: await self._convert(file.by, target, self._new / safe(file.becomes))}
        return {file.name: {"size": fetched.size, "sha256": fetched.sha256}}

    def _environment_wanted(self) -> Environment | None:
        """The environment that is still to be made."""
        wanted = self._wanted.environment
        fact = (weights.read_manifest(self._wanted.name) or {}).get("environment")
        if wanted and environment.up_to_date(wanted, fact) and os.access(weights.python(self._wanted.name), os.X_OK):
            return None
        return wanted

    async def _make(self, wanted: Environment) -> dict[str, Any]:
        hub, before = self._downloader.hub, self._done
        wheels = hub.folder / self._wanted.name / "wheels" if hub.folder else None
        if wheels is not None and not await asyncio.to_thread(wheels.is_dir):
            wheels = None
        if wheels is None and hub.offline:
            raise Unavailable(OFFLINE)

        def told(size: int) -> None:
            self._report(before + min(size, wanted.about), self._wanted.size, "installing Python packages")

        made = await environment.make(
            wanted,
            self._new / weights.ENVIRONMENT,
            what=self._wanted.title,
            wheels=wheels,
            report=told,
        )
        self._fetched += made["size"]
        return made

    async def _convert(self, by: str, source: Path, target: Path) -> dict[str, Any]:
        await convert(by, source, target)
        await asyncio.to_thread(source.unlink)
        return await asyncio.to_thread(_fact, target)

    def _address(self, file: File) -> Wanted:
        hub, path = self._downloader.hub, file.path or file.name
        repo = file.repo or self._wanted.repo
        revision = file.revision or self._revision
        if file.url is None:
            url = f"{hub.endpoint}/{repo}/resolve/{revision}/{path}"
        elif hub.mirror and hub.folder is None:
            url = f"{hub.endpoint}/{self._wanted.name}/{file.name}"
        else:
            url = file.url
        places = (f"{self._wanted.name}/{file.name}", *([f"{repo}/{path}"] if repo else []))
        sha256 = file.sha256 or self._pins.get(file.name)
        return Wanted(file.name, url, file.size, sha256, places)

    def _told(self, file: File) -> Callable[[int, int], None]:
        expected = file.size or file.about

        def told(done: int, total: int) -> None:
            whole = max(self._wanted.size - expected + (total or expected), 1)
            self._report(self._done + done, whole, file.name)

        return told

    def _note(self, file: File, fetched: Fetched) -> None:
        self._fetched += fetched.size
        if file.sha256 is None:
            self._published = self._published and fetched.published
            self._pins[file.name] = fetched.sha256
        if fetched.revision and file.repo is None and not _is_commit(self._wanted.revision):
            self._served = fetched.revision

    def _settle(self, facts: dict[str, Any], new: Sequence[str], made: dict[str, Any] | None) -> None:
        """The set is taken apart and whole again within a moment; the manifest is what makes it so."""
        kept = made or (weights.read_manifest(self._wanted.name) or {}).get("environment")
        if made or any(facts.get(name) for name in new):
            (self._folder / weights.MANIFEST).unlink(missing_ok=True)
        if made:
            place = self._folder / weights.ENVIRONMENT
            if place.exists():
                os.replace(place, self._new / "before")
            os.replace(self._new / weights.ENVIRONMENT, place)
        for name in new:
            if facts.get(name):
                target = self._folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(self._new / name, target)
        listed = self._wanted.revision
        revision = self._served or self._revision
        weights.write_manifest(self._wanted.name, revision, facts, listed=listed, environment=kept, home=self._folder)
        shutil.rmtree(self._new, ignore_errors=True)
        _sweep(self._folder, facts)


# -- files, in a thread --------------------------------------------------------------------------------------------


def _locked(folder: Path, name: str) -> BinaryIO:
    """The open lock file of a set, which holds until it is closed. Busy: another process has it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / f".{name}.lock").open("ab")
    except OSError as error:
        raise Unavailable(f"The folder of models {folder} cannot be written: {error.strerror}.") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise Busy(f"Another framed is busy with {name} in {folder}.") from error
    except OSError as error:
        log.info("the folder of models has no locks", folder=str(folder), problem=error.strerror)
    return lock


def _is_commit(revision: str) -> bool:
    return len(revision) == 40 and all(character in "0123456789abcdef" for character in revision)


def _whole(path: Path, fact: Any) -> bool:
    try:
        return bool(path.stat().st_size == fact["size"])
    except (OSError, TypeError, KeyError):
        return False


def _fact(path: Path) -> dict[str, Any]:
    return {"size": path.stat().st_size, "sha256": hash_of(path).hexdigest()}


def _begun(new: Path) -> int:
    """Bytes that need no room any more."""
    return sum(path.stat().st_size for path in new.rglob("*") if path.is_file())


def _unpack(archive: Path, members: Sequence[File], folder: Path) -> dict[str, Any]:
    """Only what is listed, by its own name, to its own size and hash. The archive is gone afterwards."""
    facts: dict[str, Any] = {}
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = opened.infolist()
            for entry in entries:
                parts = entry.filename.replace("\\", "/").split("/")
                if ".." in parts or entry.filename.startswith(("/", "\\")) or ":" in parts[0]:
                    raise Damaged(f"{archive.name} would write outside its folder ({entry.filename[:60]!r}).")
                if stat.S_ISLNK(entry.external_attr >> 16):
                    raise Damaged(f"{archive.name} holds a link ({entry.filename[:60]!r}).")
            for member in members:
                facts[member.name] = _extract(opened, entries, member, folder)
    except zipfile.BadZipFile as error:
        raise Damaged(f"{archive.name} is no zip file: {error}.") from error
    finally:
        archive.unlink(missing_ok=True)
    return facts


def _extract(archive: zipfile.ZipFile, entries: Sequence[zipfile.ZipInfo], member: File, folder: Path) -> Any:
    entry = next((e for e in entries if not e.is_dir() and Path(e.filename).name == member.name), None)
    if entry is None:
        raise Damaged(f"There is no {member.name} in the archive.")
    if member.size is not None and entry.file_size != member.size:
        raise Damaged(f"{member.name} in the archive has {entry.file_size:,} bytes, and {member.size:,} are listed.")
    target = folder / safe(member.name)
    with archive.open(entry) as source, target.open("wb") as file:
        left = entry.file_size
        while left and (chunk := source.read(min(left, 4 << 20))):
            file.write(chunk)
            left -= len(chunk)
    found = hash_of(target).hexdigest()
    if member.sha256 is not None and found != member.sha256:
        target.unlink()
        raise Damaged(f"{member.name} in the archive is not the file that is listed: its SHA-256 is {found[:16]}….")
    return {"size": entry.file_size, "sha256": found}


def _verify(folder: Path, files: dict[str, Any], report: Report) -> list[Damage]:
    total = sum(int(fact["size"]) for fact in files.values())
    damaged, done = [], 0
    for name, fact in files.items():
        path = folder / safe(name)
        why = ""
        try:
            if path.is_symlink() or path.stat().st_size != fact["size"]:
                why = "It has another size than it had."
            else:
                found = hash_of(path, lambda read, name=name, before=done: report(before + read, total, name))  # type: ignore[misc]
                why = "" if found.hexdigest() == fact["sha256"] else "Its bytes are not those that were fetched."
        except FileNotFoundError:
            why = "It is not there."
        except OSError as error:
            why = f"It cannot be read: {error.strerror}."
        if why:
            damaged.append(Damage(name, why))
            with contextlib.suppress(OSError):  # not there, or its disk refuses: either way nothing loads it
                path.rename(path.with_name(path.name + ".damaged"))
        done += int(fact["size"])
    return damaged


def _carried(file: File, target: Path) -> dict[str, Any]:
    """A file out of a package of framed's own environment."""
    spec = importlib.util.find_spec(file.package or "")
    places = (spec.submodule_search_locations if spec else None) or []
    source = next((found for place in places if (found := Path(place, file.path or file.name)).is_file()), None)
    if source is None:
        raise Unavailable(
            f"The Python package {file.package} does not hold {file.path or file.name}; reinstall framed."
        )
    shutil.copyfile(source, target)
    return _fact(target)


async def _broken(home: Path, fact: dict[str, Any]) -> list[Damage]:
    """An environment whose modules do not import is set aside, as a damaged file is."""
    why = await environment.problem(fact["modules"], home / weights.ENVIRONMENT / "bin" / "python")
    if why:
        with contextlib.suppress(OSError):  # gone, or its disk refuses: either way nothing runs it
            (home / weights.ENVIRONMENT).rename(home / f"{weights.ENVIRONMENT}.damaged")
    return [Damage(weights.ENVIRONMENT, why)] if why else []


def _sweep(folder: Path, facts: dict[str, Any]) -> None:
    """What is of no use any more: files of an earlier revision, damaged ones set aside."""
    shutil.rmtree(folder / f"{weights.ENVIRONMENT}.damaged", ignore_errors=True)
    for path in list(_files(folder)):
        if str(path.relative_to(folder)) not in {*facts, weights.MANIFEST}:
            path.unlink(missing_ok=True)


def _remove(folder: Path) -> int:
    """The manifest goes first: what breaks off in between is not taken for whole."""
    if folder.is_symlink():
        raise Unavailable(f"{folder} is a link; framed removes only what it put there itself.")
    freed = disk_use(folder)
    (folder / weights.MANIFEST).unlink(missing_ok=True)
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise Unavailable(f"{folder} cannot be removed: {error.strerror or error}.") from error
    return freed


def disk_use(folder: Path) -> int:
    """Bytes of a set's folder, unfinished downloads included."""
    made = _environment_of(folder)
    try:
        return made + sum(path.lstat().st_size for path in _files(folder))
    except OSError:
        return 0  # it is being removed this moment


def _files(folder: Path) -> Iterator[Path]:
    """All but an environment's, of which there are tens of thousands."""
    for here, folders, names in os.walk(folder):
        if Path(here) == folder and weights.ENVIRONMENT in folders:
            folders.remove(weights.ENVIRONMENT)
        yield from (Path(here, name) for name in names)


def _environment_of(folder: Path) -> int:
    fact = (weights.read_manifest(folder.name) or {}).get("environment") or {}
    return int(fact.get("size", 0))


def said(pulled: Pulled, title: str) -> str:
    """What came of a pull, as a sentence."""
    if not pulled.fetched:
        return f"{title} was here and whole."
    hashes = "" if pulled.published else " Their hashes are published nowhere; those of today are kept and held to."
    return f"{title} is here: {gigabytes(pulled.size)}.{hashes}"
