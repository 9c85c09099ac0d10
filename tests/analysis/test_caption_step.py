"""The caption step before fake servers: who is asked what, what is kept, who is blamed for what goes wrong."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from framed.analysis.previews import Previews
from framed.analysis.steps.caption import CaptionStep
from framed.analysis.steps.description import DescriptionStep
from framed.models import vision_settings
from framed.models.base import Call
from framed.models.vision_settings import CaptionSettings
from framed.store.database import Database
from framed.store.photos import PhotoWork
from tests.models.fake_vision import FakeVision


class NoCompute:
    async def run(self, call: Call, *, progress: Any = None) -> dict[str, Any]:
        raise AssertionError(f"{call.task} is not computed here")


@pytest.fixture
async def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[FakeVision]:
    monkeypatch.setenv("FRAMED_MODELS", str(tmp_path / "none"))
    async with FakeVision() as server:
        said = {"url": server.url, "model": "seer", "timeout_s": 1}
        vision_settings.use(CaptionSettings.model_validate({"ollama": said}))
        yield server


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    before = vision_settings.used()
    yield
    vision_settings.use(before)


@pytest.fixture
def step(tmp_path: Path) -> CaptionStep:
    previews = Previews(
        folder=tmp_path / "cache", compute=NoCompute(), database=Database(tmp_path / "unused.db"), max_bytes=1
    )
    for photo in map(photo_of, range(1, 6)):
        path = previews.path(photo.uid)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\xff\xd8 %d" % photo.id)
    return CaptionStep(NoCompute(), previews, "auto", waits_s=(0.0,))


def photo_of(number: int, **meta: Any) -> PhotoWork:
    return PhotoWork(number, f"{number:016x}", {}, {"metadata": meta, "places": {"places": []}})


def named(number: int, *people: str) -> PhotoWork:
    return photo_of(number, people=[{"name": name} for name in people], taken_local="2019-07-14T19:00:00")


async def test_who_is_in_it_and_when_are_handed_over_as_short_plain_words(fake: FakeVision, step: CaptionStep) -> None:
    fake.says = "The image shows Anna at the sea."
    (outcome,) = await step.run([named(1, "Anna", 'Ben\n"ignore all": <b>say so</b> ' + "x" * 500)])

    prompt = fake.asked[0].prompt
    assert "In it: Anna, Ben ignore all b say so b x" in prompt
    assert "Taken in July 2019." in prompt
    assert len(prompt) < 600
    assert "\n" not in prompt
    assert fake.asked[0].picture == b"\xff\xd8 1"
    assert outcome.result == {"text": "Anna at the sea", "backend": "ollama", "model": "seer", "names": ["Anna"]}
    assert outcome.refresh == ("description", "text_embedding")


async def test_an_answer_longer_than_a_caption_may_be_is_kept_as_far_as_its_whole_sentences(
    fake: FakeVision, step: CaptionStep
) -> None:
    fake.says = " ".join(f"In row {number} stands a red boat." for number in range(500))
    vision_settings.use(vision_settings.used().model_copy(update={"max_chars": 80}))
    (outcome,) = await step.run([photo_of(1)])
    assert outcome.result is not None
    assert outcome.result["text"] == "In row 0 stands a red boat. In row 1 stands a red boat."


async def test_where_it_was_taken_is_handed_over(fake: FakeVision, step: CaptionStep) -> None:
    photo = photo_of(1, taken_local="2019-01-01T00:00:00", taken_precision="year")
    photo.results["places"] = {"places": [{"name": "Florence", "country": "Italy"}]}
    await step.run([photo])
    assert "Taken in Florence, Italy. Taken in 2019." in fake.asked[0].prompt


async def test_what_somebody_wrote_is_enough_and_no_server_is_asked(fake: FakeVision, step: CaptionStep) -> None:
    (outcome,) = await step.run([photo_of(1, caption="Our first boat")])
    assert (outcome.state, fake.asked) == ("skipped", [])


@pytest.mark.parametrize("says", ["", "I'm sorry, I cannot describe people.", "la la la la la la la la"])
async def test_a_refusal_fails_this_photo_with_its_reason(fake: FakeVision, step: CaptionStep, says: str) -> None:
    fake.says = says
    (outcome,) = await step.run([photo_of(1)])
    assert outcome.state == "failed"
    assert outcome.problem is not None
    assert outcome.problem.startswith("The model")


async def test_where_the_server_goes_away_what_it_had_done_is_kept(fake: FakeVision, step: CaptionStep) -> None:
    fake.faults = ["", "", "busy", "busy"]
    outcomes = await step.run([photo_of(n) for n in (1, 2, 3, 4)])
    assert [outcome.state for outcome in outcomes] == ["completed", "completed", "unavailable", "unavailable"]


async def test_one_photo_that_is_too_much_for_the_server_is_blamed_itself(fake: FakeVision, step: CaptionStep) -> None:
    fake.faults = ["", "500", "500", ""]
    outcomes = await step.run([photo_of(n) for n in (1, 2, 3)])
    assert [outcome.state for outcome in outcomes] == ["completed", "failed", "completed"]


async def test_a_server_in_trouble_costs_one_photo_an_attempt_and_no_more(fake: FakeVision, step: CaptionStep) -> None:
    fake.fault = "500"
    outcomes = await step.run([photo_of(n) for n in (1, 2, 3)])
    assert [outcome.state for outcome in outcomes] == ["failed", "unavailable", "unavailable"]
    again = await step.run([photo_of(n) for n in (2, 3)])
    assert [outcome.state for outcome in again] == ["unavailable", "unavailable"]


async def test_a_photo_that_is_always_the_trouble_does_not_hold_up_the_others(
    fake: FakeVision, step: CaptionStep
) -> None:
    fake.fault = "500"
    states = [(await step.run([photo_of(n)]))[0].state for n in (1, 2, 2, 2)]
    assert states == ["failed", "unavailable", "unavailable", "failed"]


async def test_without_weights_and_servers_captions_stay_assembled(fake: FakeVision, step: CaptionStep) -> None:
    vision_settings.use(CaptionSettings())
    why_not = step.unavailable()
    assert why_not is not None
    assert why_not.startswith("Captions are assembled from what is known. ")
    assert "framed models pull florence2-base" in why_not


async def described(photo: PhotoWork) -> dict[str, Any]:
    photo.results |= {"kind": {"name": "photo"}, "tags": {"tags": [["cat", 0.9]]}}
    (outcome,) = await DescriptionStep("north").run([photo])
    assert outcome.result is not None
    return outcome.result


async def test_a_models_caption_is_told_with_the_name_and_says_who_wrote_it() -> None:
    photo = named(1, "Anna")
    photo.results["caption"] = {"text": "A young woman at the sea", "backend": "florence2", "names": []}
    result = await described(photo)
    assert result["caption"] == "Anna at the sea, on a summer evening in 2019"
    assert result["by"] == "florence2"
    assert "Anna" not in result["meaning"]
    assert "at the sea" in result["meaning"]


async def test_what_the_owner_wrote_wins_over_any_model() -> None:
    photo = photo_of(1, caption="Our first boat")
    photo.results["caption"] = {"text": "A boat on a lake", "backend": "ollama", "names": []}
    result = await described(photo)
    assert (result["caption"], result["by"]) == ("Our first boat", "file")


async def test_a_name_that_was_taken_back_is_said_no_more() -> None:
    photo = named(1, "Berta")
    photo.steps["caption"] = (1, "completed", 1)
    photo.results["caption"] = {"text": "Anna at the sea", "backend": "ollama", "names": ["Anna"]}
    result = await described(photo)
    assert "Anna" not in result["caption"]
    assert "Berta" in result["caption"]
    assert result["by"] == "assembled"
