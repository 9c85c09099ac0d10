"""A photo folder with its scanner and database, and a stand-in for the reader of files."""

import asyncio
import hashlib
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import func, insert, select

from framed.events import PhotoGone
from framed.library.scanner import LibrarySettings, Root, Scanner
from framed.library.waiting import FileToRead
from framed.store import files as stored
from framed.store.database import Database
from framed.store.tables import files, folders, photo_steps, photos, roots

SUFFIXES = frozenset({".jpg", ".png"})
LONG_AGO = 1_600_000_000


class CountingDatabase(Database):
    """Notes which store functions wrote."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.writes: list[str] = []

    async def write(self, work: Callable[..., Any], *, durable: bool = False) -> Any:
        self.writes.append(getattr(getattr(work, "func", work), "__name__", "?"))
        return await super().write(work, durable=durable)


class Shelf:
    def __init__(self, folder: Path, database: CountingDatabase) -> None:
        self.folder = folder
        self.database = database
        self.events: list[Any] = []
        self.ages = 0

    def scanner(self, *others: Root | str, rules: dict[str, Any] | None = None, **options: Any) -> Scanner:
        """A scanner of `folder` under `rules` and of `others`; files count as settled at once unless told."""
        names = LibrarySettings.model_fields.keys() & options.keys()
        settings = {name: options.pop(name) for name in names}
        settings = {"settle_s": 0.0, "roots": [Root(path=str(self.folder), **(rules or {})), *others], **settings}
        return Scanner(
            database=self.database,
            settings=LibrarySettings.model_validate(settings),
            suffixes=SUFFIXES,
            emit=self.events.append,
            **options,
        )

    def put(self, path: str | bytes, content: bytes = b"", *, at: int = LONG_AGO) -> bytes:
        """Writes a file whose content is its own name unless given; its folder looks old as well."""
        target = os.path.join(os.fsencode(self.folder), os.fsencode(path))
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "wb") as file:
            file.write(content or os.fsencode(path))
        os.utime(target, (at, at))
        self.age()
        return target

    def age(self) -> None:
        """Lets every folder look old, so that the next change in one shows in its mtime whatever the clock's tick."""
        for folder, _, _ in os.walk(os.fsencode(self.folder)):
            if os.stat(folder).st_mtime > LONG_AGO + 10**7:
                self.ages += 1
                os.utime(folder, (LONG_AGO, LONG_AGO + self.ages))

    def on_disk(self) -> dict[str, bytes]:
        """By path under the folder what each file holds."""
        return {
            str(path.relative_to(self.folder)): path.read_bytes() for path in self.folder.rglob("*") if path.is_file()
        }

    async def read(self, scanner: Scanner) -> list[str]:
        """Reads what is to be read as the real reader does; gives the names."""
        names = []
        for file in await scanner.files.todo(10_000):
            digest = await asyncio.to_thread(_digest, file.path)
            photo = await self.database.write(lambda c, digest=digest: _photo(c, digest))
            await self.mark_read(file, photo)
            names.append(os.fsdecode(file.path).removeprefix(f"{self.folder}/"))
        return sorted(names)

    async def mark_read(self, file: FileToRead, photo: int) -> None:
        mark = partial(stored.mark_read, file_id=file.id, photo_id=photo, now=time.time(), seen=file.seen)
        _, gone = await self.database.write(mark)
        self.events += [PhotoGone(photo.uid, photo.photo_id) for photo in gone]

    async def unread(self) -> dict[str, int]:
        """How many files are in each state that are not read."""
        query = select(files.c.state, func.count()).where(files.c.state != "read").group_by(files.c.state)
        rows = await self.database.read(lambda c: c.execute(query).all())
        return dict(tuple(row) for row in rows)

    async def shelve(self, scanner: Scanner) -> dict[str, int]:
        await scanner.scan()
        await self.read(scanner)
        self.events.clear()
        return await self.photos()

    async def photos(self) -> dict[str, int]:
        """By path under its root the photo that each file holds."""
        query = select(folders.c.path, files.c.name, files.c.photo_id).select_from(files.join(folders))
        rows = await self.database.read(lambda c: c.execute(query).all())
        return {os.fsdecode(os.path.join(folder, name)): photo for folder, name, photo in rows}

    async def states(self) -> dict[int, str]:
        rows = await self.database.read(lambda c: c.execute(select(photos.c.id, photos.c.state)).all())
        return dict(tuple(row) for row in rows)

    async def set_root(self, **values: Any) -> None:
        await self.database.write(lambda c: c.execute(roots.update().values(**values)))

    async def add_step(self, photo: int, step: str, state: str) -> None:
        row = {"photo_id": photo, "step": step, "version": 1, "state": state, "attempts": 1, "at": 0.0}
        await self.database.write(lambda c: c.execute(insert(photo_steps).values(row)))

    @property
    def gone(self) -> list[int]:
        return [event.photo_id for event in self.events if isinstance(event, PhotoGone)]


def _digest(path: bytes) -> bytes:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _photo(connection: Any, digest: bytes) -> int:
    known = connection.execute(select(photos.c.id).where(photos.c.sha256 == digest)).scalar()
    if known is not None:
        return int(known)
    row = {"uid": digest.hex()[:16], "sha256": digest, "state": "completed", "added_at": 0.0}
    return int(connection.execute(insert(photos).values(row).returning(photos.c.id)).scalar_one())


async def until(condition: Callable[[], Any], limit_s: float = 60.0) -> None:
    """Waits for a condition that another task brings about; it may be a coroutine function."""
    async with asyncio.timeout(limit_s):
        while True:
            found = condition()
            if await found if asyncio.iscoroutine(found) else found:
                return
            await asyncio.sleep(0.01)
