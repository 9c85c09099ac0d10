"""One sentence in plain words about what a plan asks for."""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta

from framed.playlists.feasts import month_end
from framed.playlists.plan import OPEN_END, OPEN_START, ClockRange, DateRange, QueryPlan, Yearly

_KINDS = {"photo": "camera photos", "screenshot": "screenshots", "document": "documents", "drawing": "drawings"}
_WEEKDAYS = ("Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays")
_TIMES = {
    "morning": "in the morning", "midday": "at midday", "afternoon": "in the afternoon", "evening": "in the evening",
    "night": "at night",
}  # fmt: skip
_SORTS = {"newest": "newest first", "oldest": "oldest first", "best": "best first", "random": "in random order"}
_FEASTS = {
    "easter": "Easter", "easter_sunday": "Easter Sunday", "easter_monday": "Easter Monday",
    "good_friday": "Good Friday",
    "pentecost": "Pentecost", "thanksgiving": "Thanksgiving", "mothers_day": "Mother's Day",
    "fathers_day": "Father's Day",
}  # fmt: skip
_NUMBERS = dict(enumerate("no one two three four five six seven eight nine ten".split()))


def say(plan: QueryPlan) -> str:
    """ "20 photos of Anna and Ben, beach, June to August 2025, no screenshots"; names come from `plan.labels`."""
    parts = [
        _subject(plan),
        plan.semantic,
        *_where(plan),
        *_when(plan),
        *_look(plan),
        *_refused(plan),
        *_presentation(plan),
    ]
    return ", ".join(part for part in parts if part)


def names_of(plan: QueryPlan, kind: str, ids: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(plan.labels.get(f"{kind}:{one}", one) for one in ids))


def _joined(words: Sequence[str], last: str = "and") -> str:
    return f"{', '.join(words[:-1])} {last} {words[-1]}" if len(words) > 1 else "".join(words)


def _subject(plan: QueryPlan) -> str:
    kinds = _joined([_KINDS[kind] for kind in plan.kinds], "or") or ("photo" if plan.count == 1 else "photos")
    words = [str(plan.count) if plan.count else "", "favourite" if plan.favourites else ""]
    words += ["new" if plan.new else "", plan.quality if plan.quality != "any" else "", plan.orientation or ""]
    words += ["black-and-white" if plan.monochrome else "", _joined(plan.colours), kinds]
    return " ".join(word for word in words if word) + _people(plan)


def _people(plan: QueryPlan) -> str:
    everyone = names_of(plan, "people", plan.people_all)
    someone = _joined(names_of(plan, "people", plan.people_any), "or")
    people = _joined(everyone) + (" with " if everyone and someone else "") + someone
    counted = heads_said(plan.people_min, plan.people_max)
    if people:
        return f" of {people}" + (" and nobody else" if plan.only_people else "") + (f", {counted}" if counted else "")
    return f" with {counted}" if counted else " with people" if plan.some_people else ""


def heads_said(least: int | None, most: int | None) -> str:
    """ "two people", "three people or more", "at most two people"; empty where no number is asked for."""
    if most is None:
        return f"{_counted(least)} or more" if least else ""
    if least == most:
        return _counted(most)
    return f"{_NUMBERS.get(least, least)} to {_counted(most)}" if least and least > 1 else f"at most {_counted(most)}"


def _counted(people: int) -> str:
    return f"{_NUMBERS.get(people, people)} {'person' if people == 1 else 'people'}"


def _where(plan: QueryPlan) -> list[str]:
    places, folders = names_of(plan, "places", plan.places_any), names_of(plan, "folders", plan.folders_any)
    texts = [f"“{text}”" for text in plan.must_text]
    return [
        f"in {_joined(places, 'or')}" if places else "",
        f"from the album {_joined([f'“{one}”' for one in folders], 'or')}" if folders else "",
        f"with the text {_joined(texts)}" if texts else "",
    ]


def _when(plan: QueryPlan) -> list[str]:
    recurring = [_yearly(one) for one in plan.yearly] + [f"in {season}" for season in plan.seasons]
    weekdays = "on weekends" if set(plan.weekdays) == {5, 6} else ""
    if plan.weekdays and not weekdays:
        weekdays = f"on {_joined([_WEEKDAYS[day] for day in plan.weekdays], 'or')}"
    return [
        _joined([range_said(one) for one in plan.dates], "or"),
        _joined(recurring, "or"),
        weekdays,
        _joined([*(_TIMES[time] for time in plan.times_of_day), *(clock_said(one) for one in plan.clock)], "or"),
    ]


def _look(plan: QueryPlan) -> list[str]:
    return ["in colour" if plan.monochrome is False else "", "not favourites" if plan.favourites is False else ""]


def _refused(plan: QueryPlan) -> list[str]:
    no_people = ["people"] if plan.some_people is False else []
    things = [*no_people, *(_KINDS[kind] for kind in plan.kinds_none), *plan.semantic_none]
    dates = [range_said(one) for one in plan.dates_none] + [_yearly(one) for one in plan.yearly_none]
    others = [
        ("without", names_of(plan, "people", plan.people_none)),
        ("not in", names_of(plan, "places", plan.places_none)),
        ("not from the album", names_of(plan, "folders", plan.folders_none)),
        ("no", things),
        ("not", dates),
    ]
    return [f"{word} {_joined(names, 'or')}" for word, names in others if names]


def _presentation(plan: QueryPlan) -> list[str]:
    frame = plan.labels.get(f"frames:{plan.frame}", plan.frame)
    return [
        _SORTS.get(plan.sort, "") if not (plan.sort == "best" == plan.quality) else "",
        f"on {frame}" if frame else "on every frame" if plan.all_frames else "",
        f"changing {every(plan.interval_s)}" if plan.interval_s else "",
        f"saved as “{plan.named}”" if plan.named else "",
    ]


def every(seconds: int) -> str:
    """ "every 5 minutes"."""
    return f"every {_seconds(seconds)}"


def _seconds(seconds: int) -> str:
    for size, unit in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds % size == 0:
            count = seconds // size
            return unit if count == 1 else f"{count} {unit}s"
    return "second" if seconds == 1 else f"{seconds} seconds"


def range_said(days: DateRange) -> str:
    """As short as the calendar allows: 2019; May 2021; June to August 2025; 5 May 2021; since 3 June 2024."""
    start, end = days.start, days.end
    if start == OPEN_START and end == OPEN_END:
        return "any time"
    if end == OPEN_END:
        return f"since {_edge(start, opening=True)}"
    if start == OPEN_START:
        return f"until {_edge(end, opening=False)}"
    if start == end:
        return _day(start)
    if not (start.day == 1 and end == month_end(end.year, end.month)):
        if (start.year, start.month) == (end.year, end.month):
            return f"{start.day} to {_day(end)}"
        return f"{_day(start)} to {_day(end)}"
    if start.month == 1 and end.month == 12:
        return str(start.year) if start.year == end.year else f"{start.year} to {end.year}"
    if (start.year, start.month) == (end.year, end.month):
        return f"{start:%B} {start.year}"
    opening = f"{start:%B}" if start.year == end.year else f"{start:%B} {start.year}"
    return f"{opening} to {end:%B} {end.year}"


def clock_said(one: ClockRange) -> str:
    """ "after 8 pm", "before 9:30 am", "between 10 pm and 2 am"."""
    low, high = one.minutes
    if high == 24 * 60:
        return f"after {_oclock(low)}"
    return f"before {_oclock(high)}" if low == 0 else f"between {_oclock(low)} and {_oclock(high)}"


def _oclock(minute: int) -> str:
    if minute % 720 == 0:
        return "noon" if minute == 720 else "midnight"
    hour, minutes = (minute // 60 - 1) % 12 + 1, minute % 60
    return f"{hour}{f':{minutes:02}' if minutes else ''} {'am' if minute < 720 else 'pm'}"


def _edge(day: date, *, opening: bool) -> str:
    year = (day.month, day.day) == ((1, 1) if opening else (12, 31))
    if year:
        return str(day.year) if opening else f"the end of {day.year}"
    whole = day.day == 1 if opening else (day + timedelta(days=1)).day == 1
    return (f"{day:%B} {day.year}" if opening else f"the end of {day:%B} {day.year}") if whole else _day(day)


def _day(day: date) -> str:
    return f"{day.day} {day:%B} {day.year}"


def _yearly(one: Yearly) -> str:
    if one.feast is not None:
        return f"every {_FEASTS[one.feast]}"
    first, last = date(2000, one.month_from, one.day_from), date(2000, one.month_to, one.day_to)
    if first == last:
        return f"every {first.day} {first:%B}"
    if first.day == 1 and last == month_end(2000, last.month):
        return f"every {first:%B}" if first.month == last.month else f"every {first:%B} to {last:%B}"
    opening = str(first.day) if first.month == last.month else f"{first.day} {first:%B}"
    return f"every {opening} to {last.day} {last:%B}"
