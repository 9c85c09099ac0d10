"""Reads a sentence from left to right into items: at each token the longest thing that the words can mean."""

from framed.playlists import grammar_follow, grammar_names, grammar_requests, grammar_signs
from framed.playlists.dates import Found
from framed.playlists.grammar_correct import correction, take_back
from framed.playlists.grammar_heads import heads
from framed.playlists.grammar_sentence import Item, Sentence, Slot
from framed.playlists.grammar_steer import steer
from framed.playlists.grammar_words import (
    ASSISTANTS,
    COMMAND_TABLE,
    FILLER_TABLE,
    FUNCTION_WORDS,
    GREETINGS,
    MODALS,
    NEGATOR_TABLE,
    PREPOSITIONS,
    WORD_NAMES,
)

_REQUESTS = (
    grammar_follow.follow_up,
    grammar_requests.named,
    grammar_requests.interval,
    grammar_requests.lasting,
    grammar_requests.each,
    grammar_requests.frame,
)
_SIGNS = (grammar_signs.sign, grammar_signs.orientation, grammar_signs.colour, grammar_signs.light, heads)
_MARKS: dict[str, Slot] = {
    ",": "comma",
    ".": "stop",
    ":": "stop",
    "&": "and",
    "+": "and",
    "-": "function",
    "/": "function",
}
_VERBS_TOO = frozenset({"skip", "hide", "omit", "avoid", "ignore", "ignoring", "leave", "leaving"})
_IDLE = frozenset({"filler", "comma", "stop", "function"})
_SHOW = frozenset({"show", "display", "play", "see", "want", "give"})  # "only show photos at night"
_VERB_MONTHS = frozenset({"may", "march", "fall"})


def read(sentence: Sentence) -> list[Item]:
    steered = steer(sentence)
    if steered is not None:
        sentence.items.extend(steered)
        return sentence.items
    at = 0
    while at < len(sentence.tokens):
        item = _item(sentence, at)
        sentence.items.append(item)
        at = max(item.last, at + 1)
    if any(item.slot in {"correction", "negator"} for item in sentence.items):
        take_back(sentence)
    return sentence.items


def _item(sentence: Sentence, at: int) -> Item:
    kind = sentence.token(at).kind
    if sentence.keys[at : at + 2] == ["how", "many"] and all(item.slot in _IDLE for item in sentence.items):
        return Item("question", at, at + 2)
    if kind == "emoji":
        return Item("word", at, at + 1)
    taken_back = correction(sentence, at)
    if taken_back is not None:
        return taken_back
    for request in _REQUESTS:
        item = request(sentence, at)
        if item is not None:
            return item
    if kind == "quote":
        return grammar_names.explicit_folder(sentence, at) or grammar_signs.quote(sentence, at) or _part(sentence, at)
    return (
        grammar_signs.written(sentence, at)
        or _command(sentence, at)
        or _meaning(sentence, at)
        or grammar_requests.count(sentence, at)
        or _only(sentence, at)
        or _negator(sentence, at)
        or _but(sentence, at)
        or grammar_names.unknown(sentence, at)
        or _filler(sentence, at)
        or _part(sentence, at)
    )


def _meaning(sentence: Sentence, at: int) -> Item | None:
    """The longest of a date, a known name and a field's own words; a longer tag of the library beats them."""
    found = sentence.dates.read(at)
    if found is not None and not (_is_date(sentence, at, found) and not _in_folder(sentence, at, found)):
        found = None
    name = grammar_names.name(sentence, at, found)
    date = Item("date", at, found.end, found=found) if found is not None else None
    signs = [item for sign in _SIGNS if (item := sign(sentence, at)) is not None]
    counted = grammar_requests.count(sentence, at) if sentence.keys[at] in {"best", "top"} else None
    best = max((item for item in (name, date, counted, *signs) if item is not None), key=_length, default=None)
    if best is None:
        return None
    tag, _ = sentence.vocabulary.tags.longest(sentence.singulars, at)
    named = best.slot in {"person", "place", "folder"} and sentence.keys[at] not in WORD_NAMES
    return Item("word", at, at + tag) if tag > best.last - at and not named else best


def _in_folder(sentence: Sentence, at: int, found: Found) -> bool:
    """ "from the Summer 2019 album" names an album."""
    return any(
        (item := grammar_names.explicit_folder(sentence, j)) and item.last >= found.end for j in range(at, at + 3)
    )


def _length(item: Item) -> int:
    return item.last - item.first


def _is_date(sentence: Sentence, at: int, found: Found) -> bool:
    bare = found.bare
    if bare is None:
        return True
    key = sentence.keys[bare]
    if found.strong:
        owner = (key,) in sentence.vocabulary.people
        return not (found.possessive and owner)
    after = found.end
    if key in _VERB_MONTHS and not sentence.named_by_case(bare):
        dated = bool(sentence.items) and sentence.items[-1].slot == "date"
        alone = after == len(sentence.tokens) and (at == 0 or sentence.key(at - 1) == "of")
        return sentence.photo_at(after) or dated or alone or (key == "fall" and after == len(sentence.tokens))
    if key in {"night", "morning", "evening", "afternoon", "noon", "midnight", "midday"} and sentence.plain_word(after):
        return sentence.dates.read(after) is not None
    return True


def _command(sentence: Sentence, at: int) -> Item | None:
    """ "show me" and its like, at the beginning of a clause."""
    last = sentence.items[-1].slot if sentence.items else "stop"
    if last not in {"filler", "comma", "stop", "and", "frame"} and not (last == "only" and sentence.keys[at] in _SHOW):
        return None
    if addressed := _addressed(sentence, at):
        return Item("filler", at, addressed)
    size, _ = COMMAND_TABLE.longest(sentence.keys, at)
    if not size or (sentence.keys[at] in MODALS and size == 1):
        return None
    tag, _ = sentence.vocabulary.tags.longest(sentence.singulars, at)
    if sentence.keys[at] == "start" and sentence.dates.point(at) is not None:
        return None  # the start of the year
    return Item("filler", at, at + size) if size >= tag else None


def _addressed(sentence: Sentence, at: int) -> int:
    """The end of "Alexa," or "hey Jarvis" at the head of a request, 0 where nobody is spoken to."""
    if at and not all(item.slot == "filler" for item in sentence.items):
        return 0
    greeted = sentence.keys[at] in GREETINGS
    j = at + greeted
    if sentence.token(j).kind != "word" or sentence.vocabulary.people.longest(sentence.keys, j)[0]:
        return 0
    comma = sentence.keys[j + 1] == ","
    if sentence.keys[j] in ASSISTANTS:
        return j + 1 if greeted or comma or COMMAND_TABLE.longest(sentence.keys, j + 1)[0] else 0
    return j + 1 if greeted and comma else 0


def _only(sentence: Sentence, at: int) -> Item | None:
    if sentence.keys[at] in {"only", "just", "solely"}:
        return Item("only", at, at + 1)
    if sentence.keys[at] in {"nothing", "none"} and sentence.keys[at + 1] in {"but", "except"}:
        return Item("filler", at, at + 2)
    return None


def _negator(sentence: Sentence, at: int) -> Item | None:
    filler, _ = FILLER_TABLE.longest(sentence.keys, at)
    size, _ = NEGATOR_TABLE.longest(sentence.keys, at)
    if not size or filler > size:
        return None
    begins = sentence.starts_clause(at) or (bool(sentence.items) and sentence.items[-1].slot in {"comma", "and", "but"})
    if sentence.keys[at] in _VERBS_TOO and not begins:
        return None
    if sentence.items and sentence.items[-1].slot == "nobody" and sentence.keys[at] in {"except", "other", "apart"}:
        return Item("only", at, at + size, text="alone")
    return Item("negator", at, at + size)


def _but(sentence: Sentence, at: int) -> Item | None:
    key = sentence.keys[at]
    if key == "or":
        return Item("or", at, at + 1)
    if key == "and":
        return Item("and", at, at + 1)
    if key != "but":
        return None
    last = sentence.items[-1].slot if sentence.items else "stop"
    if last in {"everyone", "all"} or sentence.key(at - 1) in {"all", "anyone", "anything", "anybody", "anywhere"}:
        return Item("negator", at, at + 1)
    if last == "nobody":
        return Item("only", at, at + 1, text="alone")
    return Item("but", at, at + 1)


def _filler(sentence: Sentence, at: int) -> Item | None:
    size, _ = FILLER_TABLE.longest(sentence.keys, at)
    if not size:
        return None
    if sentence.keys[at] == "all" and sentence.photo_at(at + size):
        return Item("all", at, at + size)
    return Item("filler", at, at + size)


def _part(sentence: Sentence, at: int) -> Item:
    """What is left: marks, words for photos, function words, and words that mean something to the search."""
    token, key = sentence.token(at), sentence.keys[at]
    if token.kind == "mark":
        return Item(_MARKS.get(key, "function"), at, at + 1)
    if sentence.photo_at(at):
        size, _ = sentence.vocabulary.tags.longest(sentence.singulars, at)
        thing = size > 1 or sentence.key(at + 1) in {"booth", "book", "books", "bomb"}
        return Item("word", at, at + max(size, 1)) if thing else Item("photo", at, at + 1)
    if key == "all" and sentence.photo_at(at + 1):
        return Item("all", at, at + 1)
    if key in PREPOSITIONS:
        return Item("preposition", at, at + 1)
    if key in FUNCTION_WORDS:
        return Item("function", at, at + 1)
    tag, _ = sentence.vocabulary.tags.longest(sentence.singulars, at)
    return Item("word", at, at + max(tag, 1))
