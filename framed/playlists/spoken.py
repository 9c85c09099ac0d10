"""The sentence that is said about an answer, as a person would say it, from facts alone."""

import re
from datetime import timedelta

from framed.playlists.grammar_say import clock_said, heads_said, names_of, range_said, say
from framed.playlists.grammar_tokens import singular
from framed.playlists.grammar_words import ALL_RELATIVES, PREPOSITIONS
from framed.playlists.plan import OPEN_END, OPEN_START, DateRange, QueryPlan, Span, Yearly
from framed.playlists.search import Found

SPEECH = 250
_MOST_NAMES = 3
_KINDS = {"photo": "camera photos", "screenshot": "screenshots", "document": "documents", "drawing": "drawings"}
_TIMES = {
    "morning": "in the morning", "midday": "at midday", "afternoon": "in the afternoon", "evening": "in the evening",
    "night": "at night",
}  # fmt: skip
_WEEKDAYS = ("Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays")
_SORTS = {"newest": "newest first", "oldest": "oldest first", "random": "in random order"}
_LEADS = (
    r"(?:at|in|on|with|of|by|near|under|from|around|over|behind|beside|inside|outside|next to|for|to|showing|featuring)"
)
_LED = re.compile(rf"\b({_LEADS}(?:\s+(?:the|a|an|my|our|some))?)\s+$", re.IGNORECASE)
_ARTICLE = re.compile(r"\b(an?|the)\s+$", re.IGNORECASE)
_PHOTOS = re.compile(r"\s+(photo|picture|image|shot|pic|photograph)s?\b", re.IGNORECASE)
_DESCRIBING = frozenset(
    """calm cheerful moody dark happy sad funny bright cosy cozy romantic peaceful dreamy colourful colorful warm cold
    quiet lively dramatic mysterious nostalgic old new blurry cute silly crazy beautiful pretty lovely nice good great
    big small red orange yellow green blue purple pink brown white black grey gray golden sunny rainy snowy cloudy
    foggy misty stormy minimal minimalist abstract vintage festive elegant simple similar different""".split()
)
_THINGS = frozenset(
    "wedding painting building spring string ceiling clothing morning evening lightning drawing viking swing".split()
)
_DESCRIBING_ENDS = ("ing", "ful", "ous", "ish", "less")


def speech(
    plan: QueryPlan,
    count: int,
    matched: int,
    frame: str | None,
    found: Found,
    *,
    showing: bool = True,
    unlooked: int = 0,
) -> str:
    """A sentence a voice assistant can say, at most 250 characters; `showing`: they are on a frame now; `unlooked`:
    so many photos have not been looked through for faces, which the request is about."""
    said = [*_taken_for(plan), *unknown(plan)]
    if plan.question and count:
        count = matched  # how many there are, and not how many a playlist would hold
    if count:
        where = f" on the {frame}" if frame and showing else ""
        listed = _numbered(_without(plan, found.dropped), count, matched)
        said.append(f"{'Showing' if showing else 'I found'} {listed}{where}.")
        said += [f"{words[0].upper()}{words[1:]}." for words in found.relaxed[:1]]
    elif not unknown(plan):
        said.append(f"I found no {_missing(plan)}.")
        if found.excluded:
            said.append(f"Photos with {found.excluded} are left out{f' on the {frame}' if frame else ''}.")
        if found.late:
            said.append("I am still getting ready to look at the pictures themselves: ask again in a moment.")
    if unlooked:
        said.append(f"I have not looked for faces in {'one photo' if unlooked == 1 else f'{unlooked} photos'} yet.")
    if not count and frame:
        said.append(f"The {frame} keeps its picture.")
    return _cut(" ".join(said))


def headline(plan: QueryPlan) -> str:
    """What a playlist is called: "Anna, beach, June to August 2025"."""
    said = say(plan.model_copy(update={"frame": None, "all_frames": False, "interval_s": None, "count": None}))
    head, comma, rest = said.partition(", ")
    if head == "photos" and comma:
        return f"photos {rest}" if rest.startswith(("in ", "at ", "from ", "of ", "with ", "without ")) else rest
    return said


def phrase(plan: QueryPlan) -> str:
    """What was understood, without number and frame: "photos of Anna at the beach from June to August 2025"."""
    before, after = _meaning(plan)
    kinds = " or ".join(_KINDS[kind] for kind in plan.kinds) or "photos"
    subject = [
        "favourite" if plan.favourites else "",
        "new" if plan.new else "",
        "best" if plan.quality == "best" else "good" if plan.quality == "good" else "",
        "panoramic" if plan.orientation == "panorama" else plan.orientation or "",
        "black-and-white" if plan.monochrome else "",
        " and ".join(plan.colours),
        before,
        kinds,
    ]
    named = bool(plan.people_all or plan.people_any)
    people = [_people(plan), after] if named else [after, _people(plan)]
    parts = [*subject, *people, *_where(plan), *_when(plan), _refused(plan)]
    said = " ".join(part for part in parts if part).replace(" 's ", "'s ")
    said += f", {plan.count or ''} from each {plan.each}".replace("  ", " ") if plan.each else ""
    return f"{said}, {_SORTS[plan.sort]}" if plan.sort in _SORTS and not plan.new else said


def unknown(plan: QueryPlan) -> list[str]:
    """What the request named that the library does not know."""
    said = []
    if plan.unknown_names:
        said.append(_unknown_people(plan))
    if plan.unknown_places:
        said.append(f"No photo was taken in {_listed(plan.unknown_places)} as far as I know.")
    if plan.unknown_frame:
        said.append(f"There is no frame called {plan.unknown_frame}.")
    return said


def _unknown_people(plan: QueryPlan) -> str:
    names = [name for name in plan.unknown_names if name.lower() not in {"me", "us", "myself"}]
    if not names:
        return f"I don't know who {'you are' if plan.unknown_names[0].lower() != 'us' else 'you all are'} yet."
    owned = [re.search(rf"\b(my|our) {re.escape(name)}\b", plan.text, re.IGNORECASE) for name in names]
    said = [f"your {name}" if mine and name.islower() else name for name, mine in zip(names, owned, strict=True)]
    relative = any(name.lower() in ALL_RELATIVES for name in names)
    return f"I don't know who {_listed(said)} is yet." if relative else f"I don't know {_listed(said)} yet."


def _taken_for(plan: QueryPlan) -> list[str]:
    return [f"I took “{said}” for {name}." for said, name in plan.read_as.items()]


def _without(plan: QueryPlan, dropped: tuple[str, ...]) -> QueryPlan:
    """What the photos still are, once the search has let go of these fields."""
    return plan.model_copy(
        update={name: QueryPlan.model_fields[name].get_default(call_default_factory=True) for name in dropped}
    )


def _numbered(plan: QueryPlan, count: int, matched: int) -> str:
    """ "one photo of Anna", "10 of 45 photos", "the 3 best of 45 photos"."""
    what = phrase(plan)
    number = "one" if count == 1 else str(count)
    if plan.quality == "best" and "best photos" in what:
        rest = what.replace("best photos", "", 1).strip()
        rest = rest if rest.startswith(",") or not rest else f" {rest}"
        if matched > count and not plan.each:
            return f"the {'' if count == 1 else f'{count} '}best of {matched} photos{rest}"
        return f"the best photo{rest}" if count == 1 else f"the {count} best photos{rest}"
    if matched > count and not plan.each:
        return f"{number} of {matched} {what}"
    return f"{number} {_singular(what) if count == 1 else what}"


def _singular(what: str) -> str:
    return re.sub(r"\b(photo|screenshot|document|drawing)s\b", r"\1", what, count=1)


def _missing(plan: QueryPlan) -> str:
    """ "cats" rather than "photos of cats" where that is all."""
    what = phrase(plan)
    alone = re.fullmatch(r"photos of (?:a |an |some )?(?!the |my |our )(.+)", what)
    return alone[1] if alone and what == f"photos {_meaning(plan)[1]}" else what


def _meaning(plan: QueryPlan) -> tuple[str, str]:
    """What the words mean, as it stands before "photos" and as it stands after: ("dark", ""), ("", "at the beach")."""
    if not plan.semantic:
        return "", ""
    spans = [span for span in plan.spans if span.slot == "semantic" and plan.text[span.start : span.end] == span.text]
    if len(spans) != 1 or spans[0].text.lower() != plan.semantic:
        return _plainly(plan)
    return _as_said(plan, spans[0])


def _as_said(plan: QueryPlan, span: Span) -> tuple[str, str]:
    before, said = plan.text[: span.start], plan.semantic if span.text.isupper() else span.text
    named = bool(plan.people_all or plan.people_any)
    if named and re.search(r"['’]s?\s+$", before):
        return "", f"'s {said}"
    if named and (became := re.search(r"\b(?:was|were|as)\s+(an?)\s+$", before)):
        return "", f"as {became[1]} {said}"
    if _PHOTOS.match(plan.text, span.end):
        return said, ""
    if named and re.match(r"\s+of\b", plan.text[span.end :]):  # portraits of Anna
        return singular(said), ""
    led, article = _LED.search(before), _ARTICLE.search(before)
    if led is not None:
        return "", f"{led[1].lower()} {said}"
    return ("", f"of {article[1].lower()} {said}") if article is not None and not named else _plainly(plan)


def _plainly(plan: QueryPlan) -> tuple[str, str]:
    last = re.findall(r"[^\W\d_]+", plan.semantic)[-1:] or [""]
    named = bool(plan.people_all or plan.people_any)
    words = plan.semantic.split()
    if not PREPOSITIONS.isdisjoint(words):
        return "", plan.semantic if words[0] in PREPOSITIONS or words[0] == "next" or named else f"of {plan.semantic}"
    ending = len(words) == 1 and last[0].endswith(_DESCRIBING_ENDS) and len(last[0]) > 5 and last[0] not in _THINGS
    if last[0] in _DESCRIBING or ending:
        return ("", plan.semantic) if named else (plan.semantic, "")
    return "", f"with {plan.semantic}" if named else f"of {plan.semantic}"


def _people(plan: QueryPlan) -> str:
    everyone = names_of(plan, "people", plan.people_all)
    someone = _listed(names_of(plan, "people", plan.people_any), "or")
    named = _listed(everyone) + (" with " if everyone and someone else "") + someone
    counted = heads_said(plan.people_min, plan.people_max)
    if named:
        return (
            f"of {named}"
            + (" and nobody else" if plan.only_people else "")
            + (f", {counted} in all" if counted else "")
        )
    meant = "people" in plan.semantic.lower().split()
    return f"with {counted}" if counted else "with people" if plan.some_people and not meant else ""


def _where(plan: QueryPlan) -> list[str]:
    places, folders = names_of(plan, "places", plan.places_any), names_of(plan, "folders", plan.folders_any)
    if len(places) > _MOST_NAMES:
        places = [*places[:_MOST_NAMES], "elsewhere"]
    return [
        f"in {_listed(places, 'or')}" if places else "",
        f"from the album {_listed([f'“{one}”' for one in folders], 'or')}" if folders else "",
        f"with the text {_listed([f'“{text}”' for text in plan.must_text])}" if plan.must_text else "",
    ]


def _when(plan: QueryPlan) -> list[str]:
    recurring = [_recurring(one) for one in plan.yearly] + [f"in {season}" for season in plan.seasons]
    days = {(5, 6): "on weekends", (0, 1, 2, 3, 4): "on weekdays"}.get(tuple(sorted(set(plan.weekdays))), "")
    if plan.weekdays and not days:
        days = f"on {_listed([_WEEKDAYS[day] for day in plan.weekdays], 'or')}"
    dates = [_dated(one) for one in plan.dates]
    if plan.yearly and all(one.start == OPEN_START for one in plan.dates):
        dates = []  # "this day in past years" says it
    if all(one.startswith("from ") for one in dates[1:]):
        dates = [*dates[:1], *(one.removeprefix("from ") for one in dates[1:])]
    return [_listed(dates, "or"), _listed(list(dict.fromkeys(recurring)), "or"), days, _hours(plan)]


def _hours(plan: QueryPlan) -> str:
    others = [said for time, said in _TIMES.items() if time not in plan.times_of_day]
    if len(others) == 1:
        return f"not {others[0]}"
    times = [_TIMES[time] for time in plan.times_of_day]
    hours = _listed([*times, *(clock_said(one) for one in plan.clock)], "or")
    return f"taken {hours}" if plan.clock else hours


def _dated(days: DateRange) -> str:
    said = range_said(days)
    if days.start == OPEN_START and days.end != OPEN_END:
        return f"from before {range_said(DateRange(start=days.end + timedelta(days=1))).removeprefix('since ')}"
    return said if said.startswith(("since", "any")) else f"from {said}"


def _recurring(one: Yearly) -> str:
    said = re.sub(r"^of (?:the )?", "", one.said.strip(" ."))
    if not said:
        return "from those days of any year"
    return said if re.match(r"(in|on|at|from|during|over|every|around|this|between) ", said.lower()) else f"from {said}"


def _refused(plan: QueryPlan) -> str:
    things = ["people"] if plan.some_people is False else []
    things += [*(_KINDS[kind] for kind in plan.kinds_none), *plan.semantic_none]
    things = [*names_of(plan, "people", plan.people_none), *things]
    dates = [_dated(one).removeprefix("from ") for one in plan.dates_none] + [
        re.sub(r"^(in|on|at|from) ", "", one.said) for one in plan.yearly_none
    ]
    parts = [
        f"without {_listed(things, 'or')}" if things else "",
        f"not in {_listed(names_of(plan, 'places', plan.places_none), 'or')}" if plan.places_none else "",
        f"not from {_listed([*names_of(plan, 'folders', plan.folders_none), *dates], 'or')}"
        if plan.folders_none or dates
        else "",
        "in colour" if plan.monochrome is False else "",
        "that are no favourites" if plan.favourites is False else "",
    ]
    return ", ".join(part for part in parts if part)


def _listed(names: list[str], last: str = "and") -> str:
    return f"{', '.join(names[:-1])} {last} {names[-1]}" if len(names) > 1 else "".join(names)


def _cut(text: str) -> str:
    return text if len(text) <= SPEECH else text[: SPEECH - 1].rstrip() + "…"
