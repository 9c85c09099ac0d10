"""Date words → date ranges: reads one date phrase at a token, relative to a given day and never to a clock."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

from framed.playlists.date_words import (
    ABBREVIATED,
    DECADES,
    FIXED_FEASTS,
    MONTHS,
    MOVABLE_FEASTS,
    OBJECTS,
    ORDINALS,
    SEASON_WORDS,
    THIRDS,
    TIMES,
    UNITS,
    WEEKDAYS,
    number,
)
from framed.playlists.feasts import WINDOWS, Season, month_end, season_window
from framed.playlists.grammar_tokens import Token
from framed.playlists.plan import OPEN_END, OPEN_START, AskSettings, TimeOfDay, Yearly

Days = tuple[date, date]

_LAST = frozenset({"last", "past", "previous"})
_THIS = frozenset({"this", "current"})
_NEXT = frozenset({"next", "coming", "upcoming"})
_EVERY = frozenset({"every", "each", "all"})
_LEAD = {
    "in": 1,
    "on": 1,
    "from": 1,
    "during": 1,
    "at": 1,
    "over": 1,
    "around": 1,
    "for": 1,
    "throughout": 1,
    "within": 1,
}
_TO = frozenset({"to", "until", "till", "through", "thru", "-"})
_BOUNDS = {
    ("since",): "since",
    ("after",): "after",
    ("later", "than"): "after",
    ("newer", "than"): "newer",
    ("younger", "than"): "newer",
    ("less", "than"): "newer",
    ("before",): "before",
    ("prior", "to"): "before",
    ("earlier", "than"): "before",
    ("older", "than"): "older",
    ("more", "than"): "older",
    ("over",): "older",
    ("until",): "until",
    ("till",): "until",
    ("up", "to"): "until",
    ("up", "until"): "until",
    ("as", "of"): "since",
    ("starting",): "since",
    ("beginning",): "since",
}
_OLDEST_YEAR, _NEWEST_YEAR = 1826, 2100  # the first photograph is from 1826


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


@dataclass(slots=True)
class Found:
    """A date phrase that ends before token `end`; `bare` is the one weak word it hangs on, if it does."""

    end: int
    days: list[Days] = field(default_factory=list)
    yearly: list[Yearly] = field(default_factory=list)
    seasons: list[Season] = field(default_factory=list)
    weekdays: list[int] = field(default_factory=list)
    times: list[TimeOfDay] = field(default_factory=list)
    strong: bool = True
    possessive: bool = False
    bare: int | None = None
    problems: list[str] = field(default_factory=list)

    def add(self, point: Point) -> None:
        if point.days is not None:
            self.days.append(point.days)
        elif point.season is not None:
            self.seasons.append(point.season)
        elif point.yearly is not None:
            self.yearly.append(point.yearly)
        self.weekdays.extend(point.weekdays)
        self.times.extend(point.times)
        if point.problem:
            self.problems.append(point.problem)


class DateReader:
    """Reads date phrases from a sentence's tokens; `today` is the local day."""

    def __init__(self, tokens: Sequence[Token], today: date, settings: AskSettings) -> None:
        self._tokens = tokens
        self._keys = [token.key for token in tokens] + [""] * 8
        self._today = today
        self._settings = settings

    def read(self, at: int) -> Found | None:
        found = self._this_day(at) or self._bounded(at) or self._between(at) or self._plain(at)
        if found is None:
            return None
        if self._keys[found.end] == "'s":
            found.end += 1
            found.possessive = True
        if any(first > self._today for first, _ in found.days):
            found.problems.append(f"“{self.text(at, found.end)}” has not happened yet.")
        return found

    def text(self, first: int, last: int) -> str:
        """The words between two tokens, as they can be said again."""
        return " ".join(token.raw for token in self._tokens[first:last]).replace(" 's", "'s")

    # Phrases

    def _this_day(self, at: int) -> Found | None:
        """ "this day in past years", "on this day", "this time last year"."""
        k, j = self._keys, at
        if k[j] in {"on", "from", "in", "at"}:
            j += 1
        if k[j] != "this" or k[j + 1] not in {"day", "week", "month", "time", "weekend", "date"}:
            return None
        unit = k[j + 1]
        first, last = self._around_today(unit)
        after = self._skip(j + 2, {"of", "in", "from", "over", "through", "the", "for", "throughout"})
        if k[after] in {"past", "previous", "other", "earlier", "former", "last"} and k[after + 1] == "years":
            found = Found(after + 2, days=[(OPEN_START, date(self._today.year - 1, 12, 31))])
            found.yearly.append(_yearly(first, last))
            return found
        if k[after] in {"history", "years"} or (k[after] in _EVERY and k[after + 1] in {"year", "years"}):
            return Found(after + (1 if k[after] in {"history", "years"} else 2), yearly=[_yearly(first, last)])
        back = self._years_back(after)
        if back is not None:
            end, years = back
            shifted = _clamped(first, -12 * years), _clamped(last, -12 * years)
            return Found(end, days=[(shifted[0], max(shifted))])
        if unit in {"day", "date"} and (j > at or k[at + 2] in {"", ".", ","}):
            return Found(j + 2, yearly=[_yearly(first, last)])
        return None

    def _around_today(self, unit: str) -> Days:
        today = self._today
        if unit == "week":
            return self._week(0)
        if unit == "month":
            return today.replace(day=1), month_end(today.year, today.month)
        if unit == "weekend":
            return self._weekend(finished=False)
        around = 7 if unit == "time" else 0
        return today - timedelta(days=around), today + timedelta(days=around)

    def _years_back(self, at: int) -> tuple[int, int] | None:
        if self._keys[at] == "last" and self._keys[at + 1] == "year":
            return at + 2, 1
        count = number(self._keys, at)
        if count and self._keys[count[1]] in {"year", "years"} and self._keys[count[1] + 1] == "ago":
            return count[1] + 2, min(count[0], 9000)
        return None

    def _bounded(self, at: int) -> Found | None:
        """ "since 2020", "before last summer", "older than five years"."""
        word = next((words for words in _BOUNDS if tuple(self._keys[at : at + len(words)]) == words), None)
        if word is None:
            return None
        bound, j = _BOUNDS[word], at + len(word)
        if bound in {"older", "newer"}:
            return self._age(bound, j)
        j = self._skip(j, {"in", "on", "from", "the", "around", "about"})
        point = self.point(j)
        if point is None or (point.days is None and point.yearly is None and not point.weekdays):
            return None
        days = point.days or self._latest(point)
        if days is None:
            return None
        first, last = days
        made = {
            "since": (first, OPEN_END),
            "after": (_later(last, 1), OPEN_END),
            "before": (OPEN_START, _later(first, -1)),
            "until": (OPEN_START, last),
        }[bound]
        found = Found(point.end, days=[made])
        if point.problem:
            found.problems.append(point.problem)
        return found

    def _age(self, bound: str, at: int) -> Found | None:
        count = number(self._keys, at) or ((1, at + 1) if self._keys[at] in {"a", "an"} else None)
        if count is None or self._keys[count[1]] not in UNITS:
            return None
        end = count[1] + 1
        if self._keys[end] in {"ago", "old"}:
            end += 1
        elif self._keys[at - 2 : at - 1] and self._keys[at - 2] in {"more", "less"}:
            return None
        if self._keys[at - 1] == "over" and self._keys[end - 1] not in {"ago", "old"}:
            return None
        edge = self._back(count[0], UNITS[self._keys[count[1]]])
        return Found(end, days=[(OPEN_START, _later(edge, -1)) if bound == "older" else (edge, OPEN_END)])

    def _between(self, at: int) -> Found | None:
        """ "between March and May", "from June 2019 to August 2020", "2015-2018"."""
        k = self._keys
        opened = k[at] in {"between", "from", "in"}
        j = self._skip(at + 1, {"the", "early"}) if opened else at
        joints = _TO | {"and", "&"} if k[at] == "between" else _TO
        if k[at] == "between" and (days := self._day_month(j)):
            return self._of_point(days)
        first = self.point(j)
        if first is None:
            return None
        joint = first.end
        if k[joint] == "up" and k[joint + 1] == "to":
            joint += 1
        if k[at] == "from" and (k[joint] in {"onward", "onwards"} or (k[joint] == "on" and k[joint + 1] in {"", ","})):
            start = first.days or self._latest(first)
            return Found(joint + 1, days=[(start[0], OPEN_END)]) if start else None
        if k[joint] not in joints or first.unit == "tod":
            return None
        last = self._short_year(joint + 1) if k[joint] == "-" and first.unit == "year" else None
        last = last or self.point(self._skip(joint + 1, {"the"}))
        if last is None or last.unit == "tod" or (first.unit == "weekday") != (last.unit == "weekday"):
            return self._open(first, joint) if k[at] == "from" else None
        return self._stretch(first, last, self.text(at, last.end))

    def _of_point(self, point: Point) -> Found:
        found = Found(point.end)
        found.add(point)
        return found

    def _open(self, first: Point, joint: int) -> Found | None:
        """ "from 2019 to now"."""
        if self._keys[joint + 1] not in {"now", "present"}:
            return None
        start = first.days or self._latest(first)
        return Found(joint + 2, days=[(start[0], OPEN_END)]) if start else None

    def _short_year(self, at: int) -> Point | None:
        """The "18" of "2015-18"."""
        key, before = self._keys[at], self._keys[at - 2]
        if len(key) == 2 and key.isdecimal() and key.isascii() and before[:4].isdecimal():
            year = int(before[:2] + key)
            return Point(at + 1, "year", days=(date(year, 1, 1), date(year, 12, 31)))
        return None

    def _stretch(self, first: Point, last: Point, said: str) -> Found | None:
        found = Found(last.end)
        if first.unit == "weekday" and last.unit == "weekday":
            start = first.days[0].weekday() if first.days else first.weekdays[0]
            stop = last.days[1].weekday() if last.days else last.weekdays[-1]
            found.weekdays = [(start + step) % 7 for step in range((stop - start) % 7 + 1)]
            return found
        if first.comes_back and last.comes_back and first.yearly and last.yearly:
            opening, closing = first.yearly, last.yearly
            found.yearly.append(
                Yearly(
                    month_from=opening.month_from,
                    day_from=opening.day_from,
                    month_to=closing.month_to,
                    day_to=closing.day_to,
                )
            )
            found.strong = first.strong or last.strong or first.unit == last.unit
            return found
        start, end = first.days, last.days
        if start is None and end is not None and first.yearly:
            start = _placed(first.yearly, end[1].year)
            if start and start[0] > end[1]:
                start = _placed(first.yearly, end[1].year - 1)
        elif end is None and start is not None and last.yearly:
            end = _placed(last.yearly, start[0].year)
            if end and end[1] < start[0]:
                end = _placed(last.yearly, start[0].year + 1)
        if start is None or end is None:
            return None
        if end[1] < start[0]:
            found.problems.append(f"“{said}” ends before it starts; it was turned round.")
            start, end = end, start
        found.days.append((start[0], max(end[1], start[0])))
        found.problems += [point.problem for point in (first, last) if point.problem]
        return found

    def _plain(self, at: int) -> Found | None:
        """A single date or a list of them: "in May", "last summer", "summer 2018 and 2019", "Saturdays and Sundays"."""
        k = self._keys
        lead = k[at] in _LEAD or k[at] == "of"
        j = at + 1 if lead else at
        if lead:
            j = self._skip(j, {"of"} if k[at] != "of" else set())
        j = self._skip(j, {"the", "our", "my", "all"}) if k[j] != "all" or lead else j
        repeated = k[j] in _EVERY and k[j] != "all"
        if repeated:
            j += 1
        point = self.point(j)
        if point is None or (j == at + 1 and not lead and not repeated and not point.strong):
            return None
        if k[at] == "of" and not (point.strong or point.unit == "feast"):
            return None
        if point.unit == "tod" and k[at] in {"from", "for", "of", "around"} and point.days is None:
            return None
        if repeated:
            point = self._recurring(point)
        anchored = repeated or (
            lead and k[at] != "of" and (k[at], point.unit) not in {("on", "month"), ("for", "month")}
        )
        points = self._list(self._same_again([point]), anchored or point.strong)
        found = Found(points[-1].end, strong=anchored or any(p.strong for p in points) or len(points) > 1)
        if len(points) == 1 and point.end == j + 1 and point.unit in {"month", "season", "weekday", "tod", "feast"}:
            found.bare = j
            if not anchored and not point.strong and self._tokens[j].singular != k[j]:
                found.strong = True  # "summers", "Sundays"
        for one in self._with_shared_year(points):
            found.add(one)
        if not found.strong and self._names_an_object(found.end):
            return None
        return found

    def _recurring(self, point: Point) -> Point:
        if point.unit == "weekday":
            day = self._tokens[point.end - 1].singular
            return replace(point, days=None, weekdays=(WEEKDAYS[day],) if day in WEEKDAYS else point.weekdays)
        return replace(point, days=None) if point.yearly else point

    def _same_again(self, points: list[Point]) -> list[Point]:
        """The years after a dated season, feast or month: "Christmas 2018, 2019 and 2020"."""
        base = points[0]
        while base.yearly is not None and base.days is not None and base.unit in {"season", "feast", "month", "day"}:
            after = self._joint(points[-1].end)
            year = self._year(after) if after is not None else None
            placed = _placed(base.yearly, year[0]) if year else None
            if year is None or placed is None:
                break
            points.append(replace(base, end=year[1], days=placed, problem=""))
        return points

    def _list(self, points: list[Point], sure: bool) -> list[Point]:
        while True:
            end = points[-1].end
            after = self._joint(end)
            if after is None:
                return points
            after = self._skip(after, {"in", "on", "the", "at", "during", "every"})
            point = self.point(after)
            if point is None or point.unit != points[-1].unit or not (sure or point.strong or point.days):
                return points
            if self._keys[end] == "," and point.unit == "day":
                return points
            points.append(point)

    def _joint(self, at: int) -> int | None:
        k = self._keys
        if k[at] == "," and k[at + 1] in {"and", "or"}:
            return at + 2
        return at + 1 if k[at] in {"and", "or", "&", ","} else None

    def _with_shared_year(self, points: list[Point]) -> list[Point]:
        """In "May and June 2020" the year belongs to both."""
        last = points[-1]
        if last.days is None or last.yearly is None:
            return points
        year = last.days[0].year
        return [
            replace(point, days=_placed(point.yearly, year)) if point.comes_back and point.yearly else point
            for point in points
        ]

    def _names_an_object(self, at: int) -> bool:
        return self._keys[at] in OBJECTS

    # Single points of the calendar

    def point(self, at: int) -> Point | None:
        for rule in (
            self._numeric,
            self._month_days,
            self._day_month,
            self._third,
            self._named_day,
            self._relative,
            self._ago,
            self._feast,
            self._season,
            self._month,
            self._decade,
            self._plain_year,
            self._weekday,
            self._time_of_day,
        ):
            point = rule(at)
            if point is not None:
                return point
        return None

    def _numeric(self, at: int) -> Point | None:
        """2021-05-05, 2021-05, 05/06/2021, 5.6.21."""
        k = self._keys
        parts: list[str] = [k[at]]
        separator = k[at + 1]
        if separator not in {"-", "/", "."} or not _digits(k[at]):
            return None
        j = at + 1
        while len(parts) < 3 and k[j] == separator and _digits(k[j + 1]) and self._touching(j - 1, j + 1):
            parts.append(k[j + 1])
            j += 2
        if len(parts) == 3 and len(parts[0]) == 4:
            return self._checked(int(parts[0]), int(parts[1]), int(parts[2]), at, j)
        if len(parts) == 2 and len(parts[0]) == 4 and len(parts[1]) == 2 and separator != ".":
            year, month = int(parts[0]), int(parts[1])
            if _OLDEST_YEAR <= year <= _NEWEST_YEAR and 1 <= month <= 12:
                return Point(j, "month", days=(date(year, month, 1), month_end(year, month)))
        if len(parts) == 3 and len(parts[2]) in (2, 4) and len(parts[0]) <= 2:
            day, month = int(parts[0]), int(parts[1])
            if (month > 12 >= day) or (self._settings.date_order == "mdy" and day <= 12):
                day, month = month, day
            return self._checked(self._century(parts[2]), month, day, at, j)
        return None

    def _touching(self, first: int, last: int) -> bool:
        tokens = self._tokens
        return all(tokens[n].end == tokens[n + 1].start for n in range(first, last))

    def _century(self, digits: str) -> int:
        if len(digits) == 4:
            return int(digits)
        return int(digits) + (2000 if int(digits) <= (self._today.year + 1) % 100 else 1900)

    def _checked(self, year: int, month: int, day: int, at: int, end: int) -> Point | None:
        if not _OLDEST_YEAR <= year <= _NEWEST_YEAR:
            return None
        if 1 <= month <= 12 and 1 <= day <= month_end(year, month).day:
            one = date(year, month, day)
            return Point(end, "day", days=(one, one), yearly=_yearly(one, one))
        impossible = f"“{self.text(at, end).replace(' ', '')}” is not a day of the calendar"
        if 1 <= month <= 12:
            days = (date(year, month, 1), month_end(year, month))
            return Point(end, "day", days=days, problem=f"{impossible}; the whole month was taken.")
        days = (date(year, 1, 1), date(year, 12, 31))
        return Point(end, "day", days=days, problem=f"{impossible}; the whole year was taken.")

    def _day_number(self, at: int) -> tuple[int, int] | None:
        key = self._keys[at]
        if key in ORDINALS:
            return ORDINALS[key], at + 1
        digits = key[:-2] if key.endswith(("st", "nd", "rd", "th")) else key
        if _digits(digits) and len(digits) <= 2 and 1 <= int(digits) <= 31:
            return int(digits), at + 1
        return None

    def _month_name(self, at: int) -> int | None:
        key = self._keys[at]
        return MONTHS.get(key) or ABBREVIATED.get(key)

    def _day_month(self, at: int) -> Point | None:
        """5 May 2021, the 5th of May, 5-8 May, 5 and 8 May."""
        first = self._day_number(at)
        if first is None:
            return None
        day, j = first
        last = day
        if self._keys[j] in _TO | {"and"}:
            second = self._day_number(self._skip(j + 1, {"the"}))
            if second is None:
                return None
            last, j = second
        j = self._skip(j, {"of"})
        month = self._month_name(j)
        if month is None:
            return None
        return self._days_of_month(month, day, last, at, j + 1)

    def _month_days(self, at: int) -> Point | None:
        """May 5th, 2021; May 5-8."""
        month = self._month_name(at)
        first = self._day_number(self._skip(at + 1, {".", "the"})) if month else None
        if month is None or first is None:
            return None
        day, j = first
        last = day
        if self._keys[j] in _TO:
            second = self._day_number(self._skip(j + 1, {"the"}))
            if second is not None and self._keys[second[1]] not in MONTHS:
                last, j = second
        return self._days_of_month(month, day, last, at, j)

    def _days_of_month(self, month: int, day: int, last: int, at: int, end: int) -> Point | None:
        year = self._year_after(end)
        said = self.text(at, end)
        limit = month_end(2000, month).day
        if year is not None:
            limit, end = month_end(year[0], month).day, year[1]
            said = self.text(at, end)
        problem = ""
        if max(day, last) > limit:
            problem = f"“{said}” is not a day of the calendar; the whole month was taken."
            day, last = 1, limit
        elif last < day:
            problem, day, last = f"“{said}” ends before it starts; it was turned round.", last, day
        recurring = Yearly(month_from=month, day_from=day, month_to=month, day_to=last)
        days = (date(year[0], month, day), date(year[0], month, last)) if year else None
        return Point(end, "day", days=days, yearly=recurring, problem=problem)

    def _month(self, at: int) -> Point | None:
        month = self._month_name(at)
        if month is None:
            return None
        j = at + 1
        if self._keys[at] in ABBREVIATED and self._keys[j] == "." and self._year(j + 1):
            j += 1
        recurring = Yearly(month_from=month, day_from=1, month_to=month, day_to=month_end(2000, month).day)
        year = self._year_after(j)
        if year is not None:
            return Point(year[1], "month", days=_placed(recurring, year[0]), yearly=recurring)
        if self._keys[at] in ABBREVIATED and self._keys[at - 1 if at else -1] not in {"in", "since", "last", "during"}:
            return None
        return Point(j, "month", yearly=recurring, strong=False)

    def _year(self, at: int) -> tuple[int, int] | None:
        key = self._keys[at]
        if _digits(key) and len(key) == 4 and _OLDEST_YEAR <= int(key) <= _NEWEST_YEAR:
            return int(key), at + 1
        if len(key) == 3 and key[0] == "'" and key[1:].isdecimal():
            return self._century(key[1:]), at + 1
        return None

    def _year_after(self, at: int) -> tuple[int, int] | None:
        """The year that follows a month, season or feast: "of 2019", ", 2019", "in 2019", "last year"."""
        j = self._skip(at, {","}) if self._year(at + 1) else at
        j = self._skip(j, {"of", "in"})
        qualifier = self._keys[j]
        if self._keys[j + 1] == "year" and qualifier in _LAST | _THIS | _NEXT and self._keys[j - 1] != "the":
            return self._today.year + {"last": -1, "this": 0}.get(_sense(qualifier), 1), j + 2
        return self._year(j)

    def _third(self, at: int) -> Point | None:
        """early May, mid-2019, the end of last summer."""
        k = self._keys
        part = THIRDS.get(k[at])
        if part is None:
            return None
        j = self._skip(
            at + 1, {"of", "in", "the"} if k[at] in {"beginning", "start", "middle", "end"} else {"in", "the"}
        )
        if k[at] in {"beginning", "start", "middle", "end"} and k[at + 1] != "of":
            return None
        point = self.point(j)
        if point is None or point.unit == "weekday":
            return None
        if point.unit == "tod":
            return point
        if point.days is not None:
            return replace(point, days=_third_of(point.days, part, point.unit), yearly=None, strong=True)
        if point.yearly is None or point.yearly.feast:
            return None
        whole = point.yearly.days(2001)
        if whole is None:
            return None
        return replace(point, yearly=_yearly(*_third_of(whole, part, point.unit)), season=None, strong=True)

    def _named_day(self, at: int) -> Point | None:
        k, today = self._keys, self._today
        if tuple(k[at : at + 4]) == ("day", "before", "yesterday", k[at + 3]):
            return self._with_time(at + 3, today - timedelta(days=2))
        if k[at] == "yesterday":
            return self._with_time(at + 1, today - timedelta(days=1))
        if k[at] == "today":
            return self._with_time(at + 1, today)
        if k[at] == "tomorrow":
            return self._with_time(at + 1, today + timedelta(days=1))
        if k[at] == "tonight" and at and k[at - 1] in {"from", "of"}:
            return Point(at + 1, "day", days=(today, today), times=("evening", "night"))
        return None

    def _with_time(self, end: int, day: date) -> Point:
        times = TIMES.get(self._keys[end])
        return Point(end + bool(times), "day", days=(day, day), times=times or ())

    def _relative(self, at: int) -> Point | None:
        """last summer, this week, the past two years, last Tuesday, this morning."""
        k = self._keys
        if k[at] not in _LAST | _THIS | _NEXT:
            return None
        sense, j = _sense(k[at]), at + 1
        if sense == "last" and k[j] == "years":
            return Point(j + 1, "year", days=(OPEN_START, date(self._today.year - 1, 12, 31)))
        count = number(k, j)
        if count is not None:
            if sense != "last" or k[count[1]] not in UNITS:
                return None
            return Point(count[1] + 1, "span", days=(self._back(count[0], UNITS[k[count[1]]]), self._today))
        trailing = sense == "last" and (k[at] == "past" or (at > 0 and k[at - 1] == "the"))
        if k[j] in {"year", "month", "week", "decade"}:
            days = (self._back(1, k[j]), self._today) if trailing or k[j] == "decade" else self._calendar(sense, k[j])
            return Point(j + 1, "year" if k[j] == "year" else "span", days=days)
        if k[j] == "weekend":
            return Point(j + 1, "span", days=self._weekend(finished=sense == "last", ahead=sense == "next"))
        if k[j] in TIMES and k[j + 1 - 1] not in {"mornings", "evenings", "nights", "afternoons"}:
            day = self._today - timedelta(days=1 if sense == "last" else 0)
            return Point(j + 1, "day", days=(day, day), times=TIMES[k[j]])
        return self._relative_weekday(sense, j) or self._relative_recurring(sense, j)

    def _relative_weekday(self, sense: str, j: int) -> Point | None:
        weekday = WEEKDAYS.get(self._keys[j])
        if weekday is None:
            return None
        today = self._today
        if sense == "last":
            return self._with_time(j + 1, today - timedelta(days=(today.weekday() - weekday - 1) % 7 + 1))
        if sense == "next":
            return self._with_time(j + 1, today + timedelta(days=(weekday - today.weekday() - 1) % 7 + 1))
        return self._with_time(j + 1, self._week(0)[0] + timedelta(days=(weekday - self._week(0)[0].weekday()) % 7))

    def _relative_recurring(self, sense: str, j: int) -> Point | None:
        point = self._feast(j) or self._season(j) or self._month(j)
        if point is None or point.yearly is None or point.days is not None:
            return None
        nearby = [
            days for year in range(self._today.year - 2, self._today.year + 3) if (days := _placed(point.yearly, year))
        ]
        if sense == "last":
            days = max(days for days in nearby if days[1] < self._today)
        elif sense == "next":
            days = min(days for days in nearby if days[0] > self._today)
        else:
            days = self._current(nearby)
        return replace(point, days=days, strong=True)

    def _current(self, nearby: list[Days]) -> Days:
        """What "this summer" means: the one we are in; else the one that ends in this year, unless it is far ahead."""
        today = self._today
        inside = [days for days in nearby if days[0] <= today <= days[1]]
        if inside:
            return inside[0]
        ending = next(days for days in nearby if days[1].year == today.year)
        if ending[0] - today > timedelta(days=200):
            return max(days for days in nearby if days[1] < today)
        return ending

    def _calendar(self, sense: str, unit: str) -> Days:
        steps = {"last": -1, "this": 0, "next": 1}[sense]
        if unit == "week":
            return self._week(steps)
        if unit == "month":
            first = _clamped(self._today.replace(day=1), steps)
            return first, month_end(first.year, first.month)
        return date(self._today.year + steps, 1, 1), date(self._today.year + steps, 12, 31)

    def _week(self, steps: int) -> Days:
        offset = (self._today.weekday() + (self._settings.week_starts == "sunday")) % 7
        first = self._today - timedelta(days=offset - 7 * steps)
        return first, first + timedelta(days=6)

    def _weekend(self, *, finished: bool, ahead: bool = False) -> Days:
        """The weekend that we are in or that was last; with `finished` only one that is over."""
        today = self._today
        saturday = today - timedelta(days=(today.weekday() - 5) % 7)
        if ahead:
            saturday = today + timedelta(days=(5 - today.weekday() - 1) % 7 + 1)
        elif finished and saturday + timedelta(days=1) >= today:
            saturday -= timedelta(days=7)
        return saturday, saturday + timedelta(days=1)

    def _ago(self, at: int) -> Point | None:
        """10 days ago, two years ago, a week ago, a year ago today."""
        k = self._keys
        count = number(k, at) or ((1, at + 1) if k[at] in {"a", "an"} else None)
        if count is None or k[count[1]] not in UNITS | {"hour": "hour", "hours": "hour"} or k[count[1] + 1] != "ago":
            return None
        if k[count[1]] in {"hour", "hours"}:
            return Point(count[1] + 2, "day", days=(self._today, self._today))
        unit, end = UNITS[k[count[1]]], count[1] + 2
        day = self._back(count[0], unit)
        if k[end] == "today" or unit == "day":
            return Point(end + (k[end] == "today"), "day", days=(day, day))
        if unit == "week":
            first = day - timedelta(days=(day.weekday() + (self._settings.week_starts == "sunday")) % 7)
            return Point(end, "span", days=(first, first + timedelta(days=6)))
        if unit == "month":
            return Point(end, "month", days=(day.replace(day=1), month_end(day.year, day.month)))
        return Point(end, "year", days=(date(day.year, 1, 1), date(day.year, 12, 31)))

    def _back(self, count: int, unit: str) -> date:
        if unit in {"day", "week", "weekend"}:
            return _later(self._today, -count * (1 if unit == "day" else 7))
        return _clamped(self._today, -count * {"month": 1, "year": 12, "decade": 120}[unit])

    def _feast(self, at: int) -> Point | None:
        for length in (4, 3, 2, 1):
            words = tuple(self._keys[at : at + length])
            end = at + length
            if words in FIXED_FEASTS:
                first_month, first_day, last_month, last_day = FIXED_FEASTS[words]
                recurring = Yearly(month_from=first_month, day_from=first_day, month_to=last_month, day_to=last_day)
            elif words in MOVABLE_FEASTS:
                feast = MOVABLE_FEASTS[words]
                window = WINDOWS[feast]
                recurring = Yearly(
                    month_from=window[0], day_from=window[1], month_to=window[2], day_to=window[3], feast=feast
                )
            else:
                continue
            if self._names_an_object(end):
                return None
            year = self._year_after(end)
            if year is not None:
                return Point(year[1], "feast", days=_placed(recurring, year[0]), yearly=recurring)
            return Point(end, "feast", yearly=recurring)
        return None

    def _season(self, at: int) -> Point | None:
        k = self._keys
        season = SEASON_WORDS.get(k[at])
        if season is None or self._names_an_object(at + 1) or (k[at - 1] == "hot" and at):
            return None
        first_month, first_day, last_month, last_day = season_window(season, self._settings.hemisphere)
        recurring = Yearly(month_from=first_month, day_from=first_day, month_to=last_month, day_to=last_day)
        end = at + 1 + (k[at + 1] == "time")
        year = self._year_after(end)
        if year is None:
            return Point(end, "season", yearly=recurring, season=season, strong=False)
        end = year[1]
        if k[end] in {"/", "-"} and _digits(k[end + 1]) and int(k[end + 1]) % 100 == (year[0] + 1) % 100:
            end += 2
        return Point(end, "season", days=_placed(recurring, year[0]), yearly=recurring, season=season)

    def _decade(self, at: int) -> Point | None:
        """the 90s, 1990s, the nineties, '80s."""
        key = self._keys[at].lstrip("'")
        end = at + 1
        if self._keys[end] == "'s" and _digits(key) and len(key) in (2, 4) and key.endswith("0"):
            key, end = key + "s", end + 1
        if at and self._keys[at - 1] in {"his", "her", "their", "my", "our", "your"}:
            return None
        start = DECADES.get(key)
        if start is None and key.endswith("0s") and _digits(key[:-1]) and len(key) in (3, 5):
            start = int(key[:-1])
        if start is None:
            return None
        if start < 100:
            start += 2000 if 2000 + start <= self._today.year else 1900
        if not _OLDEST_YEAR - 6 <= start <= _NEWEST_YEAR:
            return None
        return Point(end, "decade", days=(date(start, 1, 1), date(start + 9, 12, 31)))

    def _plain_year(self, at: int) -> Point | None:
        year = self._year(at)
        if year is None or self._keys[at].startswith("'"):
            return None
        return Point(year[1], "year", days=(date(year[0], 1, 1), date(year[0], 12, 31)))

    def _weekday(self, at: int) -> Point | None:
        k = self._keys
        if k[at] in {"weekend", "weekends"}:
            before = k[at - 1] if at else ""
            recent = (
                k[at] == "weekend"
                and before in {"the", "on", "at", "over", "from"}
                and not self._names_an_object(at + 1)
            )
            if recent:
                return Point(at + 1, "weekday", days=self._weekend(finished=False))
            return Point(at + 1, "weekday", weekdays=(5, 6), strong=k[at] == "weekends")
        if k[at] in {"weekdays", "workdays"}:
            return Point(at + 1, "weekday", weekdays=(0, 1, 2, 3, 4))
        plural = k[at].endswith("s") and k[at][:-1] in WEEKDAYS
        weekday = WEEKDAYS.get(k[at][:-1] if plural else k[at])
        if weekday is None or (at and k[at - 1] in {"black", "cyber", "shrove", "ash", "palm", "maundy"}):
            return None
        times = TIMES.get(k[at + 1], ())
        end = at + 1 + bool(times)
        if plural or (times and k[at + 1].endswith("s")) or (not times and self._names_an_object(end)):
            return Point(end, "weekday", weekdays=(weekday,), times=times)
        today = self._today
        day = today - timedelta(days=(today.weekday() - weekday) % 7)
        return Point(end, "weekday", days=(day, day), times=times, strong=bool(times))

    def _time_of_day(self, at: int) -> Point | None:
        key = self._keys[at]
        times = TIMES.get(key)
        if times is None or key == "tonight":
            return None
        return Point(at + 1, "tod", times=times, strong=key in {"mornings", "evenings", "afternoons", "nights"})

    def _skip(self, at: int, skipped: set[str]) -> int:
        while self._keys[at] in skipped and self._keys[at]:
            at += 1
        return at

    def _latest(self, point: Point) -> Days | None:
        """The occurrence that began last, for "since May" and "before Christmas"."""
        if point.yearly is not None:
            years = range(self._today.year - 1, self._today.year + 1)
            begun = [days for year in years if (days := _placed(point.yearly, year)) and days[0] <= self._today]
            return max(begun, default=None)
        if len(point.weekdays) == 1:
            day = self._today - timedelta(days=(self._today.weekday() - point.weekdays[0]) % 7)
            return day, day
        return None


def _digits(key: str) -> bool:
    return key.isascii() and key.isdecimal()


def _sense(qualifier: str) -> str:
    return "last" if qualifier in _LAST else "this" if qualifier in _THIS else "next"


def _yearly(first: date, last: date) -> Yearly:
    return Yearly(month_from=first.month, day_from=first.day, month_to=last.month, day_to=last.day)


def _placed(recurring: Yearly, year: int) -> Days | None:
    return recurring.days(year) if 1 <= year <= _NEWEST_YEAR + 1 else None


def _later(day: date, days: int) -> date:
    try:
        return day + timedelta(days=days)
    except OverflowError:
        return OPEN_START if days < 0 else OPEN_END


def _clamped(day: date, months: int) -> date:
    """The day `months` later (earlier if negative), or the last day of that month where it has no such day."""
    index = day.year * 12 + day.month - 1 + months
    year, month = divmod(index, 12)
    if year < 1:
        return OPEN_START
    if year > 9999:
        return OPEN_END
    return date(year, month + 1, min(day.day, month_end(year, month + 1).day))


def _third_of(days: Days, part: int, unit: str) -> Days:
    """The early (0), middle (1) or late (2) third, cut where people cut: at the 10th, at months, at whole years."""
    first, last = days
    if unit == "month":
        cuts = [first, first.replace(day=11), first.replace(day=21), _later(last, 1)]
    elif unit == "decade":
        cuts = [date(first.year + years, 1, 1) for years in (0, 4, 7, 10)]
    elif unit == "year" and first.month == 1 and first.day == 1 and first.year == last.year:
        cuts = [date(first.year + month // 12, month % 12 + 1, 1) for month in (0, 4, 8, 12)]
    elif unit == "season":
        cuts = [_clamped(first, months) for months in (0, 1, 2, 3)]
    else:
        length = (last - first).days + 1
        cuts = [first + timedelta(days=length * step // 3) for step in range(3)] + [_later(last, 1)]
    return cuts[part], max(cuts[part], _later(cuts[part + 1], -1))
