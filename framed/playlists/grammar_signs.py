"""Words that name a field of the plan: kinds, orientation, favourites, quality, colours, newness, text in the
picture."""

from framed.playlists.grammar_names import quoted_ids
from framed.playlists.grammar_requests import frame, interval
from framed.playlists.grammar_sentence import Item, Sentence, Slot
from framed.playlists.grammar_words import BEST, BEST_OTHERWISE, COLOUR_NOUNS, COLOURS, GOOD, SIGNS, TIMED_LIGHT

_SHAPE_NOUNS = frozenset({"orientation", "format", "mode", "oriented", "orientated", "shaped", "aspect"})
_SHAPES = {
    "portrait": "portrait", "vertical": "portrait", "upright": "portrait", "tall": "portrait", "landscape": "landscape",
    "horizontal": "landscape", "wide": "landscape", "square": "square",
}  # fmt: skip
_GENRES = frozenset("portrait portraits landscape landscapes selfie selfies close photography".split())
_SAYS = (
    ("with", "text", "that", "says"), ("with", "the", "text", "that", "says"), ("with", "text", "saying"),
    ("that", "says"), ("that", "say"), ("which", "says"), ("which", "say"), ("saying",), ("reading",), ("that",
    "reads"),
    ("with", "the", "text"), ("with", "the", "words"), ("with", "the", "word"), ("containing", "the", "text"),
    ("containing", "the", "words"), ("containing", "the", "word"),
    ("where", "it", "says"), ("with", "text"), ("labelled",), ("says",),
)  # fmt: skip
_PLAIN_SIGNS: dict[str, Slot] = {
    "kind": "kind", "people": "people", "nobody": "nobody", "everyone": "everyone", "alone": "alone",
    "blurry": "blurry",
    "orientation": "orientation", "sort": "sort",
}  # fmt: skip


def quote(sentence: Sentence, at: int) -> Item | None:
    """A quotation is a name of the library, or text to find in the picture."""
    token = sentence.token(at)
    if token.kind != "quote":
        return None
    words = sentence.vocabulary
    names: tuple[tuple[Slot, tuple[str, ...]], ...] = (
        ("folder", quoted_ids(words.folders, token.raw)),
        ("person", quoted_ids(words.people, token.raw)),
        ("place", quoted_ids(words.places, token.raw)),
    )
    for slot, ids in names:
        if ids:
            return Item(slot, at, at + 1, ids=ids)
    return Item("must_text", at, at + 1, text=token.raw)


def written(sentence: Sentence, at: int) -> Item | None:
    """ "that says happy birthday": the text runs to the next mark or frame."""
    key = sentence.keys[at]
    lead = next((w for w in _SAYS if w[0] == key and tuple(sentence.keys[at : at + len(w)]) == w), None)
    if lead is None:
        return None
    start = at + len(lead)
    if sentence.token(start).kind == "quote":
        return Item("must_text", at, start + 1, text=sentence.token(start).raw)
    if lead[0] in {"saying", "reading", "says", "labelled"} or lead == ("with", "text"):
        return None  # a woman reading a book
    end = start
    while end < len(sentence.tokens) and sentence.token(end).kind != "mark":
        if frame(sentence, end) or interval(sentence, end):
            break
        end += 1
    return Item("must_text", at, end, text=sentence.raw(start, end)) if end > start else None


def light(sentence: Sentence, at: int) -> Item | None:
    for size in (2, 1):
        times = TIMED_LIGHT.get(tuple(sentence.keys[at : at + size]))
        if times is not None:
            return Item("light", at, at + size, ids=times)
    return None


def orientation(sentence: Sentence, at: int) -> Item | None:
    k = sentence.keys
    if k[at] == "in" and k[at + 1] in {"portrait", "landscape"}:
        return Item("orientation", at, at + 2 + (k[at + 2] in _SHAPE_NOUNS), text=_SHAPES[k[at + 1]])
    shape = _SHAPES.get(k[at])
    if shape is None:
        return None
    if k[at + 1] in _SHAPE_NOUNS:
        return Item("orientation", at, at + 2, text=shape)
    alone = sentence.key(at - 1) in {"only", "just"} and not sentence.plain_word(at + 1)
    if alone or sentence.photo_at(at + 1) or (k[at] in {"vertical", "horizontal"} and not sentence.plain_word(at + 1)):
        return Item("orientation", at, at + 1, text=shape)
    return None


def colour(sentence: Sentence, at: int) -> Item | None:
    """ "blue photos", "in warm red tones", "mostly green"; a red car is a car."""
    k = sentence.keys
    j = at + (k[at] in {"in", "mostly", "mainly", "very", "something", "anything"})
    name = COLOURS.get(k[j])
    if name is None:
        return None
    if k[j + 1] in COLOUR_NOUNS:
        return Item("colour", at, j + 2, text=name)
    if sentence.photo_at(j + 1):
        return Item("colour", at, j + 1, text=name)
    if (
        k[j + 1] in {"and", "or", "&", ","}
        and k[j + 2] in COLOURS
        and (sentence.photo_at(j + 3) or k[j + 3] in COLOUR_NOUNS)
    ):
        return Item("colour", at, j + 1, text=name)
    closed = not sentence.plain_word(j + 1) and k[j + 1] not in {"and", "or", "&"}
    after_photos = bool(sentence.items) and sentence.items[-1].slot in {"photo", "filler", "colour"}
    plainly = k[at] in {"something", "anything", "mostly", "mainly"}
    return Item("colour", at, j + 1, text=name) if j > at and closed and (after_photos or plainly) else None


def sign(sentence: Sentence, at: int) -> Item | None:
    """A phrase of the sign table, where what stands after it allows."""
    size, found = SIGNS.longest(sentence.keys, at)
    if not size:
        return _judged(sentence, at)
    (name, value), end = found[0], at + size
    if name in _PLAIN_SIGNS:
        return Item(_PLAIN_SIGNS[name], at, end, text=value)
    after = sentence.key(end)
    if name == "more":
        return Item("follow_up", at, end, text="more")
    if name == "all":
        return Item("all", at, end)
    if name == "quality":
        return Item("quality", at, end, text=value)
    if name == "favourite":
        return Item("favourites", at, end)
    if name == "mono":
        thing = sentence.keys[at] == "black" and sentence.plain_word(end) and after not in COLOUR_NOUNS | _GENRES
        return None if thing else Item("mono", at, end, text=value)  # a black and white cat
    if name == "every_frame":
        anywhere = after in {"except", "but", "in", "outside", "we", "i", "apart", "besides", "not", "without"}
        return None if anywhere else Item("all_frames", at, end)
    if name == "new" and (
        not value or sentence.photo_near(end, 1) or sentence.key(at - 1) in {"something", "anything"}
    ):
        return Item("new", at, end)
    latest = sentence.keys[at] != "new" and after in {"", "of", "from"}
    if name == "new" and latest and sentence.key(at - 1) in {"", "the", "show", "me"}:
        return Item("new", at, end)
    return None


def _judged(sentence: Sentence, at: int) -> Item | None:
    """best, good, sharp, favourite, oldest: words of praise count where they praise the photo itself."""
    k = sentence.keys
    key = k[at]
    if key == "most" and k[at + 1] in {"beautiful", "stunning", "lovely"}:
        return Item("quality", at, at + 2, text="best")
    if key in BEST:
        return Item("quality", at, at + 1, text="best") if k[at + 1] not in BEST_OTHERWISE else None
    if key == "top" and sentence.photo_at(at + 1):
        return Item("quality", at, at + 1, text="best")
    if key in GOOD and sentence.photo_at(at + 1):
        return Item("quality", at, at + 1, text="good")
    if (
        key in {"sharp", "crisp"}
        and not sentence.plain_word(at + 1)
        and sentence.key(at - 1) in {"only", "just", ",", "and"}
    ):
        return Item("quality", at, at + 1, text="good")
    if (key in {"dark", "bad", "ugly"} and sentence.photo_at(at + 1)) or (
        key == "dark" and sentence.key(at - 1) == "too"
    ):
        return Item("blurry", at, at + 1, text=key)
    if (key in {"oldest", "earliest"} and sentence.photo_near(at + 1, 1)) or (
        key in {"old", "older"} and sentence.photo_at(at + 1)
    ):
        return Item("sort", at, at + 1, text="oldest")
    if key in {"favourite", "favorite", "fave", "liked", "loved", "starred"} and (
        sentence.photo_near(at + 1, 1) or k[at + 1] in {"", "of", "from", "ones"}
    ):
        return Item("favourites", at, at + 1)
    return None
