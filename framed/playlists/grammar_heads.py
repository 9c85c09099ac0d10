"""How many people are in the picture: "three people", "group photos", "just the two of us", "a crowd"."""

from framed.playlists.date_words import number
from framed.playlists.grammar_phrases import Phrases
from framed.playlists.grammar_sentence import Item, Sentence
from framed.playlists.grammar_words import PHOTO_WORDS, phrases

GROUP = 3
CROWD = 6
"""So many faces are a crowd; of a real one most are too small to be found."""

_PEOPLE = frozenset({"people", "persons", "person", "faces", "face", "humans", "friends"})
_OF_US = frozenset({"us", "them", "you"})
_GROUP_SHOTS = PHOTO_WORDS | {"portrait", "portraits", "selfie", "selfies"}
_LISTED: Phrases[int] = Phrases()
for _least, _said in (
    (
        CROWD,
        """a crowd of people, crowds of people, crowd of people, a crowd, crowds, crowd, crowded, lots of people,
        a lot of people, loads of people, many people""",
    ),
    (
        GROUP,
        """a group of people, a group of friends, group of people, group of friends, groups of people,
        groups of friends, several people, a few people, some people together, in a group""",
    ),
):
    for _words in phrases(_said):
        _LISTED.add(_words, _least)
_LEAST = (("at", "least"), ("no", "fewer", "than"), ("no", "less", "than"))
_MORE = (("more", "than"), ("over",))
_MOST = (("at", "most"), ("up", "to"), ("no", "more", "than"))
_FEWER = (("fewer", "than"), ("less", "than"))
_SOMEONE_ELSE = (
    ("someone", "else"), ("somebody", "else"), ("another", "person"), ("one", "other", "person"), ("other", "people"),
    ("others",),
)  # fmt: skip
_EXACTLY = frozenset({"exactly", "only", "just"})


def heads(sentence: Sentence, at: int) -> Item | None:
    return (
        _besides(sentence, at)
        or _listed(sentence, at)
        or _group_photos(sentence, at)
        or _of_us(sentence, at)
        or _counted(sentence, at)
    )


def _item(first: int, last: int, least: int, most: int | None) -> Item:
    """`number` is the least, `ids` holds the most where there is one."""
    return Item("heads", first, last, number=least, ids=() if most is None else (str(most),))


def _starts(sentence: Sentence, at: int, listed: tuple[tuple[str, ...], ...]) -> int:
    """How many tokens of the longest of these phrases stand at `at`."""
    key = sentence.keys[at]
    found = [words for words in listed if words[0] == key and tuple(sentence.keys[at : at + len(words)]) == words]
    return max(map(len, found), default=0)


def _listed(sentence: Sentence, at: int) -> Item | None:
    size, found = _LISTED.longest(sentence.keys, at)
    return _item(at, at + size, found[0], None) if size else None


def _group_photos(sentence: Sentence, at: int) -> Item | None:
    """The word for photos is left for the reader, who counts by it too."""
    grouped = sentence.keys[at] == "group" and sentence.keys[at + 1] in _GROUP_SHOTS
    return _item(at, at + 1, GROUP, None) if grouped else None


def _besides(sentence: Sentence, at: int) -> Item | None:
    """ "Anna and someone else": one more than are named."""
    size = _starts(sentence, at, _SOMEONE_ELSE)
    return Item("heads", at, at + size, number=1, text="besides") if size else None


def _of_us(sentence: Sentence, at: int) -> Item | None:
    """ "just the two of us", "all four of them", "us two", "both of us"."""
    k = sentence.keys
    j = at + (k[at] in _EXACTLY)
    if k[j] == "both" and k[j + 1] == "of" and k[j + 2] in _OF_US:
        return _item(at, j + 3, 2, 2)
    j = j + 1 if k[j] in {"the", "all"} else j
    found = number(k, j)
    whom = k[found[1] + 1] if found is not None and k[found[1]] == "of" else ""
    if whom == "them" and j == at:
        return None  # "five of them" are photos
    if found is not None and 1 < found[0] < 100 and whom in _OF_US:
        return _item(at, found[1] + 2, found[0], found[0])
    if k[j] == "us" and (found := number(k, j + 1)) and 1 < found[0] < 100 and not sentence.photo_at(found[1]):
        return _item(at, found[1], found[0], found[0])
    return None


def _counted(sentence: Sentence, at: int) -> Item | None:
    """ "two people", "at least three people", "three or more people", "two to four people"."""
    k = sentence.keys
    for bounds, shift, below in ((_LEAST, 0, False), (_MORE, 1, False), (_MOST, 0, True), (_FEWER, -1, True)):
        size = _starts(sentence, at, bounds)
        found = number(k, at + size) if size else None
        if found is not None and (end := _people(sentence, found[1])):
            value = max(found[0] + shift, 1)
            return _item(at, end, 1 if below else value, value if below else None)
    j = at + (k[at] in _EXACTLY)
    alone = k[j] in {"a", "one"} and k[j + 1] == "single"
    found = (1, j + 2) if alone else number(k, j)
    if found is None or not 0 < found[0] < 1000 or k[j] == "few":
        return None
    least, end = found
    more = k[end : end + 2] == ["or", "more"]
    if more and (last := _people(sentence, end + 2)):
        return _item(at, last, least, None)
    upper = number(k, end + 1) if k[end] in {"or", "to", "-"} else None
    if upper is not None and upper[0] > least and (last := _people(sentence, upper[1])):
        return _item(at, last, least, upper[0])
    if last := _people(sentence, end):
        more = k[last : last + 2] == ["or", "more"]
        return _item(at, last + 2 * more, least, None if more else least)
    return None


def _people(sentence: Sentence, at: int) -> int:
    """Where the word for people ends, 0 where there is none: "different people", "people 's house" is no count."""
    j = at + (sentence.keys[at] in {"different", "other"})
    plain = sentence.keys[j] in _PEOPLE and sentence.keys[j + 1] != "'s"
    return j + 1 if plain and not (j > at and sentence.keys[at] == "other") else 0
