"""The schedule runs each time once, over sleep, restarts, summer time and clocks that jump."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from framed.schedule import Location, Schedule, ScheduleEntry, trigger
from framed.store.database import Database

BERLIN = ZoneInfo("Europe/Berlin")
EVENING = ScheduleEntry(at="0 18 * * *", ask="evening photos", frame="kitchen")
MORNING = ScheduleEntry(at="0 7 * * *", playlist="morning", frame="kitchen")


class Home:
    """A schedule on a clock of its own; what it asked for is in `asked`."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.now = at(2026, 11, 20, 12)
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.answer: dict[str, Any] = {"status": "ok"}
        self.schedule = self.made()

    def made(self, *entries: ScheduleEntry) -> Schedule:
        async def call(verb: str, payload: dict[str, Any]) -> dict[str, Any]:
            self.asked.append((verb, payload))
            return self.answer

        self.schedule = Schedule(
            database=self.database,
            call=call,
            entries=entries or (EVENING, MORNING),
            timezone=BERLIN,
            location=Location(),
            own={},
            clock=lambda: self.now,
        )
        return self.schedule

    async def restart(self) -> None:
        """As after a stop and a start: only what is stored is known."""
        self.made()
        await self.schedule.start()
        await self.schedule.close()

    async def at(self, *moment: int) -> list[str]:
        """What is asked for when the schedule looks at this time."""
        self.now, self.asked = at(*moment), []
        await self.schedule.tick()
        return [str(payload.get("text") or payload.get("id")) for _, payload in self.asked]


def at(*moment: int) -> float:
    return datetime(*moment, tzinfo=BERLIN).timestamp()  # type: ignore[misc,arg-type]


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[Home]:
    database = Database(tmp_path / "framed.db")
    await database.start()
    home = Home(database)
    await home.schedule.tick()
    yield home
    await database.close()


async def test_an_entry_runs_when_its_time_has_come_and_only_then(home: Home) -> None:
    assert await home.at(2026, 11, 20, 17, 59) == []
    assert await home.at(2026, 11, 20, 18, 0) == ["evening photos"]
    assert home.asked == [("ask", {"text": "evening photos", "source": "schedule", "frame": "kitchen"})]
    assert await home.at(2026, 11, 20, 18, 1) == []
    assert await home.at(2026, 11, 21, 18, 0) == ["morning", "evening photos"]


async def test_what_was_slept_through_runs_once_and_in_order(home: Home) -> None:
    assert await home.at(2026, 11, 23, 9) == ["evening photos", "morning"]
    assert await home.at(2026, 11, 23, 9, 1) == []


async def test_what_was_missed_long_ago_is_left_alone(home: Home) -> None:
    home.made(ScheduleEntry(at="0 0 1 * *", ask="the month's best"))
    await home.at(2026, 11, 20, 13)

    assert await home.at(2026, 12, 4, 9) == []
    assert await home.at(2027, 1, 1, 0) == ["the month's best"]


async def test_a_restart_neither_forgets_nor_repeats(home: Home) -> None:
    await home.at(2026, 11, 20, 18)
    await home.restart()
    assert await home.at(2026, 11, 20, 18, 0) == []
    await home.restart()
    assert await home.at(2026, 11, 20, 23) == []
    await home.restart()
    assert await home.at(2026, 11, 21, 8) == ["morning"]


async def test_a_new_entry_does_not_make_up_for_times_before_it_was_there(home: Home) -> None:
    home.made(ScheduleEntry(at="0 11 * * *", ask="late breakfast"))

    assert await home.at(2026, 11, 20, 12) == []
    assert await home.at(2026, 11, 21, 11) == ["late breakfast"]


async def test_a_clock_set_back_repeats_nothing(home: Home) -> None:
    await home.at(2026, 11, 20, 18, 5)

    assert await home.at(2026, 11, 20, 17, 50) == []
    assert await home.at(2026, 11, 20, 18, 0) == []
    assert await home.at(2026, 11, 21, 7, 0) == ["morning"]


async def test_a_clock_that_was_years_ahead_does_not_stop_the_schedule(home: Home) -> None:
    await home.at(2031, 1, 1, 19)
    await home.at(2026, 11, 20, 12, 30)

    assert await home.at(2026, 11, 20, 18) == ["evening photos"]


async def test_a_time_that_summer_time_skips_still_runs_and_a_doubled_one_runs_once(home: Home) -> None:
    home.made(ScheduleEntry(at="30 2 * * *", ask="night"))
    await home.at(2026, 3, 28, 12)
    assert await home.at(2026, 3, 29, 3, 0) == ["night"]
    await home.at(2026, 10, 24, 12)
    home.now = at(2026, 10, 25, 2, 30)
    assert await home.at(2026, 10, 25, 2, 30) == ["night"]
    home.now, home.asked = home.now + 3600, []  # half past two once more, by winter time
    await home.schedule.tick()
    assert home.asked == []


async def test_what_cannot_be_done_is_said_until_it_can(home: Home) -> None:
    home.answer = {"status": "error", "error": {"message": "There is no frame 'kitchen'."}}
    await home.at(2026, 11, 20, 18)
    assert home.schedule.problems == ["The schedule's “0 18 * * *” could not be done: There is no frame 'kitchen'."]

    home.answer = {"status": "ok"}
    await home.at(2026, 11, 21, 18)
    assert home.schedule.problems == []


def test_the_sun_is_followed_with_its_offset() -> None:
    found = trigger("sunset-00:30", Location(latitude=52.52, longitude=13.41))
    assert found is not None

    midsummer = found.after(datetime(2026, 6, 21, 12, tzinfo=BERLIN))
    midwinter = found.after(datetime(2026, 12, 21, 12, tzinfo=BERLIN))

    assert midsummer is not None
    assert midwinter is not None
    assert abs(midsummer - datetime(2026, 6, 21, 21, 3, tzinfo=BERLIN)) < timedelta(minutes=3)  # Berlin: 21:33
    assert abs(midwinter - datetime(2026, 12, 21, 15, 24, tzinfo=BERLIN)) < timedelta(minutes=3)  # and 15:54


def test_where_the_sun_does_not_set_the_next_sunset_is_weeks_away() -> None:
    found = trigger("sunset", Location(latitude=78.2, longitude=15.6))
    assert found is not None
    coming = found.after(datetime(2026, 6, 1, 12, tzinfo=BERLIN))
    assert coming is not None
    assert coming.month == 8


@pytest.mark.parametrize("at", ["0 18 * *", "61 * * * *", "sunset-0:99", "0 0 31 2 *", "@daily", "tea time"])
def test_a_time_that_cannot_be_read_is_refused(at: str) -> None:
    with pytest.raises(ValidationError, match="0 18"):
        ScheduleEntry(at=at, ask="x")


@pytest.mark.parametrize("what", [{}, {"ask": "a", "playlist": "b", "frame": "c"}, {"cmd": "next"}, {"playlist": "b"}])
def test_an_entry_says_one_thing_and_where(what: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        ScheduleEntry.model_validate({"at": "0 18 * * *", **what})
