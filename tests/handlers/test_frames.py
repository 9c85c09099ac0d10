"""What a frame asks of other families of requests: their answers are passed on, also those that say why not."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Connection

from framed.bus import Bus
from framed.errors import FramedError, Unavailable
from framed.frames.registry import Registry
from framed.handlers.frames import FrameHandler
from framed.router import Request, Router, answers
from framed.store import photos
from framed.store.database import Database


class Lookalikes:
    """The photos' requests; `items` are alike, and a `problem` that is an error is raised."""

    def __init__(self, items: list[str], problem: str | FramedError | None = None) -> None:
        self.items, self.problem = items, problem

    @answers("photo/similar", Request)
    async def similar(self, request: Request) -> dict[str, Any]:
        if isinstance(self.problem, FramedError):
            raise self.problem
        return {"items": [{"photo": uid} for uid in self.items], "problem": self.problem}

    @answers("playlist/set", Request)
    async def set(self, request: Request) -> dict[str, Any]:
        raise Unavailable("The list could not be stored.")


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(tmp_path / "framed.db")
    await database.start()
    yield database
    await database.close()


async def hall(database: Database, lookalikes: Lookalikes) -> FrameHandler:
    """The handler of a frame that shows a photo."""

    def one(connection: Connection) -> int:
        return photos.intake(connection, hashlib.sha256(b"cat").digest(), {})[0]

    photo, router = await database.write(one), Router(database=database)

    async def current(frame: str) -> tuple[int, None]:
        return photo, None

    router.add(lookalikes)
    registry = Registry(database=database, configured=(), interval_s=60, fit="cover", default="")
    await registry.load()
    await registry.add("hall", None, "added")
    more: Any = {"player": SimpleNamespace(current=current), "names": None, "removed": None, "base_url": str}
    return FrameHandler(database=database, bus=Bus(), registry=registry, router=router, **more)


async def test_more_like_this_says_why_nothing_could_be_compared(database: Database) -> None:
    handler = await hall(database, Lookalikes([], "It has not been looked at yet."))

    assert (await handler.command("hall", {"action": "more_like_this"}))["speech"] == "It has not been looked at yet."


@pytest.mark.parametrize(
    ("lookalikes", "said"),
    [
        (Lookalikes([], Unavailable("The index is being built.")), "The index is being built."),
        (Lookalikes(["a", "b"]), "The list could not be stored."),
    ],
)
async def test_more_like_this_claims_nothing_that_failed(database: Database, lookalikes: Lookalikes, said: str) -> None:
    handler = await hall(database, lookalikes)

    with pytest.raises(FramedError, match=said):
        await handler.command("hall", {"action": "more_like_this"})
