"""The library's own names for the grammar: people, places, folders, frames and tags; compiled when they change."""

import asyncio
import time
from collections.abc import Callable, Sequence

from framed.playlists.continents import continents_of
from framed.playlists.grammar import Name, Vocabulary
from framed.store import photos
from framed.store.database import Database

Named = dict[str, list[tuple[str, str, list[str]]]]

_COUNTRY = "country-"
STALE_S = 5.0
"""While photos are being analysed names come in all the time; a request may miss one for this long."""


class Names:
    """`get` gives the compiled vocabulary; `changed` says that the library or the frames have other names now."""

    def __init__(self, *, database: Database, frames: Callable[[], Sequence[Name]]) -> None:
        self._database = database
        self._frames = frames
        self.categories: tuple[str, ...] = ()
        """Names of categories of tags, which are asked for as tags are."""
        self._compiled: Vocabulary | None = None
        self._of: tuple[Named, list[Name], tuple[str, ...]] = ({}, [], ())
        self._at = 0.0
        self._dirty = True
        self._lock = asyncio.Lock()

    def changed(self, *, now: bool = False) -> None:
        """`now`: the next request must see it (a frame was added, a person named)."""
        self._dirty = True
        if now:
            self._compiled = None

    async def get(self) -> Vocabulary:
        async with self._lock:
            fresh = self._compiled is not None and (not self._dirty or time.monotonic() - self._at < STALE_S)
            if fresh and self._compiled is not None:
                return self._compiled
            self._dirty = False
            found = await self._database.read(photos.vocabulary)
            frames = list(self._frames())
            if self._compiled is None or (found, frames, self.categories) != self._of:
                # Most new photos bring no new name, and compiling thousands of them takes a tenth of a second.
                names = self.categories
                self._compiled = await asyncio.to_thread(compiled, found, frames, names)
                self._of = found, frames, names
            self._at = time.monotonic()
            return self._compiled


def compiled(found: Named, frames: list[Name], categories: tuple[str, ...]) -> Vocabulary:
    return Vocabulary(
        people=_names(found["people"]),
        places=[*_names(found["places"]), *_continents(found["places"])],
        folders=_names(found["folders"]),
        frames=frames,
        tags=list(dict.fromkeys([*(row[1] for row in found["tags"]), *categories])),
    )


def _continents(rows: list[tuple[str, str, list[str]]]) -> list[Name]:
    """The countries of the library under the names of their continents too."""
    return [
        Name(id=slug, name=name, aliases=(wider,))
        for slug, name, _ in rows
        if slug.startswith(_COUNTRY)
        for wider in continents_of(slug.removeprefix(_COUNTRY))
    ]


def _names(rows: list[tuple[str, str, list[str]]]) -> list[Name]:
    return [Name(id=id_, name=name, aliases=tuple(aliases)) for id_, name, aliases in rows]
