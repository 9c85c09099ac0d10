"""What a sentence asks of the playlist and the frame: which frame, how many, how long, in what order, under what
name."""

from framed.playlists.date_words import number
from framed.playlists.grammar_sentence import Item, Sentence
from framed.playlists.grammar_words import (
    COMMAND_TABLE,
    FRAME_PHRASES,
    FRAME_WORDS,
    FUNCTION_WORDS,
    NEGATOR_WORDS,
    PHOTO_WORDS,
    phrases,
)

_ONTO = frozenset({"on", "to", "onto"})
_FRAME_LEADS = _ONTO | {"in", "for", "at", "via"}
_DETERMINERS = frozenset({"the", "my", "our", "a", "this", "that"})
_AFTER_FRAME = frozenset(
    """every each now tonight please call save name newest oldest latest random shuffled sorted last yesterday
        today since change switch for one until changing rotating no not without only just everything all while
        show put best""".split()
)
# Where photos are taken, and frames seldom hang.
_SCENES = frozenset(
    phrases(
        """beach, boat, ship, train, bus, plane, bike, bridge, mountain, mountains, hill, island, river, street, grass,
        sand, snow, ice, shore, pier, farm, lake, water, sea, coast, road, horse, playground, field, lawn, moon, swing,
        slopes"""
    )
)
_PUTTING = frozenset("put send cast display throw stick".split())
_ROOMS = frozenset(
    phrases(
        """kitchen, hall, hallway, bedroom, living room, office, bathroom, study, lounge, dining room, nursery, guest
        room, entrance, corridor, den, loft, attic, basement, conservatory, playroom, sitting room, family room, kids
        room, stairs"""
    )
)
_ORDERED = {"newest": "newest", "latest": "newest", "last": "newest", "oldest": "oldest", "earliest": "oldest"}
_UNITS_S = {"second": 1, "sec": 1, "s": 1, "minute": 60, "min": 60, "hour": 3600, "hr": 3600, "h": 3600}
_LONG_UNITS_S = {"day": 86_400, "week": 604_800}
_CHANGES = frozenset(
    """change changes changing switch switching rotate rotating swap swapping update updating refresh advance
        cycle cycling""".split()
)
NAMING = phrases(
    """call it, call this, call them, call the playlist, call that, name it, name this, name the playlist, save it
    as, save this as, save them as, save that as, save as, save under, save it under, title it, titled, store it
    as, playlist called, playlist named, slideshow called, slideshow named, save the playlist as"""
)
_FIRST_OF_NAMING = frozenset(words[0] for words in NAMING) | {"called", "named"}
_PLAYLISTS = frozenset({"playlist", "slideshow", "mix"})


def frame(sentence: Sentence, at: int) -> Item | None:
    key = sentence.key(at)
    lead = key if key in _FRAME_LEADS else ""
    j = sentence.skip(at + 1 if lead else at, _DETERMINERS)
    return (
        _all_frames(sentence, at, at + 1 if lead else at)
        or _frame_in_room(sentence, at, j)
        or _known_frame(sentence, at, j, lead)
        or (_unknown_frame(sentence, at, j, lead) if lead in _ONTO else None)
        or (_unknown_room(sentence, at, j) if lead == "for" and j > at + 1 else None)
    )


def _frame_word(sentence: Sentence, at: int) -> int:
    """How many tokens of "frame", "picture frame" … stand at `at`."""
    for length in (2, 1):
        if tuple(sentence.keys[at : at + length]) in FRAME_PHRASES:
            return length
    return 0


def _all_frames(sentence: Sentence, at: int, j: int) -> Item | None:
    if sentence.key(j) not in {"every", "each", "all"}:
        return None
    end = sentence.skip(j + 1, {"of", "the", "my", "our", "other"})
    length = _frame_word(sentence, end)
    return Item("all_frames", at, end + length) if length else None


def _frame_in_room(sentence: Sentence, at: int, j: int) -> Item | None:
    """ "the tablet in the hall"."""
    length = _frame_word(sentence, j)
    if not length or sentence.key(j + length) not in {"in", "at", "of", "on", "from", "by"}:
        return None
    start = sentence.skip(j + length + 1, _DETERMINERS)
    size, ids = sentence.vocabulary.frames.longest(sentence.keys, start)
    if not size:
        return None
    return _frame_item(sentence, at, start + size, ids)


def _known_frame(sentence: Sentence, at: int, j: int, lead: str) -> Item | None:
    size, ids = sentence.vocabulary.frames.longest(sentence.keys, j)
    if not size or (j < at + 1 and lead):
        return None
    end = j + size
    others: list[str] = []
    while sentence.key(end) in {"and", "&", ","}:
        start = sentence.skip(end + (2 if sentence.key(end + 1) == "and" else 1), _DETERMINERS)
        more, other_ids = sentence.vocabulary.frames.longest(sentence.keys, start)
        if not more:
            break
        others += other_ids
        end = start + more
    said_frame = sentence.keys[end - 1] in FRAME_WORDS
    length = _frame_word(sentence, end)
    if length or said_frame:
        return _frame_item(sentence, at, end + length, ids, others)
    if others:
        end, others = j + size, []
    if lead in _ONTO and not _goes_on(sentence, end) and not _scene(sentence, at, j, end):
        return _frame_item(sentence, at, end, ids, others)
    if lead == "in" and not sentence.items and COMMAND_TABLE.longest(sentence.keys, end)[0]:
        return _frame_item(sentence, at, end, ids, others)  # in the kitchen show beach pictures
    if lead == "for" and not _goes_on(sentence, end) and _for_a_frame(sentence, j, end):
        return _frame_item(sentence, at, end, ids, others)
    return None


def _scene(sentence: Sentence, at: int, first: int, end: int) -> bool:
    """ "Anna on the beach" shows a beach, also where a frame is called so; "put Anna on the beach" may not."""
    if tuple(sentence.keys[first:end]) not in _SCENES or not _PUTTING.isdisjoint(sentence.keys[:at]):
        return False
    said, name = sentence.raw(at, end), sentence.raw(first, end)
    sentence.problems.append(f"“{said}” was looked for in the photos; say “on the {name} frame” to mean the frame.")
    return True


def _for_a_frame(sentence: Sentence, first: int, end: int) -> bool:
    """ "portraits for the hall", and not "toys for the cat"."""
    words = sentence.vocabulary
    if tuple(sentence.keys[first:end]) in _ROOMS:
        return True
    return not (words.people.longest(sentence.keys, first)[0] or words.tags.longest(sentence.singulars, first)[0])


def _goes_on(sentence: Sentence, at: int) -> bool:
    """ "on the kitchen table" is no frame."""
    return sentence.plain_word(at) and sentence.key(at) not in _AFTER_FRAME and number(sentence.keys, at) is None


def _frame_item(sentence: Sentence, at: int, end: int, ids: list[str], others: list[str] | None = None) -> Item:
    said = sentence.raw(at, end)
    if others:
        sentence.problems.append(f"“{said}” names more than one frame; the first was taken.")
    elif len(ids) > 1:
        sentence.problems.append(f"More than one frame could be meant by “{said}”; the first was taken.")
    return Item("frame", at, end, ids=(ids[0],))


def _unknown_room(sentence: Sentence, at: int, j: int) -> Item | None:
    """ "something calm for the bedroom", where no frame is called so."""
    for size in (2, 1):
        if tuple(sentence.keys[j : j + size]) in _ROOMS and not _goes_on(sentence, j + size):
            return Item("unknown_frame", at, j + size, text=sentence.raw(j, j + size))
    return None


def _unknown_frame(sentence: Sentence, at: int, j: int, lead: str) -> Item | None:
    for size in range(5):
        length = _frame_word(sentence, j + size)
        if length:
            if size == 0:
                return Item("filler", at, j + length)  # "on the frame": the one the request came from
            return Item("unknown_frame", at, j + size + length, text=sentence.raw(j, j + size))
        key = sentence.key(j + size)
        if sentence.token(j + size).kind != "word" or (key in FUNCTION_WORDS and key != "'s") or key in PHOTO_WORDS:
            return None
    return None


def interval(sentence: Sentence, at: int) -> Item | None:
    """ "every 30 seconds", "change it every day", "5 minutes each", "once an hour"; seconds."""
    k, j = sentence.keys, at
    changes = k[j] in _CHANGES
    if changes:
        j = sentence.skip(j + 1, {"it", "them", "the", "to", "a", "new", "next", *PHOTO_WORDS})
    elif k[j] in {"new", "one", "next", "a", "another"}:
        j = sentence.skip(j, {"a", "new", "one", "next", "another", *PHOTO_WORDS})
        changes = j > at and k[j] in {"every", "each"}
    if k[at] in {"each", "every"} and k[at + 1] in PHOTO_WORDS and k[at + 2] == "for" and (said := number(k, at + 3)):
        return _interval(sentence, at, said[1], said[0], calendar=False)
    if k[j] == "once" and k[j + 1] in {"a", "an", "every"}:
        return _interval(sentence, at, j + 2, 1, calendar=True)
    if k[j] in {"every", "each"}:
        return _every(sentence, at, j + 1, changes)
    if changes and k[j] in {"hourly", "daily"}:
        return Item("interval", at, j + 1, number=3600 if k[j] == "hourly" else 86_400)
    return _each(sentence, at)


def _every(sentence: Sentence, at: int, j: int, calendar: bool) -> Item | None:
    k = sentence.keys
    if k[j] == "half" and (hour := sentence.skip(j + 1, {"a", "an"})) and k[hour] == "hour":
        return Item("interval", at, hour + 1, number=1800)
    if k[j] == "other" and k[j + 1] in _UNITS_S:
        return _interval(sentence, at, j + 1, 2, calendar=calendar)
    count = number(k, j)
    return _interval(sentence, at, count[1] if count else j, count[0] if count else 1, calendar=calendar)


def _interval(sentence: Sentence, at: int, j: int, count: int, *, calendar: bool) -> Item | None:
    key = sentence.singulars[j]
    if len(key) > 2 and key[0].isdigit():  # "30s", "5min"
        digits = "".join(c for c in key if c.isascii() and c.isdecimal())
        count, key = int(digits[:6] or 0), sentence.keys[j][len(digits) :]
        key = key if key == "s" else key.rstrip("s")
    seconds = _UNITS_S.get(key) or (_LONG_UNITS_S.get(key) if calendar else None)
    if seconds is None:
        return None
    return Item("interval", at, j + 1, number=count * seconds)


def lasting(sentence: Sentence, at: int) -> Item | None:
    """ "for two hours": playlists have no end, and that is said."""
    k = sentence.keys
    j = sentence.skip(at + 1, {"the", "next"})
    count = number(k, j) or ((1, j + 1) if k[j] in {"a", "an"} else (1, j))
    unit = sentence.singulars[count[1]]
    end = count[1] + 1
    if k[at] != "for" or unit not in _UNITS_S or k[end] in {"each", "apiece", "per", "old"} or sentence.plain_word(end):
        return None
    sentence.problems.append(f"A playlist stays until another is asked for; “{sentence.raw(at, end)}” was not used.")
    return Item("filler", at, end, text="problems")


def each(sentence: Sentence, at: int) -> Item | None:
    """ "the 3 best photos of each year", "one photo per month": so many of every year, month or day."""
    k = sentence.keys
    j = at + (k[at] in {"of", "from", "for", "in"})
    if k[j] not in {"each", "every", "per", "a"}:
        return None
    asked = any(item.slot in {"count", "quality"} for item in sentence.items)
    single = any(k[item.first] in {"photo", "picture", "image"} for item in sentence.items if item.slot == "photo")
    if not (asked or single) or (k[j] == "a" and (j > at or not asked)):
        return None
    unit = "year" if k[j + 1] == "single" and k[j + 2] == "year" else k[j + 1]
    if unit not in {"year", "month", "day"}:
        return None
    return Item("each", at, j + 2 + (k[j + 1] == "single"), text=unit, number=int(single))


def _each(sentence: Sentence, at: int) -> Item | None:
    """ "for 30 seconds each", "30 seconds per photo"."""
    k = sentence.keys
    count = number(k, at + 1 if k[at] in {"for", "with"} else at)
    if count is None or sentence.singulars[count[1]] not in _UNITS_S:
        return None
    end = count[1] + 1
    if k[end] in {"each", "apiece", "apart", "interval", "intervals"}:
        end += 1
    elif k[end] == "per" and k[end + 1] in PHOTO_WORDS:
        end += 2
    else:
        return None
    return Item("interval", at, end, number=count[0] * _UNITS_S[sentence.singulars[count[1]]])


def named(sentence: Sentence, at: int) -> Item | None:
    """ "call it Holidays", "save as “Best of 2019”"."""
    if sentence.keys[at] not in _FIRST_OF_NAMING:
        return None
    words = next((words for words in NAMING if tuple(sentence.keys[at : at + len(words)]) == words), None)
    made = sentence.keys[at] in {"called", "named"} and not _PLAYLISTS.isdisjoint(sentence.keys[:at])
    if words is None and made:  # "make a slideshow of Anna called Sunny days"
        words = (sentence.keys[at],)
    if words is None:
        return None
    start = at + len(words)
    if sentence.token(start).kind == "quote":
        return Item("named", at, start + 1, text=sentence.token(start).raw)
    end = start
    while end < len(sentence.tokens) and not _ends_name(sentence, end, start):
        end += 1
    return Item("named" if end > start else "filler", at, end, text=sentence.raw(start, end))


def _ends_name(sentence: Sentence, at: int, start: int) -> bool:
    key = sentence.keys[at]
    if key in {",", "."}:
        return True
    if key in {"and", "then"} and (
        COMMAND_TABLE.longest(sentence.keys, at + 1)[0] or sentence.keys[at + 1] in _CHANGES
    ):
        return True
    if frame(sentence, at) is not None or interval(sentence, at) is not None:
        return True
    return at > start and key in NEGATOR_WORDS and key in {"without", "no", "except"} and not sentence.token(at).capital


def count(sentence: Sentence, at: int) -> Item | None:
    """ "20 photos", "10 best photos", "a dozen of Anna", "a picture", "top 10", "up to 30"."""
    k = sentence.keys
    if k[at] in {"up", "at", "no", "less", "fewer", "maximum", "max", "about", "around", "roughly"}:
        return _at_most(sentence, at)
    if k[at] in {"top", "best"} and (best := number(k, at + 1)) and best[0] <= 1000:
        return None if sentence.photo_at(at + 1) else Item("count", at, best[1], number=best[0], text="best")
    if k[at] in {"first", "last"} and (some := number(k, at + 1)) and sentence.photo_near(some[1]):
        return Item("count", at, some[1], number=some[0], text="newest" if k[at] == "last" else "oldest")
    if k[at] in _ORDERED and (some := number(k, at + 1)) and not sentence.plain_word(some[1]):
        return Item("count", at, some[1], number=some[0], text=_ORDERED[k[at]])
    if k[at] in {"first", "last"} and sentence.photo_at(at + 1):
        singular = not k[at + 1].endswith("s")
        return Item("count", at, at + 1, number=int(singular), text="newest" if k[at] == "last" else "oldest")
    if k[at] in {"a", "an", "one", "single", "another"} and _single(sentence, at):
        return Item("count", at, at + 1, number=1)
    found = number(k, at)
    if found is None or (k[at] == "one" and not sentence.photo_near(found[1], 1)):
        return None
    most = number(k, found[1] + 1) if k[found[1]] in {"to", "or", "-"} else None
    return _counted(sentence, at, found) or (_counted(sentence, at, most) if most else None)  # 8 to 10 photos


def _single(sentence: Sentence, at: int) -> bool:
    """An article or "one" whose noun is a single photo: "a nice picture of"."""
    for step in range(1, 4):
        key = sentence.key(at + step)
        if key in PHOTO_WORDS:
            return not key.endswith("s") and key not in {"stuff", "slideshow"}
        if sentence.token(at + step).kind != "word" or key in FUNCTION_WORDS:
            return False
    return False


def _counted(sentence: Sentence, at: int, found: tuple[int, int]) -> Item | None:
    value, end = found
    k = sentence.keys
    if k[end] in {"year", "years", "month", "months", "old", "st", "nd", "rd", "th", "'s", "/"}:
        return None
    if 1826 <= value <= 2100 and value > sentence.settings.max_count and len(k[at]) == 4:
        return None  # "2019 photos" are those of a year
    of = k[end] == "of" and (k[end + 1] not in {"a", "an"})
    if (
        sentence.photo_near(end)
        or of
        or (k[end - 1] == "of" and at > 0)
        or (end == len(sentence.tokens) > 1 and at <= 3)
    ):
        if k[end] == "of" and k[end + 1] == "the":
            end += 2
        return Item("count", at, end, number=value)
    if k[end - 1] == "of" or k[at : at + 2] == ["a", "few"] or k[at] == "few":
        return Item("count", at, end, number=value)
    return None


def _at_most(sentence: Sentence, at: int) -> Item | None:
    k = sentence.keys
    for words in (
        ("up", "to"),
        ("at", "most"),
        ("less", "than"),
        ("fewer", "than"),
        ("no", "more", "than"),
        ("maximum", "of"),
        ("maximum",),
        ("max",),
    ):
        if tuple(k[at : at + len(words)]) == words and (found := number(k, at + len(words))):
            return Item("count", at, found[1], number=found[0])
    if k[at] in {"about", "around", "roughly"} and (found := number(k, at + 1)):
        item = _counted(sentence, at + 1, found)
        if item is not None:
            item.first = at
        return item
    return None
