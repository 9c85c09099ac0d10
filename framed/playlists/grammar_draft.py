"""A plan in the making: what is wanted, refused and asked of the playlist, as the items of a sentence give it."""

from datetime import time
from typing import Literal, TypeVar

from framed.playlists.clock_times import DAY, without
from framed.playlists.feasts import SEASONS
from framed.playlists.grammar_fields import Fields
from framed.playlists.grammar_sentence import Item, Sentence, Slot
from framed.playlists.grammar_tokens import singular
from framed.playlists.plan import ClockRange, DateRange, QueryPlan, Span, TimeOfDay, Yearly

T = TypeVar("T")
_TIMES: tuple[TimeOfDay, ...] = ("morning", "midday", "afternoon", "evening", "night")
_OCCASIONS = frozenset("trip holiday vacation visit journey tour stay getaway time".split())
_FIELDS: dict[Slot, str] = {
    "kind": "kinds", "people": "some_people", "nobody": "some_people", "everyone": "some_people",
    "alone": "only_people",
    "orientation": "orientation", "favourites": "favourites", "quality": "quality", "blurry": "quality",
    "colour": "colours",
    "mono": "monochrome", "heads": "people_min", "new": "new", "sort": "sort", "interval": "interval_s",
    "named": "named", "each": "each", "must_text": "must_text",
    "follow_up": "follow_up", "frame": "frame", "unknown_frame": "unknown_frame", "all_frames": "all_frames",
    "steer": "steer", "question": "question",
    "count": "count", "all": "count", "unknown_name": "unknown_names", "unknown_place": "unknown_places",
}  # fmt: skip

# Given, so that pydantic need not copy its defaults: a tenth of the time that a sentence takes.
_EMPTY = {name: list[object]() for name, field in QueryPlan.model_fields.items() if field.default == []}


class Draft:
    """Takes items one by one, in the order they are said; `plan` gives the result.

    `meant` and `refused` take the runs of words that no field holds.
    """

    def __init__(self, sentence: Sentence) -> None:
        self._sentence = sentence
        self.fields = Fields()
        self._dates: list[DateRange] = []
        self._dates_none: list[DateRange] = []
        self._yearly: list[Yearly] = []
        self._yearly_none: list[Yearly] = []
        self._weekdays: list[int] = []
        self._clock: list[ClockRange] = []
        self._spans: list[Span] = []
        self._problems = list(sentence.problems)
        self._listed: set[str] = set()  # meanings that a comma parts from the one before

    @property
    def dated(self) -> bool:
        return bool(self._dates or self._yearly)

    def problem(self, said: str) -> None:
        self._problems.append(said)

    def names(self, members: list[Item], either: bool) -> None:
        for item in members:
            if item.slot == "unknown_name":
                self.fields.add("unknown_names", item.text)
                self.span(item, "unknown_names")
                continue
            ambiguous = len(item.ids) > 1
            if ambiguous and not self._family(item):
                self._problems.append(
                    f"“{self._sentence.raw(item.first, item.last)}” could be "
                    f"{' or '.join(self._label('people', one) for one in item.ids)}; photos of any of them are shown."
                )
            every = ambiguous and self._sentence.key(item.first - 1) == "both"  # both Toms
            name = "people_any" if either or (ambiguous and not every) else "people_all"
            self.fields.add(name, *item.ids)
            self.span(item, name)

    def _family(self, item: Item) -> bool:
        """ "the Millers": all of them are meant."""
        said = self._sentence.keys[item.first : item.last]
        return "family" in said or said[-1].removesuffix("'s").endswith("s")

    def accept(self, item: Item) -> None:
        """What is wanted."""
        fields, slot = self.fields, item.slot
        if slot == "light":
            fields.add("light", *item.ids)
        if slot in {"word", "light", "blurry"}:
            return
        if slot == "date":
            self._date(item)
            return
        if slot == "place":
            fields.add("places_any", *item.ids)
            self.span(item, "places_any")
            return
        if slot == "folder":
            fields.add("folders_any", *item.ids)
            self.span(item, "folders_any")
            return
        self.span(item, _FIELDS[slot])
        if slot in {"kind", "colour", "must_text", "unknown_place"}:
            fields.add(_FIELDS[slot], item.text)
        elif slot in {"people", "everyone"}:
            fields.single["some_people"] = True
        elif slot == "nobody":
            fields.single["some_people"] = False
        elif slot == "favourites":
            fields.single["favourites"] = True
        elif slot == "heads" and item.text == "besides":
            named = len(fields.lists.get("people_all", [])) or bool(fields.lists.get("people_any"))
            fields.single["people_min"] = named + item.number
        elif slot == "heads":
            fields.single["people_min"] = item.number
            if item.ids:
                fields.single["people_max"] = int(item.ids[0])
        elif slot == "mono":
            fields.single["monochrome"] = item.text == "yes"
        elif slot == "quality":
            self._quality(item.text)
        else:
            fields.single[_FIELDS[slot]] = item.text

    def _quality(self, value: str) -> None:
        if self.fields.single.get("quality") != "best":
            self.fields.single["quality"] = value
        if value == "best":
            self.fields.single.setdefault("sort", "best")

    def _date(self, item: Item) -> None:
        found = item.found
        if found is None:
            return
        said = self._sentence.raw(item.first, item.last)
        self._dates += [DateRange(start=first, end=last, said=said) for first, last in found.days]
        self._yearly += [one.model_copy(update={"said": said}) for one in found.yearly]
        self.fields.add("seasons", *found.seasons)
        if found.clock and self._sentence.key(item.first - 1) != "or":
            self.fields.lists.pop("times_of_day", None)  # this morning between six and nine
        if not self._clock or self._sentence.key(item.first - 1) == "or":
            self.fields.add("times_of_day", *found.times)
        self._weekdays += found.weekdays
        self._clock += [_clock(low, high, said) for low, high in found.clock]
        self._problems += found.problems
        self.span(item, _date_field(item))

    def request(self, item: Item) -> None:
        """What is asked of the playlist."""
        if item.slot in {"filler", "but", "stop"}:
            if item.text:
                self.span(item, item.text)
            return
        self.span(item, _FIELDS[item.slot])
        single = self.fields.single
        if item.slot in {"count", "all"}:
            self._count(item)
        elif item.slot == "frame":
            if single.setdefault("frame", item.ids[0]) != item.ids[0]:
                self._problems.append("More than one frame was named; the first was taken.")
        elif item.slot == "interval":
            if item.number < 1:
                self._problems.append(f"“{self._sentence.raw(item.first, item.last)}” is no time to wait.")
            else:
                single["interval_s"] = min(item.number, 31 * 86_400)
        elif item.slot == "each":
            single["each"] = item.text
            if item.number:
                single.setdefault("count", 1)
        elif item.slot == "new":
            single["new"] = True
            single.setdefault("sort", "newest")
        elif item.slot == "question":
            single["question"] = True
        elif item.slot == "steer":
            single["steer"], single["steer_to"] = item.text, (item.ids or (None,))[0]
        elif item.slot == "all_frames":
            single["all_frames"] = True
        else:
            single[_FIELDS[item.slot]] = item.text

    def _count(self, item: Item) -> None:
        single, most = self.fields.single, self._sentence.settings.max_count
        if item.slot == "all":
            single.setdefault("count", most)
            return
        if item.text == "best":
            self._quality("best")
        elif item.text:
            single["sort"] = item.text
        if item.number > most:
            self._problems.append(f"{item.number} photos are more than the {most} a playlist may hold.")
        elif item.number < 1 and not item.text:
            self._problems.append("A playlist holds at least one photo.")
        if item.number or not item.text:
            single["count"] = max(1, min(item.number, most))

    # What is refused

    def refuse(self, item: Item) -> None:
        fields, slot = self.fields, item.slot
        if slot == "date":
            self._refuse_date(item)
            return
        simple = {"person": "people_none", "place": "places_none", "folder": "folders_none", "kind": "kinds_none"}
        if slot in simple:
            fields.add(simple[slot], *(item.ids or (item.text,)))
            self.span(item, simple[slot])
            return
        if slot in {"unknown_name", "unknown_place"}:
            what = "Nobody" if slot == "unknown_name" else "No place"
            self._problems.append(f"{what} in the library is called “{item.text}”, so nothing was left out for it.")
        elif slot in {"people", "everyone"}:
            fields.single["some_people"] = False
        elif slot == "nobody":
            fields.single["some_people"] = True
        elif slot == "favourites":
            fields.single["favourites"] = False
        elif slot == "heads" and not item.ids:  # "no group photos"
            before = fields.single.get("people_max")
            fields.single["people_max"] = min(before if isinstance(before, int) else 1000, item.number - 1)
        elif slot == "mono":
            fields.single["monochrome"] = item.text != "yes"
        elif slot == "blurry" or (slot == "quality" and item.text == "good"):
            fields.single.setdefault("quality", "good")
        elif slot == "orientation" and item.text in {"portrait", "landscape"}:
            fields.single["orientation"] = "landscape" if item.text == "portrait" else "portrait"
        else:  # no field holds its opposite: the words themselves are kept away
            fields.add("semantic_none", item.text or self._sentence.raw(item.first, item.last).lower())
            self.span(item, "semantic_none")
            return
        self.span(item, _FIELDS[slot])

    def _refuse_date(self, item: Item) -> None:
        found = item.found
        if found is None:
            return
        said = self._sentence.raw(item.first, item.last)
        self._problems += found.problems
        self._dates_none += [DateRange(start=first, end=last, said=said) for first, last in found.days]
        self._yearly_none += [one.model_copy(update={"said": said}) for one in found.yearly]
        if found.seasons:
            self._keep_others("seasons", list(SEASONS), found.seasons)
        if found.times:
            self._keep_others("times_of_day", list(_TIMES), found.times)
        for refused in found.clock:
            kept = without([one.minutes for one in self._clock] or [(0, DAY)], refused)
            self._clock = [_clock(low, high, f"not {said}") for low, high in kept]
        if found.weekdays:
            self._weekdays = [day for day in self._weekdays or range(7) if day not in found.weekdays]
        none = {"dates": "dates_none", "yearly": "yearly_none"}
        self.span(item, none.get(_date_field(item), _date_field(item)))

    def _keep_others(self, name: str, every: list[str], refused: list[T]) -> None:
        kept = self.fields.lists.get(name) or every
        self.fields.lists[name] = [one for one in kept if one not in refused]

    # Words that are left

    def meant(self, first: int, last: int) -> None:
        meaning = _meaning(self._sentence, first, last)
        listed = self._sentence.key(first - 1) == "," or self._sentence.keys[first - 2 : first] == [",", "and"]
        if listed and self.fields.lists.get("semantic"):
            self._listed.add(meaning)
        self.fields.add("semantic", meaning)
        self._words(first, last, "semantic", "tags_any")

    def refused(self, first: int, last: int) -> None:
        self.fields.add("semantic_none", _meaning(self._sentence, first, last))
        self._words(first, last, "semantic_none", "tags_none")

    def _words(self, first: int, last: int, slot: str, tag_slot: str) -> None:
        """The tags among the words, and a span for the run."""
        tokens, tags = self._sentence.tokens, self._sentence.vocabulary.tags
        start, end = tokens[first].start, tokens[last - 1].end
        self._spans.append(Span(start=start, end=end, text=self._sentence.text[start:end], slot=slot))
        at = first
        while at < last:
            size, found = tags.longest(self._sentence.singulars[:last], at)
            if size:
                self.fields.add(tag_slot, *found)
                start, end = tokens[at].start, tokens[at + size - 1].end
                self._spans.append(Span(start=start, end=end, text=self._sentence.text[start:end], slot=tag_slot))
            at += max(size, 1)

    def span(self, item: Item, slot: str) -> None:
        start, end = self._sentence.tokens[item.first].start, self._sentence.tokens[item.last - 1].end
        self._spans.append(Span(start=start, end=end, text=self._sentence.text[start:end], slot=slot))

    # The whole

    def settle(self) -> None:
        self.fields.settle(self._sentence.vocabulary.labels, self._problems)

    def _label(self, kind: str, one: str) -> str:
        return self._sentence.vocabulary.labels.get(f"{kind}:{one}", one)

    def _semantic(self, lists: dict[str, list[str]]) -> str:
        """What is left to mean; an occasion ("our trip to Rome") says no more than its place does."""
        meanings = lists.pop("semantic", [])
        placed = bool(lists.get("places_any") or lists.get("folders_any"))
        said = [one for one in meanings if not (placed and singular(one) in _OCCASIONS)]
        return "".join(
            one if not at else f", {one}" if one in self._listed else f" {one}" for at, one in enumerate(said)
        )

    def plan(self, *, nothing: bool) -> QueryPlan:
        lists = dict(self.fields.lists)
        semantic = self._semantic(lists)
        used = {
            f"{kind}:{one}"
            for kind, names in (
                ("people", ("people_all", "people_any", "people_none")),
                ("places", ("places_any", "places_none")),
                ("folders", ("folders_any", "folders_none")),
            )
            for name in names
            for one in lists.get(name, [])
        }
        if self.fields.single.get("frame"):
            used.add(f"frames:{self.fields.single['frame']}")
        labels = self._sentence.vocabulary.labels
        if set(lists.get("times_of_day", [])) == set(_TIMES):
            lists.pop("times_of_day")
        return QueryPlan.model_validate(
            {
                **_EMPTY,
                **lists,
                **self.fields.single,
                "text": self._sentence.text,
                "nothing": nothing,
                "read_as": self._sentence.read_as,
                "semantic": semantic,
                "dates": _unique(self._dates),
                "dates_none": _unique(self._dates_none),
                "yearly": _unique(self._yearly),
                "yearly_none": _unique(self._yearly_none),
                "weekdays": _unique(self._weekdays),
                "clock": _unique(self._clock),
                "spans": sorted(self._spans, key=lambda span: (span.start, span.end)),
                "problems": _unique(self._problems),
                "labels": {key: labels[key] for key in sorted(used) if key in labels},
            }
        )


def _unique(values: list[T]) -> list[T]:
    kept: list[T] = []
    for value in values:
        if value not in kept:
            kept.append(value)
    return kept


def _clock(low: int, high: int, said: str) -> ClockRange:
    start, end = low % DAY, high % DAY
    return ClockRange(start=time(start // 60, start % 60), end=time(end // 60, end % 60), said=said)


def _date_field(item: Item) -> Literal["dates", "yearly", "seasons", "weekdays", "times_of_day", "clock"]:
    found = item.found
    if found is None or found.days:
        return "dates"
    if found.yearly:
        return "yearly"
    if found.seasons:
        return "seasons"
    if found.clock:
        return "clock"
    return "weekdays" if found.weekdays else "times_of_day"


def _meaning(sentence: Sentence, first: int, last: int) -> str:
    """The words of a run as said, in lower case; an emoji by its name."""
    if any(token.kind == "emoji" for token in sentence.tokens[first:last]):
        tokens = sentence.tokens[first:last]
        keys = {token.singular for token in tokens if token.kind == "word"}
        said = [token.key if token.kind == "emoji" else token.raw.lower() for token in tokens]
        kept = [word for word, token in zip(said, tokens, strict=True) if token.kind == "word" or word not in keys]
        return " ".join(kept).replace(" 's", "'s")
    return sentence.raw(first, last).lower()
