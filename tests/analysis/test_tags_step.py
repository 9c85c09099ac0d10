"""The tags step: words from whichever model tags, and the likeness features always from the same one."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from framed.analysis.describe import DescriptionFacts, describe
from framed.analysis.steps.tags import TagsStep
from framed.errors import Unavailable
from framed.models import weights
from framed.models.base import Call
from framed.models.catalogue import choose
from framed.store.photos import PhotoWork


class TwoTaggers:
    """Answers as the hosts would; `broken` backends are not to be had."""

    def __init__(self, broken: set[str] | None = None) -> None:
        self.asked: list[str] = []
        self._broken = broken or set()

    async def run(self, call: Call, *, progress: Any = None) -> dict[str, Any]:
        self.asked.append(call.backend)
        if call.backend in self._broken:
            raise Unavailable(f"{call.backend} is broken.")
        count = len(call.inputs["paths"])
        if call.backend == "ramplus":
            scores = np.full((count, 4585), 0.01, np.float32)
            scores[:, 780], scores[:, 0] = 0.97, 0.99  # cat; a tag without words
            return {"scores": scores}
        scores = np.zeros((count, 1000), np.float32)
        scores[:, 254] = 0.95  # pug
        return {"scores": scores, "features": np.ones((count, 1280), np.float16)}


class FixedPreviews:
    async def ensure(self, photo: PhotoWork) -> Path:
        return Path(f"{photo.uid}.jpg")


PHOTO = PhotoWork(id=1, uid="one", steps={}, results={})


@pytest.fixture
def _ram_is_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAMED_MODELS", str(tmp_path))
    (tmp_path / "ramplus").mkdir()
    weights.write_manifest("ramplus", "test", {})


def step(compute: TwoTaggers, backend: str = "auto") -> TagsStep:
    return TagsStep(compute, FixedPreviews(), backend)  # type: ignore[arg-type]


@pytest.mark.usefixtures("_ram_is_here")
async def test_ram_is_preferred_where_its_weights_are_and_likeness_is_still_measured() -> None:
    assert choose("tags").backend == "ramplus"
    compute = TwoTaggers()
    [outcome] = await step(compute).run([PHOTO])
    assert sorted(compute.asked) == ["efficientnet", "ramplus"]
    assert outcome.result is not None
    assert dict(outcome.result["tags"])["cat"] == pytest.approx(0.97)
    assert "dog" not in dict(outcome.result["tags"]), "the small tagger's words are not mixed in"
    assert outcome.result["backend"] == "ramplus"


@pytest.mark.usefixtures("_ram_is_here")
async def test_photos_are_tagged_where_likeness_cannot_be_measured() -> None:
    [outcome] = await step(TwoTaggers({"efficientnet"})).run([PHOTO])
    assert outcome.state == "completed"


async def test_the_packaged_tagger_is_asked_once_for_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAMED_MODELS", str(tmp_path))
    compute = TwoTaggers()
    [outcome] = await step(compute).run([PHOTO])
    assert compute.asked == ["efficientnet"]
    assert outcome.result is not None
    assert "dog" in dict(outcome.result["tags"])


async def test_a_wanted_tagger_without_weights_leaves_the_photo_for_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRAMED_MODELS", str(tmp_path))
    [outcome] = await step(TwoTaggers(), "ramplus").run([PHOTO])
    assert outcome.state == "unavailable"
    assert "framed models pull ramplus" in (outcome.problem or "")


async def test_a_tagger_that_is_off_leaves_the_photo_complete_and_another_takes_it_up() -> None:
    compute = TwoTaggers()
    [outcome] = await step(compute, "off").run([PHOTO])
    assert (outcome.state, compute.asked) == ("skipped", [])
    assert outcome.result is not None
    assert outcome.result["backend"] == "off", "renewal looks for what another backend than the new one did"


def test_a_caption_says_things_and_people_and_no_odd_words() -> None:
    facts = DescriptionFacts(tags=[("event", 0.99), ("man", 0.95), ("tourist attraction", 0.95), ("beach", 0.9)])
    said = describe(facts)
    assert said.caption == "A man on a beach"
    assert "tourist attraction" in said.search_text
