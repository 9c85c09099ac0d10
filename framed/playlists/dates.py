"""Date words → date ranges: reads one date phrase at a token, relative to a given day and never to a clock."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

from framed.playlists import clock_times
from framed.playlists.calendar_point import Days, Point, placed, yearly_of
from framed.playlists.clock_times import Stretch
from framed.playlists.date_points import TO, Points
from framed.playlists.date_words import UNITS, WEEKDAYS, number
from framed.playlists.feasts import Season, days_later, month_end, months_later
from framed.playlists.grammar_tokens import Token
from framed.playlists.plan import OPEN_END, OPEN_START, AskSettings, TimeOfDay, Yearly

_EVERY = frozenset({"every", "each", "all"})
_LEADS = frozenset({"in", "on", "from", "during", "at", "over", "around", "for", "throughout", "within"})
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


@dataclass(slots=True)
class Found:
    """A date phrase that ends before token `end`; `bare` is the one weak word it hangs on, if it does."""

    end: int
    days: list[Days] = field(default_factory=list)
    yearly: list[Yearly] = field(default_factory=list)
    seasons: list[Season] = field(default_factory=list)
    weekdays: list[int] = field(default_factory=list)
    times: list[TimeOfDay] = field(default_factory=list)
    clock: list[Stretch] = field(default_factory=list)
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
        self._points = Points(tokens, today, settings)

    def point(self, at: int) -> Point | None:
        return self._points.point(at)

    def read(self, at: int) -> Found | None:
        found = (
            self._clock(at)
            or self._this_day(at)
            or self._beside(at)
            or self._bounded(at)
            or self._between(at)
            or self._plain(at)
        )
        if found is None:
            return None
        if self._keys[found.end] == "'s":
            found.end += 1
            found.possessive = True
        if any(first > self._today for first, _ in found.days):
            found.problems.append(f"“{self._points.text(at, found.end)}” has not happened yet.")
        return found

    # Phrases

    def _clock(self, at: int) -> Found | None:
        """ "after 8 pm", "between 6 and 9 in the morning"."""
        said = clock_times.read(self._keys, at)
        return said and Found(said[0], clock=[said[1]])

    def _this_day(self, at: int) -> Found | None:
        """ "this day in past years", "on this day", "this time last year"."""
        k, j = self._keys, at
        if k[j] in {"on", "from", "in", "at"}:
            j += 1
        if k[j] != "this" or k[j + 1] not in {"day", "week", "month", "time", "weekend", "date"}:
            return None
        unit = k[j + 1]
        first, last = self._around_today(unit)
        after = self._points.skip(j + 2, {"of", "in", "from", "over", "through", "the", "for", "throughout"})
        if k[after] in {"past", "previous", "other", "earlier", "former", "last"} and k[after + 1] == "years":
            found = Found(after + 2, days=[(OPEN_START, date(self._today.year - 1, 12, 31))])
            found.yearly.append(yearly_of(first, last))
            return found
        if k[after] in {"history", "years"} or (k[after] in _EVERY and k[after + 1] in {"year", "years"}):
            return Found(after + (1 if k[after] in {"history", "years"} else 2), yearly=[yearly_of(first, last)])
        back = self._years_back(after)
        if back is not None:
            end, years = back
            shifted = months_later(first, -12 * years), months_later(last, -12 * years)
            return Found(end, days=[(shifted[0], max(shifted))])
        if unit in {"day", "date"} and (j > at or k[at + 2] in {"", ".", ","}):
            return Found(j + 2, yearly=[yearly_of(first, last)])
        return None

    def _around_today(self, unit: str) -> Days:
        today = self._today
        if unit == "week":
            return self._points.week(0)
        if unit == "month":
            return today.replace(day=1), month_end(today.year, today.month)
        if unit == "weekend":
            return self._points.weekend(finished=False)
        around = 7 if unit == "time" else 0
        return today - timedelta(days=around), today + timedelta(days=around)

    def _years_back(self, at: int) -> tuple[int, int] | None:
        if self._keys[at] == "last" and self._keys[at + 1] == "year":
            return at + 2, 1
        count = number(self._keys, at)
        if count and self._keys[count[1]] in {"year", "years"} and self._keys[count[1] + 1] == "ago":
            return count[1] + 2, min(count[0], 9000)
        return None

    def _beside(self, at: int) -> Found | None:
        """ "the week before Christmas 2020", "the day after Easter 2019"."""
        k = self._keys
        j = self._points.skip(at + 1 if k[at] in _LEADS else at, {"the"})
        length = {"day": 1, "week": 7, "weekend": 7, "month": 30}.get(k[j])
        if length is None or k[j + 1] not in {"before", "after"}:
            return None
        point = self._points.point(self._points.skip(j + 2, {"the"}))
        days = point and (point.days or self._points.latest(point))
        if point is None or not days:
            return None
        if k[j + 1] == "before":
            return Found(point.end, days=[(days_later(days[0], -length), days_later(days[0], -1))])
        return Found(point.end, days=[(days_later(days[1], 1), days_later(days[1], length))])

    def _bounded(self, at: int) -> Found | None:
        """ "since 2020", "before last summer", "older than five years"."""
        key = self._keys[at]
        word = next((w for w in _BOUNDS if w[0] == key and tuple(self._keys[at : at + len(w)]) == w), None)
        if word is None:
            return None
        bound, j = _BOUNDS[word], at + len(word)
        if bound in {"older", "newer"}:
            return self._age(bound, j)
        j = self._points.skip(j, {"in", "on", "from", "the", "around", "about"})
        point = self._points.point(j)
        if point is None or (point.days is None and point.yearly is None and not point.weekdays):
            return None
        days = point.days or self._points.latest(point)
        if days is None:
            return None
        first, last = days
        made = {
            "since": (first, OPEN_END),
            "after": (days_later(last, 1), OPEN_END),
            "before": (OPEN_START, days_later(first, -1)),
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
        edge = self._points.back(count[0], UNITS[self._keys[count[1]]])
        return Found(end, days=[(OPEN_START, days_later(edge, -1)) if bound == "older" else (edge, OPEN_END)])

    def _between(self, at: int) -> Found | None:
        """ "between March and May", "from June 2019 to August 2020", "2015-2018"."""
        k = self._keys
        opened = k[at] in {"between", "from", "in"}
        j = self._points.skip(at + 1, {"the", "early"}) if opened else at
        joints = TO | {"and", "&"} if k[at] == "between" else TO
        first = self._points.point(j)
        if k[at] == "between" and (days := self._points.day_month(j)) and k[days.end] not in joints:
            return self._of_point(days)  # between 5 and 8 May
        if first is None:
            return None
        joint = first.end
        if k[joint] == "up" and k[joint + 1] == "to":
            joint += 1
        if k[at] == "from" and (k[joint] in {"onward", "onwards"} or (k[joint] == "on" and k[joint + 1] in {"", ","})):
            start = first.days or self._points.latest(first)
            return Found(joint + 1, days=[(start[0], OPEN_END)]) if start else None
        if k[joint] not in joints or first.unit == "tod":
            return None
        last = self._short_year(joint + 1) if k[joint] == "-" and first.unit == "year" else None
        last = last or self._points.point(self._points.skip(joint + 1, {"the"}))
        if last is None or last.unit == "tod" or (first.unit == "weekday") != (last.unit == "weekday"):
            return self._open(first, joint) if k[at] == "from" else None
        return self._stretch(first, last, self._points.text(at, last.end))

    def _of_point(self, point: Point) -> Found:
        found = Found(point.end)
        found.add(point)
        return found

    def _open(self, first: Point, joint: int) -> Found | None:
        """ "from 2019 to now"."""
        if self._keys[joint + 1] not in {"now", "present"}:
            return None
        start = first.days or self._points.latest(first)
        return Found(joint + 2, days=[(start[0], OPEN_END)]) if start else None

    def _short_year(self, at: int) -> Point | None:
        """The "18" of "2015-18"."""
        key, before = self._keys[at], self._keys[at - 2]
        if len(key) == 2 and key.isdecimal() and key.isascii() and before[:4].isdecimal():
            year = int(before[:2] + key)
            return Point(at + 1, "year", days=(date(year, 1, 1), date(year, 12, 31)))
        return None

    def _stretch(self, first: Point, last: Point, said: str) -> Found | None:
        if first.unit == "weekday":
            return Found(last.end, weekdays=_weekdays_between(first, last))
        if first.comes_back and last.comes_back and first.yearly and last.yearly:
            opening, closing = first.yearly, last.yearly
            whole = Yearly(
                month_from=opening.month_from,
                day_from=opening.day_from,
                month_to=closing.month_to,
                day_to=closing.day_to,
            )
            return Found(last.end, yearly=[whole], strong=first.strong or last.strong or first.unit == last.unit)
        ends = _with_years(first, last)
        if ends is None:
            return None
        start, end = ends
        found = Found(last.end, problems=[point.problem for point in (first, last) if point.problem])
        if end[1] < start[0]:
            found.problems.append(f"“{said}” ends before it starts; it was turned round.")
            start, end = end, start
        found.days.append((start[0], max(end[1], start[0])))
        return found

    def _plain(self, at: int) -> Found | None:
        """A single date or a list of them: "in May", "last summer", "summer 2018 and 2019", "Saturdays and Sundays"."""
        k = self._keys
        lead = k[at] in _LEADS or k[at] == "of"
        j = at + 1 if lead else at
        if lead:
            j = self._points.skip(j, {"of"} if k[at] != "of" else set())
        j = self._points.skip(j, {"the", "our", "my", "all"}) if k[j] != "all" or lead else j
        repeated = k[j] in _EVERY and k[j] != "all"
        if repeated:
            j += 1
        point = self._points.point(j)
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
        if not found.strong and self._points.names_an_object(found.end):
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
            year = self._points.year(after) if after is not None else None
            days = placed(base.yearly, year[0]) if year else None
            if year is None or days is None:
                break
            points.append(replace(base, end=year[1], days=days, problem=""))
        return points

    def _list(self, points: list[Point], sure: bool) -> list[Point]:
        while True:
            end = points[-1].end
            after = self._joint(end)
            if after is None:
                return points
            after = self._points.skip(after, {"in", "on", "the", "at", "during", "every"})
            point = self._points.point(after)
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
            replace(point, days=placed(point.yearly, year)) if point.comes_back and point.yearly else point
            for point in points
        ]


def _weekdays_between(first: Point, last: Point) -> list[int]:
    start = first.days[0].weekday() if first.days else first.weekdays[0]
    stop = last.days[1].weekday() if last.days else last.weekdays[-1]
    return [(start + step) % 7 for step in range((stop - start) % 7 + 1)]


def _with_years(first: Point, last: Point) -> tuple[Days, Days] | None:
    """Both ends as days; the one that was said without a year takes it from the other, across New Year if need be."""
    start, end = first.days, last.days
    if start is None and end is not None and first.yearly:
        start = placed(first.yearly, end[1].year)
        if start and start[0] > end[1]:
            start = placed(first.yearly, end[1].year - 1)
    elif end is None and start is not None and last.yearly:
        end = placed(last.yearly, start[0].year)
        if end and end[1] < start[0]:
            end = placed(last.yearly, start[0].year + 1)
    return (start, end) if start and end else None
