"""From a thousand scores to words that people say, and from words that people type to tags."""

from importlib import resources

import numpy as np
import pytest

from framed.analysis.tag_words import TAG_VOCABULARY, canonical_tag, level, synonyms, wider, words

ROWS = [
    line.split("\t")
    for line in resources.files("framed.analysis")
    .joinpath("data", "imagenet_words.tsv")
    .read_text("utf-8")
    .splitlines()
]
SYNONYMS = [
    line.split("\t")
    for line in resources.files("framed.analysis").joinpath("data", "synonyms.tsv").read_text("utf-8").splitlines()
]


def scores(sure: dict[int, float]) -> np.ndarray:
    """A tagger's answer: what it is sure of, the rest spread over all other classes as softmax does."""
    values = np.full(1000, (1 - sum(sure.values())) / (1000 - len(sure)), dtype=np.float32)
    for index, score in sure.items():
        values[index] = score
    return values


def names(sure: dict[int, float]) -> set[str]:
    return {tag.name for tag in words(scores(sure))}


def test_every_class_has_its_line_in_order() -> None:
    assert [int(row[0]) for row in ROWS] == list(range(1000))
    assert (ROWS[207][1], ROWS[967][1], ROWS[281][1]) == ("golden retriever", "espresso", "tabby cat")


def test_words_are_lower_case_and_not_repeated_within_a_class() -> None:
    everyday = [row[2:] for row in ROWS]
    assert all(word == word.lower().strip() and word for row in everyday for word in row)
    assert all(len(set(row)) == len(row) for row in everyday)


def test_nearly_every_class_has_a_word() -> None:
    assert sum(len(row) == 2 for row in ROWS) < 60


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (207, ["golden retriever", "retriever", "dog", "pet", "animal"]),
        (967, ["espresso", "cup", "coffee", "drink"]),
        (978, ["beach", "coast", "sea", "water", "landscape", "nature"]),
        (671, ["mountain bike", "bicycle", "vehicle"]),
        (497, ["church", "building"]),
        (323, ["monarch butterfly", "butterfly", "insect", "animal"]),
        (402, ["guitar", "musical instrument", "music"]),
        (867, ["lorry", "truck", "vehicle"]),
        (985, ["daisy", "flower", "plant", "nature"]),
    ],
)
def test_a_class_goes_from_its_own_name_to_the_general_one(index: int, expected: list[str]) -> None:
    assert ROWS[index][2:] == expected


def test_a_sure_breed_gives_all_its_words_best_first() -> None:
    tags = words(scores({207: 0.8}))
    assert {tag.name for tag in tags} == {"golden retriever", "retriever", "dog", "pet", "animal"}
    assert [tag.score for tag in tags] == sorted((tag.score for tag in tags), reverse=True)
    assert [level(name) for name in ("golden retriever", "cat", "animal")] == [0, 1, 2]


def test_the_dog_is_sure_where_the_breed_is_not() -> None:
    assert names({index: 0.06 for index in range(180, 192)}) == {"dog", "pet", "animal", "terrier"}
    assert names({index: 0.08 for index in (151, 162, 177, 207, 235, 245, 254, 259, 265)}) == {"dog", "pet", "animal"}


def test_the_animal_is_sure_where_its_kind_is_not() -> None:
    assert names({151: 0.2, 281: 0.2, 330: 0.2, 339: 0.2}) == {"animal"}


def test_a_tagger_that_knows_nothing_says_nothing() -> None:
    assert words(np.full(1000, 0.001, dtype=np.float32)) == []
    assert words(scores({743: 0.2, 500: 0.2, 412: 0.2})) == []


def test_a_sure_word_always_brings_the_wider_ones() -> None:
    # 0.46 of a pug is less of a dog than the threshold for words of many classes.
    assert {"pug", "dog", "pet", "animal"} <= names({254: 0.46})


def test_there_are_twenty_words_at_most() -> None:
    assert len(words(scores({978: 0.2, 628: 0.2, 207: 0.2, 967: 0.2, 497: 0.2}))) <= 20


def test_no_word_says_that_a_person_is_there() -> None:
    assert not TAG_VOCABULARY & {"person", "people", "man", "woman", "child", "girl", "boy", "face", "human"}


@pytest.mark.parametrize(
    ("typed", "tag"),
    [
        ("seaside", "beach"),
        ("ocean", "sea"),
        ("kitty", "cat"),
        ("doggy", "dog"),
        ("Puppies", "dog"),
        ("automobile", "car"),
        ("churches", "church"),
        ("wolves", "wolf"),
        ("geese", "goose"),
        ("buses", "bus"),
        ("glasses", "glasses"),
        ("ice  cream", "ice cream"),
        ("boot", "boots"),
        ("motorbikes", "motorcycle"),
        ("pubs", "restaurant"),
    ],
)
def test_a_typed_word_finds_its_tag(typed: str, tag: str) -> None:
    assert canonical_tag(typed) == tag


@pytest.mark.parametrize("typed", ["grandma", "person", "2019", "", "happy", "grass"])
def test_a_word_the_tagger_lacks_finds_none(typed: str) -> None:
    assert canonical_tag(typed) is None


def test_every_synonym_leads_to_a_word_the_tagger_says() -> None:
    assert {tag for _, tag in SYNONYMS} <= TAG_VOCABULARY
    assert not {word for word, _ in SYNONYMS} & TAG_VOCABULARY
    assert len({word for word, _ in SYNONYMS}) == len(SYNONYMS)


def test_every_tag_leads_to_itself() -> None:
    assert [tag for tag in sorted(TAG_VOCABULARY) if canonical_tag(tag) != tag] == []


def test_wider_words_and_synonyms_are_known_for_search() -> None:
    assert wider("pug") == ["dog", "pet", "animal"]
    assert wider("unheard of") == []
    assert "automobile" in synonyms("car")


@pytest.mark.parametrize(
    ("narrow", "wide"),
    [
        *[(name, "animal") for name in ("dog", "cat", "bird", "horse", "cow", "insect", "fish", "bee", "bear")],
        *[(name, "vehicle") for name in ("car", "bus", "truck", "train", "bicycle", "motorcycle", "boat", "plane")],
        *[(name, "building") for name in ("church", "castle", "house", "tower", "palace")],
        *[(name, "food") for name in ("fruit", "vegetable", "bread", "dessert", "pizza")],
        *[(name, "drink") for name in ("coffee", "tea", "wine", "beer")],
        *[(name, "clothes") for name in ("suit", "hat", "shoe", "dress")],
        *[(name, "nature") for name in ("beach", "mountain", "flower", "lake", "landscape")],
        *[("guitar", "musical instrument"), ("sofa", "furniture"), ("beach", "sea"), ("ship", "boat")],
    ],
)
def test_every_kind_of_a_thing_is_one(narrow: str, wide: str) -> None:
    assert wide in wider(narrow)
