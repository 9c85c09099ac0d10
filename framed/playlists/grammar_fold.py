"""Items → plan: how far a "no" reaches, which names belong together, what contradicts what."""

from dataclasses import dataclass
from typing import Literal, TypeVar

from framed.playlists.feasts import SEASONS
from framed.playlists.grammar_fields import Fields
from framed.playlists.grammar_sentence import Item, Sentence, Slot
from framed.playlists.grammar_tokens import singular
from framed.playlists.plan import DateRange, QueryPlan, Span, TimeOfDay, Yearly

T = TypeVar("T")
_TIMES: tuple[TimeOfDay, ...] = ("morning", "midday", "afternoon", "evening", "night")
_GROUPS: dict[Slot, str] = {
    "person": "who", "unknown_name": "who", "place": "where", "unknown_place": "where", "folder": "where",
    "date": "when",
}  # fmt: skip
_CONTENT = frozenset(_GROUPS) | {
    "kind", "people", "everyone", "orientation", "favourites", "quality", "blurry", "colour", "mono", "must_text",
    "word",
    "light", "nobody", "heads",
}  # fmt: skip
_ASKING = frozenset(
    """people_all people_any places_any folders_any semantic kinds colours must_text unknown_names
    unknown_places""".split()
)
_IDLE = frozenset({"filler", "function", "preposition", "comma", "stop", "and", "or", "but"})
_ANY = frozenset({"anything", "something", "everything", "any", "all", "us", "me"})
_OCCASIONS = frozenset("trip holiday vacation visit journey tour stay getaway time".split())
_JOINTS = frozenset({"and", "or", "comma"})
_FIELDS: dict[Slot, str] = {
    "kind": "kinds", "people": "some_people", "nobody": "some_people", "everyone": "some_people",
    "alone": "only_people",
    "orientation": "orientation", "favourites": "favourites", "quality": "quality", "blurry": "quality",
    "colour": "colours",
    "mono": "monochrome", "heads": "people_min", "new": "new", "sort": "sort", "interval": "interval_s",
    "named": "named", "each": "each", "must_text": "must_text",
    "follow_up": "follow_up", "frame": "frame", "unknown_frame": "unknown_frame", "all_frames": "all_frames",
    "count": "count", "all": "count", "unknown_name": "unknown_names", "unknown_place": "unknown_places",
}  # fmt: skip


@dataclass(slots=True)
class _Scope:
    """The reach of a negation: what it has taken so far and whether a joint leaves it open."""

    active: bool = False
    fresh: bool = False  # nothing taken yet
    photos: bool = False  # "no photos"
    slot: Slot = "word"
    joint: str = ""
    adjacent: bool = False  # the last item taken stands right before


class Fold:
    """Walks the items of one sentence; `plan` gives the result."""

    def __init__(self, sentence: Sentence) -> None:
        self._sentence = sentence
        self._items = sentence.items
        self._fields = Fields()
        self._scope = _Scope()
        self._dates: list[DateRange] = []
        self._dates_none: list[DateRange] = []
        self._yearly: list[Yearly] = []
        self._yearly_none: list[Yearly] = []
        self._weekdays: list[int] = []
        self._run: tuple[int, int] | None = None
        self._refused: tuple[int, int] | None = None
        self._spans: list[Span] = []
        self._problems = list(sentence.problems)
        self._listed: set[str] = set()  # meanings that a comma parts from the one before

    def plan(self) -> QueryPlan:
        at = 0
        while at < len(self._items):
            at = self._step(at)
        self._end_scope()
        self._close_run()
        self._fields.settle(self._sentence.vocabulary.labels, self._problems)
        self._follow_up()
        return self._made()

    # One item

    def _step(self, at: int) -> int:
        item = self._items[at]
        slot = item.slot
        if slot == "negator":
            self._begin_negation(item)
        elif slot in _CONTENT:
            return self._content(at)
        elif slot in {"and", "or", "comma"}:
            self._joint(item)
        elif slot == "preposition":
            self._preposition(item)
        elif slot == "photo":
            self._photo(at)
        elif slot in {"only", "alone"}:
            return self._only(at)
        elif slot != "function":
            self._request(item)
        return at + 1

    def _begin_negation(self, item: Item) -> None:
        self._close_run()
        if self._scope.active and self._scope.fresh:  # "nothing without Anna" asks for Anna
            self._scope = _Scope()
            return
        self._end_scope()
        self._scope = _Scope(active=True, fresh=True)

    def _content(self, at: int) -> int:
        item = self._items[at]
        if self._scope.active and not self._takes(at):
            self._end_scope()
        counted = item.slot == "people" and self._run is not None and self._run[1] == item.first
        if counted and not self._scope.active:  # "two people", "old people"
            self._extend_run(item)
        if item.slot not in {"word", "light"}:
            self._close_run()
        if self._scope.active:
            self._refuse(item)
            self._scope = _Scope(active=True, slot=item.slot, adjacent=True)
            return at + 1
        if item.slot in {"person", "unknown_name"}:
            return self._people(at)
        self._accept(item)
        return at + 1

    def _takes(self, at: int) -> bool:
        """Whether the negation reaches the item: first after it, next in its noun phrase, or next in its list."""
        scope, item = self._scope, self._items[at]
        if scope.fresh:
            return True
        words = {"word", "light", "kind", "people", "must_text"}
        if not scope.joint:
            return scope.adjacent and item.slot in words and scope.slot in words | {"colour", "blurry"}
        if item.slot in {"nobody", "everyone"}:
            return False
        if scope.joint == "or":
            return True
        same = _GROUPS.get(item.slot, "what") == _GROUPS.get(scope.slot, "what")
        if scope.joint == "and":
            return same
        listed = item.slot == scope.slot and item.slot != "word"
        return same and (listed or self._list_closes(at + 1))

    def _list_closes(self, at: int) -> bool:
        """Whether "and" or "or" comes before the sentence turns to something else: "no dogs, cats or birds"."""
        for item in self._items[at : at + 12]:
            if item.slot in {"and", "or"}:
                return True
            if item.slot not in {"word", "function", "comma", "kind", "person", "place", "people"}:
                return False
        return False

    def _joint(self, item: Item) -> None:
        scope = self._scope
        if item.slot == "comma":
            self._close_run()
        if not scope.active:
            return
        self._close_refused()
        if scope.fresh:
            if scope.photos:
                self._end_scope()
            return
        scope.joint = "or" if item.slot == "or" else scope.joint if scope.joint == "or" else item.slot
        scope.adjacent = False

    def _preposition(self, item: Item) -> None:
        scope = self._scope
        if not scope.active or scope.fresh or scope.joint:
            return
        if self._sentence.keys[item.first] == "of" and scope.adjacent and scope.slot == "word":
            return  # "no plates of food"
        self._end_scope()

    def _photo(self, at: int) -> None:
        """A word for photos: filler, but the thing itself in "no photos" and "only photos"."""
        self._close_run()
        scope = self._scope
        if not scope.active:
            before = self._items[at - 1] if at else None
            after = self._items[at + 1].slot if at + 1 < len(self._items) else "stop"
            if before is not None and before.slot == "only" and after in {"stop", "comma", "negator"}:
                self._add_span(self._items[at], "kinds")
                self._fields.add("kinds", "photo")
        elif scope.fresh:
            scope.photos = self._sentence.keys[self._items[at].first] != "ones"
        else:
            self._close_refused()
            scope.adjacent = False

    def _only(self, at: int) -> int:
        item = self._items[at]
        self._close_run()
        self._end_scope()
        following = at + 1
        while following < len(self._items) and self._items[following].slot in {"function", "preposition"}:
            if self._items[following].slot == "preposition" and item.slot == "only" and item.text != "alone":
                return at + 1
            following += 1
        names = following < len(self._items) and self._items[following].slot in {"person", "unknown_name"}
        if item.slot == "alone" or names:
            self._fields.single["only_people"] = True
            self._add_span(item, "only_people")
        if item.text == "alone" and self._fields.single.get("some_people") is False:
            del self._fields.single["some_people"]
        return at + 1

    # What is wanted

    def _people(self, at: int) -> int:
        """A list of names: all of them with "and", any of them with "or"."""
        members = [self._items[at]]
        either, j = False, at + 1
        while True:
            following, joints, photos = self._next_name(j)
            if following is None:
                break
            either = either or "or" in joints or photos
            if "or" in joints and "and" in joints:
                break
            members.append(self._items[following])
            j = following + 1
        joined = {item.slot for item in self._items[at:j]} & {"and", "or"}
        if joined == {"and", "or"} and len(members) > 2:
            said = self._sentence.raw(members[0].first, members[-1].last)
            self._problems.append(f"“{said}” mixes “and” with “or”; photos of any of them are shown.")
        self._add_names(members, either)
        return j

    def _next_name(self, at: int) -> tuple[int | None, set[str], bool]:
        """The next name of a list, the joints before it, and whether it has photos of its own ("and photos of Ben")."""
        joints: set[str] = set()
        photos = False
        for j in range(at, min(at + 6, len(self._items))):
            item = self._items[j]
            if item.slot in {"person", "unknown_name"}:
                return (j, joints, photos) if joints else (None, joints, photos)
            if item.slot in _JOINTS:
                joints.add(item.slot)
            elif joints and item.slot == "photo":
                photos = True
            elif not (
                joints
                and (
                    (
                        item.slot == "function"
                        and self._sentence.keys[item.first] in {"also", "both", "the", "my", "our", "dear"}
                    )
                    or (item.slot == "preposition" and photos and self._sentence.keys[item.first] == "of")
                )
            ):
                break
        return None, joints, photos

    def _add_names(self, members: list[Item], either: bool) -> None:
        for item in members:
            if item.slot == "unknown_name":
                self._fields.add("unknown_names", item.text)
                self._add_span(item, "unknown_names")
                continue
            ambiguous = len(item.ids) > 1
            if ambiguous and not self._family(item):
                self._problems.append(
                    f"“{self._sentence.raw(item.first, item.last)}” could be "
                    f"{' or '.join(self._label('people', one) for one in item.ids)}; photos of any of them are shown."
                )
            name = "people_any" if either or ambiguous else "people_all"
            self._fields.add(name, *item.ids)
            self._add_span(item, name)

    def _family(self, item: Item) -> bool:
        """ "the Millers": all of them are meant."""
        said = self._sentence.keys[item.first : item.last]
        return "family" in said or said[-1].removesuffix("'s").endswith("s")

    def _accept(self, item: Item) -> None:
        fields, slot = self._fields, item.slot
        if slot in {"word", "light"}:
            self._extend_run(item)
            if slot == "light":
                fields.add("light", *item.ids)
            return
        if slot == "date":
            self._date(item)
            return
        if slot == "place":
            fields.add("places_any", *item.ids)
            self._add_span(item, "places_any")
            return
        if slot == "folder":
            fields.add("folders_any", *item.ids)
            self._add_span(item, "folders_any")
            return
        if slot == "blurry":
            self._extend_run(item)
            return
        self._add_span(item, _FIELDS[slot])
        if slot in {"kind", "colour", "must_text", "unknown_place"}:
            fields.add(_FIELDS[slot], item.text)
        elif slot in {"people", "everyone"}:
            fields.single["some_people"] = True
        elif slot == "nobody":
            fields.single["some_people"] = False
            self._scope = _Scope(active=True, slot="people")  # "no people or cars"
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
        if self._fields.single.get("quality") != "best":
            self._fields.single["quality"] = value
        if value == "best":
            self._fields.single.setdefault("sort", "best")

    def _date(self, item: Item) -> None:
        found = item.found
        if found is None:
            return
        said = self._sentence.raw(item.first, item.last)
        self._dates += [DateRange(start=first, end=last, said=said) for first, last in found.days]
        self._yearly += [one.model_copy(update={"said": said}) for one in found.yearly]
        self._fields.add("seasons", *found.seasons)
        self._fields.add("times_of_day", *found.times)
        self._weekdays += found.weekdays
        self._problems += found.problems
        self._add_span(item, _date_field(item))

    def _request(self, item: Item) -> None:
        """Something asked of the playlist; it ends whatever stood open."""
        self._close_run()
        if item.slot == "filler" and self._scope.fresh:
            return
        self._end_scope()
        if item.slot in {"filler", "but", "stop"}:
            if item.text:
                self._add_span(item, item.text)
            return
        self._add_span(item, _FIELDS[item.slot])
        single = self._fields.single
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
        elif item.slot == "all_frames":
            single["all_frames"] = True
        else:
            single[_FIELDS[item.slot]] = item.text

    def _count(self, item: Item) -> None:
        single, most = self._fields.single, self._sentence.settings.max_count
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

    def _refuse(self, item: Item) -> None:
        fields, slot = self._fields, item.slot
        counted = slot == "people" and self._refused is not None and self._refused[1] == item.first  # "old people"
        if (
            counted
            or slot in {"word", "light"}
            or (slot in {"blurry", "colour", "quality", "orientation"} and self._describes(item))
        ):
            first = self._refused[0] if self._refused else item.first
            self._refused = (first, item.last)
            return
        self._close_refused()
        if slot == "date":
            self._refuse_date(item)
            return
        simple = {"person": "people_none", "place": "places_none", "folder": "folders_none", "kind": "kinds_none"}
        if slot in simple:
            fields.add(simple[slot], *(item.ids or (item.text,)))
            self._add_span(item, simple[slot])
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
            self._add_span(item, "semantic_none")
            return
        self._add_span(item, _FIELDS[slot])

    def _describes(self, item: Item) -> bool:
        """ "no blurry cars" is about cars; "no blurry ones" about sharpness."""
        return self._sentence.plain_word(item.last) and item.slot != "quality"

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
        if found.weekdays:
            self._weekdays = [day for day in self._weekdays or range(7) if day not in found.weekdays]
        none = {"dates": "dates_none", "yearly": "yearly_none"}
        self._add_span(item, none.get(_date_field(item), _date_field(item)))

    def _keep_others(self, name: str, every: list[str], refused: list[T]) -> None:
        kept = self._fields.lists.get(name) or every
        self._fields.lists[name] = [one for one in kept if one not in refused]

    # Words that are left

    def _extend_run(self, item: Item) -> None:
        self._run = (self._run[0] if self._run else item.first, item.last)

    def _close_run(self) -> None:
        if self._run is None:
            return
        first, last = self._run
        self._run = None
        meaning = _meaning(self._sentence, first, last)
        listed = self._sentence.key(first - 1) == "," or self._sentence.keys[first - 2 : first] == [",", "and"]
        if listed and self._fields.lists.get("semantic"):
            self._listed.add(meaning)
        self._fields.add("semantic", meaning)
        self._words(first, last, "semantic", "tags_any")

    def _close_refused(self) -> None:
        if self._refused is None:
            return
        first, last = self._refused
        self._refused = None
        self._fields.add("semantic_none", _meaning(self._sentence, first, last))
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
                self._fields.add(tag_slot, *found)
                start, end = tokens[at].start, tokens[at + size - 1].end
                self._spans.append(Span(start=start, end=end, text=self._sentence.text[start:end], slot=tag_slot))
            at += max(size, 1)

    def _end_scope(self) -> None:
        self._close_refused()
        if self._scope.active and self._scope.fresh and self._scope.photos:
            self._fields.add("kinds_none", "photo")
        self._scope = _Scope()

    def _add_span(self, item: Item, slot: str) -> None:
        start, end = self._sentence.tokens[item.first].start, self._sentence.tokens[item.last - 1].end
        self._spans.append(Span(start=start, end=end, text=self._sentence.text[start:end], slot=slot))

    # The whole

    def _label(self, kind: str, one: str) -> str:
        return self._sentence.vocabulary.labels.get(f"{kind}:{one}", one)

    def _follow_up(self) -> None:
        """A sentence that only refuses is about what is shown already."""
        said = [item for item in self._items if item.slot not in {"filler", "function", "comma", "stop"}]
        refusing = bool(said) and (
            (said[0].slot == "negator" and self._sentence.key(said[0].first - 1) != "all")
            or (said[0].slot == "nobody" and self._sentence.keys[said[0].first] in {"no", "without"})
        )
        asked = any(name in _ASKING and values for name, values in self._fields.lists.items())
        if refusing and not (asked or self._dates or self._yearly):
            self._fields.single.setdefault("follow_up", "without")

    def _nothing(self) -> bool:
        """ "thank you", "hm": nothing in it can be shown, and no word asks for just any photo."""
        timed = any(item.slot == "interval" for item in self._items)  # "change every minute" is about the frame
        idle = _IDLE | {"interval", "frame"} if timed else _IDLE
        return all(item.slot in idle for item in self._items) and _ANY.isdisjoint(self._sentence.keys)

    def _semantic(self, lists: dict[str, list[str]]) -> str:
        """What is left to mean; an occasion ("our trip to Rome") says no more than its place does."""
        meanings = lists.pop("semantic", [])
        placed = bool(lists.get("places_any") or lists.get("folders_any"))
        said = [one for one in meanings if not (placed and singular(one) in _OCCASIONS)]
        return "".join(
            one if not at else f", {one}" if one in self._listed else f" {one}" for at, one in enumerate(said)
        )

    def _made(self) -> QueryPlan:
        lists = dict(self._fields.lists)
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
        if self._fields.single.get("frame"):
            used.add(f"frames:{self._fields.single['frame']}")
        labels = self._sentence.vocabulary.labels
        if set(lists.get("times_of_day", [])) == set(_TIMES):
            lists.pop("times_of_day")
        return QueryPlan.model_validate(
            {
                **lists,
                **self._fields.single,
                "text": self._sentence.text,
                "nothing": self._nothing(),
                "read_as": self._sentence.read_as,
                "semantic": semantic,
                "dates": _unique(self._dates),
                "dates_none": _unique(self._dates_none),
                "yearly": _unique(self._yearly),
                "yearly_none": _unique(self._yearly_none),
                "weekdays": _unique(self._weekdays),
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


def _date_field(item: Item) -> Literal["dates", "yearly", "seasons", "weekdays", "times_of_day"]:
    found = item.found
    if found is None or found.days:
        return "dates"
    if found.yearly:
        return "yearly"
    if found.seasons:
        return "seasons"
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
