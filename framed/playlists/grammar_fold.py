"""Items → plan: how far a "no" reaches, which names belong together, where a run of words ends."""

from dataclasses import dataclass

from framed.playlists.grammar_draft import Draft
from framed.playlists.grammar_sentence import Item, Sentence, Slot
from framed.playlists.plan import QueryPlan

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
_SHOWN = frozenset({"it", "them", "this", "these", "those", "that"})
_JOINTS = frozenset({"and", "or", "comma"})


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
        self._draft = Draft(sentence)
        self._scope = _Scope()
        self._run: tuple[int, int] | None = None
        self._refused: tuple[int, int] | None = None

    def plan(self) -> QueryPlan:
        at = 0
        while at < len(self._items):
            at = self._step(at)
        self._end_scope()
        self._close_run()
        self._draft.settle()
        self._follow_up()
        return self._draft.plan(nothing=self._nothing())

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
                self._draft.span(self._items[at], "kinds")
                self._draft.fields.add("kinds", "photo")
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
            self._draft.fields.single["only_people"] = True
            self._draft.span(item, "only_people")
        if item.text == "alone" and self._draft.fields.single.get("some_people") is False:
            del self._draft.fields.single["some_people"]
        return at + 1

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
            self._draft.problem(f"“{said}” mixes “and” with “or”; photos of any of them are shown.")
        self._draft.names(members, either)
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

    def _accept(self, item: Item) -> None:
        if item.slot in {"word", "light", "blurry"}:
            self._extend_run(item)
        elif item.slot == "nobody":
            self._scope = _Scope(active=True, slot="people")  # "no people or cars"
        self._draft.accept(item)

    def _request(self, item: Item) -> None:
        """Something asked of the playlist; it ends whatever stood open."""
        self._close_run()
        if item.slot == "filler" and self._scope.fresh:
            return
        self._end_scope()
        self._draft.request(item)

    def _refuse(self, item: Item) -> None:
        slot = item.slot
        counted = slot == "people" and self._refused is not None and self._refused[1] == item.first  # "old people"
        described = slot in {"blurry", "colour", "quality", "orientation"} and self._describes(item)
        if counted or described or slot in {"word", "light"}:
            first = self._refused[0] if self._refused else item.first
            self._refused = (first, item.last)
            return
        self._close_refused()
        self._draft.refuse(item)

    def _describes(self, item: Item) -> bool:
        """ "no blurry cars" is about cars; "no blurry ones" about sharpness."""
        return self._sentence.plain_word(item.last) and item.slot != "quality"

    # Words that are left

    def _extend_run(self, item: Item) -> None:
        self._run = (self._run[0] if self._run else item.first, item.last)

    def _close_run(self) -> None:
        if self._run is not None:
            self._draft.meant(*self._run)
            self._run = None

    def _close_refused(self) -> None:
        if self._refused is not None:
            self._draft.refused(*self._refused)
            self._refused = None

    def _end_scope(self) -> None:
        self._close_refused()
        if self._scope.active and self._scope.fresh and self._scope.photos:
            self._draft.fields.add("kinds_none", "photo")
        self._scope = _Scope()

    # The whole

    def _follow_up(self) -> None:
        """A sentence that only refuses, or only orders ("shuffle them"), is about what is shown already."""
        said = [item for item in self._items if item.slot not in {"filler", "function", "comma", "stop"}]
        ordering = len(said) == 1 and said[0].slot == "sort" and not _SHOWN.isdisjoint(self._sentence.keys)
        if ordering:
            self._draft.fields.single.setdefault("follow_up", "only")
        refusing = bool(said) and (
            (said[0].slot == "negator" and self._sentence.key(said[0].first - 1) not in {"all", "everywhere"})
            or (said[0].slot == "nobody" and self._sentence.keys[said[0].first] in {"no", "without"})
        )
        asked = any(name in _ASKING and values for name, values in self._draft.fields.lists.items())
        if refusing and not (asked or self._draft.dated):
            self._draft.fields.single.setdefault("follow_up", "without")

    def _nothing(self) -> bool:
        """ "thank you", "hm": nothing in it can be shown, and no word asks for just any photo."""
        timed = any(item.slot == "interval" for item in self._items)  # "change every minute" is about the frame
        idle = _IDLE | {"interval", "frame"} if timed else _IDLE
        return all(item.slot in idle for item in self._items) and _ANY.isdisjoint(self._sentence.keys)
