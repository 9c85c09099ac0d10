"""Scene, style, mood, composition and subject of a picture, and more tags: its vector compared with those of sentences.

`data/traits.json` holds the categories, their labels and how each is said; a label's vector is the mean of all its
sentences (a prompt ensemble). Within a category the labels compete by softmax at the model's own temperature; one that
is not clearly ahead is left unsaid, and so is one that is no nearer than what the library surely does not show comes by
chance, which is measured for each model. What is known of a photo without any such model (its colours, its shape, how
many faces it has) are traits too, and kept apart: no label is named like one of them.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from framed.analysis import tag_words
from framed.analysis.never_there import NEVER_THERE

Vectors = NDArray[np.float32]

SCALE = 100.0
"""What CLIP multiplies cosines by before its softmax: its training ends at this bound; SigLIP's ends near it (110)."""
SECOND = 0.5
"""A second label counts from this share of the first one's probability on."""
MOST_LABELS = 2
TAG_THRESHOLD = 0.25
"""A tag's share of the softmax over all tags. Chance gives it a thousandth; several true ones share what there is."""
MOST_TAGS = 6
TAG_PROMPT = "a photo of {}"
TAGS = "tags"
ENOUGH = 50
"""Photos from which on a library says what a model makes of nothing; until then only the shares above count."""
_RARELY = 0.9
"""The share of photos to which the nearest of the prompts that are never there is less near than the line."""
_NO_LINE = -2.0

DARK, BRIGHT = 0.32, 0.72
MUTED, VIVID = 0.12, 0.45
WARM = 0.25
COLOURFUL = 4


class Label(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    said: list[str] = Field(min_length=1)
    also: list[str] = []
    """Other words that people look for it by."""


class Category(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    prompts: list[str] = Field(min_length=1)
    threshold: float = Field(gt=0, lt=1)
    labels: dict[str, Label]


class TraitWords(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    background: list[str] = Field(min_length=1)
    """What any picture is: a picture that is nearer to these than to every label has none."""
    categories: dict[str, Category]


@dataclass(frozen=True)
class Traits:
    """`found`: (trait, value, score 0 to 1), surest first within a trait; `unsure`: categories that nothing stood out
    in; `tags`: everyday words and how sure they are."""

    found: list[tuple[str, str, float]] = field(default_factory=list)
    unsure: list[str] = field(default_factory=list)
    tags: list[tuple[str, float]] = field(default_factory=list)


# -- what is known without a model -----------------------------------------------------------------------------------

_COUNTS = {1: "one person", 2: "two people"}
_MORE = "group of people"
_SHAPES = {"panorama": "panorama", "square": "square", "portrait": "upright", "landscape": "lengthwise"}
MEASURED_VALUES = frozenset({*_SHAPES.values(), *_COUNTS.values(), _MORE})
"""Values that measurements give, in traits where sentences give others. The palette is measured alone."""
_GREYS = frozenset({"black", "grey", "white", "brown", "beige"})


def of_facts(results: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str, float]]:
    """(trait, value, score) from what the steps measured; the score of a colour is its share of the picture."""
    found: list[tuple[str, str, float]] = []
    shape = _SHAPES.get(results.get("orientation", {}).get("name", ""))
    if shape:
        found.append(("composition", shape, 1.0))
    faces = int(results.get("faces", {}).get("count") or 0)
    if faces:
        found.append(("subject", _COUNTS.get(faces, _MORE), 1.0))
    return [*found, *(("palette", value, score) for value, score in palette(results.get("colours", {})).items())]


def palette(colours: Mapping[str, Any]) -> dict[str, float]:
    """The colours of a picture and what they are like together, in words; `colours` is what the step measured."""
    if not colours:
        return {}
    found = {entry["name"]: round(float(entry["share"]), 3) for entry in colours["palette"]}
    if colours["monochrome"]:
        found["black and white"] = 1.0
    found |= _beyond(colours["brightness"], DARK, BRIGHT, "dark", "bright")
    if not colours["monochrome"]:
        found |= _beyond(colours["saturation"], MUTED, VIVID, "muted", "vivid")
        found |= _beyond(colours["warm"], -WARM, WARM, "cool", "warm")
        if len(found.keys() - _GREYS - {"dark", "bright", "muted", "vivid", "cool", "warm"}) >= COLOURFUL:
            found["colourful"] = 1.0
    return found


def _beyond(value: float, low: float, high: float, below: str, above: str) -> dict[str, float]:
    return {below: 1.0} if value < low else {above: 1.0} if value > high else {}


# -- what sentences say ----------------------------------------------------------------------------------------------


@cache
def trait_words() -> TraitWords:
    return TraitWords.model_validate_json(_data("traits.json"))


@cache
def tag_names() -> tuple[str, ...]:
    """The everyday words that a picture is compared with: those of framed's own categories."""
    listed: dict[str, list[str]] = json.loads(_data("tag_categories.json"))
    words = (tag_words.canonical_tag(tag) or tag for tags in listed.values() for tag in tags)
    return tuple(dict.fromkeys(words))


_ALSO = {"colourful": ["colorful"], "black and white": ["monochrome"], "vivid": ["saturated"], "muted": ["faded"]}


def search_words(found: Sequence[str]) -> list[str]:
    """The values of a photo and what else people call them."""
    labels = [pair for category in trait_words().categories.values() for pair in category.labels.items()]
    also = _ALSO | {name: label.also for name, label in labels}
    return list(dict.fromkeys(word for name in found for word in (name, *also.get(name, ()))))


def _data(name: str) -> str:
    return resources.files("framed.analysis").joinpath("data", name).read_text(encoding="utf-8")


@dataclass(frozen=True)
class _Ensemble:
    """All sentences, and which of them are one label's: the rows of `sizes` labels, one after another."""

    sentences: tuple[str, ...]
    sizes: tuple[int, ...]


@cache
def _ensemble() -> _Ensemble:
    words = trait_words()
    groups = [words.background]
    for category in words.categories.values():
        groups += [
            [prompt.format(said) for prompt in category.prompts for said in label.said]
            for label in category.labels.values()
        ]
    groups += [[TAG_PROMPT.format(name)] for name in tag_names()]
    groups += [[prompt, TAG_PROMPT.format(prompt)] for prompt in NEVER_THERE]
    return _Ensemble(tuple(text for group in groups for text in group), tuple(len(group) for group in groups))


def sentences() -> tuple[str, ...]:
    """What a model's text tower is given, once."""
    return _ensemble().sentences


def fingerprint() -> str:
    """Changes when a sentence does."""
    return hashlib.sha256("\n".join(sentences()).encode()).hexdigest()[:16]


class Sentences:
    """The vectors of all labels and tags in one model's space: `of` compares pictures with them."""

    def __init__(self, rows: Vectors) -> None:
        """`rows` are those of `ensembled`."""
        self._rows = rows

    @classmethod
    def ensembled(cls, vectors: Vectors) -> Sentences:
        """From the unit vectors of `sentences()`: the mean of each label's, made unit again."""
        sizes = _ensemble().sizes
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        sums = np.add.reduceat(vectors, starts, axis=0)
        return cls((sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)).astype(np.float32))

    @property
    def dim(self) -> int:
        return int(self._rows.shape[1])

    def packed(self) -> dict[str, Any]:
        """For the settings table."""
        data = base64.b64encode(self._rows.astype(np.float16).tobytes()).decode()
        return {"dim": self.dim, "rows": data}

    @classmethod
    def unpacked(cls, kept: Mapping[str, Any]) -> Sentences:
        rows = np.frombuffer(base64.b64decode(kept["rows"]), np.float16).reshape(-1, int(kept["dim"]))
        if len(rows) != len(_ensemble().sizes):
            raise ValueError("these are the vectors of other sentences")
        return cls(rows.astype(np.float32))

    def lines(self, sample: Vectors) -> dict[str, float]:
        """How much nearer than to what any picture is a picture must be to a label of each category, or to a tag, for
        this model: measured by pictures of the library (N, D). Of as many prompts as there are labels, none of which it
        shows, the nearest may be that near by chance."""
        near = sample @ self._rows[-len(NEVER_THERE) :].T - (sample @ self._rows[0])[:, None]
        counts = {trait: len(category.labels) for trait, category in trait_words().categories.items()}
        counts[TAGS] = len(NEVER_THERE)
        return {
            name: round(float(np.quantile(near[:, :count].max(axis=1), _RARELY)), 4) for name, count in counts.items()
        }

    def of(self, picture: Vectors, lines: Mapping[str, float] = MappingProxyType({})) -> Traits:
        """The traits and tags of one picture's unit vector (D,). `lines` are those measured."""
        likeness = (self._rows @ picture)[: -len(NEVER_THERE)]
        words = trait_words()
        nothing, at = float(likeness[0]), 1
        traits = Traits()
        for trait, category in words.categories.items():
            end = at + len(category.labels)
            names, line = list(category.labels), nothing + lines.get(trait, _NO_LINE)
            chosen = _chosen(likeness[at:end], nothing, names, category.threshold, line)
            traits.found.extend((trait, name, score) for name, score in chosen)
            if not chosen:
                traits.unsure.append(trait)
            at = end
        traits.tags.extend(_tags(likeness[at:], nothing, nothing + lines.get(TAGS, _NO_LINE)))
        return traits


def _chosen(
    likeness: Vectors, nothing: float, names: list[str], threshold: float, line: float
) -> list[tuple[str, float]]:
    shares = _softmax(np.append(likeness, nothing))[:-1]
    order = np.argsort(-shares, kind="stable")[:MOST_LABELS]
    first = float(shares[order[0]])
    if first < threshold:
        return []
    return [
        (names[at], round(float(shares[at]), 3))
        for at in order
        if shares[at] >= max(SECOND * first, threshold / 2) and likeness[at] >= line
    ]


def _tags(likeness: Vectors, nothing: float, line: float) -> list[tuple[str, float]]:
    """A wide word gets what its narrower ones have together: a pug and a terrier are a dog, whichever it is."""
    names = tag_names()
    own = np.where(likeness >= line, _softmax(np.append(likeness, nothing))[:-1], 0.0)
    shares = dict(zip(names, own.tolist(), strict=True))
    sums = dict(shares)
    for name, share in shares.items():
        for wider in tag_words.wider(name):
            sums[wider] = sums.get(wider, 0.0) + share
    found = sorted(((name, min(share, 1.0)) for name, share in sums.items() if share >= TAG_THRESHOLD), key=_surest)
    return [(name, round(share, 3)) for name, share in found[:MOST_TAGS]]


def _surest(pair: tuple[str, float]) -> tuple[float, int, str]:
    return -pair[1], tag_words.level(pair[0]), pair[0]


def _softmax(likeness: Vectors) -> Vectors:
    raised = np.exp(SCALE * (likeness - likeness.max()))
    shares: Vectors = raised / raised.sum()
    return shares
