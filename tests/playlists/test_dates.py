"""The calendar under the date words, and the plan's own date classes."""

from datetime import date

import pytest
from pydantic import ValidationError

from framed.playlists.feasts import easter_sunday, feast_days, months_later, season_window
from framed.playlists.plan import DateRange, QueryPlan, Yearly


@pytest.mark.parametrize(
    ("year", "month", "day"),
    [
        (1818, 3, 22),
        (1943, 4, 25),
        (1954, 4, 18),
        (1981, 4, 19),
        (2000, 4, 23),
        (2024, 3, 31),
        (2026, 4, 5),
        (2038, 4, 25),
    ],
)
def test_easter_is_on_its_day(year: int, month: int, day: int) -> None:
    assert easter_sunday(year) == date(year, month, day)


def test_movable_feasts_fall_on_their_weekdays() -> None:
    assert feast_days("thanksgiving", 2021) == (date(2021, 11, 25), date(2021, 11, 25))
    assert feast_days("mothers_day", 2023) == (date(2023, 5, 14), date(2023, 5, 14))
    assert feast_days("good_friday", 2020) == (date(2020, 4, 10), date(2020, 4, 10))


def test_season_crosses_the_year_where_it_is_winter_or_southern_summer() -> None:
    assert season_window("winter", "north") == (12, 1, 2, 29)
    assert season_window("summer", "south") == (12, 1, 2, 29)
    assert season_window("summer", "north") == (6, 1, 8, 31)


def test_month_without_that_day_gives_its_last() -> None:
    assert months_later(date(2024, 3, 31), -1) == date(2024, 2, 29)
    assert months_later(date(2024, 3, 31), -12 * 5000) == date.min


def test_yearly_winter_ends_in_the_next_year() -> None:
    winter = Yearly(month_from=12, day_from=1, month_to=2, day_to=29)

    assert winter.days(2022) == (date(2022, 12, 1), date(2023, 2, 28))
    assert winter.days(2023) == (date(2023, 12, 1), date(2024, 2, 29))


def test_leap_day_is_missing_from_common_years() -> None:
    leap_day = Yearly(month_from=2, day_from=29, month_to=2, day_to=29)

    assert leap_day.days(2023) is None
    assert leap_day.days(2024) == (date(2024, 2, 29), date(2024, 2, 29))


def test_yearly_easter_moves() -> None:
    easter = Yearly(month_from=3, day_from=20, month_to=4, day_to=26, feast="easter")

    assert easter.days(2020) == (date(2020, 4, 10), date(2020, 4, 13))


def test_range_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(ValidationError, match="before it starts"):
        DateRange(start=date(2020, 1, 2), end=date(2020, 1, 1))


def test_yearly_day_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValidationError, match="month 2 has no day 30"):
        Yearly(month_from=2, day_from=30, month_to=3, day_to=1)


def test_plan_from_a_language_model_is_checked() -> None:
    assert QueryPlan.model_validate({"people_all": ["anna"], "count": 5}).count == 5
    with pytest.raises(ValidationError):
        QueryPlan.model_validate({"persons": ["anna"]})
    with pytest.raises(ValidationError):
        QueryPlan.model_validate({"count": 0})
    with pytest.raises(ValidationError):
        QueryPlan.model_validate({"weekdays": [7]})
