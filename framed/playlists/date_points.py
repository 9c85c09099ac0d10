"""Single points of the calendar in a sentence: a day, a month, a season, a feast, "last week", "ten days ago"."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta

from framed.playlists import date_counted
from framed.playlists.calendar_point import NEWEST_YEAR, OLDEST_YEAR, Days, Point, digits, placed, yearly_of
from framed.playlists.date_words import (
    ABBREVIATED,
    DECADES,
    FIXED_FEASTS,
    MONTHS,
    MOVABLE_FEASTS,
    OBJECTS,
    ORDINALS,
    SEASON_WORDS,
    SPOKEN_CENTURIES,
    THIRDS,
    TIMES,
    UNITS,
    WEEKDAYS,
    number,
    year_said,
)
from framed.playlists.feasts import WINDOWS, days_later, month_end, months_later, season_window, third_of
from framed.playlists.grammar_tokens import Token
from framed.playlists.plan import OPEN_START, AskSettings, Yearly

LAST = frozenset({"last", "past", "previous"})
TO = frozenset({"to", "until", "till", "through", "thru", "-"})
_THIS = frozenset({"this", "current"})
_NEXT = frozenset({"next", "coming", "upcoming"})


class Points:
    """Reads one point at a token; `today` is the local day."""

    def __init__(self, tokens: Sequence[Token], today: date, settings: AskSettings) -> None:
        self._tokens = tokens
        self._keys = [token.key for token in tokens] + [""] * 8
        self._today = today
        self._settings = settings
        self._counts = not date_counted.WORDS.isdisjoint(self._keys)

    def point(self, at: int) -> Point | None:
        for rule in (
            self._numeric,
            self._month_days,
            self.day_month,
            self._third,
            self._half,
            self._named_day,
            self._counted,
            self._relative,
            self._ago,
            self.feast,
            self.season,
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

    def _counted(self, at: int) -> Point | None:
        return date_counted.read(self, self._keys, self._today, at) if self._counts else None

    def _numeric(self, at: int) -> Point | None:
        """2021-05-05, 2021-05, 05/06/2021, 5.6.21."""
        k = self._keys
        parts: list[str] = [k[at]]
        separator = k[at + 1]
        if separator not in {"-", "/", "."} or not digits(k[at]):
            return None
        j = at + 1
        while len(parts) < 3 and k[j] == separator and digits(k[j + 1]) and self._touching(j - 1, j + 1):
            parts.append(k[j + 1])
            j += 2
        if len(parts) == 3 and len(parts[0]) == 4:
            return self._checked(int(parts[0]), int(parts[1]), int(parts[2]), at, j)
        if len(parts) == 2 and len(parts[0]) == 4 and len(parts[1]) == 2 and separator != ".":
            year, month = int(parts[0]), int(parts[1])
            if OLDEST_YEAR <= year <= NEWEST_YEAR and 1 <= month <= 12:
                return Point(j, "month", days=(date(year, month, 1), month_end(year, month)))
        if len(parts) == 2 and separator == "." and self._settings.date_order == "dmy":
            return self._without_year(parts, at, j)
        if len(parts) == 3 and len(parts[2]) in (2, 4) and len(parts[0]) <= 2:
            day, month = int(parts[0]), int(parts[1])
            if (month > 12 >= day) or (self._settings.date_order == "mdy" and day <= 12):
                day, month = month, day
            return self._checked(self._century(parts[2]), month, day, at, j)
        return None

    def _without_year(self, parts: list[str], at: int, end: int) -> Point | None:
        """24.12. and, after "on" or "from", 24.12: the day of every year."""
        day, month = int(parts[0]), int(parts[1])
        closed = self._keys[end] == "." and self._touching(end - 1, end)
        led = at > 0 and self._keys[at - 1] in {"on", "from", "of"}
        if not (closed or led) or not (1 <= month <= 12 and 1 <= day <= month_end(2000, month).day):
            return None
        recurring = Yearly(month_from=month, day_from=day, month_to=month, day_to=day)
        return Point(end + closed, "day", yearly=recurring)

    def _touching(self, first: int, last: int) -> bool:
        tokens = self._tokens
        return all(tokens[n].end == tokens[n + 1].start for n in range(first, last))

    def _century(self, digits: str) -> int:
        if len(digits) == 4:
            return int(digits)
        return int(digits) + (2000 if int(digits) <= (self._today.year + 1) % 100 else 1900)

    def _checked(self, year: int, month: int, day: int, at: int, end: int) -> Point | None:
        if not OLDEST_YEAR <= year <= NEWEST_YEAR:
            return None
        if 1 <= month <= 12 and 1 <= day <= month_end(year, month).day:
            one = date(year, month, day)
            return Point(end, "day", days=(one, one), yearly=yearly_of(one, one))
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
        bare = key[:-2] if key.endswith(("st", "nd", "rd", "th")) else key
        if digits(bare) and len(bare) <= 2 and 1 <= int(bare) <= 31:
            return int(bare), at + 1
        return None

    def _month_name(self, at: int) -> int | None:
        key = self._keys[at]
        return MONTHS.get(key) or ABBREVIATED.get(key)

    def day_month(self, at: int) -> Point | None:
        """5 May 2021, the 5th of May, 5-8 May, 5 and 8 May."""
        first = self._day_number(at)
        if first is None:
            return None
        day, j = first
        last = day
        if self._keys[j] in TO | {"and"}:
            second = self._day_number(self.skip(j + 1, {"the"}))
            if second is None:
                return None
            last, j = second
        dotted = self._keys[j] == "." and self._touching(j - 1, j)  # 24. December
        j = self.skip(j + dotted, {"of"})
        month = self._month_name(j)
        if month is None:
            return None
        return self._days_of_month(month, day, last, at, j + 1)

    def _month_days(self, at: int) -> Point | None:
        """May 5th, 2021; May 5-8."""
        month = self._month_name(at)
        first = self._day_number(self.skip(at + 1, {".", "the"})) if month else None
        if month is None or first is None:
            return None
        day, j = first
        last = day
        if self._keys[j] in TO:
            second = self._day_number(self.skip(j + 1, {"the"}))
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
        if self._keys[at] in ABBREVIATED and self._keys[j] == "." and self.year(j + 1):
            j += 1
        recurring = Yearly(month_from=month, day_from=1, month_to=month, day_to=month_end(2000, month).day)
        year = self._year_after(j)
        if year is not None:
            return Point(year[1], "month", days=placed(recurring, year[0]), yearly=recurring)
        if self._keys[at] in ABBREVIATED and self._keys[at - 1 if at else -1] not in {"in", "since", "last", "during"}:
            return None
        return Point(j, "month", yearly=recurring, strong=False)

    def year(self, at: int) -> tuple[int, int] | None:
        key = self._keys[at]
        if digits(key) and len(key) == 4 and OLDEST_YEAR <= int(key) <= NEWEST_YEAR:
            return int(key), at + 1
        if len(key) == 3 and key[0] == "'" and key[1:].isdecimal():
            return self._century(key[1:]), at + 1
        return year_said(self._keys, at) if key in SPOKEN_CENTURIES else None

    def _year_after(self, at: int) -> tuple[int, int] | None:
        """The year that follows a month, season or feast: "of 2019", ", 2019", "in 2019", "last year"."""
        j = self.skip(at, {","}) if self.year(at + 1) else at
        j = self.skip(j, {"of", "in"})
        qualifier = self._keys[j]
        if self._keys[j + 1] == "year" and qualifier in LAST | _THIS | _NEXT and self._keys[j - 1] != "the":
            return self._today.year + {"last": -1, "this": 0}.get(_sense(qualifier), 1), j + 2
        return self.year(j)

    def _third(self, at: int) -> Point | None:
        """early May, mid-2019, the end of last summer."""
        k = self._keys
        part = THIRDS.get(k[at])
        if part is None:
            return None
        j = self.skip(
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
            return replace(point, days=third_of(point.days, part, point.unit), yearly=None, strong=True)
        if point.yearly is None or point.yearly.feast:
            return None
        whole = point.yearly.days(2001)
        if whole is None:
            return None
        return replace(point, yearly=yearly_of(*third_of(whole, part, point.unit)), season=None, strong=True)

    def _half(self, at: int) -> Point | None:
        """The first half of 2019, the second half of May."""
        k = self._keys
        if k[at] not in {"first", "second", "last"} or k[at + 1] != "half" or k[at + 2] not in {"of", "in"}:
            return None
        point = self.point(self.skip(at + 3, {"the"}))
        if point is None or point.days is None:
            return None
        first, last = point.days
        middle = (
            date(first.year, 7, 1) if point.unit == "year" else first + timedelta(days=((last - first).days + 1) // 2)
        )
        halves = ((first, max(first, days_later(middle, -1))), (min(middle, last), last))
        return replace(point, days=halves[k[at] != "first"], yearly=None, strong=True)

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
        if k[at] not in LAST | _THIS | _NEXT:
            return None
        sense, j = _sense(k[at]), at + 1
        if sense == "last" and k[j] == "years":
            return Point(j + 1, "year", days=(OPEN_START, date(self._today.year - 1, 12, 31)))
        count = number(k, j)
        if count is not None:
            if sense != "last" or k[count[1]] not in UNITS:
                return None
            return Point(count[1] + 1, "span", days=(self.back(count[0], UNITS[k[count[1]]]), self._today))
        trailing = sense == "last" and (k[at] == "past" or (at > 0 and k[at - 1] == "the"))
        if k[j] in {"year", "month", "week", "decade"}:
            days = (self.back(1, k[j]), self._today) if trailing or k[j] == "decade" else self.calendar(sense, k[j])
            return Point(j + 1, "year" if k[j] == "year" else "span", days=days)
        if k[j] == "weekend":
            return Point(j + 1, "span", days=self.weekend(finished=sense == "last", ahead=sense == "next"))
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
        return self._with_time(j + 1, self.week(0)[0] + timedelta(days=(weekday - self.week(0)[0].weekday()) % 7))

    def _relative_recurring(self, sense: str, j: int) -> Point | None:
        point = self.feast(j) or self.season(j) or self._month(j)
        if point is None or point.yearly is None or point.days is not None:
            return None
        nearby = [
            days for year in range(self._today.year - 2, self._today.year + 3) if (days := placed(point.yearly, year))
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

    def calendar(self, sense: str, unit: str) -> Days:
        steps = {"last": -1, "this": 0, "next": 1}[sense]
        if unit == "week":
            return self.week(steps)
        if unit == "month":
            first = months_later(self._today.replace(day=1), steps)
            return first, month_end(first.year, first.month)
        return date(self._today.year + steps, 1, 1), date(self._today.year + steps, 12, 31)

    def week(self, steps: int) -> Days:
        offset = (self._today.weekday() + (self._settings.week_starts == "sunday")) % 7
        first = self._today - timedelta(days=offset - 7 * steps)
        return first, first + timedelta(days=6)

    def weekend(self, *, finished: bool, ahead: bool = False) -> Days:
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
        day = self.back(count[0], unit)
        if k[end] == "today" or unit == "day":
            return Point(end + (k[end] == "today"), "day", days=(day, day))
        if unit == "week":
            first = day - timedelta(days=(day.weekday() + (self._settings.week_starts == "sunday")) % 7)
            return Point(end, "span", days=(first, first + timedelta(days=6)))
        if unit == "month":
            return Point(end, "month", days=(day.replace(day=1), month_end(day.year, day.month)))
        return Point(end, "year", days=(date(day.year, 1, 1), date(day.year, 12, 31)))

    def back(self, count: int, unit: str) -> date:
        if unit in {"day", "week", "weekend"}:
            return days_later(self._today, -count * (1 if unit == "day" else 7))
        return months_later(self._today, -count * {"month": 1, "year": 12, "decade": 120}[unit])

    def feast(self, at: int) -> Point | None:
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
            if self.names_an_object(end):
                return None
            year = self._year_after(end)
            if year is not None:
                first = year[0] - recurring.crosses_new_year  # New Year 2020 begins on 31 December 2019
                return Point(year[1], "feast", days=placed(recurring, first), yearly=recurring)
            return Point(end, "feast", yearly=recurring)
        return None

    def season(self, at: int) -> Point | None:
        k = self._keys
        season = SEASON_WORDS.get(k[at])
        if season is None or self.names_an_object(at + 1) or (k[at - 1] == "hot" and at):
            return None
        first_month, first_day, last_month, last_day = season_window(season, self._settings.hemisphere)
        recurring = Yearly(month_from=first_month, day_from=first_day, month_to=last_month, day_to=last_day)
        end = at + 1 + (k[at + 1] in {"time", "months"})
        year = self._year_after(end)
        if year is None:
            return Point(end, "season", yearly=recurring, season=season, strong=False)
        end = year[1]
        if k[end] in {"/", "-"} and digits(k[end + 1]) and int(k[end + 1]) % 100 == (year[0] + 1) % 100:
            end += 2
        return Point(end, "season", days=placed(recurring, year[0]), yearly=recurring, season=season)

    def _decade(self, at: int) -> Point | None:
        """the 90s, 1990s, the nineties, '80s."""
        key = self._keys[at].lstrip("'")
        end = at + 1
        if self._keys[end] == "'s" and digits(key) and len(key) in (2, 4) and key.endswith("0"):
            key, end = key + "s", end + 1
        if at and self._keys[at - 1] in {"his", "her", "their", "my", "our", "your"}:
            return None
        start = DECADES.get(key)
        if (
            key in {"nineteen", "eighteen", "twenty"}
            and (said := DECADES.get(self._keys[end])) is not None
            and said < 100
        ):
            start, end = {"nineteen": 1900, "eighteen": 1800, "twenty": 2000}[key] + said, end + 1
        if start is None and key.endswith("0s") and digits(key[:-1]) and len(key) in (3, 5):
            start = int(key[:-1])
        if start is None:
            return None
        if start < 100:
            start += 2000 if 2000 + start <= self._today.year else 1900
        if not OLDEST_YEAR - 6 <= start <= NEWEST_YEAR:
            return None
        return Point(end, "decade", days=(date(start, 1, 1), date(start + 9, 12, 31)))

    def _plain_year(self, at: int) -> Point | None:
        year = self.year(at)
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
                and not self.names_an_object(at + 1)
            )
            if recent:
                return Point(at + 1, "weekday", days=self.weekend(finished=False))
            return Point(at + 1, "weekday", weekdays=(5, 6), strong=k[at] == "weekends")
        if k[at] in {"weekdays", "workdays"} or (k[at] == "weekday" and k[at + 1] in TIMES):
            times = TIMES.get(k[at + 1], ())
            return Point(at + 1 + bool(times), "weekday", weekdays=(0, 1, 2, 3, 4), times=times)
        plural = k[at].endswith("s") and k[at][:-1] in WEEKDAYS
        weekday = WEEKDAYS.get(k[at][:-1] if plural else k[at])
        if weekday is None or (at and k[at - 1] in {"black", "cyber", "shrove", "ash", "palm", "maundy"}):
            return None
        times = TIMES.get(k[at + 1], ())
        end = at + 1 + bool(times)
        if plural or (times and k[at + 1].endswith("s")) or (not times and self.names_an_object(end)):
            return Point(end, "weekday", weekdays=(weekday,), times=times)
        today = self._today
        j = self.skip(end, {"of"})
        if k[j : j + 2] == ["last", "week"]:
            first = self.week(-1)[0]
            day = first + timedelta(days=(weekday - first.weekday()) % 7)
            return Point(j + 2, "weekday", days=(day, day), times=times)
        day = today - timedelta(days=(today.weekday() - weekday) % 7)
        return Point(end, "weekday", days=(day, day), times=times, strong=bool(times))

    def _time_of_day(self, at: int) -> Point | None:
        key = self._keys[at]
        times = TIMES.get(key)
        if times is None or key == "tonight":
            return None
        return Point(at + 1, "tod", times=times, strong=key in {"mornings", "evenings", "afternoons", "nights"})

    def skip(self, at: int, skipped: set[str]) -> int:
        while self._keys[at] in skipped and self._keys[at]:
            at += 1
        return at

    def latest(self, point: Point) -> Days | None:
        """The occurrence that began last, for "since May" and "before Christmas"."""
        if point.yearly is not None:
            years = range(self._today.year - 1, self._today.year + 1)
            begun = [days for year in years if (days := placed(point.yearly, year)) and days[0] <= self._today]
            return max(begun, default=None)
        if len(point.weekdays) == 1:
            day = self._today - timedelta(days=(self._today.weekday() - point.weekdays[0]) % 7)
            return day, day
        return None

    def text(self, first: int, last: int) -> str:
        """The words between two tokens, as they can be said again."""
        return " ".join(token.raw for token in self._tokens[first:last]).replace(" 's", "'s")

    def names_an_object(self, at: int) -> bool:
        return self._keys[at] in OBJECTS


def _sense(qualifier: str) -> str:
    return "last" if qualifier in LAST else "this" if qualifier in _THIS else "next"
