"""A wall of frames without hosts, broker or pages: what is rendered and said is written down and answered at once."""

import asyncio
from collections.abc import Mapping
from datetime import UTC
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from framed.bus import Bus
from framed.frames.player import Player
from framed.frames.registry import Frame, FrameConfig, Registry
from framed.frames.rendered import CROWD, RenderedPictures
from framed.models.base import Call, Progress
from framed.store import photos as photo_rows
from framed.store import playlists
from framed.store.database import Database
from framed.store.tables import photos

PHOTOS = CROWD + 3


class Hosts:
    """Compute hosts that say what they were asked, and answer for stand-ins and for sharp pictures once they may."""

    def __init__(self) -> None:
        self.asked: asyncio.Queue[tuple[int, bool]] = asyncio.Queue()
        self.rough, self.sharp = asyncio.Event(), asyncio.Event()

    async def run(self, call: Call, *, progress: Progress | None = None) -> dict[str, Any]:
        panel, rough = call.inputs["panel"], call.inputs["rough"]
        self.asked.put_nowait((panel["width"], rough))
        await (self.rough if rough else self.sharp).wait()
        name = f"{call.label}-{panel['width']}"
        file = Path(call.inputs["output_dir"].decode()) / name[:2] / f"{name}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        size = {"width": panel["width"], "height": panel["height"], "bytes": 1}
        return {"sha256": name, "ext": "jpg", "mime": "image/jpeg", "thumb": b"" if rough else b"small", **size}


class Shows:
    """A publisher that keeps what frames are told to show."""

    def __init__(self) -> None:
        self.told: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue()

    async def show(self, frame: Frame, payload: Mapping[str, Any] | None) -> None:
        if payload is not None:
            self.told.put_nowait(payload)

    async def image(self, frame: Frame, data: bytes | None, mime: str, sha256: str) -> None: ...
    async def playlist(self, frame: Frame, payload: Mapping[str, Any] | None) -> None: ...
    async def state(self, frame: Frame, payload: Mapping[str, Any]) -> None: ...
    async def thumb(self, frame: Frame, data: bytes) -> None: ...
    async def control(self, frame: Frame, payload: Mapping[str, Any]) -> None: ...


class Previews:
    """Every photo has its preview already."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "preview.jpg"
        self._file.touch()

    def path(self, uid: str, size: str = "preview") -> Path:
        return self._file

    async def ensure(self, photo: photo_rows.PhotoWork, size: str = "preview", *, interactive: bool = False) -> Path:
        return self._file


class Wall:
    def __init__(self, database: Database, folder: Path) -> None:
        self.hosts = Hosts()
        self.shows = Shows()
        self._database = database
        self._folder = folder
        self.frames: Registry
        self.rendered: RenderedPictures
        self.player: Player
        self.cards: list[dict[str, Any]] = []

    def start(self) -> None:
        """What a daemon has of the frames; again after `stop`, as a restart has it."""
        self.rendered = RenderedPictures(
            database=self._database,
            compute=self.hosts,
            previews=Previews(self._folder),
            folder=self._folder / "out",
            max_bytes=10**9,
        )
        self.player = Player(
            database=self._database,
            rendered=self.rendered,
            registry=self.frames,
            publisher=self.shows,
            bus=Bus(),
            base_url=lambda: "http://framed.lan",
            caption=lambda card: "",
            timezone=UTC,
        )

    async def stop(self) -> None:
        await self.player.close()
        await self.rendered.close()

    async def hang(self) -> None:
        frames = [
            FrameConfig(id="large", width=1920, height=1080),
            FrameConfig(id="small", width=800, height=480),
            FrameConfig(id="inked", width=1600, height=1200, palette="spectra6"),
            FrameConfig(id="asleep"),
        ]
        self.frames = Registry(database=self._database, configured=frames, interval_s=600, fit="cover", default="")

        def write(connection: Any) -> None:
            for number in range(1, PHOTOS + 1):
                values = {"uid": f"photo{number}", "sha256": bytes([number]), "state": "completed", "added_at": 0.0}
                connection.execute(insert(photos).values(id=number, **values))

            items = [playlists.Item(number, 1.0, []) for number in range(1, PHOTOS + 1)]
            playlists.put(connection, id="all", name="All", plan=None, items=items, relaxed=[], left_out={})

        await self._database.write(write)
        await self.frames.load()
        await self.frames.hello("asleep", {"width": 1920, "height": 1080, "sleeps": True}, "hello")
        found = await self._database.read(lambda c: photo_rows.cards(c, range(1, PHOTOS + 1)))
        self.cards = [found[number] for number in sorted(found)]
        self.start()

    async def asked(self, frame: str, photos: int) -> list[tuple[dict[str, Any], bool]]:
        """The answers for so many photos, all asked for by people at once, one after the other in this order."""
        gets = []
        for card in self.cards[:photos]:
            gets.append(asyncio.create_task(self.rendered.get(self.frames.get(frame), card, quick="in a crowd")))
            await self.hosts.asked.get()
        self.hosts.rough.set()
        self.hosts.sharp.set()
        return await asyncio.gather(*gets)
