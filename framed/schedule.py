"""Does things at times of day: cron and sun-based triggers, each run once, over sleep, restarts and clock jumps."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Literal, Protocol

import structlog
from astral import Observer
from astral import sun as sun_times
from cronsim import CronSim, CronSimError
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from framed.background import end_tasks
from framed.errors import FramedError
from framed.store import settings as rows
from framed.store.database import Database
from framed.wake import woken

log = structlog.get_logger(__name__)

MISSED_S = 86_400.0
"""What should have run while the machine slept is made up for when it is no older than this."""
_LOOK_S = 30.0  # a machine that wakes, and a clock that is set, are noticed within this time
_WORK_S = 300.0
_STORED = "schedule"

_SUN = re.compile(r"(dawn|sunrise|noon|sunset|dusk)(?:\s*([+-])\s*(\d{1,2}):([0-5]\d))?")

Action = Literal["next", "previous", "pause", "resume", "refresh"]


class Location(BaseModel):
    """Where the home is, for the sun: degrees north and east."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    latitude: float | None = Field(None, ge=-90, le=90)
    longitude: float | None = Field(None, ge=-180, le=180)

    @model_validator(mode="after")
    def _both(self) -> "Location":
        if (self.latitude is None) != (self.longitude is None):
            raise ValueError("give both latitude and longitude")
        return self

    @property
    def observer(self) -> Observer | None:
        if self.latitude is None or self.longitude is None:
            return None
        return Observer(self.latitude, self.longitude)


class ScheduleEntry(BaseModel):
    """One entry under `schedule:`: when, and one of ask, playlist and cmd."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    at: str = Field(max_length=100)
    ask: str | None = Field(None, min_length=1, max_length=1000)
    playlist: str | None = Field(None, min_length=1, max_length=200)
    cmd: Action | None = None
    frame: str | None = Field(None, min_length=1, max_length=80)

    @field_validator("at")
    @classmethod
    def _readable(cls, value: str) -> str:
        value = " ".join(value.split())
        if not _SUN.fullmatch(value):
            _cron(value, datetime.now(UTC))
        return value

    @model_validator(mode="after")
    def _one(self) -> "ScheduleEntry":
        if sum(value is not None for value in (self.ask, self.playlist, self.cmd)) != 1:
            raise ValueError("give one of ask, playlist and cmd")
        if self.frame is None and self.ask is None:
            raise ValueError("say which frame")
        return self

    @property
    def needs_location(self) -> bool:
        return _SUN.fullmatch(self.at) is not None

    @property
    def key(self) -> str:
        """The same for the same wish: what has run is remembered under it over restarts and edits of others."""
        return "|".join((self.at, self.ask or self.playlist or self.cmd or "", self.frame or ""))

    def request(self) -> tuple[str, dict[str, Any]]:
        """The verb and payload that do it."""
        where = {} if self.frame is None else {"frame": self.frame}
        if self.ask is not None:
            return "ask", {"text": self.ask, "source": "schedule", **where}
        if self.playlist is not None:
            return "playlist/set", {"id": self.playlist, **where}
        return "frame/cmd", {"action": self.cmd, **where}


# -- when ------------------------------------------------------------------------------------------------------------


class Trigger(Protocol):
    def after(self, moment: datetime) -> datetime | None:
        """The first time later than `moment`, in its time zone; None where there is none within a year."""


@dataclass(frozen=True)
class Cron:
    """`minute hour day month weekday` by the wall clock; over changes of summer time as Debian's cron does it."""

    expression: str

    def after(self, moment: datetime) -> datetime | None:
        return next(_cron(self.expression, moment), None)


@dataclass(frozen=True)
class Sun:
    """An event of the sun with an offset; on days without it (polar summer and winter) nothing happens."""

    event: str
    offset: timedelta
    observer: Observer

    def after(self, moment: datetime) -> datetime | None:
        first = (moment - self.offset).date() - timedelta(days=1)
        for days in range(368):
            try:
                at = getattr(sun_times, self.event)(self.observer, first + timedelta(days=days), tzinfo=moment.tzinfo)
            except ValueError:
                continue  # the sun does not do that on this day
            if at + self.offset > moment:
                found: datetime = at + self.offset
                return found.replace(microsecond=0) + timedelta(seconds=1)
        return None


def _cron(expression: str, moment: datetime) -> CronSim:
    if len(expression.split()) != 5:
        raise ValueError('write five cron fields such as "0 18 * * *", or sunset, or sunset-00:30')
    try:
        return CronSim(expression, moment)
    except CronSimError as error:
        raise ValueError(f'{str(error).lower()}; write cron fields such as "0 18 * * *"') from error


def trigger(at: str, location: Location) -> Trigger | None:
    """None: it depends on the sun and nobody said where the home is."""
    found = _SUN.fullmatch(at)
    if found is None:
        return Cron(at)
    observer = location.observer
    if observer is None:
        return None
    event, sign, hours, minutes = found.groups()
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    return Sun(event, -offset if sign == "-" else offset, observer)


# -- doing -----------------------------------------------------------------------------------------------------------


@dataclass
class _Timed:
    key: str
    at: str
    trigger: Trigger
    work: Callable[[], Awaitable[None]]
    entry: ScheduleEntry | None = None
    problem: str | None = None
    ran_at: float | None = None


class Schedule:
    """`start`, `reconfigure` as often as wanted, `close`. Entries run one after the other, in the order of their times.

    When an entry ran last is stored before it runs: at most once, whatever happens meanwhile. A clock that is set back
    by less than a day does not run the same time twice; one that was far ahead is forgotten.
    """

    def __init__(
        self,
        *,
        database: Database,
        call: Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]],
        entries: Sequence[ScheduleEntry],
        timezone: tzinfo,
        location: Location,
        own: Mapping[str, tuple[str, Callable[[], Awaitable[None]]]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`own` is what framed does by itself: name → cron expression and work."""
        self._database = database
        self._call = call
        self._own = own
        self._clock = clock
        self._timezone = timezone
        self._items: list[_Timed] = []
        self._last: dict[str, float] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.reconfigure(entries=entries, timezone=timezone, location=location)

    def reconfigure(self, *, entries: Sequence[ScheduleEntry], timezone: tzinfo, location: Location) -> None:
        self._timezone = timezone
        self._items = [_Timed(f"framed:{name}", at, Cron(at), work) for name, (at, work) in self._own.items()]
        for entry in entries:
            when = trigger(entry.at, location)
            if when is not None:
                self._items.append(_Timed(entry.key, entry.at, when, self._doing(entry), entry))
        self._wake.set()

    async def start(self) -> None:
        self._last = await self._database.read(lambda c: dict(rows.get(c, _STORED) or {}))
        self._task = asyncio.create_task(self._run(), name="schedule")

    async def close(self) -> None:
        await end_tasks(self._task)

    @property
    def problems(self) -> list[str]:
        return [item.problem for item in self._items if item.problem]

    def listed(self) -> list[dict[str, Any]]:
        """The configured entries; when they come next, and last ran since the start, in UTC seconds."""
        now = self._local(self._clock())
        found = []
        for item in self._items:
            if item.entry is None:
                continue
            coming = item.trigger.after(now)
            said = item.entry.model_dump(exclude_none=True)
            said |= {"next": coming.timestamp() if coming else None, "last": item.ran_at, "problem": item.problem}
            found.append(said)
        return found

    async def _run(self) -> None:
        while True:
            try:
                wait_s = await self.tick()
            except Exception:
                log.exception("the schedule stumbled")
                wait_s = _LOOK_S
            await woken(self._wake, wait_s)

    async def tick(self) -> float:
        """Runs what is due; the seconds until it is worth looking again."""
        now, before = self._clock(), dict(self._last)
        due = [(at, item) for item in self._items if (at := self._due(item, now)) is not None]
        if not due and self._last != before:
            await self._remember()
        for at, item in sorted(due, key=lambda pair: pair[0]):
            self._last[item.key] = at
            await self._remember()
            await self._do(item, at)
        return self._wait_s()

    def _due(self, item: _Timed, now: float) -> float | None:
        """The latest time that came since the entry ran, in UTC seconds."""
        last = self._last.get(item.key)
        if last is None or last > now + MISSED_S:  # a new entry, or the clock was far ahead when it ran
            self._last[item.key] = now
            return None
        found: float | None = None
        moment: datetime | None = self._local(max(last, now - MISSED_S))
        while moment is not None:
            moment = item.trigger.after(moment)
            if moment is None or moment.timestamp() > now:
                break
            found = moment.timestamp()
        return found

    def _wait_s(self) -> float:
        now = self._clock()
        wait_s = _LOOK_S
        for item in self._items:
            coming = item.trigger.after(self._local(max(now, self._last.get(item.key, now))))
            if coming is not None:
                wait_s = min(wait_s, coming.timestamp() - now)
        return max(0.05, wait_s)

    async def _do(self, item: _Timed, at: float) -> None:
        item.ran_at = self._clock()
        late_s = round(item.ran_at - at)
        try:
            async with asyncio.timeout(_WORK_S):
                await item.work()
        except TimeoutError:
            item.problem = f"The schedule's “{item.at}” was not done in {_WORK_S:.0f} s."
        except FramedError as error:
            item.problem = f"The schedule's “{item.at}” could not be done: {error.message}"
        else:
            item.problem = None
            log.info("the schedule ran", at=item.at, key=item.key, late_s=late_s)
        if item.problem:
            log.warning("the schedule could not do its part", at=item.at, problem=item.problem)

    async def _remember(self) -> None:
        known = {item.key for item in self._items}
        kept = {key: at for key, at in self._last.items() if key in known}
        await self._database.write(lambda c: rows.put(c, _STORED, kept), durable=True)

    def _doing(self, entry: ScheduleEntry) -> Callable[[], Awaitable[None]]:
        async def work() -> None:
            verb, payload = entry.request()
            answer = await self._call(verb, payload)
            if answer["status"] == "error":
                raise FramedError(answer["error"]["message"])

        return work

    def _local(self, seconds: float) -> datetime:
        return datetime.fromtimestamp(seconds, self._timezone)
