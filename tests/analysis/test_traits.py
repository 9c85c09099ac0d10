"""Traits: what measurements say of a picture, and what its vector says beside those of sentences."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from framed.analysis import traits
from framed.analysis.describe import DescriptionFacts, describe
from framed.analysis.never_there import NEVER_THERE
from framed.analysis.steps.traits import TraitsStep
from framed.analysis.traits import MEASURED_VALUES, Sentences, of_facts, search_words, sentences, tag_names, trait_words
from framed.errors import Unavailable
from framed.models import weights
from framed.models.base import Call
from framed.models.openclip_profiles import FAST
from framed.store import photos as rows
from framed.store import settings, vectors
from framed.store import traits as store
from framed.store.database import Database
from framed.store.photos import PhotoWork, StepRow
from framed.store.tables import photo_steps

DIM = 2048


def spoken() -> np.ndarray:
    """Vectors as a model with perfect taste would give them: every label has its own direction."""
    found, label = [], 0
    words = trait_words()
    groups = [words.background]
    for category in words.categories.values():
        groups += [[""] * (len(category.prompts) * len(each.said)) for each in category.labels.values()]
    groups += [[""] for _ in tag_names()]
    groups += [["", ""] for _ in NEVER_THERE]
    for label, group in enumerate(groups):
        found += [label] * len(group)
    return np.eye(DIM, dtype=np.float32)[found]


def direction(trait: str, value: str) -> np.ndarray:
    at = 1
    for name, category in trait_words().categories.items():
        if name == trait:
            return np.eye(DIM, dtype=np.float32)[at + list(category.labels).index(value)]
        at += len(category.labels)
    return np.eye(DIM, dtype=np.float32)[at + tag_names().index(value)]


def unit(vector: np.ndarray) -> np.ndarray:
    return (vector / np.linalg.norm(vector)).astype(np.float32)


@pytest.fixture(scope="module")
def said() -> Sentences:
    return Sentences.ensembled(spoken())


# -- measurements ----------------------------------------------------------------------------------------------------


def colours(**over: Any) -> dict[str, Any]:
    grey = {"palette": [{"name": "grey", "hex": "#888888", "share": 0.9}], "brightness": 0.5, "saturation": 0.2}
    return {**grey, "warm": 0.0, "monochrome": False, **over}


def test_without_any_model_a_photo_has_its_palette_and_its_shape() -> None:
    found = of_facts({"colours": colours(warm=0.4, brightness=0.2), "orientation": {"name": "panorama"}})
    assert found == [
        ("composition", "panorama", 1.0),
        ("palette", "grey", 0.9),
        ("palette", "dark", 1.0),
        ("palette", "warm", 1.0),
    ]


def test_a_photo_without_colour_is_black_and_white_and_nothing_else() -> None:
    assert set(traits.palette(colours(monochrome=True, saturation=0.0))) == {"grey", "black and white"}


@pytest.mark.parametrize(("count", "value"), [(1, "one person"), (2, "two people"), (7, "group of people")])
def test_faces_say_how_many_people_it_is_about(count: int, value: str) -> None:
    assert of_facts({"faces": {"count": count}}) == [("subject", value, 1.0)]


def test_nothing_known_is_no_trait() -> None:
    assert of_facts({}) == []
    assert of_facts({"faces": {"count": 0}, "orientation": {}}) == []


def test_no_label_is_named_like_a_measurement() -> None:
    labels = {name for category in trait_words().categories.values() for name in category.labels}
    assert not labels & MEASURED_VALUES


# -- sentences -------------------------------------------------------------------------------------------------------


def test_what_is_nearest_to_a_labels_sentences_has_it(said: Sentences) -> None:
    picture = unit(direction("scene", "beach") + direction("mood", "calm") + direction("tags", "beach"))
    found = said.of(picture)
    values = {trait: value for trait, value, _ in found.found}
    assert values["scene"] == "beach"
    assert values["mood"] == "calm"
    assert dict(found.tags)["beach"] > 0.9
    assert {"style", "composition", "subject"} <= set(found.unsure)


def test_a_picture_like_no_sentence_is_unsure_of_everything(said: Sentences) -> None:
    found = said.of(np.eye(DIM, dtype=np.float32)[DIM - 1])
    assert found.found == []
    assert found.tags == []
    assert found.unsure == list(trait_words().categories)


def test_what_any_picture_is_like_stands_for_nothing(said: Sentences) -> None:
    background = np.eye(DIM, dtype=np.float32)[0]
    found = said.of(unit(background + 0.6 * direction("mood", "calm")))
    assert "mood" in found.unsure


def test_two_labels_are_said_only_where_they_are_nearly_as_sure(said: Sentences) -> None:
    both = said.of(unit(direction("mood", "calm") + direction("mood", "lonely")))
    assert [value for trait, value, _ in both.found if trait == "mood"] == ["calm", "lonely"]
    one = said.of(unit(direction("mood", "calm") + 0.8 * direction("mood", "lonely")))
    assert [value for trait, value, _ in one.found if trait == "mood"] == ["calm"]


def test_narrow_tags_add_up_to_the_wider_one(said: Sentences) -> None:
    found = dict(said.of(unit(direction("tags", "cat") + direction("tags", "dog"))).tags)
    assert found["animal"] == pytest.approx(1.0, abs=0.05)
    assert found["cat"] == pytest.approx(0.5, abs=0.05)


def test_the_vectors_survive_being_kept(said: Sentences) -> None:
    picture = unit(direction("scene", "beach") + direction("mood", "calm"))
    again = Sentences.unpacked(said.packed())
    assert again.of(picture).found == said.of(picture).found
    with pytest.raises(ValueError, match="other sentences"):
        Sentences.unpacked({**said.packed(), "dim": DIM // 2})


def test_a_label_is_found_by_what_else_people_call_it() -> None:
    assert {"calm", "peaceful", "minimal", "minimalist", "street photography"} <= set(
        search_words(["calm", "minimal", "street photography"])
    )
    text = describe(DescriptionFacts(traits=search_words(["calm"]), also_tags=["harbour"])).search_text
    assert {"calm", "serene", "harbour"} <= set(text.split())


def never(number: int) -> np.ndarray:
    """The direction of a prompt that no household has pictures of."""
    return spoken()[2 * (number - len(NEVER_THERE))]


def test_a_model_that_is_near_to_what_cannot_be_there_must_be_surer_of_what_is_there(said: Sentences) -> None:
    """Pictures of this library are a little like a prompt that none of them shows: no more than that is chance."""
    random = np.random.default_rng(3)
    background = np.eye(DIM, dtype=np.float32)[0]
    library = [
        unit(background + random.uniform(1.05, 1.15) * never(number % len(NEVER_THERE))) for number in range(200)
    ]
    little = unit(background + 1.1 * direction("mood", "calm") + 1.1 * direction("tags", "cat"))
    much = unit(background + 2.0 * direction("mood", "calm") + 2.0 * direction("tags", "cat"))

    lines = said.lines(np.stack(library))

    assert ("mood", "calm") in [pair[:2] for pair in said.of(little).found]
    assert said.of(little).tags
    assert "mood" in said.of(little, lines).unsure
    assert said.of(little, lines).tags == []
    assert ("mood", "calm") in [pair[:2] for pair in said.of(much, lines).found]
    assert "cat" in dict(said.of(much, lines).tags)
    assert lines["mood"] <= lines["scene"], "of more labels one is near by chance more easily"


# -- the step --------------------------------------------------------------------------------------------------------


class Model:
    """A text tower of which every label has a direction of its own."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def run(self, call: Call, *, progress: Any = None) -> dict[str, Any]:
        first = len(self.asked)
        self.asked += call.inputs["texts"]
        assert tuple(self.asked) == sentences()[: len(self.asked)]
        return {"vectors": spoken()[first : len(self.asked)]}


@pytest.fixture
async def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Database]:
    monkeypatch.setenv("FRAMED_MODELS", str(tmp_path / "models"))
    found = Database(tmp_path / "framed.db")
    await found.start()
    yield found
    await found.close()


def weights_are_here() -> None:
    (weights.folder() / FAST.weights).mkdir(parents=True)
    weights.write_manifest(FAST.weights, "test", {})


async def taken_in(database: Database, vector: np.ndarray, number: int = 1) -> PhotoWork:
    photo_id, uid, _ = await database.write(lambda c: rows.intake(c, bytes([number]) * 32, {}))
    await database.write(lambda c: rows.set_values(c, photo_id, {"state": "completed"}))
    await database.write(lambda c: vectors.put(c, FAST.model_id, [(photo_id, vector)]))
    return PhotoWork(id=photo_id, uid=uid, steps={}, results={})


async def test_the_step_stores_traits_and_tags_and_asks_for_the_sentences_once(database: Database) -> None:
    weights_are_here()
    photo = await taken_in(database, unit(direction("mood", "calm") + direction("tags", "cat")))
    facts = [("palette", "grey", 0.9), ("composition", "square", 1.0)]
    await database.write(lambda c: store.put(c, photo.id, facts, measured=True, measured_values=MEASURED_VALUES))
    model = Model()
    [outcome] = await TraitsStep(database, model, "openclip-fast").run([photo])  # type: ignore[arg-type]
    assert outcome.refresh == ("description", "text_embedding")
    assert outcome.store is not None
    await database.write(outcome.store)
    found = await database.read(lambda c: store.of(c, photo.id))
    assert found["mood"].keys() == {"calm"}
    assert found["palette"] == {"grey": 0.9}, "measurements stay"
    tags = await database.read(lambda c: rows.cards(c, [photo.id]))
    assert tags[photo.id]["tags"]["cat"] > 0.9

    asked = len(model.asked)
    assert asked == len(sentences())
    again = PhotoWork(id=photo.id, uid=photo.uid, steps={}, results={"traits": outcome.result or {}})
    [second] = await TraitsStep(database, model, "openclip-fast").run([again])  # type: ignore[arg-type]
    assert len(model.asked) == asked, "a restart takes them from the database"
    assert second.refresh == (), "nothing new is said, so nothing is described again"


async def test_what_chance_makes_is_measured_once_the_library_is_large_enough_and_when_it_has_doubled(
    database: Database,
) -> None:
    weights_are_here()
    step = TraitsStep(database, Model(), "openclip-fast")  # type: ignore[arg-type]
    small = [await taken_in(database, unit(np.eye(DIM)[0] + direction("mood", "calm")), number) for number in range(49)]
    [first, *_] = await step.run(small)
    assert await database.read(lambda c: settings.get(c, "traits.lines")) is None
    done = StepRow("traits", 1, "completed", first.result)
    await database.write(lambda c: [rows.set_steps(c, photo.id, [done]) for photo in small])

    near = [unit(np.eye(DIM)[0] + 2 * never(number)) for number in range(20)]
    more = [await taken_in(database, vector, 100 + number) for number, vector in enumerate(near)]
    await step.run(more)

    kept = await database.read(lambda c: settings.get(c, "traits.lines"))
    assert kept["photos"] == 69
    assert kept["lines"].keys() == {*trait_words().categories, "tags"}
    undone = select(photo_steps.c.photo_id).where(photo_steps.c.step == "traits", photo_steps.c.version == 0)
    again = await database.read(lambda c: set(c.execute(undone).scalars()))
    assert again == {photo.id for photo in small}, "they were judged by other lines"
    assert (await TraitsStep(database, Model(), "openclip-fast").run(small))[0].result == {  # type: ignore[arg-type]
        **first.result,
        "traits": [],
        "unsure": list(trait_words().categories),
    }


async def test_other_sentences_are_asked_for_anew(database: Database) -> None:
    weights_are_here()
    await database.write(lambda c: settings.put(c, "traits.sentences", {"of": "another model", "dim": 1, "rows": ""}))
    photo = await taken_in(database, unit(direction("mood", "calm")))
    model = Model()
    await TraitsStep(database, model, "openclip-fast").run([photo])  # type: ignore[arg-type]
    assert len(model.asked) == len(sentences())


async def test_a_photo_without_this_models_vector_waits(database: Database) -> None:
    weights_are_here()
    photo = PhotoWork(id=99, uid="none", steps={}, results={})
    [outcome] = await TraitsStep(database, Model(), "openclip-fast").run([photo])  # type: ignore[arg-type]
    assert outcome.state == "failed"


async def test_without_openclip_the_step_says_what_it_needs(database: Database) -> None:
    step = TraitsStep(database, Model())  # type: ignore[arg-type]
    assert "framed models pull" in (step.unavailable() or "")
    with pytest.raises(Unavailable):
        await step.run([])
