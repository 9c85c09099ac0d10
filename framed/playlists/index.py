"""What a request is answered from: columns of every photo in memory, and the spaces of its vectors.

Derived from the store and rebuilt from it at every start; about 110 bytes a photo, and 48 to 144 where it has an
image vector.
Rows of the arrays are photo ids. Readers are threads of the store; changes come from the event loop alone, and a
reader holds a snapshot, so no lock is needed: arrays are replaced when they grow and written in place otherwise.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import structlog
from numpy.typing import NDArray
from sqlalchemy import Connection

from framed.playlists.calibration import Judge
from framed.playlists.spaces import VectorSpace
from framed.store import members, photos
from framed.store.database import Database

log = structlog.get_logger(__name__)

KINDS = ("photo", "screenshot", "document", "drawing")
ORIENTATIONS = ("landscape", "portrait", "square", "panorama")
UNKNOWN = 255
NO_TIME = np.iinfo(np.int64).min
PRECISIONS = ("second", "minute", "day", "month", "year")
_Space = TypeVar("_Space", bound=VectorSpace)
_MEMBERS_KEPT = 512
_CHANGES_KEPT = 200
_COLUMNS = (
    # One that is analysed again stays what it was until that is done.
    "id, state in ('completed', 'partial') or (state in ('pending', 'analysing') and caption is not null), hidden, "
    "favourite, taken, taken_precision, taken_source, kind, orientation, "
    # Technical quality, and where there is an opinion on its beauty, that too.
    "quality + coalesce(0.4 * (aesthetic - 0.5), 0), monochrome, "
    "coalesce(duplicate_of, 0), coalesce(burst, 0), coalesce(burst_best, 0), added_at, rating"
)


@dataclass
class Columns:
    """One array per property, indexed by photo id; `ready` says which rows are photos that may be shown."""

    size: int
    ready: NDArray[np.bool_] = field(init=False)
    hidden: NDArray[np.bool_] = field(init=False)
    favourite: NDArray[np.bool_] = field(init=False)
    monochrome: NDArray[np.bool_] = field(init=False)
    burst_best: NDArray[np.bool_] = field(init=False)
    taken: NDArray[np.int64] = field(init=False)  # local wall time in seconds, NO_TIME where unknown
    day_of_year: NDArray[np.int16] = field(init=False)  # month * 32 + day; 0 where unknown
    hour: NDArray[np.uint8] = field(init=False)
    weekday: NDArray[np.uint8] = field(init=False)  # 0 is Monday
    kind: NDArray[np.uint8] = field(init=False)
    orientation: NDArray[np.uint8] = field(init=False)
    quality: NDArray[np.float32] = field(init=False)
    rating: NDArray[np.int8] = field(init=False)
    precision: NDArray[np.uint8] = field(init=False)  # of `taken`; place in PRECISIONS
    people: NDArray[np.uint8] = field(init=False)  # how many known people are in it
    duplicate_of: NDArray[np.int32] = field(init=False)
    burst: NDArray[np.int32] = field(init=False)
    added: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        for name in ("ready", "hidden", "favourite", "monochrome", "burst_best"):
            setattr(self, name, np.zeros(self.size, np.bool_))
        self.taken = np.full(self.size, NO_TIME, np.int64)
        self.day_of_year = np.zeros(self.size, np.int16)
        for name in ("hour", "weekday", "kind", "orientation", "precision"):
            setattr(self, name, np.full(self.size, UNKNOWN, np.uint8))
        self.quality = np.zeros(self.size, np.float32)
        self.rating = np.zeros(self.size, np.int8)
        self.people = np.zeros(self.size, np.uint8)
        self.duplicate_of = np.zeros(self.size, np.int32)
        self.burst = np.zeros(self.size, np.int32)
        self.added = np.zeros(self.size, np.float64)

    def grown(self, size: int) -> "Columns":
        bigger = Columns(size)
        for name, old in vars(self).items():
            if isinstance(old, np.ndarray):
                getattr(bigger, name)[: self.size] = old
        return bigger

    def put(self, rows: Sequence[Any]) -> None:
        if not rows:
            return
        columns = list(zip(*rows, strict=True))
        ids = np.array(columns[0], np.int64)
        self.ready[ids] = np.array(columns[1], np.bool_)
        self.hidden[ids] = np.array(columns[2], np.bool_)
        self.favourite[ids] = np.array(columns[3], np.bool_)
        self._put_time(ids, columns[4], columns[5], columns[6])
        self.kind[ids] = [_place(KINDS, name) for name in columns[7]]
        self.orientation[ids] = [_place(ORIENTATIONS, name) for name in columns[8]]
        self.quality[ids] = [value or 0.0 for value in columns[9]]
        self.monochrome[ids] = [bool(value) for value in columns[10]]
        self.duplicate_of[ids] = np.array(columns[11], np.int32)
        self.burst[ids] = np.array(columns[12], np.int32)
        self.burst_best[ids] = np.array(columns[13], np.bool_)
        self.added[ids] = np.array(columns[14], np.float64)
        self.rating[ids] = [value or 0 for value in columns[15]]
        self.precision[ids] = [_place(PRECISIONS, name) for name in columns[5]]

    def _put_time(self, ids: NDArray[np.int64], taken: Any, precision: Any, source: Any) -> None:
        seconds = np.array([NO_TIME if value is None else value for value in taken], np.int64)
        known = seconds != NO_TIME
        when = np.where(known, seconds, 0).astype("datetime64[s]")
        months = when.astype("datetime64[M]")
        month = months.astype(np.int64) % 12 + 1
        day = (when.astype("datetime64[D]") - months.astype("datetime64[D]")).astype(np.int64) + 1
        to_the_day = np.array([value not in ("month", "year") for value in precision], np.bool_)
        to_the_hour = np.array([value in (None, "second", "minute") for value in precision], np.bool_)
        self.taken[ids] = seconds
        self.day_of_year[ids] = np.where(known & to_the_day, month * 32 + day, 0)
        self.weekday[ids] = np.where(
            known & to_the_day, (when.astype("datetime64[D]").astype(np.int64) + 3) % 7, UNKNOWN
        )
        self.hour[ids] = np.where(known & to_the_hour, (when.astype(np.int64) // 3600) % 24, UNKNOWN)


def _place(names: tuple[str, ...], name: str | None) -> int:
    return names.index(name) if name in names else UNKNOWN


@dataclass
class _Members:
    """Sorted photo ids of one person, place, tag or folder, as they were at `generation`."""

    generation: int
    ids: NDArray[np.int64]


class ImageSpace(VectorSpace):
    """The pictures' own vectors. `judge` says where likeness to a request ends; None: the model's usual cosine does."""

    def __init__(self, model: str, size: int, judge: Judge | None = None) -> None:
        super().__init__(model, size)
        self.judge = judge


class LibraryIndex:
    """`build` once, `refresh` for changed photos; `columns`, the spaces and `members` answer.

    `text` is the space of the photos' descriptions, `images` that of the pictures themselves: whoever sets it makes it
    ready first (`image_space`). Other spaces are made by `space`, when somebody asks.
    """

    def __init__(self, *, database: Database, text_model: str) -> None:
        self._database = database
        self.columns = Columns(1024)
        self.text = VectorSpace(text_model, 1024)
        self.images: ImageSpace | None = None
        self._others: dict[str, VectorSpace] = {}
        self.generation = 0
        self.built = asyncio.Event()
        self.categories: Mapping[str, frozenset[str]] = {}
        """The tags of each category that people ask by."""
        self._members: dict[tuple[str, str], _Members] = {}
        self._changes: dict[int, list[int]] = {}  # generation → the photos it read again

    @property
    def size(self) -> int:
        return self.columns.size

    @property
    def text_model(self) -> str:
        return self.text.model

    async def use_text(self, model: str) -> None:
        """Requests are compared with this model's vectors of the descriptions from now on."""
        self.text = await self._read(VectorSpace(model, self.size))

    async def image_space(self, model: str) -> ImageSpace:
        """One that is ready to become `images`."""
        return await self._read(ImageSpace(model, self.size))

    async def space(self, model: str) -> VectorSpace:
        """The space of a model's vectors; one that is asked for first is read now."""
        for kept in (self.text, self.images):
            if kept is not None and kept.model == model:
                return kept
        if model not in self._others:
            self._others[model] = await self._read(VectorSpace(model, self.size))
        return self._others[model]

    async def _read(self, made: _Space) -> _Space:
        since = self.generation
        await self._database.read(lambda c: made.build(c, self.size))
        for missed in [ids for generation, ids in self._changes.items() if generation > since]:
            await self._database.read(lambda c, ids=missed: made.read(c, ids))  # type: ignore[misc]
        return made

    async def build(self) -> None:
        began = time.perf_counter()
        await self._database.read(self._build)
        self.generation += 1
        self.built.set()
        ready = int(self.columns.ready.sum())
        log.info("the search index is ready", photos=ready, seconds=round(time.perf_counter() - began, 2))

    async def refresh(self, ids: Sequence[int]) -> None:
        """Reads these photos again: new, changed or gone ones."""
        if not ids:
            return
        wanted = sorted(set(ids))
        await self._database.read(lambda c: self._refresh(c, wanted))
        self.generation += 1
        self._changes[self.generation] = wanted
        while len(self._changes) > _CHANGES_KEPT:
            del self._changes[next(iter(self._changes))]

    def forget(self, table: str) -> None:
        """Somebody decided about people, places, tags or folders: the next search must not answer from before."""
        self._members = {key: kept for key, kept in self._members.items() if key[0] != table}

    def members(self, connection: Connection, table: str, key: str) -> NDArray[np.int64]:
        """Photo ids of a person, place, tag or folder, rising. Kept; what was read again since is put right."""
        generation = self.generation
        kept = self._members.get((table, key))
        if kept is not None and kept.generation == generation:
            return kept.ids
        changed = self._changed_since(kept.generation, generation) if kept is not None else None
        if kept is None or changed is None:
            ids = members.members(connection, table, key)
        else:
            now = members.members(connection, table, key, among=changed.tolist())
            ids = np.union1d(np.setdiff1d(kept.ids, changed, assume_unique=True), now)
        ids = ids[ids < self.size]
        if len(self._members) >= _MEMBERS_KEPT:
            self._members.clear()
        self._members[(table, key)] = _Members(generation, ids)
        return ids

    def _changed_since(self, generation: int, until: int) -> NDArray[np.int64] | None:
        """What was read again, None where that is no longer known."""
        if until - generation > _CHANGES_KEPT:
            return None
        changes = [self._changes.get(each) for each in range(generation + 1, until + 1)]
        known = [np.array(each, np.int64) for each in changes if each is not None]
        return np.unique(np.concatenate(known)) if len(known) == len(changes) else None

    # -- reading the store ---------------------------------------------------------------------------------------

    def _build(self, connection: Connection) -> None:
        top = connection.exec_driver_sql("select coalesce(max(id), 0) from photos").scalar() or 0
        columns = Columns(max(1024, int(top * 1.1) + 1024))
        result = connection.exec_driver_sql(f"select {_COLUMNS} from photos")
        while rows := result.fetchmany(5000):
            columns.put([tuple(row) for row in rows])
        ids, counts = members.people_counts(connection)
        columns.people[ids] = counts
        self.columns = columns
        for space in self._spaces():
            space.grow(self.size)
            space.build(connection, self.size)

    def _spaces(self) -> list[VectorSpace]:
        return [space for space in (self.text, self.images, *self._others.values()) if space is not None]

    def _refresh(self, connection: Connection, ids: list[int]) -> None:
        if ids[-1] >= self.size:
            size = int(ids[-1] * 1.5) + 1024
            for space in self._spaces():
                space.grow(size)
            self.columns = self.columns.grown(size)
        listed = photos.json_ids(ids)
        query = f"select {_COLUMNS} from photos where id in (select value from json_each(?))"
        self.columns.put(connection.exec_driver_sql(query, (listed,)).fetchall())
        self.columns.people[ids] = 0
        with_people, counts = members.people_counts(connection, among=ids)
        self.columns.people[with_people] = counts
        for space in self._spaces():
            space.read(connection, ids)
