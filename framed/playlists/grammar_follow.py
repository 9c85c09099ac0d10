"""Sentences about the picture that is shown: "something else", "not that one", "where was this taken"."""

from framed.playlists.grammar_phrases import Phrases
from framed.playlists.grammar_requests import frame
from framed.playlists.grammar_sentence import Item, Sentence
from framed.playlists.grammar_words import PHOTO_WORDS, PREPOSITIONS, phrases
from framed.playlists.plan import FollowUp

_AFTER = frozenset("please pls now thanks then instead thank you again for me us the slideshow playlist".split())
_BEFORE = frozenset({"filler", "function", "comma", "frame", "negator"})
_ONE = frozenset({"one", "ones"})
_LONGEST = 10
_WHOLE: Phrases[FollowUp] = Phrases()


def _whole(value: FollowUp, listed: str) -> None:
    """Phrases in which "it" stands for the shown picture, and "one" for any."""
    for words in phrases(listed):
        _WHOLE.add(words, value)


_whole(
    "next",
    """next, next one, the next, the next one, another, another one, something else, something different, anything else,
    a different one, different one, some other one, other one, a new one, skip, skip it, skip to the next one,
    go to the next one, on to the next one, change, change it, change the
    one, boring""",
)
_whole(
    "previous",
    """previous, previous one, the previous one, back, go back, one back, back one, the one before, the one before it,
    go back to the one before it, go back to the one before""",
)
_whole("pause", "pause, stop, hold, hold it, hold on, freeze, keep it, stay, stay here")
_whole("resume", "resume, continue, go on, carry on, keep going, unpause, start again, play on")
_whole(
    "not_this",
    """not it, no not it, i dont like it, i do not like it, i dont want it, i do not want it, i hate it, less of it,
    less like it, remove it, take it out, take it away""",
)
_whole("hide", "never again, never show it again, never show it, dont show it again, do not show it again, hide it")
_whole(
    "favourite",
    """i like it, i love it, we like it, we love it, favourite it, favorite it, add it to my favourites, add it to my
    favorites, mark it as favourite, mark it as favorite, it is a favourite, it is my favourite""",
)
_whole(
    "about",
    """what is it, whats it, what was it, what one is it, which one is it, what am i looking at, what are we looking at,
    where is it, where was it, where was it taken, where is it from, where are we, when is it, when was it, when was it
    taken, when is it from, who is it, whos it, who are they, who is in it, who is on it, who are it, who are it people,
    tell me about it, tell me more, tell me more about it, why it, why do i see it, why am i seeing it, why is it here,
    what is it about, what is it place, what place is it, which
    place is it, who is it in the one, who is it on the one, whos it in the one, who is in the one,
    who is on the one""",
)


def follow_up(sentence: Sentence, at: int) -> Item | None:
    """What is asked of the shown picture, of its playlist, or of the frame: the whole sentence, or its head."""
    if any(item.slot not in _BEFORE for item in sentence.items):
        return None
    return _all_of_it(sentence, at) or _head(sentence, at)


def _all_of_it(sentence: Sentence, at: int) -> Item | None:
    said, ends = _plainly(sentence, at)
    size, found = _WHOLE.longest(said, 0)
    while size:
        if _closed(sentence, ends[size - 1]):
            return Item("follow_up", at, ends[size - 1], text=found[0])
        size, found = _WHOLE.longest(said[: size - 1], 0)
    return None


def _plainly(sentence: Sentence, at: int) -> tuple[list[str], list[int]]:
    """The next words with "this photo" and its like as "it" or "one", and the token after each."""
    said: list[str] = []
    ends: list[int] = []
    while at < len(sentence.tokens) and len(said) < _LONGEST:
        key, after = sentence.keys[at], sentence.keys[at + 1]
        pictured = after in PHOTO_WORDS or after in _ONE
        if key in {"this", "that", "these", "those"}:
            said.append("it")
            at += pictured
        else:
            said.append("one" if key in PHOTO_WORDS else "is" if key == "'s" else key)
        at += 1
        ends.append(at)
    return said, ends


def _closed(sentence: Sentence, at: int) -> bool:
    """Whether nothing follows but politeness and a frame."""
    while at < len(sentence.tokens):
        named = frame(sentence, at)
        if named is None and sentence.keys[at] not in _AFTER and sentence.token(at).kind != "mark":
            return False
        at = named.last if named is not None else at + 1
    return True


def _head(sentence: Sentence, at: int) -> Item | None:
    """ "only the ones with dad", "more of Anna"."""
    k = sentence.keys
    if any(item.slot == "negator" for item in sentence.items):
        return None
    if k[at] in {"only", "just"}:
        j = sentence.skip(at + 1, {"the", "those", "these"})
        if k[j] in {"ones", "those", "these"} or (j > at + 1 and sentence.photo_at(j)):
            return Item("follow_up", at, j + (k[j] in PHOTO_WORDS), text="only")
        if k[j - 1] in {"those", "these"}:
            return Item("follow_up", at, j, text="only")
        if k[at + 1] in PREPOSITIONS:
            return Item("follow_up", at, at + 1, text="only")
    if at == 0 and k[0] == "and" and k[1] in PREPOSITIONS and k[1] not in {"on", "off", "up", "down"}:
        return Item("follow_up", 0, 1, text="only")  # "and at Christmas?"
    if k[at] == "more" and k[at + 1] not in {"than", "or"}:
        return Item("follow_up", at, at + 1, text="more")
    return None
