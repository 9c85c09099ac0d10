"""From the symbolic part of a QueryPlan to the photos it allows: filters first, exactly, before anything is ranked."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from framed.playlists.categories import photos_of
from framed.playlists.grammar_heads import CROWD
from framed.playlists.index import KINDS, NO_TIME, ORIENTATIONS, UNKNOWN, Columns, LibraryIndex
from framed.playlists.plan import ClockRange, QueryPlan, Yearly

Mask = NDArray[np.bool_]

SEASONS = {"winter": (12, 1, 2), "spring": (3, 4, 5), "summer": (6, 7, 8), "autumn": (9, 10, 11)}
_OPPOSITE = {"winter": "summer", "summer": "winter", "spring": "autumn", "autumn": "spring"}
HOURS = {"morning": (5, 11), "midday": (11, 14), "afternoon": (12, 18), "evening": (17, 22), "night": (21, 5)}
GOOD, BEST = 0.45, 0.6


@dataclass
class Masked:
    """`mask` over photo ids; `left_out` counts, per reason, photos that only this reason excluded."""

    mask: Mask
    left_out: dict[str, int] = field(default_factory=dict)


def seconds_of(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


def _members(index: LibraryIndex, connection: Connection, size: int, table: str, keys: Sequence[str]) -> Mask:
    mask = np.zeros(size, np.bool_)
    for key in keys:
        ids = index.members(connection, table, key)
        mask[ids[ids < size]] = True
    return mask


def between(columns: Columns, start: date, end: date) -> Mask:
    """Taken on these days, both inclusive, by the clock on the wall."""
    low, high = seconds_of(start), seconds_of(end) + 86400  # year 1 to 9999 where a side is open
    found: Mask = (columns.taken >= low) & (columns.taken < high)
    return found


def _yearly(columns: Columns, span: Yearly) -> Mask:
    """On these days of any year; a movable feast is looked up for every year that the library has photos of."""
    if span.feast is not None:
        mask = np.zeros(columns.size, np.bool_)
        known = columns.taken[columns.taken != NO_TIME]
        years = np.unique(known.astype("datetime64[s]").astype("datetime64[Y]").astype(np.int64) + 1970)
        for year in years[(years >= 1900) & (years < 2200)].tolist():
            days = span.days(year)
            if days is not None:
                mask |= between(columns, *days)
        return mask
    low, high = span.month_from * 32 + span.day_from, span.month_to * 32 + span.day_to
    dated = columns.day_of_year > 0
    if low <= high:
        return dated & (columns.day_of_year >= low) & (columns.day_of_year <= high)
    return dated & ((columns.day_of_year >= low) | (columns.day_of_year <= high))


def _seasons(columns: Columns, seasons: Sequence[str], hemisphere: str) -> Mask:
    names = [season if hemisphere == "north" else _OPPOSITE[season] for season in seasons]
    months = [month for name in names for month in SEASONS[name]]
    return np.isin(columns.day_of_year // 32, months) & (columns.day_of_year > 0)


def hours(columns: Columns, times: Sequence[str]) -> Mask:
    """Taken at these times of the day; not where the hour is unknown."""
    mask = np.zeros(columns.size, np.bool_)
    for name in times:
        low, high = HOURS[name]
        hour = columns.hour
        mask |= ((hour >= low) & (hour < high)) if low < high else ((hour >= low) & (hour < 24)) | (hour < high)
    return mask


def by_the_clock(columns: Columns, ranges: Sequence[ClockRange]) -> Mask:
    """Taken between these times; not where the hour is unknown."""
    mask = np.zeros(columns.size, np.bool_)
    minute = (columns.taken // 60) % 1440
    for low, high in (one.minutes for one in ranges):
        mask |= ((minute >= low) & (minute < high)) if low < high else (minute >= low) | (minute < high)
    return mask & (columns.hour < 24)


def _codes(column: NDArray[np.uint8], names: tuple[str, ...], wanted: Sequence[str]) -> Mask:
    return np.isin(column, [names.index(name) for name in wanted])


class Filters:
    """Builds the mask of one plan. `today` is the day in the home's time zone."""

    def __init__(
        self, *, index: LibraryIndex, connection: Connection, plan: QueryPlan, hemisphere: str, widen_days: int = 0
    ) -> None:
        self._index = index
        self._connection = connection
        self._plan = plan
        self._hemisphere = hemisphere
        self._widen = timedelta(days=widen_days)
        self._columns = index.columns

    def wanted(self, *, places: Sequence[str] | None = None) -> Mask:
        """What the plan asks for, before anything it excludes. `places` stands in for the plan's own."""
        plan, columns = self._plan, self._columns
        mask = columns.ready & ~columns.hidden
        for person in plan.people_all:
            mask &= self._of("person", [person])
        if plan.people_any:
            mask &= self._of("person", plan.people_any)
        wanted_places = plan.places_any if places is None else places
        if wanted_places:
            mask &= self._of("place", wanted_places)
        if plan.folders_any:
            mask &= self._of("folder", plan.folders_any)
        if plan.only_people:
            mask &= ~self._others()
        if plan.some_people is not None:
            mask &= ((columns.people > 0) | self._category("people")) == plan.some_people
        if plan.people_min is not None or plan.people_max is not None:
            mask &= self._heads(plan.people_min or 0, plan.people_max)
        if plan.dates:
            mask &= self._dates()
        if plan.yearly or plan.seasons:
            mask &= self._every_year()
        if plan.times_of_day or plan.clock:
            mask &= hours(columns, plan.times_of_day) | by_the_clock(columns, plan.clock)
        if plan.weekdays:
            mask &= np.isin(columns.weekday, plan.weekdays)
        if plan.orientation:
            mask &= _codes(columns.orientation, ORIENTATIONS, [plan.orientation])
        if plan.favourites is not None:
            mask &= columns.favourite == plan.favourites
        if plan.monochrome is not None:
            mask &= columns.monochrome == plan.monochrome
        if plan.kinds:
            mask &= _codes(columns.kind, KINDS, plan.kinds)
        return mask

    def excluded(self) -> list[tuple[str, Mask]]:
        """Each reason for leaving photos out, in words, with the photos it names."""
        plan, columns = self._plan, self._columns
        reasons: list[tuple[str, Mask]] = []
        for kind in plan.kinds_none:
            reasons.append((f"{kind}s", _codes(columns.kind, KINDS, [kind])))
        for person in plan.people_none:
            name = plan.labels.get(f"people:{person}", person)
            reasons.append((f"photos of {name}", self._of("person", [person])))
        for place in plan.places_none:
            name = plan.labels.get(f"places:{place}", place)
            reasons.append((f"photos from {name}", self._of("place", [place])))
        if plan.folders_none:
            reasons.append(("photos in other folders", self._of("folder", plan.folders_none)))
        for tag in plan.tags_none:
            reasons.append((f"photos with {tag}", self._of("tag", [tag]) | self._category(tag)))
        if plan.dates_none or plan.yearly_none:
            reasons.append(("photos from those dates", self._dates_none()))
        if plan.quality == "good":
            reasons.append(("photos of poor quality", columns.quality < GOOD))
        return reasons

    def masked(self, *, places: Sequence[str] | None = None) -> Masked:
        mask = self.wanted(places=places)
        left_out: dict[str, int] = {}
        for words, names in self.excluded():
            hit = mask & names
            count = int(hit.sum())
            if count:
                left_out[words] = count
            mask &= ~names
        return Masked(mask, left_out)

    def _of(self, table: str, keys: Sequence[str]) -> Mask:
        return _members(self._index, self._connection, self._columns.size, table, keys)

    def _category(self, name: str) -> Mask:
        mask = np.zeros(self._columns.size, np.bool_)
        ids = photos_of(self._index, self._connection, name)
        mask[ids[ids < len(mask)]] = True
        return mask

    def _dates(self) -> Mask:
        mask = np.zeros(self._columns.size, np.bool_)
        for period in self._plan.dates:
            mask |= between(self._columns, _shift(period.start, -self._widen), _shift(period.end, self._widen))
        return mask

    def _every_year(self) -> Mask:
        mask = np.zeros(self._columns.size, np.bool_)
        for span in self._plan.yearly:
            mask |= _yearly(self._columns, span)
        if self._plan.seasons:
            mask |= _seasons(self._columns, self._plan.seasons, self._hemisphere)
        return mask

    def _others(self) -> Mask:
        """Photos that show somebody who was not named: more people than the named ones it shows."""
        named = np.zeros(self._columns.size, np.uint8)
        for person in dict.fromkeys([*self._plan.people_all, *self._plan.people_any]):
            named += self._of("person", [person])
        others: Mask = self._columns.people > named
        return others

    def _heads(self, least: int, most: int | None) -> Mask:
        """So many people by their faces; in a crowd most faces are too small, and the tag says it too."""
        counted, crowds = self._columns.people, self._of("tag", ["crowd"])
        enough: Mask = counted >= min(least, UNKNOWN)
        if least >= CROWD:
            enough |= crowds
        if most is not None and most < UNKNOWN:
            enough &= counted <= most
        if most is not None and most < CROWD:
            enough &= ~crowds
        return enough

    def _dates_none(self) -> Mask:
        mask = np.zeros(self._columns.size, np.bool_)
        for period in self._plan.dates_none:
            mask |= between(self._columns, period.start, period.end)
        for span in self._plan.yearly_none:
            mask |= _yearly(self._columns, span)
        dated: Mask = mask & (self._columns.taken != NO_TIME)
        return dated


def _shift(day: date, by: timedelta) -> date:
    try:
        return day + by
    except OverflowError:
        return day
