"""One thing on the calendar, as a sentence says it: concrete, coming back, or both."""

from dataclasses import dataclass
from datetime import date

from framed.playlists.feasts import Season
from framed.playlists.plan import TimeOfDay, Yearly

Days = tuple[date, date]

OLDEST_YEAR, NEWEST_YEAR = 1826, 2100  # the first photograph is from 1826


@dataclass(slots=True)
class Point:
    """One thing on the calendar: concrete (`days`), coming back (`yearly`, `season`, `weekdays`, `times`) or both.

    `yearly` is kept when a year makes it concrete, so that "summer 2018 and 2019" can place it again. `strong` means
    that the words can hardly mean anything else; a bare "may" is weak.
    """

    end: int
    unit: str
    days: Days | None = None
    yearly: Yearly | None = None
    season: Season | None = None
    weekdays: tuple[int, ...] = ()
    times: tuple[TimeOfDay, ...] = ()
    strong: bool = True
    problem: str = ""

    @property
    def comes_back(self) -> bool:
        return self.days is None and self.yearly is not None


def digits(key: str) -> bool:
    return key.isascii() and key.isdecimal()


def yearly_of(first: date, last: date) -> Yearly:
    return Yearly(month_from=first.month, day_from=first.day, month_to=last.month, day_to=last.day)


def placed(recurring: Yearly, year: int) -> Days | None:
    return recurring.days(year) if 1 <= year <= NEWEST_YEAR + 1 else None
