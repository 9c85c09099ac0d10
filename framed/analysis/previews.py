"""The cache of previews and thumbnails: where each lies, made again when lost, kept under its size."""

import asyncio
import os
import time
import zlib
from pathlib import Path
from typing import Any

import structlog

from framed.errors import BadPhoto, UnknownPhoto
from framed.models.base import Call, Compute
from framed.store.database import Database
from framed.store.photos import PhotoWork, work_of

log = structlog.get_logger(__name__)


class Previews:
    """`folder` holds `preview/aa/<uid>.jpg` and `thumb/aa/<uid>.jpg`; anything in it may be deleted at any time."""

    def __init__(
        self,
        *,
        folder: Path,
        compute: Compute,
        database: Database,
        max_bytes: int,
        limits: dict[str, Any] | None = None,
    ) -> None:
        self.folder = folder
        self._compute = compute
        self._database = database
        self._max_bytes = max_bytes
        self.limits = limits or {}
        """What one photo may cost; see `library.files.Limits`."""
        self._making: dict[str, asyncio.Task[None]] = {}

    def reconfigure(self, *, max_bytes: int) -> None:
        self._max_bytes = max_bytes

    def path(self, uid: str, size: str = "preview") -> Path:
        return self.folder / size / uid[:2] / f"{uid}.jpg"

    async def ensure(self, photo: PhotoWork, size: str = "preview", *, interactive: bool = False) -> Path:
        """The file, rebuilt from the photo where the cache lost it. BadPhoto: no readable file of it is left."""
        path = self.path(photo.uid, size)
        if not await asyncio.to_thread(path.exists):
            making = self._making.get(photo.uid)
            if making is None:
                making = asyncio.create_task(self._rebuild(photo, interactive), name=f"preview:{photo.uid}")
                self._making[photo.uid] = making
                making.add_done_callback(lambda _: self._making.pop(photo.uid, None))
            await asyncio.shield(making)
        return path

    async def ensure_uid(self, uid: str, size: str) -> Path:
        from framed.store.photos import ids_of

        found = await self._database.read(lambda c: work_of(c, list(ids_of(c, [uid]).values())))
        if not found:
            raise UnknownPhoto("There is no photo with that id.")
        return await self.ensure(found[0], size, interactive=True)

    async def face(self, uid: str, box: list[float]) -> Path:
        """A square cut of the preview around a face; the box, in shares, is part of its name."""
        name = f"{uid}-{zlib.crc32(repr(box).encode()):08x}.jpg"
        path = self.folder / "face" / uid[:2] / name
        if not await asyncio.to_thread(path.exists):
            preview = await self.ensure_uid(uid, "preview")
            inputs = {"path": os.fsencode(preview), "to": os.fsencode(path), "box": box}
            await self._compute.run(
                Call(task="crop", backend="pillow", inputs=inputs, interactive=True, timeout_s=20.0, label=uid)
            )
        return path

    async def _rebuild(self, photo: PhotoWork, interactive: bool) -> None:
        problem = BadPhoto("None of its files can be read any more.")
        for root, folder, name in photo.paths:
            path = b"/".join(part for part in (root, folder, name) if part)
            call = Call(
                task="examine",
                backend="pillow",
                inputs={
                    "path": path,
                    "name": name.decode(errors="replace"),
                    "steps": ["preview"],
                    "preview": os.fsencode(self.path(photo.uid)),
                    "thumb": os.fsencode(self.path(photo.uid, "thumb")),
                    "only": photo.uid,
                    "limits": self.limits,
                },
                interactive=interactive,
                label=photo.uid,
            )
            try:
                answer = await self._compute.run(call)
            except BadPhoto as error:
                problem = error
                continue
            if answer["problems"]:
                problem = BadPhoto(next(iter(answer["problems"].values())))
                continue
            return
        raise problem

    async def shrink(self) -> int:
        """Deletes the oldest files until the cache fits its size; how many. Run by the schedule."""
        return await asyncio.to_thread(_shrink, self.folder, self._max_bytes)


def _shrink(folder: Path, max_bytes: int) -> int:
    """Deletes files least lately used until the rest fits, and what a kill left half-written an hour ago or more."""
    entries: list[tuple[float, int, str]] = []
    before = time.time() - 3600
    for base, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(base, name)
            try:
                stat = os.stat(path)
            except FileNotFoundError:
                continue  # deleted meanwhile
            if name.endswith(".part") and stat.st_mtime < before:
                os.unlink(path)
                continue
            entries.append((stat.st_atime, stat.st_size, path))
    total = sum(size for _, size, _ in entries)
    if total <= max_bytes:
        return 0
    removed = 0
    for _, size, path in sorted(entries):
        if total <= max_bytes * 0.9:
            break
        try:
            os.unlink(path)
        except FileNotFoundError:
            continue  # deleted meanwhile
        total -= size
        removed += 1
    log.info("the picture cache was shrunk", removed=removed, megabytes=total >> 20)
    return removed
