"""The deeper looks over a real store, with steps that do what the test says."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from framed.analysis.late import MAX_ATTEMPTS, LateSteps, Pace
from framed.analysis.renewal import Renewal
from framed.analysis.step import LateStep, Outcome
from framed.bus import Bus
from framed.errors import BadPhoto, Unavailable
from framed.events import StepChanged
from framed.store import files, photos
from framed.store import late as rows
from framed.store.database import Database
from framed.store.photos import PhotoWork, StepRow
from framed.store.tables import photos as table

QUICK = Pace(look_s=0.02, whole_s=0.0, rest_s=0.05)
"""Every look is one at the whole library: what failed is tried again at once."""
ONCE = Pace(look_s=0.02, whole_s=3600.0, rest_s=3600.0)


class Fake(LateStep):
    """Completes every photo, unless `does` says otherwise."""

    def __init__(
        self,
        name: str,
        does: Callable[[PhotoWork], Outcome] = lambda photo: Outcome("completed", {"of": photo.id}),
        *,
        needs: tuple[str, ...] = ("preview",),
        version: int = 1,
        batch: int = 4,
    ) -> None:
        self.name, self.needs, self.version, self.batch = name, needs, version, batch  # type: ignore[misc]
        self.does = does
        self.why_not: str | None = None
        self.batches: list[list[int]] = []
        self.seen: Counter[int] = Counter()
        self.hold: asyncio.Event | None = None

    def unavailable(self) -> str | None:
        return self.why_not

    async def run(self, photos: Sequence[PhotoWork]) -> list[Outcome]:
        self.batches.append([photo.id for photo in photos])
        self.seen.update(self.batches[-1])
        if self.hold is not None:
            await self.hold.wait()
        return [self.does(photo) for photo in photos]


class Shelf:
    """A store of photos that are through the pipeline, and what runs late steps over it."""

    def __init__(self, database: Database, bus: Bus) -> None:
        self.database, self.bus = database, bus
        self.busy = False
        self.refreshed = 0
        self.running: list[LateSteps] = []
        self.heard: list[StepChanged] = []

    async def photos(self, *ids: int, state: str = "completed", steps: Sequence[str] = ("preview",)) -> None:
        def add(connection: Any) -> None:
            for number in ids:
                values = {"id": number, "state": state}
                connection.execute(
                    table.insert().values(sha256=b"%032d" % number, uid=f"{number:016x}", added_at=0.0, **values)
                )
                done = [StepRow(step, 1, "completed", {}) for step in steps]
                photos.set_steps(connection, number, done)

        await self.database.write(add)

    async def start(self, *steps: Fake, pace: Pace = ONCE) -> LateSteps:
        late = LateSteps(
            database=self.database,
            bus=self.bus,
            steps=steps,
            busy=lambda: self.busy,
            refresh=self._refresh,
            pace=pace,
        )
        self.running.append(late)
        await late.start()
        return late

    def _refresh(self) -> None:
        self.refreshed += 1

    async def states(self, step: str) -> dict[int, tuple[str, int]]:
        def read(connection: Any) -> dict[int, tuple[str, int]]:
            found = connection.exec_driver_sql(
                "select photo_id, state, attempts from photo_steps where step = ?", (step,)
            )
            return {row[0]: (row[1], row[2]) for row in found}

        return await self.database.read(read)


@pytest.fixture
async def shelf(tmp_path: Path) -> AsyncIterator[Shelf]:
    database, bus = Database(tmp_path / "framed.db"), Bus()
    await database.start()
    bus.start()
    made = Shelf(database, bus)

    async def hear(event: StepChanged) -> None:
        made.heard.append(event)

    bus.on(StepChanged, hear)
    yield made
    for late in made.running:
        await late.close()
    await bus.close()
    await database.close()


async def until(check: Callable[[], Any]) -> None:
    async with asyncio.timeout(20):
        while True:
            found = check()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return
            await asyncio.sleep(0.005)


def through(late: LateSteps) -> Callable[[], Any]:
    async def check() -> bool:
        return not any((await late.left()).values())

    return check


async def test_a_step_is_through_with_every_photo_before_the_next_begins(shelf: Shelf) -> None:
    await shelf.photos(*range(1, 11))
    order: list[str] = []

    def noting(name: str) -> Callable[[PhotoWork], Outcome]:
        return lambda photo: order.append(name) or Outcome("completed")  # type: ignore[func-returns-value]

    late = await shelf.start(Fake("first", noting("first")), Fake("second", noting("second")))
    await until(through(late))

    assert order == ["first"] * 10 + ["second"] * 10
    assert len(shelf.heard) == 20


async def test_nothing_is_done_while_the_pipeline_has_photos_for_the_frames(shelf: Shelf) -> None:
    await shelf.photos(*range(1, 9))
    shelf.busy = True
    step = Fake("look")
    step.hold = asyncio.Event()
    late = await shelf.start(step)
    await asyncio.sleep(0.05)
    assert step.batches == []

    shelf.busy = False
    late.wake()
    await until(lambda: step.batches)
    shelf.busy = True  # a new photo came: the batch in flight ends, no other begins
    step.hold.set()
    await until(lambda: late.running is None)
    assert len(step.batches) == 1

    shelf.busy = False
    late.wake()
    await until(through(late))


async def test_after_a_restart_it_goes_on_where_it_was(shelf: Shelf) -> None:
    await shelf.photos(*range(1, 13))
    before = Fake("look")
    before.does = lambda photo: Outcome("completed") if photo.id <= 4 else Outcome("unavailable", problem="Gone.")
    late = await shelf.start(before)
    await until(lambda: before.batches[1:])
    await late.close()

    after = Fake("look")
    late = await shelf.start(after)
    await until(through(late))

    assert after.seen == Counter(range(5, 13))


async def test_a_photo_that_fails_is_tried_three_times_and_harms_no_other(shelf: Shelf) -> None:
    await shelf.photos(*range(1, 10))

    def poisoned(photo: PhotoWork) -> Outcome:
        if photo.id == 3:
            raise RuntimeError("boom")
        if photo.id == 6:
            raise BadPhoto("It cannot be read.")
        return Outcome("completed")

    step = Fake("look", poisoned)
    late = await shelf.start(step, pace=QUICK)
    await until(through(late))
    late.wake()
    await asyncio.sleep(0.1)

    states = await shelf.states("look")
    assert {photo for photo, (state, _) in states.items() if state == "completed"} == {1, 2, 4, 5, 7, 8, 9}
    assert states[3] == states[6] == ("failed", MAX_ATTEMPTS)
    problems = {event.problem for event in shelf.heard if event.state == "failed"}
    assert problems == {"look failed on this photo.", "It cannot be read."}


async def test_a_failure_is_not_tried_again_in_the_same_breath(shelf: Shelf) -> None:
    await shelf.photos(1, 2)
    step = Fake("look", lambda photo: Outcome("failed", problem="No."), batch=1)
    await shelf.start(step)
    await until(lambda: len(step.batches) == 2)
    await asyncio.sleep(0.1)

    assert step.seen == Counter({1: 1, 2: 1})


def away_until(there: list[bool]) -> Callable[[PhotoWork], Outcome]:
    def does(photo: PhotoWork) -> Outcome:
        if not there:
            raise Unavailable("The server cannot be reached.")
        return Outcome("completed")

    return does


async def test_a_step_whose_backend_is_away_rests_alone_and_says_why(shelf: Shelf) -> None:
    await shelf.photos(*range(1, 7))
    remote, other = Fake("remote", away_until([])), Fake("other")
    late = await shelf.start(remote, other)

    async def done() -> bool:
        return len(await shelf.states("other")) == 6

    await until(done)

    assert len(remote.batches) == 1  # not photo by photo: it is no photo's fault
    assert await shelf.states("remote") == {}
    assert [(one["step"], one["left"], one["problem"]) for one in await late.outlook()] == [
        ("remote", 6, "The server cannot be reached.")
    ]


async def test_a_step_that_rested_is_tried_again_until_its_backend_is_back(shelf: Shelf) -> None:
    await shelf.photos(*range(1, 7))
    there: list[bool] = []
    remote = Fake("remote", away_until(there))
    late = await shelf.start(remote, pace=Pace(look_s=0.02, whole_s=3600.0, rest_s=0.05))
    await until(lambda: len(remote.batches) > 2)

    there.append(True)
    await until(through(late))
    assert {state for state, _ in (await shelf.states("remote")).values()} == {"completed"}


async def test_what_a_batch_had_done_when_its_backend_went_away_is_kept(shelf: Shelf) -> None:
    await shelf.photos(1, 2, 3, 4)
    gone = Outcome("unavailable", problem="It went away.")
    step = Fake("look", lambda photo: Outcome("completed") if photo.id < 3 else gone)
    late = await shelf.start(step)
    await until(lambda: late.running is None and step.batches)

    assert set(await shelf.states("look")) == {1, 2}

    step.does = lambda photo: Outcome("completed")
    late.wake()
    await until(through(late))
    assert step.seen == Counter({1: 1, 2: 1, 3: 2, 4: 2})


async def test_a_step_that_cannot_be_done_leaves_no_rows_and_is_done_when_it_can(shelf: Shelf) -> None:
    await shelf.photos(1, 2)
    step = Fake("look")
    step.why_not = "Its weights are not here."
    late = await shelf.start(step)
    await asyncio.sleep(0.05)
    assert await late.left() == {}
    assert await shelf.states("look") == {}

    step.why_not = None
    late.wake()
    await until(through(late))
    assert len(await shelf.states("look")) == 2


async def test_a_higher_version_is_done_again_and_what_was_made_of_it_too(shelf: Shelf) -> None:
    await shelf.photos(1, 2, 3)
    late = await shelf.start(Fake("embedding"), Fake("traits", needs=("embedding",)))
    await until(through(late))
    await late.close()

    embedding, traits = Fake("embedding", version=2), Fake("traits", needs=("embedding",))
    late = await shelf.start(embedding, traits)
    await until(lambda: sum(traits.seen.values()) == 3)

    assert embedding.seen == traits.seen == Counter({1: 1, 2: 1, 3: 1})


async def test_what_is_asked_anew_is_done_once_over_kills_and_what_was_found_holds_until_then(shelf: Shelf) -> None:
    await shelf.photos(*range(1, 9), steps=("preview", "description"))
    late = await shelf.start(Fake("look"))
    await until(through(late))
    await late.close()
    since = time.time()

    # A kill amid writing down what is asked for, and one between the first two batches of doing it.
    await shelf.database.write(
        lambda c: rows.ask_anew(c, steps=["look"], uid=None, since=since, after=0, limit=3)  # type: ignore[misc]
    )
    began = Fake("look", batch=2)
    first = began.hold = asyncio.Event()
    late = await shelf.start(began)
    await until(lambda: began.batches)
    began.hold = asyncio.Event()
    first.set()
    await until(lambda: len(began.batches) == 2)
    await late.close()
    kept = await shelf.database.read(lambda c: photos.work_of(c, list(range(1, 9))))
    assert [photo.results["look"] for photo in kept] == [{"of": number} for number in range(1, 9)]

    ended = Fake("look", batch=2)
    late = await shelf.start(ended)
    assert (
        await Renewal(
            database=shelf.database, pipeline=SimpleNamespace(wake=lambda: None, steps=[]), late=lambda: late
        ).ask_anew(["look"], None, since)
        == 8
    )
    await until(through(late))

    assert began.seen == Counter([1, 2, 3])
    assert ended.seen == Counter(range(3, 9))
    assert set((await shelf.states("look")).values()) == {("completed", 1)}


class Meanwhile:
    """A store in which something happens once, between a question and its answer."""

    def __init__(self, database: Database, happens: Callable[[], Any]) -> None:
        self.database, self.happens = database, happens

    async def read(self, work: Callable[[Any], Any]) -> Any:
        found = await self.database.read(work)
        happens, self.happens = self.happens, lambda: asyncio.sleep(0)
        await happens()
        return found

    async def write(self, work: Callable[[Any], Any], **options: Any) -> Any:
        return await self.database.write(work, **options)


@pytest.mark.parametrize("photo", [None, 2])
async def test_what_is_asked_anew_while_the_first_photos_are_looked_for_is_done(
    shelf: Shelf, photo: int | None
) -> None:
    await shelf.photos(1, 2, 3)
    first = await shelf.start(Fake("look"))
    await until(through(first))
    await first.close()
    again, database = Fake("look"), shelf.database

    async def asked() -> None:
        uid = None if photo is None else f"{photo:016x}"
        await database.write(
            lambda c: rows.ask_anew(c, steps=["look"], uid=uid, since=time.time(), after=0, limit=9)  # type: ignore[misc]
        )
        shelf.running[-1].wake(photo)

    shelf.database = cast(Database, Meanwhile(database, asked))
    late = await shelf.start(again)
    shelf.database = database
    await until(lambda: again.seen)
    await until(through(late))

    assert again.seen == (Counter([1, 2, 3]) if photo is None else Counter([photo]))


async def test_what_is_found_anew_is_told_to_what_was_made_of_it(shelf: Shelf) -> None:
    await shelf.photos(1, 2, 3)
    embedding, traits = Fake("embedding"), Fake("traits", needs=("embedding",))
    late = await shelf.start(embedding, traits)
    await until(through(late))

    await shelf.database.write(
        lambda c: rows.ask_anew(c, steps=["embedding"], uid=f"{2:016x}", since=time.time(), after=0, limit=9)  # type: ignore[misc]
    )
    late.wake()
    await until(lambda: traits.seen[2] == 2)

    assert embedding.seen == traits.seen == Counter([1, 2, 2, 3])


async def test_a_step_waits_photo_by_photo_for_the_one_that_it_needs(shelf: Shelf) -> None:
    await shelf.photos(1, 2, 3)
    embedding, traits = Fake("embedding"), Fake("traits", needs=("embedding",))
    embedding.does = lambda photo: Outcome("completed" if photo.id != 2 else "failed")
    await shelf.start(embedding, traits)
    await until(lambda: sum(traits.seen.values()) == 2)

    assert traits.seen == Counter({1: 1, 3: 1})


async def test_what_changes_what_is_said_of_a_photo_opens_its_description_again(shelf: Shelf) -> None:
    await shelf.photos(1, 2, steps=("preview", "description", "text_embedding"))
    refresh = ("description", "text_embedding")
    step = Fake("look", lambda photo: Outcome("completed", refresh=refresh if photo.id == 1 else ()))
    await shelf.start(step)
    await until(lambda: sum(step.seen.values()) == 2 and shelf.refreshed)

    assert set(await shelf.states("description")) == {2}
    assert await shelf.database.read(lambda c: photos.counts(c)) == {"pending": 1, "completed": 1}


async def test_a_wake_finds_new_photos_and_passed_ones_without_looking_through_all(shelf: Shelf) -> None:
    await shelf.photos(1, 2, 3, 5)
    step = Fake("look")
    late = await shelf.start(step)
    await until(through(late))

    await shelf.photos(4)  # lay below the last one, as a photo that was opened again does
    await shelf.photos(6)
    late.wake(4)
    late.wake(6)
    await until(lambda: sum(step.seen.values()) == 6)

    assert step.seen == Counter(range(1, 7))


async def test_photos_that_are_not_shown_are_left_alone_and_not_counted(shelf: Shelf) -> None:
    await shelf.photos(1, 2)
    await shelf.photos(3, state="pending")
    await shelf.photos(4, state="gone")
    step = Fake("look")
    late = await shelf.start(step, Fake("later"))
    step.why_not = "Not now."
    assert await late.left() == {"later": 2}
    await until(through(late))

    assert await shelf.states("look") == {}
    await shelf.database.write(lambda c: photos.set_values(c, 1, {"state": "gone"}))
    assert await shelf.database.read(lambda c: rows.count(c, "look", 1, MAX_ATTEMPTS)) == 1
    assert await shelf.database.read(lambda c: rows.count(c, "later", 1, MAX_ATTEMPTS)) == 0


async def test_hidden_photos_and_copies_go_without_what_is_there_to_be_shown_until_they_are_seen(shelf: Shelf) -> None:
    await shelf.photos(*range(1, 8))
    await shelf.photos(8, state="pending")

    def decide(values: dict[int, dict[str, Any]]) -> Callable[[Any], None]:
        return lambda c: [photos.set_values(c, photo, said) for photo, said in values.items()]  # type: ignore[return-value]

    hidden, copies = {2: {"hidden": True}, 8: {"hidden": True}}, {3: {"duplicate_of": 1}, 4: {"duplicate_of": 1}}
    await shelf.database.write(decide(hidden | copies))
    words, other = Fake("words"), Fake("other")
    words.spares_unseen = True  # type: ignore[misc]
    late = await shelf.start(other, words)
    await until(through(late))
    assert words.seen == Counter([1, 5, 6, 7])
    assert other.seen == Counter(range(1, 8))

    await shelf.database.write(decide({2: {"hidden": False}, 3: {"duplicate_of": None}, 6: {"hidden": True}}))
    assert await late.left() == {"other": 0, "words": 2}
    late.wake(2)
    late.wake(3)
    await until(through(late))
    assert words.seen == Counter([1, 2, 3, 5, 6, 7])


async def test_lesser_shots_of_a_burst_get_what_is_there_to_be_shown_after_all_others(shelf: Shelf) -> None:
    await shelf.photos(*range(1, 8))

    def burst(connection: Any) -> None:
        for photo in (1, 2, 3):
            photos.set_values(connection, photo, {"burst": 1, "burst_best": photo == 2})

    await shelf.database.write(burst)
    words = Fake("words", batch=2)
    words.spares_unseen = True  # type: ignore[misc]
    late = await shelf.start(words)
    await until(through(late))
    assert words.batches == [[2, 4], [5, 6], [7], [1, 3]]

    # And those that are looked at once more, after a wake.
    about: dict[str, Any] = {"step": "words", "version": 2, "needs": (), "attempts": 1, "spares_unseen": True}

    def again(connection: Any) -> list[list[int]]:
        found = [rows.work_among(connection, [1, 2, 3, 7], **about, lesser=lesser) for lesser in (False, True)]
        return [[photo.id for photo in some] for some in found]

    assert await shelf.database.read(again) == [[2, 7], [1, 3]]


async def test_how_many_are_spared_is_read_from_their_index(shelf: Shelf) -> None:
    def plan(connection: Any) -> str:
        said: list[str] = []
        execute = connection.execute

        def explained(query: Any) -> Any:
            sql = query.compile(connection, compile_kwargs={"literal_binds": True})
            said.append(str(connection.exec_driver_sql(f"explain query plan {sql}").all()))
            return execute(query)

        rows.count(SimpleNamespace(execute=explained), "words", 1, MAX_ATTEMPTS, spares_unseen=True)  # type: ignore[arg-type]
        return said[-1]

    assert "photos_unseen" in await shelf.database.read(plan)


async def test_a_library_wider_than_one_window_is_looked_through(shelf: Shelf) -> None:
    await shelf.photos(1, 2, rows.WINDOW + 1, 3 * rows.WINDOW)
    step = Fake("look")
    late = await shelf.start(step)
    await until(through(late))

    assert step.seen == Counter([1, 2, rows.WINDOW + 1, 3 * rows.WINDOW])


async def test_it_is_said_how_long_the_rest_will_take(shelf: Shelf) -> None:
    await shelf.photos(*range(1, 9))
    step = Fake("look", batch=2)
    step.hold = asyncio.Event()
    late = await shelf.start(step, Fake("later"))
    assert [(one["step"], one["left"], one["eta_s"]) for one in await late.outlook()] == [
        ("look", 8, None),
        ("later", 8, None),
    ]
    await until(lambda: step.batches)
    hold, step.hold = step.hold, asyncio.Event()
    hold.set()
    await until(lambda: len(step.batches) == 2)
    first = (await late.outlook())[0]
    assert (first["step"], first["left"]) == ("look", 6)
    assert first["eta_s"] is not None
    step.hold.set()
    await until(through(late))
    assert await late.outlook() == []


async def test_what_fails_when_it_is_done_anew_keeps_what_was_found_and_says_why(shelf: Shelf) -> None:
    await shelf.photos(1, 2)
    late = await shelf.start(Fake("ocr", lambda photo: Outcome("completed", {"backend": "old"})))
    await until(through(late))
    await late.close()
    renewal = Renewal(database=shelf.database, pipeline=SimpleNamespace(wake=lambda: None, steps=[]), late=lambda: late)
    assert await renewal.follow("ocr", "new") == 2

    fails = Fake("ocr", lambda photo: Outcome("failed", problem="it crashed"))
    late = await shelf.start(fails, pace=QUICK)
    await until(lambda: fails.seen == {1: MAX_ATTEMPTS, 2: MAX_ATTEMPTS})

    await until(through(late))
    kept = await shelf.database.read(lambda c: photos.steps_of(c, 1)["ocr"])
    assert kept == {
        "version": 1,
        "state": "failed",
        "attempts": 3,
        "problem": "it crashed",
        "result": {"backend": "old"},
    }
    assert await renewal.follow("ocr", "new") == 0  # it is not tried at every start


async def test_a_photo_that_goes_under_a_deeper_look_stays_gone(shelf: Shelf) -> None:
    await shelf.photos(1)

    def deleted(photo: PhotoWork) -> Outcome:
        return Outcome("completed", refresh=("description",), store=lambda c: files.orphaned(c, [photo.id], now=0.0))

    late = await shelf.start(Fake("deep", deleted))
    await until(through(late))

    assert await shelf.database.read(photos.counts) == {"gone": 1}
