"""Fetches one file of a model hub, a mirror or a folder: goes on where it was cut off, hashes while it writes.

What a server says is data: its redirects lead to encrypted places only (or stay where they were), its sizes are checked
while the bytes come, and a file gets its name only after its hash was found right.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import json
import os
import re
import shutil
import stat
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from pathlib import Path
from time import time
from typing import Any, BinaryIO

import aiohttp
import structlog
from yarl import URL

from framed import __version__
from framed.errors import Refused, Unavailable

log = structlog.get_logger(__name__)

HUB = "https://huggingface.co"
RESERVE = 256_000_000
"""Bytes of the disk that stay free: framed's database lives there too, as a rule."""
LARGEST = 20_000_000_000
TRIES = 6
"""So often in a row without a single new byte, then it is given up; what came stays for the next time."""
_CHUNK = 1 << 20
_LOOK_AT_DISK = 64 << 20
_REDIRECTS = 6
_LONGEST_WAIT_S = 300.0
_GIT_HASHED = 100_000_000

Report = Callable[[int, int], None]
"""Bytes that are here, bytes of the whole file (0: nobody said)."""


class Damaged(Unavailable):
    """What came is not what is listed or pinned; it was thrown away."""


class NotThere(Unavailable):
    """The hub has no such file."""


@dataclass(frozen=True)
class Wanted:
    """A file to be fetched. `name` is what people are told; `url` may be on a hub or elsewhere; `places` are where it
    lies below a folder that stands in for the hub."""

    name: str
    url: str
    size: int | None = None
    sha256: str | None = None
    places: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fetched:
    """`published`: the hub said this hash itself. `revision`: the commit that the hub served."""

    size: int
    sha256: str
    published: bool = False
    revision: str | None = None


@dataclass
class _Said:
    """What the hub says of a file in the headers of its answers."""

    sha256: str | None = None
    git: str | None = None
    size: int | None = None
    revision: str | None = None


class _AgainError(Exception):
    """It may go better next time: after `wait_s`, where the server named a time."""

    def __init__(self, why: str, wait_s: float | None = None) -> None:
        super().__init__(why)
        self.wait_s = wait_s


@dataclass
class _Part:
    """What has come of a file so far, and from which version of it."""

    path: Path
    url: str
    size: int = 0
    etag: str | None = None
    digest: Any = field(default_factory=hashlib.sha256)

    @property
    def note(self) -> Path:
        return self.path.with_name(self.path.name + ".json")

    def resume(self) -> None:
        """Blocks: takes up what is there, where it is of the same address."""
        try:
            kept = json.loads(self.note.read_text(encoding="utf-8"))
            if kept["url"] != self.url or not isinstance(kept["etag"], str):
                raise ValueError(self.url)
            self.digest = hash_of(self.path)
            self.size, self.etag = self.path.stat().st_size, kept["etag"]
        except (OSError, ValueError, KeyError, TypeError):
            self.drop()  # nothing there, or nothing that could be gone on with

    def drop(self) -> None:
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)
        self.size, self.etag, self.digest = 0, None, hashlib.sha256()

    def begin(self, etag: str | None) -> None:
        """A first byte is about to come. Without a strong ETag nothing says later that the rest belongs to it."""
        self.drop()
        if etag is not None:
            self.etag = etag
            self.note.write_text(json.dumps({"url": self.url, "etag": etag}), encoding="utf-8")

    def take(self, file: BinaryIO, chunk: bytes) -> None:
        file.write(chunk)
        self.digest.update(chunk)

    def finish(self, target: Path) -> None:
        with self.path.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(self.path, target)
        self.note.unlink(missing_ok=True)


@dataclass(frozen=True)
class Hub:
    """Where files come from: the model hub, or the mirror (address or folder) that stands in for it."""

    mirror: str | None = None
    offline: bool = False

    @property
    def folder(self) -> Path | None:
        if self.mirror is None or "://" in self.mirror:
            return None
        return Path(self.mirror).expanduser()

    @property
    def endpoint(self) -> str:
        return (self.mirror if self.mirror and self.folder is None else HUB).rstrip("/")


class Downloader:
    """`fetch` files, one or several at a time. Tests give their own disk, patience and clock."""

    def __init__(
        self,
        hub: Hub | None = None,
        *,
        free: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.hub = hub or Hub()
        self._free = free
        self._sleep = sleep

    async def fetch(self, wanted: Wanted, target: Path, report: Report = lambda done, total: None) -> Fetched:
        """The file at `target`, whole and of the wanted hash. Raises Unavailable with a sentence; cancelling leaves
        what has come beside it for the next time."""
        try:
            if self.hub.folder is not None:
                return await self._copy(self.hub.folder, wanted, target, report)
            if self.hub.offline:
                raise Unavailable(OFFLINE)
            return await self._fetch(wanted, target, report)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise Unavailable(
                    f"The disk is full: {wanted.name} could not be written to {target.parent}."
                ) from error
            raise Unavailable(f"{wanted.name} cannot be written: {error.strerror or error}.") from error

    def room(self, folder: Path, wanted: int, what: str) -> None:
        """Raises Unavailable where `wanted` bytes more would fill the disk."""
        free = self._free(folder)
        if free < wanted + RESERVE:
            raise Unavailable(
                f"The disk has too little room for {what}: {gigabytes(wanted)} are wanted, and {gigabytes(free)} are"
                f" free at {folder}, of which {gigabytes(RESERVE)} are left alone."
            )

    # -- from a folder -------------------------------------------------------------------------------------------

    async def _copy(self, root: Path, wanted: Wanted, target: Path, report: Report) -> Fetched:
        source = await asyncio.to_thread(_find, root, wanted)
        part = _Part(target.with_name(target.name + ".part"), f"file:{source}")
        size = (await asyncio.to_thread(source.stat)).st_size
        _check_size(wanted, size)
        await asyncio.to_thread(self.room, target.parent, size, wanted.name)
        await asyncio.to_thread(part.begin, None)
        handle = await asyncio.to_thread(os.open, source, os.O_RDONLY | os.O_NOFOLLOW)
        with os.fdopen(handle, "rb") as stream, await asyncio.to_thread(part.path.open, "wb") as file:
            while chunk := await asyncio.to_thread(stream.read, 4 * _CHUNK):
                await asyncio.to_thread(part.take, file, chunk)
                part.size += len(chunk)
                report(part.size, size)
        return await self._accept(wanted, part, target, _Said())

    # -- over HTTP -----------------------------------------------------------------------------------------------

    async def _fetch(self, wanted: Wanted, target: Path, report: Report) -> Fetched:
        part = _Part(target.with_name(target.name + ".part"), wanted.url)
        await asyncio.to_thread(part.resume)
        tries, fresh = 0, part.size == 0
        async with self._session() as session:
            while True:
                before = part.size
                try:
                    said = await self._attempt(session, wanted, part, report)
                    return await self._accept(wanted, part, target, said)
                except Damaged:
                    if fresh:
                        raise
                    fresh = True  # what was there from an earlier day may be the bad half
                except (_AgainError, aiohttp.ClientError, TimeoutError) as error:
                    tries = 1 if part.size > before else tries + 1
                    why = str(error) or type(error).__name__
                    if tries >= TRIES:
                        raise Unavailable(
                            f"{wanted.name} could not be fetched from {_place(wanted.url)}: {_plain(why)}."
                            f" What has come is kept, and the next pull goes on from there."
                        ) from error
                    wait_s = getattr(error, "wait_s", None)
                    wait_s = min(2.0**tries, 60.0) if wait_s is None else min(wait_s, _LONGEST_WAIT_S)
                    log.info("a download goes on in a moment", file=wanted.name, why=_plain(why), seconds=wait_s)
                    await self._sleep(wait_s)

    @asynccontextmanager
    async def _session(self) -> Any:
        async with aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=60),
            headers={"User-Agent": f"framed/{__version__}", "Accept-Encoding": "identity"},
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=not _here(URL(self.hub.endpoint)),  # the house's proxy; never for this machine itself
        ) as session:
            yield session

    async def _attempt(self, session: aiohttp.ClientSession, wanted: Wanted, part: _Part, report: Report) -> _Said:
        response, said = await self._open(session, wanted, part)
        async with response:
            total = await self._begin(response, wanted, part, said)
            await self._stream(response, wanted, part, total, report)
        return said

    async def _open(
        self, session: aiohttp.ClientSession, wanted: Wanted, part: _Part
    ) -> tuple[aiohttp.ClientResponse, _Said]:
        """The answer that carries bytes, after the redirects; what the hub said on the way."""
        start = URL(wanted.url)
        at, said = start.with_user(None), _Said()
        headers = {"Range": f"bytes={part.size}-", "If-Range": part.etag} if part.size and part.etag else {}
        for _ in range(_REDIRECTS):
            own = at.origin() == start.with_user(None).origin()
            auth = aiohttp.BasicAuth(start.user, start.password or "") if own and start.user else None
            response = await session.get(at, headers=headers, auth=auth, allow_redirects=False)
            if own:
                said = _heard(response, said)
            if response.status in (200, 206):
                return response, said
            response.release()
            if response.status not in (301, 302, 303, 307, 308):
                _refuse(response, wanted, own, part)
            at = _next(at, start, response.headers.get("Location", ""), wanted)
        raise Unavailable(f"{_place(wanted.url)} sends framed in circles for {wanted.name}.")

    async def _begin(self, response: aiohttp.ClientResponse, wanted: Wanted, part: _Part, said: _Said) -> int:
        """How many bytes the whole file has, 0 where nobody says; the part is ready for the bytes that come."""
        etag = response.headers.get("ETag")
        if response.status == 206:
            found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
            if found is None or int(found[1]) != part.size:
                await asyncio.to_thread(part.drop)
                raise _AgainError("the server answered with another range than was asked for", 0.0)
            total = int(found[2]) if found[2].isdigit() else said.size or 0
        else:
            await asyncio.to_thread(part.begin, etag if etag and etag.startswith('"') else None)
            total = response.content_length or said.size or 0
        if total:
            try:
                _check_size(wanted, total)
            except Damaged:
                await asyncio.to_thread(part.drop)
                raise
        await asyncio.to_thread(
            self.room, part.path.parent, max((total or wanted.size or 0) - part.size, 0), wanted.name
        )
        return total

    async def _stream(
        self, response: aiohttp.ClientResponse, wanted: Wanted, part: _Part, total: int, report: Report
    ) -> None:
        most = total or wanted.size or LARGEST
        looked_at = part.size
        file = await asyncio.to_thread(part.path.open, "ab" if response.status == 206 else "wb")
        try:
            async for chunk in response.content.iter_chunked(_CHUNK):
                if part.size + len(chunk) > most:
                    await asyncio.to_thread(part.drop)
                    raise Damaged(f"{_place(wanted.url)} sends more of {wanted.name} than it has ({most:,} bytes).")
                await asyncio.to_thread(part.take, file, chunk)
                part.size += len(chunk)
                report(part.size, total)
                if part.size - looked_at >= _LOOK_AT_DISK:
                    looked_at = part.size
                    await asyncio.to_thread(self.room, part.path.parent, max(total - part.size, 0), wanted.name)
        finally:
            await asyncio.to_thread(file.close)
        if part.size < total:
            raise _AgainError("the connection ended early")

    async def _accept(self, wanted: Wanted, part: _Part, target: Path, said: _Said) -> Fetched:
        """The hash decides; only then the file has its name."""
        try:
            _check_size(wanted, part.size)
            found = part.digest.hexdigest()
            expected = wanted.sha256 or said.sha256
            if expected is not None and found != expected.lower():
                raise Damaged(
                    f"{wanted.name} is not the file that is listed: its SHA-256 is {found[:16]}…, and"
                    f" {expected[:16]}… was expected. It was thrown away."
                )
            if expected is None and said.git is not None and part.size <= _GIT_HASHED:
                if await asyncio.to_thread(_git_hash, part.path) != said.git:
                    raise Damaged(f"{wanted.name} did not arrive as the hub has it. It was thrown away.")
                expected = found
        except Damaged:
            await asyncio.to_thread(part.drop)
            raise
        await asyncio.to_thread(part.finish, target)
        return Fetched(part.size, found, published=expected is not None, revision=said.revision)


OFFLINE = (
    "models.offline is true in config.yaml, so nothing is downloaded. Set it to false, or name a folder that holds the"
    " files as models.mirror."
)


def gigabytes(size: int) -> str:
    """3.9 GB, 24 MB, 1 kB."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}" if unit == "GB" else f"{size / factor:.0f} {unit}"
    return f"{max(size, 0) / 1e3:.0f} kB"


def hash_of(path: Path, report: Callable[[int], None] = lambda done: None) -> Any:
    """Blocks. The running SHA-256 of a file; `report` gets the bytes read so far."""
    digest = hashlib.sha256()
    done = 0
    with path.open("rb") as file:
        while chunk := file.read(4 * _CHUNK):
            digest.update(chunk)
            done += len(chunk)
            report(done)
    return digest


def safe(name: str) -> str:
    """The same name, where it is one of a file below the folder at hand. Raises Refused."""
    parts = name.split("/")
    bad = {"", ".", ".."} & set(parts) or "\\" in name or "\0" in name or ":" in name
    if bad or not name.isprintable() or len(name) > 200:
        raise Refused(f"{name[:80]!r} is not the name of a file of a model.")
    return name


def _find(root: Path, wanted: Wanted) -> Path:
    """The file below a folder that stands in for the hub; no link on the way there."""
    if not root.is_dir():
        raise Unavailable(f"models.mirror names the folder {root}, and there is none.")
    for place in wanted.places:
        at = root
        for name in safe(place).split("/"):
            at = at / name
            try:
                kind = at.lstat().st_mode
            except FileNotFoundError:
                break
            if stat.S_ISLNK(kind):
                raise Refused(f"{at} is a link, and links are not followed in a mirror: copy the file itself there.")
        else:
            if stat.S_ISREG(kind):
                return at
    raise NotThere(f"{wanted.name} is not in the mirror: put it to {root / wanted.places[0]}.")


def _next(at: URL, start: URL, location: str, wanted: Wanted) -> URL:
    try:
        to = at.join(URL(location)).with_user(None)
        same = to.origin() == start.with_user(None).origin()
    except ValueError as error:
        raise Unavailable(f"{_place(str(at))} sends framed nowhere for {wanted.name}.") from error
    if to.scheme != "https" and not same:
        raise Refused(f"{_place(str(at))} sends framed to {to.scheme}://{to.host}, which is not encrypted.")
    return to


def _heard(response: aiohttp.ClientResponse, said: _Said) -> _Said:
    """Only a hub's own answer counts (it names a commit): another server's ETag may mean anything."""
    headers = response.headers
    if revision := headers.get("X-Repo-Commit"):
        said = replace(said, revision=revision if re.fullmatch(r"[0-9a-f]{40}", revision) else None)
        tag = (headers.get("X-Linked-ETag") or headers.get("ETag") or "").removeprefix("W/").strip('"').lower()
        if re.fullmatch(r"[0-9a-f]{64}", tag):
            said = replace(said, sha256=tag)
        elif re.fullmatch(r"[0-9a-f]{40}", tag):
            said = replace(said, git=tag)
    size = headers.get("X-Linked-Size", "")
    return replace(said, size=int(size)) if size.isdigit() else said


def _refuse(response: aiohttp.ClientResponse, wanted: Wanted, own: bool, part: _Part) -> None:
    place = _place(str(response.url))
    match response.status:
        case 416:
            part.drop()
            raise _AgainError("the server has less of the file than had come", 0.0)
        case 404 | 410:
            raise NotThere(f"{place} has no {wanted.name}.")
        case 401 | 403 if own:
            raise Unavailable(
                f"{place} gives {wanted.name} only to who has signed in and agreed there ({response.status}). Fetch it"
                f" with your account, and name the folder you put it in as models.mirror."
            )
        case 401 | 403 | 408 | 425 | 429 | 500 | 502 | 503 | 504:
            raise _AgainError(f"it answered {response.status}", _retry_after(response))
    raise Unavailable(f"{place} answered {response.status} for {wanted.name}.")


def _retry_after(response: aiohttp.ClientResponse) -> float | None:
    said = response.headers.get("Retry-After", "").strip()
    if said.isdigit():
        return float(said)
    try:
        return max(parsedate_to_datetime(said).timestamp() - time(), 0.0)
    except (TypeError, ValueError):
        return None  # not said, or not understood: the usual patience


def _check_size(wanted: Wanted, size: int) -> None:
    if wanted.size is not None and size != wanted.size:
        raise Damaged(f"{wanted.name} has {size:,} bytes there, and {wanted.size:,} are listed: it is another file.")
    if size > LARGEST:
        raise Damaged(f"{wanted.name} has {size:,} bytes, more than any model framed knows.")


def _git_hash(path: Path) -> str:
    data = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _here(url: URL) -> bool:
    return url.host in ("localhost", "127.0.0.1", "::1")


def _place(url: str) -> str:
    """The server as people know it; never the credentials or the signature of an address."""
    at = URL(url)
    return at.host or at.scheme


def _plain(why: str) -> str:
    """A library's words without the addresses in them, which may be signed."""
    return re.sub(r"\w+://\S+", "its address", why)[:200].rstrip(".")
