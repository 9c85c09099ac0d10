"""Everyday words for what the tagger saw, and the words people type for them.

`data/imagenet_words.tsv` gives each of the thousand ImageNet classes its words, from the most to the least specific.
ImageNet has no class for people, trees or most flowers: no word here says one of them is there, and none is guessed.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

CLASSES = 1000
MOST_TAGS = 20

# Measured on a thousand labelled pictures (about 96 % of the words right, 90 % of those due found), then raised on
# photos of nothing that ImageNet knows until what was left was right or a near miss.
_THRESHOLDS = (0.45, 0.40, 0.42)
_FEW_CLASSES = 20


class Tag(BaseModel):
    name: str
    score: float
    """0 to 1, how sure it is beyond chance."""
    level: int
    """0: one class (espresso, pug). 1: a few (cat, boat). 2: many (dog, animal, vehicle)."""


def words(scores: NDArray[np.float32]) -> list[Tag]:
    """At most twenty words for the (1000,) class probabilities of one picture, best first.

    A word's probability is the sum of its classes': softmax makes them exclusive, so exactly one of them can be the
    picture's; 1 − Π(1 − p) would treat them as independent and come out too low. A tagger that knows nothing spreads
    its probability over all classes and would call that "animal", which has four hundred of them; so what chance gives
    a word is taken off before the threshold. Where a narrower word is sure, the wider ones are too.
    """
    vocabulary = _vocabulary()
    chance = vocabulary.sizes / CLASSES
    # Only tiny words are near 1 already; the clip is for words that chance would give more than the tagger did.
    lifted = np.clip((vocabulary.sums(scores) - chance) / (1 - chance), 0, 1)
    found: dict[int, float] = {}
    for index in np.flatnonzero(lifted >= vocabulary.thresholds).tolist():
        for wider in (index, *vocabulary.wider[index]):
            found[wider] = max(found.get(wider, 0.0), float(lifted[wider]), float(lifted[index]))
    best = sorted(found, key=lambda index: (-round(found[index], 3), vocabulary.sizes[index], vocabulary.names[index]))
    return [
        Tag(name=vocabulary.names[index], score=round(found[index], 3), level=int(vocabulary.levels[index]))
        for index in best[:MOST_TAGS]
    ]


def level(name: str) -> int:
    """As ``Tag.level``; 0 for a word that the tagger does not use."""
    vocabulary = _vocabulary()
    index = vocabulary.index.get(name)
    return 0 if index is None else int(vocabulary.levels[index])


def wider(name: str) -> list[str]:
    """The words that are true of everything this one is true of (pug → dog, pet, animal), narrowest first."""
    vocabulary = _vocabulary()
    index = vocabulary.index.get(name)
    if index is None:
        return []
    return [vocabulary.names[other] for other in sorted(vocabulary.wider[index], key=lambda i: vocabulary.sizes[i])]


def synonyms(name: str) -> list[str]:
    """Other words that people type for this tag (car → auto, automobile, …)."""
    return list(_synonyms_by_tag().get(name, ()))


def canonical_tag(word: str) -> str | None:
    """The tag that a person means by a word of a request, one or more of them: seaside → beach, puppies → dog.

    None: the tagger has no word for it.
    """
    folded = " ".join(word.lower().split())
    tags, others = _vocabulary().index, _synonyms()
    for candidate in (folded, *_singulars(folded)):
        if candidate in tags:
            return candidate
        if candidate in others:
            return others[candidate]
    return None


def _singulars(word: str) -> list[str]:
    """What the word may be the plural of, likeliest first; the vocabulary decides."""
    found = []
    if word.endswith("ies"):
        found.append(word[:-3] + "y")
    if word.endswith("ves"):
        found += [word[:-3] + "f", word[:-3] + "fe"]
    if word.endswith("men"):
        found.append(word[:-3] + "man")
    if word.endswith("es"):
        found.append(word[:-2])
    if word.endswith("s") and not word.endswith("ss"):
        found.append(word[:-1])
    return found or [word + "s"]  # the tag itself may be a plural: boot, sweet


class _Vocabulary:
    def __init__(self, rows: list[list[str]]) -> None:
        self.names = sorted({word for row in rows for word in row})
        self.index = {name: index for index, name in enumerate(self.names)}
        pairs = [(number, self.index[word]) for number, row in enumerate(rows) for word in row]
        # Three words a class: their list is summed in a twentieth of the time of a product with the whole matrix.
        self._classes, self._words = np.array(sorted(set(pairs))).T
        self.sizes = self.sums(np.ones(CLASSES))
        self.levels = np.where(self.sizes == 1, 0, np.where(self.sizes <= _FEW_CLASSES, 1, 2))
        self.thresholds = np.array(_THRESHOLDS)[self.levels]
        self.wider = self._wider(rows)

    def sums(self, scores: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """For each word the sum of its classes' scores."""
        return np.asarray(np.bincount(self._words, scores[self._classes], len(self.names)), np.float64)

    def _wider(self, rows: list[list[str]]) -> list[list[int]]:
        """For each word those that hold all its classes and more, and of equals the one that its rows name later."""
        later = {(a, b) for row in rows for at, a in enumerate(row) for b in row[at + 1 :]}
        members = np.zeros((CLASSES, len(self.names)), dtype=np.float32)
        members[self._classes, self._words] = 1
        shared = members.T @ members
        found: list[list[int]] = []
        for index, name in enumerate(self.names):
            holds_all = np.flatnonzero(shared[index] == self.sizes[index])
            found.append(
                [
                    int(other)
                    for other in holds_all
                    if other != index and (self.sizes[other] > self.sizes[index] or (name, self.names[other]) in later)
                ]
            )
        return found


@cache
def _vocabulary() -> _Vocabulary:
    rows: list[list[str]] = [[] for _ in range(CLASSES)]
    for line in _read("imagenet_words.tsv"):
        number, _, *everyday = line
        rows[int(number)] = everyday
    return _Vocabulary(rows)


@cache
def _synonyms() -> dict[str, str]:
    return {word: tag for word, tag in _read("synonyms.tsv")}


@cache
def _synonyms_by_tag() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for word, tag in _synonyms().items():
        found.setdefault(tag, []).append(word)
    return found


def _read(name: str) -> list[list[str]]:
    text = resources.files("framed.analysis").joinpath("data", name).read_text(encoding="utf-8")
    return [line.split("\t") for line in text.splitlines()]


TAG_VOCABULARY: frozenset[str] = frozenset(_vocabulary().names)
"""Every word that ``words`` can answer."""
