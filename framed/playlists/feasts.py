"""The calendar behind date words: seasons of a hemisphere, fixed and movable feasts."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Literal

Season = Literal["spring", "summer", "autumn", "winter"]
Feast = Literal[
    "easter", "easter_sunday", "easter_monday", "good_friday", "pentecost", "thanksgiving", "mothers_day", "fathers_day"
]
Hemisphere = Literal["north", "south"]

SEASONS: tuple[Season, ...] = ("spring", "summer", "autumn", "winter")
_FIRST_MONTH: dict[Hemisphere, dict[Season, int]] = {
    "north": {"spring": 3, "summer": 6, "autumn": 9, "winter": 12},
    "south": {"spring": 9, "summer": 12, "autumn": 3, "winter": 6},
}


def easter_sunday(year: int) -> date:
    """Western Easter, by the anonymous Gregorian computus (Meeus, Astronomical Algorithms, ch. 8)."""
    golden = year % 19
    century, rest = divmod(year, 100)
    leap_centuries, century_rest = divmod(century, 4)
    moon_correction = (century - (century + 8) // 25 + 1) // 3
    epact = (19 * golden + century - leap_centuries - moon_correction + 15) % 30
    leap_years, year_rest = divmod(rest, 4)
    to_sunday = (32 + 2 * century_rest + 2 * leap_years - epact - year_rest) % 7
    late = (golden + 11 * epact + 22 * to_sunday) // 451
    month, day = divmod(epact + to_sunday - 7 * late + 114, 31)
    return date(year, month, day + 1)


def nth_weekday(year: int, month: int, weekday: int, nth: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (nth - 1))


def _around_easter(first: int, last: int) -> Callable[[int], tuple[date, date]]:
    def days(year: int) -> tuple[date, date]:
        sunday = easter_sunday(year)
        return sunday + timedelta(days=first), sunday + timedelta(days=last)

    return days


def _one_day(month: int, weekday: int, nth: int) -> Callable[[int], tuple[date, date]]:
    def days(year: int) -> tuple[date, date]:
        day = nth_weekday(year, month, weekday, nth)
        return day, day

    return days


_DAYS: dict[Feast, Callable[[int], tuple[date, date]]] = {
    "easter": _around_easter(-2, 1),
    "easter_sunday": _around_easter(0, 0),
    "easter_monday": _around_easter(1, 1),
    "good_friday": _around_easter(-2, -2),
    "pentecost": _around_easter(49, 50),
    "thanksgiving": _one_day(11, 3, 4),
    "mothers_day": _one_day(5, 6, 2),
    "fathers_day": _one_day(6, 6, 3),
}

# The widest window a movable feast can fall into: (first month, day, last month, day).
WINDOWS: dict[Feast, tuple[int, int, int, int]] = {
    "easter": (3, 20, 4, 26),
    "easter_sunday": (3, 22, 4, 25),
    "easter_monday": (3, 23, 4, 26),
    "good_friday": (3, 20, 4, 23),
    "pentecost": (5, 10, 6, 14),
    "thanksgiving": (11, 22, 11, 28),
    "mothers_day": (5, 8, 5, 14),
    "fathers_day": (6, 15, 6, 21),
}


def feast_days(feast: Feast, year: int) -> tuple[date, date]:
    return _DAYS[feast](year)


def month_end(year: int, month: int) -> date:
    if (year, month) >= (9999, 12):
        return date(9999, 12, 31)
    return date(year + month // 12, month % 12 + 1, 1) - timedelta(days=1)


def season_window(season: Season, hemisphere: Hemisphere) -> tuple[int, int, int, int]:
    """Meteorological season as (first month, day, last month, day); the last day is 29 February where it ends then."""
    first = _FIRST_MONTH[hemisphere][season]
    last = (first + 1) % 12 + 1
    return first, 1, last, month_end(2000, last).day


def days_later(day: date, days: int) -> date:
    try:
        return day + timedelta(days=days)
    except OverflowError:
        return date.min if days < 0 else date.max


def months_later(day: date, months: int) -> date:
    """The day `months` later (earlier if negative), or the last day of that month where it has no such day."""
    index = day.year * 12 + day.month - 1 + months
    year, month = divmod(index, 12)
    if year < 1:
        return date.min
    if year > 9999:
        return date.max
    return date(year, month + 1, min(day.day, month_end(year, month + 1).day))


def third_of(days: tuple[date, date], part: int, unit: str) -> tuple[date, date]:
    """The early (0), middle (1) or late (2) third, cut where people cut: at the 10th, at months, at whole years."""
    first, last = days
    if unit == "month":
        cuts = [first, first.replace(day=11), first.replace(day=21), days_later(last, 1)]
    elif unit == "decade":
        cuts = [date(first.year + years, 1, 1) for years in (0, 4, 7, 10)]
    elif unit == "year" and first.month == 1 and first.day == 1 and first.year == last.year:
        cuts = [date(first.year + month // 12, month % 12 + 1, 1) for month in (0, 4, 8, 12)]
    elif unit == "season":
        cuts = [months_later(first, months) for months in (0, 1, 2, 3)]
    else:
        length = (last - first).days + 1
        cuts = [first + timedelta(days=length * step // 3) for step in range(3)] + [days_later(last, 1)]
    return cuts[part], max(cuts[part], days_later(cuts[part + 1], -1))
