"""The library's own names, compiled once so that a sentence finds the longest one at a word by dictionary."""

from collections.abc import Callable, Iterable, Sequence

from pydantic import BaseModel, ConfigDict

from framed.playlists.grammar_phrases import Phrases
from framed.playlists.grammar_tokens import spelt_out, words
from framed.playlists.grammar_words import (
    FRAME_WORDS,
    NO_GIVEN_NAMES,
    ORDINARY,
    PHOTO_WORDS,
    RELATIVES,
    STOP_TAGS,
    WORD_NAMES,
)


class Name(BaseModel):
    """A person, place, folder or frame of the library, by the names people use for it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    name: str
    aliases: tuple[str, ...] = ()


class Vocabulary:
    """The compiled names. A given name alone finds the person where nobody is called exactly that."""

    def __init__(
        self,
        *,
        people: Sequence[Name] = (),
        places: Sequence[Name] = (),
        folders: Sequence[Name] = (),
        frames: Sequence[Name] = (),
        tags: Sequence[str] = (),
    ) -> None:
        self.people = _people(people)
        self.places = _compiled(places, _place_keys)
        self.folders = _compiled(folders, _all_keys)
        self.frames = _compiled(frames, _frame_keys)
        self.tags: Phrases[str] = Phrases()
        for tag in tags:
            keys = tuple(token.singular for token in words(tag))
            if keys and not (len(keys) == 1 and (keys[0] in STOP_TAGS or keys[0] in PHOTO_WORDS)):
                self.tags.add(keys, tag)
        self.labels = {
            f"{kind}:{one.id}": one.name
            for kind, names in (("people", people), ("places", places), ("folders", folders), ("frames", frames))
            for one in names
        }


def _keys(name: str) -> tuple[str, ...]:
    return tuple(token.key for token in words(name))


def _all_keys(name: Name) -> Iterable[tuple[str, ...]]:
    for spelling in (name.name, *name.aliases):
        yield _keys(spelling)
        if not spelling.isascii():
            yield _keys(spelt_out(spelling))


def _place_keys(name: Name) -> Iterable[tuple[str, ...]]:
    """ "Paris, France" is found by "Paris" too."""
    yield from _all_keys(name)
    head, comma, _ = name.name.partition(",")
    if comma:
        yield _keys(head)


def _frame_keys(name: Name) -> Iterable[tuple[str, ...]]:
    """ "Kitchen frame" is found by "kitchen" too; a frame that is called just "Frame" keeps its name."""
    for keys in _all_keys(name):
        yield keys
        bare = list(keys)
        while bare and bare[-1] in FRAME_WORDS:
            bare.pop()
        if bare and bare[0] == "the":
            bare = bare[1:]
        yield tuple(bare)


def _compiled(names: Sequence[Name], spellings: Callable[[Name], Iterable[tuple[str, ...]]]) -> Phrases[str]:
    phrases: Phrases[str] = Phrases()
    for name in names:
        for keys in spellings(name):
            phrases.add(keys, name.id)
    return phrases


def _people(names: Sequence[Name]) -> Phrases[str]:
    phrases: Phrases[str] = Phrases()
    for name in names:
        for keys in _all_keys(name):
            phrases.add(keys, name.id)
    said = {keys for name in names for keys in _all_keys(name)}
    for name in names:
        for keys in _all_keys(name):
            if len(keys) == 1:
                for other in next((group for group in RELATIVES if keys[0] in group), ()):
                    if (other,) not in said:
                        phrases.add((other,), name.id)
            elif keys[0] not in NO_GIVEN_NAMES and len(keys[0]) > 1 and (keys[0],) not in said:
                phrases.add((keys[0],), name.id)
    _families(names, phrases)
    _namesakes(names, phrases)
    return phrases


def _namesakes(names: Sequence[Name], phrases: Phrases[str]) -> None:
    """ "the Toms", where several are called so."""
    given = {keys[0] for name in names if len(keys := _keys(name.name)) > 1}
    for one in given:
        ids = phrases.values((one,))
        if len(ids) > 1 and not one.endswith("s") and (one + "s",) not in phrases:
            for id_ in list(ids):
                phrases.add((one + "s",), id_)


def _families(names: Sequence[Name], phrases: Phrases[str]) -> None:
    """ "Miller" where nobody is called so otherwise, and "the Millers" or "the Miller family" for all of that name."""
    surnames: dict[str, list[str]] = {}
    for name in names:
        keys = _keys(name.name)
        if len(keys) > 1 and len(keys[-1]) > 2 and keys[-1] not in WORD_NAMES | ORDINARY:
            surnames.setdefault(keys[-1], []).append(name.id)
    alone = {surname: (surname,) not in phrases for surname in surnames}
    for surname, ids in surnames.items():
        plural = surname + ("es" if surname.endswith(("s", "x", "z", "ch", "sh")) else "s")
        spellings = [(plural,), (surname, "family"), ("family", surname), *([(surname,)] if alone[surname] else [])]
        for keys in spellings:
            for id_ in ids:
                phrases.add(keys, id_)
