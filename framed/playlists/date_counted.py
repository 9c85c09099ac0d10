"""Points of the calendar that are told by counting: two summers ago, the week before last, the first week of July."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

from framed.playlists.calendar_point import Days, Point, placed
from framed.playlists.date_words import ORDINALS, number
from framed.playlists.feasts import days_later, months_later

if TYPE_CHECKING:
    from framed.playlists.date_points import Points

WORDS = frozenset({"ago", "before", "week", "year", "month"})
"""Without one of them a sentence says nothing of the kind."""
_UNITS = {"week": 7, "weekend": 7, "month": 0, "year": 0}


def read(points: "Points", keys: Sequence[str], today: date, at: int) -> Point | None:
    return (
        _feasts_ago(points, keys, today, at)
        or _before_last(points, keys, today, at)
        or _week_of(points, keys, at)
        or _of_this(points, keys, at)
        or _called(points, keys, at)
    )


def _feasts_ago(points: "Points", keys: Sequence[str], today: date, at: int) -> Point | None:
    """ "two summers ago", "three Christmases ago", "half a year ago"."""
    if keys[at : at + 2] == ["half", "a"] and keys[at + 2 : at + 4] == ["year", "ago"]:
        day = months_later(today, -6)
        first = day.replace(day=1)
        return Point(at + 4, "month", days=(first, days_later(months_later(first, 1), -1)))
    count = number(keys, at)
    if count is None or not 0 < count[0] < 100:
        return None
    point = points.feast(count[1]) or points.season(count[1])
    if point is None or keys[point.end] != "ago":
        return None
    return _past(point, today, count[0], point.end + 1)


def _before_last(points: "Points", keys: Sequence[str], today: date, at: int) -> Point | None:
    """ "the Christmas before last", "the week before last"."""
    unit = keys[at]
    if unit in _UNITS:
        if keys[at + 1 : at + 3] != ["before", "last"]:
            return None
        if unit == "weekend":
            first, last = points.weekend(finished=True)
            return Point(at + 3, "span", days=(first - timedelta(days=7), last - timedelta(days=7)))
        if unit == "week":
            return Point(at + 3, "span", days=points.week(-2))
        first, last = points.calendar("last", unit)
        months = 1 if unit == "month" else 12
        first = months_later(first, -months)
        return Point(at + 3, unit, days=(first, days_later(months_later(first, months), -1)))
    point = points.feast(at) or points.season(at)
    if point is None or keys[point.end : point.end + 2] != ["before", "last"]:
        return None
    return _past(point, today, 2, point.end + 2)


def _past(point: Point, today: date, count: int, end: int) -> Point | None:
    """The occurrence that was over so many times back; the last one is the first."""
    recurring = point.yearly
    if recurring is None or point.days is not None:
        return None
    years = range(today.year, today.year - count - 2, -1)
    over = [days for year in years if (days := placed(recurring, year)) and days[1] < today]
    return replace(point, end=end, days=over[count - 1], strong=True) if len(over) >= count else None


def _week_of(points: "Points", keys: Sequence[str], at: int) -> Point | None:
    """ "the first week of July 2019", "the last week of the year"."""
    order = ORDINALS.get(keys[at], 0) if keys[at] != "last" else -1
    if not -1 <= order <= 5 or not order or keys[at + 1] != "week" or keys[at + 2] not in {"of", "in"}:
        return None
    point = points.point(points.skip(at + 3, {"the"}))
    if point is None:
        return None
    if point.days is not None:
        return replace(point, days=_week(point.days, order), yearly=None, season=None, strong=True)
    whole = point.yearly.days(2001) if point.yearly is not None and point.yearly.feast is None else None
    if whole is None or point.yearly is None:
        return None
    first, last = _week(whole, order)
    ends = {"month_from": first.month, "day_from": first.day, "month_to": last.month, "day_to": last.day}
    return replace(point, yearly=point.yearly.model_copy(update=ends), season=None, strong=True)


def _week(days: Days, order: int) -> Days:
    first = days_later(days[1], -6) if order < 0 else days_later(days[0], 7 * (order - 1))
    return first, min(days_later(first, 6), days[1]) if first <= days[1] else days_later(first, 6)


def _of_this(points: "Points", keys: Sequence[str], at: int) -> Point | None:
    """The "year" of "the start of the year"."""
    said = keys[at] in {"year", "month"} and at > 1 and keys[at - 1] == "the" and keys[at - 2] in {"of", "in"}
    last = keys[at + 1] in {"", ",", "."}
    parted = said and last and keys[at - 3] in {"start", "beginning", "middle", "end", "half", "week"}
    return Point(at + 1, keys[at], days=points.calendar("this", keys[at])) if parted else None


def _called(points: "Points", keys: Sequence[str], at: int) -> Point | None:
    """ "the year 2020", "the month of July"."""
    if keys[at] not in {"year", "month"}:
        return None
    point = points.point(at + 1 + (keys[at + 1] == "of"))
    return replace(point, strong=True) if point is not None and point.unit == keys[at] else None
