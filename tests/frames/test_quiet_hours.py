"""Quiet hours go by the clock on the wall: over midnight, and through the nights on which clocks change."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from framed.frames.registry import QuietHours

BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = QuietHours.model_validate({"start": "22:30", "end": "07:00"})


@pytest.mark.parametrize(
    ("clock", "quiet"),
    [((22, 29), False), ((22, 30), True), ((0, 0), True), ((6, 59), True), ((7, 0), False), ((12, 0), False)],
)
def test_they_run_past_midnight(clock: tuple[int, int], quiet: bool) -> None:
    assert NIGHT.holds(datetime(2026, 1, 5, *clock, tzinfo=BERLIN)) is quiet


@pytest.mark.parametrize(
    ("evening", "hours"),
    [(datetime(2026, 1, 5, 12), 8.5), (datetime(2026, 3, 28, 12), 7.5), (datetime(2026, 10, 24, 12), 9.5)],
    ids=["ordinary", "clocks go forward", "clocks go back"],
)
def test_a_night_is_as_long_as_the_clocks_make_it(evening: datetime, hours: float) -> None:
    start = evening.replace(tzinfo=BERLIN).astimezone(UTC)
    quarters = [start + timedelta(minutes=15 * n) for n in range(24 * 4)]

    quiet = [moment for moment in quarters if NIGHT.holds(moment.astimezone(BERLIN))]

    assert len(quiet) / 4 == hours
    assert quiet[-1] - quiet[0] == timedelta(hours=hours, minutes=-15)


def test_yaml_s_reading_of_a_time_is_undone() -> None:
    assert QuietHours.model_validate({"start": 1350, "end": 420}) == NIGHT
