"""Which model answers: the one that knows the library; and the line that is measured when it takes over."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import insert

from framed.bus import Bus
from framed.errors import Unavailable
from framed.events import StepChanged
from framed.models import weights
from framed.models.base import Call, Progress
from framed.models.openclip_profiles import FAST, SMALL, Profile
from framed.playlists.ask import Asker
from framed.playlists.image_models import ImageModels
from framed.playlists.index import LibraryIndex
from framed.playlists.plan import AskSettings, QueryPlan
from framed.playlists.vocabulary import Names
from framed.playlists.words import install
from framed.store import image_model, vectors
from framed.store import photos as rows
from framed.store.database import Database
from framed.store.photos import StepRow
from framed.store.tables import photos
from tests.flows.conftest import until

DIM = 64
PHOTOS = range(1, 81)
RNG = np.random.default_rng(4)


def unit(values: Any) -> Any:
    return (values / np.linalg.norm(values, axis=-1, keepdims=True)).astype(np.float32)


class Words:
    """A model host that knows words' vectors at once, or once it is `ready`."""

    def __init__(self) -> None:
        self.ready = asyncio.Event()
        self.ready.set()
        self.gone = False
        self.asked: list[str] = []

    async def run(self, call: Call, *, progress: Progress | None = None) -> dict[str, Any]:
        count = len(call.inputs["texts"])
        if call.task == "text_embedding":
            return {"vectors": unit(RNG.normal(size=(count, 384)))}
        self.asked.append(call.backend)
        await self.ready.wait()
        if self.gone:
            raise Unavailable("The weights are gone.")
        return {"vectors": unit(RNG.normal(size=(count, DIM)))}


class Home:
    def __init__(self, folder: Path) -> None:
        self.database = Database(folder / "framed.db")
        self.database.on_reader = install
        self.bus = Bus()
        self.words = Words()
        self.index = LibraryIndex(database=self.database, text_model="all-minilm-l6-v2")
        self.reopened = 0
        self.backend = "auto"
        self.models = self.made()

    def made(self) -> ImageModels:
        return ImageModels(
            database=self.database, bus=self.bus, compute=self.words, index=self.index, backend=lambda: self.backend,
            version=1, attempts=3, reopened=self._reopen,
        )  # fmt: skip

    def _reopen(self) -> None:
        self.reopened += 1

    async def start(self) -> None:
        await self.database.start()
        state = {"state": "completed", "added_at": 0.0, "caption": "", "kind": "photo"}
        found = [{"id": n, "uid": f"{n:016x}", "sha256": n.to_bytes(32), **state} for n in PHOTOS]
        await self.database.write(lambda c: c.execute(insert(photos), found))
        self.bus.start()
        await self.index.build()
        await self.models.start()

    async def close(self) -> None:
        await self.models.close()
        await self.bus.close()
        await self.database.close()

    async def step(self, profile: Profile, ids: Iterable[int], *, failed: Iterable[int] = ()) -> None:
        """As the step would: vectors and rows, and the event of each photo."""
        done, bad = list(ids), list(failed)

        def store(connection: Any) -> None:
            vectors.put(connection, profile.model_id, [(n, unit(RNG.normal(size=DIM))) for n in done])
            for n in done:
                rows.set_steps(connection, n, [StepRow("image_embedding", 1, "completed", None, None)])
            for n in bad * 3:
                rows.set_steps(connection, n, [StepRow("image_embedding", 1, "failed", None, "no numbers")])

        await self.database.write(store)
        for n in done:
            self.bus.emit(StepChanged(f"{n:016x}", "image_embedding", "completed"))
        self.models.wake()

    async def left(self, profile: Profile) -> int:
        found = await self.database.read(lambda c: image_model.coverage(c, profile.model_id, version=1, attempts=3))
        return found.left

    async def becomes(self, **status: Any) -> None:
        async def so() -> bool:
            return self.models.status() == status

        await until(so)


def there(profile: Profile) -> None:
    """Weights as far as anybody looks who does not load them."""
    folder = weights.folder() / profile.weights
    folder.mkdir(parents=True)
    (folder / "open_clip_model.safetensors").write_bytes(b"x")
    weights.write_manifest(profile.weights, "1", {"open_clip_model.safetensors": {"size": 1, "sha256": ""}})


@pytest.fixture
async def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Home]:
    monkeypatch.setenv("FRAMED_MODELS", str(tmp_path / "models"))
    made = Home(tmp_path)
    await made.start()
    yield made
    await made.close()


async def test_the_first_model_answers_from_its_first_photos_and_is_measured_once_there_are_enough(home: Home) -> None:
    there(SMALL)
    await home.step(SMALL, range(1, 6))
    await home.becomes(model=SMALL.model_id)
    assert home.index.images is not None
    assert home.index.images.judge is None
    await home.step(SMALL, range(6, 81))

    async def measured() -> Any:
        kept = (await home.database.read(image_model.get)).calibration
        return kept is not None and home.index.images is not None and home.index.images.judge

    judge = await until(measured)
    assert (judge.calibration.model, judge.calibration.photos) == (SMALL.model_id, 80)

    await home.models.close()  # and it is remembered
    home.index.images = None
    home.words.asked.clear()
    again = home.models = home.made()
    await again.start()
    assert (await until(measured)).calibration == judge.calibration
    assert again.status() == {"model": SMALL.model_id}

    async def warm() -> bool:
        return home.words.asked == [SMALL.backend]

    await until(warm)  # the first request need not wait for its words


async def test_a_better_model_takes_over_when_nothing_is_left_and_what_was_in_flight_is_done_again(home: Home) -> None:
    there(SMALL)
    await home.step(SMALL, PHOTOS)
    await home.becomes(model=SMALL.model_id)
    there(FAST)
    home.models.wake()
    await home.becomes(model=SMALL.model_id, next=FAST.model_id, done=0, of=80)
    assert await home.left(FAST) == 80
    await home.step(FAST, range(1, 71))
    await home.step(SMALL, range(71, 81))  # a batch that was under way when the choice changed

    async def reopened() -> bool:
        return await home.left(FAST) == 10

    await until(reopened)
    assert home.index.images is not None
    assert home.index.images.model == SMALL.model_id
    await home.step(FAST, range(71, 81))
    await home.becomes(model=FAST.model_id)

    async def dropped() -> bool:
        return await home.database.read(lambda c: vectors.count(c, SMALL.model_id)) == 0

    await until(dropped)
    assert home.index.images.model == FAST.model_id


async def test_a_model_that_fails_on_many_photos_does_not_replace_one_that_knew_them(home: Home) -> None:
    there(SMALL)
    await home.step(SMALL, PHOTOS)
    await home.becomes(model=SMALL.model_id)
    there(FAST)
    home.models.wake()
    await home.becomes(model=SMALL.model_id, next=FAST.model_id, done=0, of=80)
    await home.step(FAST, range(1, 41), failed=range(41, 81))
    await home.becomes(model=SMALL.model_id, next=FAST.model_id, done=40, of=80)
    assert await home.left(FAST) == 0
    assert home.index.images is not None
    assert home.index.images.model == SMALL.model_id
    home.backend = "openclip-small"  # back again: nothing has to be computed
    home.models.wake()
    await home.becomes(model=SMALL.model_id)
    assert await home.left(SMALL) == 0
    home.backend = "off"
    home.models.wake()

    async def off() -> bool:
        return home.index.images is None

    await until(off)


async def test_a_request_does_not_wait_for_the_model_of_words_and_the_next_one_has_it(home: Home) -> None:
    there(SMALL)
    await home.step(SMALL, PHOTOS)
    await home.becomes(model=SMALL.model_id)
    asker = Asker(
        database=home.database, index=home.index, names=Names(database=home.database, frames=lambda: []),
        compute=home.words, settings=AskSettings(), without=(), tag_of=lambda word: None,
    )  # fmt: skip
    plan = QueryPlan(semantic="qqq")
    home.words.ready.clear()
    first = await asker.answer(plan, patience_s=0.05)
    assert first.found.late
    home.words.ready.set()
    second = await asker.answer(plan, patience_s=20)
    assert not second.found.late
    home.words.gone = True
    third = await asker.answer(QueryPlan(semantic="zzz"), patience_s=20)  # its weights were removed: words alone
    assert not third.found.late
    assert (await asker.answer(plan)).took_ms["embed"] >= 0  # the vector of a request that was put before is kept
