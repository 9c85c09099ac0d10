"""Whose and which name a word is: a person, place or folder of the library, a name nobody has, or an ordinary word."""

from framed.playlists.date_words import MONTHS, SEASON_WORDS, WEEKDAYS
from framed.playlists.dates import Found
from framed.playlists.grammar_phrases import Phrases
from framed.playlists.grammar_sentence import Item, Sentence, Slot
from framed.playlists.grammar_tokens import words
from framed.playlists.grammar_words import (
    ALL_RELATIVES,
    ARTICLE_BEFORE_WORD,
    COUNTRIES,
    FUNCTION_WORDS,
    INFORMAL_RELATIVES,
    LANDMARK_ENDS,
    LANDMARK_STARTS,
    MODALS,
    NAME_PLACES,
    NEGATOR_TABLE,
    ORDINARY,
    PERSON_LEADS,
    PHOTO_WORDS,
    PLACE_LEADS,
    PRONOUNS,
    SETTINGS_HEADS,
    SIGNS,
    WORD_NAMES,
    WORD_PLACES,
)
from framed.playlists.near_names import nearest

_FOLDER_WORDS = frozenset({"album", "albums", "folder", "folders", "directory", "collection", "gallery"})
_CALENDAR = frozenset(MONTHS) | frozenset(SEASON_WORDS) | frozenset(WEEKDAYS)
_JOINERS = frozenset({"and", "or", "&", "+", ",", "nor", "plus"})
_INSIDE_NAMES = frozenset({"of", "de", "del", "la", "le", "von", "van", "der", "di", "da", "du", "el", "al", "the"})
_SURE_PLACE = 6  # letters
_SHOWN = frozenset({"me", "us", "show", "see", "find", "display", "put", "get"})


def name(sentence: Sentence, at: int, found: Found | None) -> Item | None:
    """The known person, place or folder at a token; `found` is the date phrase that could stand there instead."""
    explicit = explicit_folder(sentence, at)
    if explicit is not None:
        return explicit
    known = sentence.vocabulary
    people, people_ids = known.people.longest(sentence.keys, at)
    places, place_ids = known.places.longest(sentence.keys, at)
    folders, folder_ids = known.folders.longest(sentence.keys, at)
    dated = found.end - at if found is not None else 0
    if _means_folder(sentence, at, folders, max(people, places, dated)):
        return Item("folder", at, at + folders, ids=tuple(folder_ids))
    person = bool(people) and (people > dated or found is None or not found.strong)
    person = person and _means_person(sentence, at, people, found)
    if person and places >= people:
        person = _person_before_place(sentence, at, people, places)
        place = not person
    else:
        place = places > dated and _means_place(sentence, at, places)
    if person:
        return _person(sentence, at, people, people_ids)
    if place:
        return _place(sentence, at, places, place_ids)
    told = sentence.named_by_case(at) or not _known_word(sentence, at)
    if folders and dated < folders and sentence.before(at) == "from" and told:
        return Item("folder", at, at + folders, ids=tuple(folder_ids))
    return None


def _person(sentence: Sentence, at: int, size: int, ids: list[str]) -> Item | None:
    end = at + size
    if size == 1 and sentence.plain_word(end) and nearest(sentence.vocabulary.people, sentence.keys[at : end + 1]):
        ids = list(nearest(sentence.vocabulary.people, sentence.keys[at : end + 1]))  # Barack Obana
        end += 1
        sentence.read_as[sentence.raw(at, end)] = sentence.vocabulary.labels.get(f"people:{ids[0]}", ids[0])
    owns = sentence.keys[end] == "'s"
    if owns and sentence.keys[end + 1] in SETTINGS_HEADS:
        return Item("word", at, end + 1)
    return Item("person", at, end + owns, ids=tuple(ids))


def _place(sentence: Sentence, at: int, size: int, ids: list[str]) -> Item:
    """ "Paris, France" is Paris; the country after the comma only says which."""
    end = at + size
    if sentence.keys[end] == ",":
        more, _ = sentence.vocabulary.places.longest(sentence.keys, end + 1)
        container = more or int((sentence.keys[end + 1],) in COUNTRIES and sentence.token(end + 1).capital)
        after = sentence.keys[end + 1 + container]
        if container and after not in {"and", "or", ","}:
            end += 1 + container
    return Item("place", at, end, ids=tuple(ids))


def explicit_folder(sentence: Sentence, at: int) -> Item | None:
    """ "the album Holidays", "the Holidays album", "folder called DCIM"."""
    k, folders = sentence.keys, sentence.vocabulary.folders
    if k[at] in _FOLDER_WORDS:
        start = sentence.skip(at + 1, {"called", "named", ":", "of", "the"})
        token = sentence.token(start)
        if token.kind == "quote":
            ids = quoted_ids(folders, token.raw)
            return Item("folder", at, start + 1, ids=ids) if ids else None
        size, found = folders.longest(k, start)
        return Item("folder", at, start + size, ids=tuple(found)) if size else None
    if sentence.token(at).kind == "quote" and k[at + 1] in _FOLDER_WORDS:
        ids = quoted_ids(folders, sentence.token(at).raw)
        return Item("folder", at, at + 2, ids=ids) if ids else None
    size, found = folders.longest(k, at)
    while size:
        if k[at + size] in _FOLDER_WORDS:
            return Item("folder", at, at + size + 1, ids=tuple(found))
        size, found = folders.longest(k[: at + size - 1], at)
    return None


def quoted_ids(names: Phrases[str], text: str) -> tuple[str, ...]:
    """The ids of exactly the name inside the quotation marks."""
    keys = [token.key for token in words(text)]
    size, ids = names.longest(keys, 0)
    return tuple(ids) if size and size == len(keys) else ()


def _means_folder(sentence: Sentence, at: int, size: int, others: int) -> bool:
    """A name of several words is meant by those words; of a single one only where "album" or "from" says so."""
    if size < 2 or size <= others or sentence.token(at).kind != "word":
        return False
    tags, _ = sentence.vocabulary.tags.longest(sentence.singulars, at)
    signs, _ = SIGNS.longest(sentence.keys, at)
    return size > max(tags, signs) or (size == tags and sentence.before(at) in {"from", "in"})


def _known_word(sentence: Sentence, at: int) -> bool:
    """A word that has a meaning of its own: a tag of the library, a field of the plan, an everyday noun."""
    key, single = sentence.keys[at], sentence.singulars[at]
    return (
        key in FUNCTION_WORDS
        or key in PHOTO_WORDS
        or key in ORDINARY
        or single in ORDINARY
        or key in _CALENDAR
        or sentence.vocabulary.tags.longest(sentence.singulars, at)[0] > 0
        or (single,) in sentence.vocabulary.tags
        or SIGNS.longest(sentence.keys, at)[0] > 0
        or NEGATOR_TABLE.longest(sentence.keys, at)[0] > 0
    )


def _means_person(sentence: Sentence, at: int, size: int, found: Found | None) -> bool:
    key, token = sentence.keys[at], sentence.token(at)
    after, previous = sentence.keys[at + size], sentence.key(at - 1)
    if previous in {"big", "saint", "mount", "lake"} and sentence.token(at - 1).capital and sentence.case_tells:
        return False  # Big Ben is no Ben
    if key in {"me", "us", "i"} and sentence.before(at) in _SHOWN | {"for", "to"}:
        return False
    if size > 1 or key in ALL_RELATIVES:
        return size > 1 or previous not in {"a", "an"}
    if not (key in WORD_NAMES or key in _CALENDAR or _known_word(sentence, at)):
        return True
    if after == "'s" or len(sentence.tokens) == 1:
        return True
    if previous in ARTICLE_BEFORE_WORD or (key in MODALS and previous in PRONOUNS):
        return False
    if sentence.named_by_case(at):
        return True
    if sentence.case_tells and not token.capital and (key,) in sentence.vocabulary.tags:
        return False
    return _person_by_position(sentence, at, size, found)


def _person_by_position(sentence: Sentence, at: int, size: int, found: Found | None) -> bool:
    """Where capitals tell nothing: what stands before and after the word."""
    key, lead, after = sentence.keys[at], sentence.before(at), sentence.keys[at + size]
    beside = sentence.items[-1].slot if sentence.items else ""
    people = any(item.slot in {"person", "unknown_name"} for item in sentence.items[-3:])
    if lead in _JOINERS:
        return people
    if lead in PERSON_LEADS - {"no", "for", "by", "just", "only"} or (lead in {"just", "only"} and beside == "only"):
        return not sentence.plain_word(at + size) or found is not None or after in {"last", "this", "when"}
    everyday = _known_word(sentence, at)
    if sentence.starts_clause(at) or lead in _SHOWN:
        goes_on = sentence.plain_word(at + size) or sentence.photo_at(at + size)
        if key == "mark" and after in {"it", "this", "as", "them", "that"}:
            return False
        dated = after in {"last", "yesterday", "today", "since"} or after.isdecimal()
        return after != "" and (not goes_on or dated) if everyday and lead not in _SHOWN else not goes_on or dated
    return not everyday and key not in MODALS


def _means_place(sentence: Sentence, at: int, size: int) -> bool:
    if size > 1 and not all(key in FUNCTION_WORDS for key in sentence.keys[at : at + size]):
        return True
    key = sentence.keys[at]
    if sentence.before(at) in _JOINERS and any(item.slot == "place" for item in sentence.items[-3:]):
        return True
    named = key in WORD_PLACES or (key in WORD_NAMES and key not in NAME_PLACES)
    if not (_known_word(sentence, at) or named or len(key) < 3):
        return True
    if sentence.key(at - 1) in {"the", "a", "an", "my", "our", "this"}:
        return sentence.named_by_case(at) and not _known_word(sentence, at)
    if sentence.key(at - 1) in PLACE_LEADS and key not in _CALENDAR:
        return not sentence.case_tells or sentence.token(at).capital
    return sentence.named_by_case(at) and not sentence.photo_at(at + size)


def _person_before_place(sentence: Sentence, at: int, people: int, places: int) -> bool:
    """Which of the two a name is that a person and a place of the library share."""
    if places > people:
        return False
    lead, after = sentence.before(at), sentence.keys[at + people]
    said = sentence.raw(at, at + people)
    if lead in PLACE_LEADS:
        return False
    if after == "'s" or lead in {"with", "without", "featuring", "except", "only", "just"}:
        return True
    joined = lead in _JOINERS and any(item.slot == "person" for item in sentence.items[-3:])
    followed = after in _JOINERS and sentence.vocabulary.people.longest(sentence.keys, at + people + 1)[0] > 0
    beside = after in {"at", "in", "on", "with"} and sentence.dates.read(at + people) is None  # not "Paris at night"
    if joined or followed or lead == "of" or beside:
        sentence.problems.append(f"“{said}” is a person and a place here; the person was taken.")
        return True
    return False


def unknown(sentence: Sentence, at: int) -> Item | None:
    """A name that nobody and no place of the library has, or that of one which it misspells; an ordinary word is
    none."""
    item = _unknown(sentence, at)
    return item and (_misspelt(sentence, item) or item)


def _misspelt(sentence: Sentence, item: Item) -> Item | None:
    """What is meant by "Barak" or "Pariss", where one name of the library is one letter away."""
    end = item.last - (sentence.keys[item.last - 1] == "'s")
    keys = sentence.keys[item.first : end]
    if tuple(keys) in COUNTRIES or keys[0] in ALL_RELATIVES:
        return None
    known = sentence.vocabulary
    people, places = nearest(known.people, keys), nearest(known.places, keys)
    if item.slot == "unknown_place":
        kinds: tuple[tuple[Slot, tuple[str, ...]], ...] = (("place", places), ("person", people))
    else:
        kinds = (("person", people), ("place", places))
    slot, ids = next(((slot, ids) for slot, ids in kinds if ids), (None, ()))
    if slot is None:
        return None
    labels = known.labels
    named = [labels.get(f"{'people' if slot == 'person' else 'places'}:{one}", one) for one in ids]
    sentence.read_as[sentence.raw(item.first, end)] = named[0]
    return Item(slot, item.first, item.last, ids=ids)


def _unknown(sentence: Sentence, at: int) -> Item | None:
    relative = _unknown_relative(sentence, at)
    if relative is not None:
        return relative
    token = sentence.token(at)
    if token.kind != "word" or not token.raw[:1].isalpha() or token.key in FUNCTION_WORDS:
        return None
    if _could_be_misspelt_place(sentence, at):
        return Item("unknown_place", at, at + 1, text=token.raw)
    end = _capitals(sentence, at)
    country = _country(sentence, at)
    if country is not None:
        return country
    if end == at:
        owner = sentence.keys[at + 1] == "'s" and not token.capital and _owner(sentence, at)
        return Item("unknown_name", at, at + 2, text=token.raw) if owner else None
    said, keys = sentence.raw(at, end), tuple(sentence.keys[at:end])
    landmark = keys[-1] in LANDMARK_ENDS or keys[0] in LANDMARK_STARTS
    if sentence.before(at) in PLACE_LEADS and not sentence.starts_clause(at) and sentence.case_tells:
        return None if keys[-1] in LANDMARK_ENDS and len(keys) > 1 else Item("unknown_place", at, end, text=said)
    if landmark or not _could_be_person(sentence, at, end):
        return None
    return Item("unknown_name", at, end + (sentence.keys[end] == "'s"), text=said)


def _could_be_misspelt_place(sentence: Sentence, at: int) -> bool:
    """ "in sidney": a word without its capital, where a place would stand and one is a letter away."""
    key = sentence.keys[at]
    if len(key) < _SURE_PLACE or sentence.token(at).capital or sentence.key(at - 1) not in {"in", "from", "near"}:
        return False
    return not (_known_word(sentence, at) or sentence.plain_word(at + 1)) and bool(
        nearest(sentence.vocabulary.places, [key])
    )


def _country(sentence: Sentence, at: int) -> Item | None:
    """A country or great city without photos, by capital or by "in"."""
    for size in (2, 1):
        if tuple(sentence.keys[at : at + size]) not in COUNTRIES or sentence.keys[at + size] == "'s":
            continue
        dated = sentence.dates.read(at + size) is not None
        thing = sentence.starts_clause(at) and sentence.plain_word(at + size) and not dated  # Turkey dinner
        if (sentence.token(at).capital and not thing) or sentence.before(at) in PLACE_LEADS:
            return Item("unknown_place", at, at + size, text=sentence.raw(at, at + size))
    return None


def _unknown_relative(sentence: Sentence, at: int) -> Item | None:
    """ "grandma" or "my brother", where the library knows no such person."""
    key, previous = sentence.keys[at], sentence.key(at - 1)
    said = sentence.raw(at, at + 1)
    owned = int(sentence.keys[at + 1] == "'s")
    if key in ALL_RELATIVES and sentence.vocabulary.people.longest(sentence.keys, at + 1)[0]:
        return Item("filler", at, at + 1)  # my sister Anna
    if key in ALL_RELATIVES and previous in {"my", "our"}:
        return Item("unknown_name", at, at + 1 + owned, text=said)
    if key in INFORMAL_RELATIVES and previous not in {"a", "an", "the", "this", "that"}:
        return Item("unknown_name", at, at + 1 + owned, text=said)
    if (
        key in {"me", "myself", "us"}
        and previous in {"of", "with", "without", "and"}
        and sentence.keys[at + 1] != "all"
    ):
        return Item("unknown_name", at, at + 1, text=said)
    return None


def _owner(sentence: Sentence, at: int) -> bool:
    key = sentence.keys[at]
    return not (_known_word(sentence, at) or sentence.singulars[at] != key or len(key) < 3 or key in PRONOUNS) and (
        sentence.before(at) in {"of", "from", "at", "with", ""} or sentence.starts_clause(at)
    )


def _capitals(sentence: Sentence, at: int) -> int:
    """The end of the capitalised words that start here and mean nothing else."""
    end = at
    while True:
        token = sentence.token(end)
        if token.kind != "word" or not token.capital or len(token.raw) < 2 or token.key == "'s":
            break
        if _stops_name(sentence, end, at):
            break
        end += 1
        if sentence.key(end) in _INSIDE_NAMES and sentence.token(end + 1).capital and not _taken(sentence, end + 1):
            end += 1
    return end


def _stops_name(sentence: Sentence, at: int, start: int) -> bool:
    if at > start and sentence.keys[at] in LANDMARK_ENDS:
        return False
    if at == start and sentence.keys[at] in LANDMARK_STARTS and sentence.token(at + 1).capital:
        return _known_word(sentence, at + 1)
    return _known_word(sentence, at) or (_taken(sentence, at) and at > start)


def _taken(sentence: Sentence, at: int) -> bool:
    known = sentence.vocabulary
    return any(table.longest(sentence.keys, at)[0] for table in (known.people, known.places)) or (
        sentence.dates.point(at) is not None
    )


def _could_be_person(sentence: Sentence, at: int, end: int) -> bool:
    after, lead = sentence.keys[end], sentence.before(at)
    if after == "'s":
        return True
    raw = sentence.token(at).raw
    if raw.isupper() and sentence.case_tells and end == at + 1:
        return False  # BBQ, DSLR
    follows = sentence.token(end)
    adjective = follows.kind == "word" and not follows.capital and sentence.plain_word(end)
    if adjective and not follows.key.endswith("ing") and sentence.dates.read(end) is None:
        return False  # Italian food, Lego bricks
    if sentence.photo_at(end) or sentence.key(at - 1) == "the":
        return False
    beside_person = any(item.slot in {"person", "unknown_name"} for item in sentence.items[-3:])
    if sentence.starts_clause(at):
        return after in _JOINERS and sentence.vocabulary.people.longest(sentence.keys, end + 1)[0] > 0
    if lead in _JOINERS:
        return beside_person
    if lead in PERSON_LEADS or lead in _SHOWN:
        return sentence.case_tells
    return False
