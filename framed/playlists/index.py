"""What a request is answered from: columns of every photo in memory, and the sign bits of its meaning's vector.

Derived from the store and rebuilt from it at every start (0.6 s of CPU per 100,000 photos); about 150 bytes a photo.
Rows of the arrays are photo ids. Readers are threads of the store; changes come from the event loop alone, and a
reader holds a snapshot, so no lock is needed: arrays are replaced when they grow and written in place otherwise.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray
from sqlalchemy import Connection

from framed.store import photos, vectors
from framed.store.database import Database

log = structlog.get_logger(__name__)

KINDS = ("photo", "screenshot", "document", "drawing")
ORIENTATIONS = ("landscape", "portrait", "square", "panorama")
UNKNOWN = 255
NO_TIME = np.iinfo(np.int64).min
_MEMBERS_KEPT = 512
_COLUMNS = (
    # One that is analysed again stays what it was until that is done.
    "id, state in ('completed', 'partial') or (state in ('pending', 'analysing') and caption is not null), hidden, "
    "favourite, taken, taken_precision, taken_source, kind, orientation, quality, monochrome, "
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
    duplicate_of: NDArray[np.int32] = field(init=False)
    burst: NDArray[np.int32] = field(init=False)
    added: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        for name in ("ready", "hidden", "favourite", "monochrome", "burst_best"):
            setattr(self, name, np.zeros(self.size, np.bool_))
        self.taken = np.full(self.size, NO_TIME, np.int64)
        self.day_of_year = np.zeros(self.size, np.int16)
        for name in ("hour", "weekday", "kind", "orientation"):
            setattr(self, name, np.full(self.size, UNKNOWN, np.uint8))
        self.quality = np.zeros(self.size, np.float32)
        self.rating = np.zeros(self.size, np.int8)
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


class LibraryIndex:
    """`build` once, `refresh` for changed photos; `columns`, `bits` and `members` answer."""

    def __init__(self, *, database: Database, text_model: str) -> None:
        self._database = database
        self.text_model = text_model
        self.columns = Columns(1024)
        self.bits: NDArray[np.uint64] = np.zeros((1024, 0), np.uint64)
        self.has_bits: NDArray[np.bool_] = np.zeros(1024, np.bool_)
        self.mean: NDArray[np.float32] | None = None
        self.generation = 0
        self._members: dict[tuple[str, str], tuple[int, float, NDArray[np.int64]]] = {}
        self.built = asyncio.Event()
        self._mean_over = 0

    @property
    def size(self) -> int:
        return self.columns.size

    async def build(self) -> None:
        began = time.perf_counter()
        await self._database.read(self._build)
        self.generation += 1
        self.built.set()
        ready = int(self.columns.ready.sum())
        log.info("the search index is ready", photos=ready, seconds=round(time.perf_counter() - began, 2))

    async def refresh(self, ids: Sequence[int]) -> None:
        """Reads these photos again: new, changed or gone ones."""
        if ids:
            await self._database.read(lambda c: self._refresh(c, sorted(set(ids))))
            self.generation += 1

    def members(self, connection: Connection, table: str, key: str) -> NDArray[np.int64]:
        """Photo ids of a person, place, tag or folder; kept while the library stays as it is."""
        kept = self._members.get((table, key))
        if kept is not None and (kept[0] == self.generation or time.monotonic() - kept[1] < 2.0):
            return kept[2]
        ids = np.array(photos.members(connection, table, key), np.int64)
        ids = ids[ids < self.size]
        if len(self._members) >= _MEMBERS_KEPT:
            self._members.clear()
        self._members[(table, key)] = (self.generation, time.monotonic(), ids)
        return ids

    def pack(self, vectors_: NDArray[np.float32]) -> NDArray[np.uint64]:
        """Sign bits of centred vectors; centring is worth five points of recall (research A)."""
        assert self.mean is not None
        return np.packbits(vectors_ > self.mean, axis=1).view(np.uint64)

    # -- reading the store ---------------------------------------------------------------------------------------

    def _build(self, connection: Connection) -> None:
        top = connection.exec_driver_sql("select coalesce(max(id), 0) from photos").scalar() or 0
        columns = Columns(max(1024, int(top * 1.1) + 1024))
        result = connection.exec_driver_sql(f"select {_COLUMNS} from photos")
        while rows := result.fetchmany(5000):
            columns.put(rows)
        self.columns = columns
        self._build_bits(connection)

    def _build_bits(self, connection: Connection) -> None:
        total, sample = 0, np.empty((0, 0), np.float32)
        for _, block in vectors.every(connection, self.text_model):
            sample = block.astype(np.float32) if not total else sample
            total = len(block)
            break
        if not total:
            return
        sums, count = np.zeros(sample.shape[1], np.float64), 0
        for _, block in vectors.every(connection, self.text_model):
            sums += block.astype(np.float32).sum(axis=0)
            count += len(block)
        self.mean, self._mean_over = (sums / count).astype(np.float32), count
        bits = np.zeros((self.size, sample.shape[1] // 64), np.uint64)
        has = np.zeros(self.size, np.bool_)
        for ids, block in vectors.every(connection, self.text_model):
            inside = ids < self.size
            bits[ids[inside]] = self.pack(block.astype(np.float32)[inside])
            has[ids[inside]] = True
        self.bits, self.has_bits = bits, has

    def _refresh(self, connection: Connection, ids: list[int]) -> None:
        if ids[-1] >= self.size:
            size = int(ids[-1] * 1.5) + 1024
            self.columns = self.columns.grown(size)
            bits = np.zeros((size, self.bits.shape[1]), np.uint64)
            bits[: len(self.bits)] = self.bits
            has = np.zeros(size, np.bool_)
            has[: len(self.has_bits)] = self.has_bits
            self.bits, self.has_bits = bits, has
        listed = photos.json_ids(ids)
        query = f"select {_COLUMNS} from photos where id in (select value from json_each(?))"
        self.columns.put(connection.exec_driver_sql(query, (listed,)).fetchall())
        found, rows = vectors.get(connection, self.text_model, ids)
        if not len(found):
            return
        if self.mean is None or len(found) + int(self.has_bits.sum()) > 2 * self._mean_over:
            self._build_bits(connection)  # the first vectors say nothing about the later ones' mean
            return
        self.bits[found] = self.pack(rows)
        self.has_bits[found] = True
