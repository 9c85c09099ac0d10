"""The pictures that frames show: a photo rendered once per panel, kept by its key, deleted when they are too many."""

import asyncio
import contextlib
import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from sqlalchemy import RowMapping

from framed.background import end_tasks
from framed.frames.base import Panel, logical_size, render_key
from framed.frames.publish import PLAYLIST_ITEMS
from framed.frames.registry import Frame, focus_of
from framed.models.base import Call, Compute
from framed.store import frames as rows
from framed.store import photos as photo_rows
from framed.store.database import Database

PREVIEW_PX = 1440
"""A panel of at most this side gets all it can show from the preview."""
STAND_IN_PX = 720
STAND_IN_SHARE = 0.6  # of the panel's sides at most: more would take nearly as long as the sharp picture
LONG_PIXELS = 700_000
"""A picture of more is not waited for: 65 ms of CPU at 1280 × 800, 130 at 1920 × 1080; half the preview takes 20."""
LONG_IN_A_CROWD_PIXELS = 300_000
"""Where many wait, neither is one of more than this: 35 ms at 800 × 480, 12 for its stand-in."""
CROWD = 4
"""So many pictures that somebody waits for are under way: the ones after them would wait for all of these."""
ROUGH = ":rough"

Quick = Literal["never", "in a crowd", "always"]
"""When a stand-in made from the preview may come first: `in a crowd` is when a wall of frames asks at once."""


class Previews(Protocol):
    """The cache of previews, as `analysis.previews` keeps it."""

    def path(self, uid: str, size: str = "preview") -> Path: ...

    async def ensure(
        self, photo: photo_rows.PhotoWork, size: str = "preview", *, interactive: bool = False
    ) -> Path: ...


class RenderedPictures:
    """What is rendered is a file by its SHA-256 under `folder`, and a row by its key; `max_bytes` bounds the files."""

    def __init__(
        self, *, database: Database, compute: Compute, previews: Previews, folder: Path, max_bytes: int
    ) -> None:
        self.max_bytes = max_bytes
        self._database = database
        self._compute = compute
        self._previews = previews
        self._folder = folder
        self._rendering: dict[str, asyncio.Task[dict[str, Any]]] = {}
        self._waited_for = 0
        self._stand_ins = 0
        self._no_stand_in = asyncio.Event()
        self._no_stand_in.set()

    @property
    def busy(self) -> bool:
        return bool(self._rendering)

    async def close(self) -> None:
        await end_tasks(*self._rendering.values())

    def path(self, sha256: str, ext: str) -> Path:
        return self._folder / sha256[:2] / f"{sha256}.{ext}"

    def _key(self, frame: Frame, card: Mapping[str, Any], *, panel: Panel | None = None, rough: bool = False) -> str:
        key = render_key(
            card["sha256"].hex(),
            panel or frame.panel,
            focus_of(card["people"]),
            self._overlay(frame, card),
            monochrome=bool(card["monochrome"]),
        )
        return key + ROUGH if rough else key

    @staticmethod
    def _overlay(frame: Frame, card: Mapping[str, Any]) -> str:
        if frame.panel.overlay == "caption":
            return str(card["title"] or card["caption"] or "")
        if frame.panel.overlay == "date" and card["taken"] is not None:
            when = datetime.fromtimestamp(card["taken"], UTC)  # wall time, counted as if it were UTC
            said = {"year": f"{when:%Y}", "month": f"{when:%B %Y}"}
            return said.get(card["taken_precision"], f"{when.day} {when:%B %Y}")
        if frame.panel.overlay == "place" and card["places"]:
            return str(card["places"][0]["name"])
        return ""

    async def get(
        self, frame: Frame, card: Mapping[str, Any], *, quick: Quick = "never", urgent: bool = True
    ) -> tuple[dict[str, Any], bool]:
        """The rendered picture, and whether it is only the rough one. `urgent`: somebody waits for it."""
        key = self._key(frame, card)
        kept = await self.kept(key)
        if kept is not None:
            return kept, False
        preview = await self._preview(card)
        if preview is not None and self._may_stand_in(frame, quick):
            stand_in = _stand_in(frame.panel)
            key = self._key(frame, card, rough=True)
            return await self._render(key, frame, card, source=preview, panel=stand_in), True
        source = preview if _is_small(frame.panel) else None
        return await self._render(key, frame, card, source=source, urgent=urgent), False

    def _may_stand_in(self, frame: Frame, quick: Quick) -> bool:
        """Inks are slow to change, and a frame that sleeps would keep a stand-in until it wakes again."""
        if quick == "never" or frame.panel.has_inks or frame.sleeps:
            return False
        pixels = frame.panel.width * frame.panel.height
        if self._waited_for >= CROWD:
            return pixels > LONG_IN_A_CROWD_PIXELS
        return quick == "always" and pixels > LONG_PIXELS

    async def stand_ins_done(self) -> None:
        """Until no stand-in is being made: what is to take the place of one comes after all of them."""
        await self._no_stand_in.wait()

    async def sharp(self, frame: Frame, card: Mapping[str, Any]) -> dict[str, Any]:
        """The picture as it should be, however long it takes."""
        source = await self._preview(card) if _is_small(frame.panel) else None
        return await self._render(self._key(frame, card), frame, card, source=source)

    async def _preview(self, card: Mapping[str, Any]) -> Path | None:
        path = self._previews.path(card["uid"])
        return path if await asyncio.to_thread(path.exists) else None

    async def kept(self, key: str) -> dict[str, Any] | None:
        row = await self._database.read(lambda c: rows.render(c, key))
        if row is None:
            return None
        if not await asyncio.to_thread(self.path(row["sha256"], row["ext"]).exists):
            await self._database.write(lambda c: rows.forget_render(c, key))
            return None
        return dict(row)

    async def _render(
        self,
        key: str,
        frame: Frame,
        card: Mapping[str, Any],
        *,
        source: Path | None = None,
        panel: Panel | None = None,
        urgent: bool = True,
    ) -> dict[str, Any]:
        """Once per key, however many ask at the same time."""
        kept = await self.kept(key)
        if kept is not None:
            return kept
        task = self._rendering.get(key)
        if task is None:
            overlay = self._overlay(frame, card)
            work = self._render_panel(key, panel or frame.panel, card, overlay, source=source, urgent=urgent)
            task = asyncio.create_task(work, name=f"render:{card['uid']}")
            self._begun(key, task, urgent=urgent)
        return await asyncio.shield(task)

    def _begun(self, key: str, task: asyncio.Task[dict[str, Any]], *, urgent: bool) -> None:
        self._rendering[key] = task
        self._count(key, 1, urgent=urgent)

        def ended(_: asyncio.Task[dict[str, Any]]) -> None:
            del self._rendering[key]
            self._count(key, -1, urgent=urgent)

        task.add_done_callback(ended)

    def _count(self, key: str, more: int, *, urgent: bool) -> None:
        self._waited_for += more * urgent
        self._stand_ins += more * key.endswith(ROUGH)
        if self._stand_ins:
            self._no_stand_in.clear()
        else:
            self._no_stand_in.set()

    async def rendered_for(self, frame: Frame, card: Mapping[str, Any], panel: Panel) -> dict[str, Any]:
        """The photo on a panel like the frame's, of another size or format: made once, then kept."""
        return await self._render(self._key(frame, card, panel=panel), frame, card, panel=panel)

    async def _render_panel(
        self,
        key: str,
        panel: Panel,
        card: Mapping[str, Any],
        overlay: str,
        *,
        source: Path | None = None,
        urgent: bool = True,
    ) -> dict[str, Any]:
        """Renders a photo for a panel and keeps it under `key`; its row. BadPhoto: nothing of it is left."""
        original = preview = source
        if original is None or preview is None:
            work = (await self._database.read(lambda c: photo_rows.work_of(c, [card["id"]])))[0]
            preview = await self._previews.ensure(work, interactive=urgent)
            paths = [b"/".join(part for part in path if part) for path in work.paths]
            original = Path(os.fsdecode(paths[0])) if paths else preview
        answer = await self._compute.run(
            Call(
                task="render",
                backend="pillow",
                inputs={
                    "source": os.fsencode(original),
                    "preview": os.fsencode(preview),
                    "output_dir": os.fsencode(self._folder),
                    "panel": panel.model_dump(mode="json"),
                    "focus": [box.model_dump() for box in focus_of(card["people"])],
                    "monochrome": bool(card["monochrome"]),
                    "overlay_text": overlay,
                    "rough": key.endswith(ROUGH),
                },
                interactive=urgent,
                label=card["uid"],
            )
        )
        values = {
            "photo_id": card["id"],
            "sha256": answer["sha256"],
            "ext": answer["ext"],
            "mime": answer["mime"],
            "width": answer["width"],
            "height": answer["height"],
            "bytes": answer["bytes"],
            "thumb": answer["thumb"],
        }
        await self._database.write(lambda c: rows.keep_render(c, key, **values))
        return {"key": key, **values}

    async def ready(self, frame: Frame, ids: list[int], position: int) -> list[tuple[str, Mapping[str, Any]]]:
        """Item and rendered picture of what is shown and what comes next, as far as it is rendered, in order."""
        order = [(position + offset) % len(ids) for offset in range(min(len(ids), PLAYLIST_ITEMS))] if ids else []

        def read(connection: Any) -> tuple[dict[str, RowMapping], dict[int, dict[str, Any]]]:
            rendered = rows.renders_of(connection, [ids[place] for place in order])
            photos = {picture["photo_id"] for picture in rendered.values()}
            return rendered, photo_rows.cards(connection, list(photos))

        rendered, found = await self._database.read(read)
        keys = [
            (place, found[ids[place]], self._key(frame, found[ids[place]])) for place in order if ids[place] in found
        ]
        return [(f"{card['uid']}-{place}", dict(rendered[key])) for place, card, key in keys if key in rendered]

    async def tidy(self) -> None:
        """Keeps the rendered pictures under their size; run by the schedule."""
        await asyncio.to_thread(_sweep, self._folder)
        old = await self._database.read(lambda c: rows.oldest_renders(c, self.max_bytes))
        for row in old:
            path = self.path(row["sha256"], row["ext"])
            await asyncio.to_thread(path.unlink, missing_ok=True)
            await self._database.write(lambda c, key=row["key"]: rows.forget_render(c, key))  # type: ignore[misc]


def _sweep(folder: Path) -> None:
    """Deletes what a kill left half-written an hour ago or more."""
    before = time.time() - 3600
    for path in folder.glob("*/*.part"):
        with contextlib.suppress(FileNotFoundError):  # it has been finished meanwhile
            if path.stat().st_mtime < before:
                path.unlink()


def _is_small(panel: Panel) -> bool:
    return max(logical_size(panel)) <= PREVIEW_PX


def _stand_in(panel: Panel) -> Panel:
    """The same panel with fewer pixels, which the frame enlarges for the second until the sharp picture comes."""
    factor = min(STAND_IN_SHARE, STAND_IN_PX / max(panel.width, panel.height))
    return panel.model_copy(update={"width": round(panel.width * factor), "height": round(panel.height * factor)})
