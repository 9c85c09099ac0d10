"""Rules of the grammar that a table of sentences cannot show: problems, settings, odd input, speed."""

import random
import time
from datetime import UTC, date, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framed.errors import BadRequest
from framed.playlists.grammar import AskSettings, Name, QueryPlan, Vocabulary, parse, say
from framed.playlists.grammar_steer import TRIGGERS, WISHES
from tests.playlists.library import NOW, VOCABULARY, slots, understood

SOME_WORDS = st.sampled_from(
    """Anna Ben or and , not without no the in on at from of with between since last May summer 2019 31 February frame
    kitchen every 30 seconds photos "happy Zelda's only but everyone except dogs beach this day call it Christmas 5 &
    05/06/2021 ago two red best first 90s weekend to - ' ” 🐶 Rome people screenshots , . ? a""".split()
)


@given(st.text(max_size=1000))
@settings(max_examples=150, deadline=None)
def test_any_text_gives_a_plan(text: str) -> None:
    plan = understood(text)

    assert QueryPlan.model_validate_json(plan.model_dump_json()) == plan
    assert len(plan.text) == len(text)
    assert say(plan)


@given(st.lists(SOME_WORDS, max_size=25).map(" ".join))
@settings(max_examples=300, deadline=None)
def test_any_mix_of_known_words_gives_a_plan(text: str) -> None:
    plan = understood(text)

    assert QueryPlan.model_validate_json(plan.model_dump_json()) == plan
    assert say(plan)


@pytest.mark.parametrize("text", ["", "   ", "\n\t\x00\x07", "?!", "…", '""', "()", "thank you", "hello, please"])
def test_nothing_said_asks_for_nothing(text: str) -> None:
    assert slots(understood(text)) == {"nothing": ["True"]}


@pytest.mark.parametrize("text", ["show me photos please", "anything", "show me something", "all of them"])
def test_any_photo_is_a_request_too(text: str) -> None:
    assert not understood(text).nothing


def test_broken_surrogates_and_control_characters_are_cleaned() -> None:
    plan = understood("Anna\x00and\ud800Ben")

    assert plan.text == "Anna and\ufffdBen"
    assert plan.people_all == ["anna", "ben"]


def test_too_long_text_is_refused_with_its_length() -> None:
    with pytest.raises(BadRequest, match="1001 characters; at most 1000") as caught:
        understood("a" * 1001)
    assert caught.value.field == "text"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("Anna without Anna", "“Anna” is asked for and excluded"),
        ("Anna, no people", "it was taken as nobody else"),
        ("31 February 2020", "“31 February 2020” is not a day of the calendar"),
        ("29 Feb 2021", "is not a day of the calendar; the whole month was taken"),
        ("2021-13-45", "the whole year was taken"),
        ("between 2018 and 2015", "ends before it starts; it was turned round"),
        ("next summer", "“next summer” has not happened yet"),
        ("Tom at the beach", "“Tom” could be Tom Smith or Tom Jones"),
        ("photos of Paris", "is a person and a place here; the person was taken"),
        ("Anna and Ben or Cara", "mixes “and” with “or”"),
        ("1000 photos", "1000 photos are more than the 500"),
        ("0 photos", "at least one photo"),
        ("without Zelda", "Nobody in the library is called “Zelda”"),
        ("Anna not in Atlantis", "No place in the library is called “Atlantis”"),
        ("on the kitchen and hall frames", "names more than one frame; the first was taken"),
        ("every 0 seconds", "“every 0 seconds” is no time to wait"),
    ],
)
def test_contradiction_is_said(text: str, problem: str) -> None:
    assert problem in " ".join(understood(text).problems)


def test_clear_request_has_no_problems() -> None:
    assert understood("Anna at the beach last summer on the kitchen frame, no screenshots").problems == []


def test_given_name_shared_by_two_means_either() -> None:
    assert understood("Tom").people_any == ["tom-smith", "tom-jones"]


def test_contradicted_exclusion_is_dropped() -> None:
    plan = understood("Anna without Anna")

    assert (plan.people_all, plan.people_none) == (["anna"], [])


def test_relatives_go_by_any_of_their_words() -> None:
    assert understood("mom and daddy").people_all == ["mum", "dad"]
    assert understood("photos of granny").people_all == ["gran"]


def test_alias_of_somebody_else_is_not_guessed() -> None:
    people = [Name(id="a", name="Maria", aliases=("mum",)), Name(id="b", name="Olga", aliases=("mom",))]

    plan = parse("photos of mom", Vocabulary(people=people), AskSettings(), NOW)

    assert plan.people_all == ["b"]


def test_umlauts_are_found_without_a_keyboard_for_them() -> None:
    words = Vocabulary(people=[Name(id="m", name="Jörg Müller")], places=[Name(id="o", name="Ærø")])

    assert parse("Joerg Mueller", words, AskSettings(), NOW).people_all == ["m"]
    assert parse("jorg muller in aero", words, AskSettings(), NOW).people_all == ["m"]
    assert parse("in Ærø", words, AskSettings(), NOW).places_any == ["o"]


def test_one_place_name_means_every_place_of_that_name() -> None:
    words = Vocabulary(places=[Name(id="il", name="Springfield"), Name(id="ma", name="Springfield")])

    assert parse("in Springfield", words, AskSettings(), NOW).places_any == ["il", "ma"]


def test_person_without_such_a_name_leaves_words_alone() -> None:
    words = Vocabulary(tags=["rose"])

    assert slots(parse("photos of May", words, AskSettings(), NOW)) == {"yearly": ["05-01..05-31"]}
    assert slots(parse("photos of may", words, AskSettings(), NOW)) == {"yearly": ["05-01..05-31"]}
    assert slots(parse("a rose", words, AskSettings(), NOW)) == {"semantic": ["rose"], "tags_any": ["rose"]}
    assert slots(parse("mark", words, AskSettings(), NOW)) == {"semantic": ["mark"]}


def test_person_named_like_a_flower_needs_a_capital_or_a_with() -> None:
    words = Vocabulary(people=[Name(id="r", name="Rose")], tags=["rose", "garden"])
    ask = AskSettings()

    assert parse("Anna and a rose", words, ask, NOW).people_all == []
    assert parse("the garden with Rose", words, ask, NOW).people_all == ["r"]
    assert parse("show me rose at the sea", words, ask, NOW).people_all == ["r"]
    assert parse("a rose in the Garden", words, ask, NOW).people_all == []
    assert parse("red roses", words, ask, NOW).people_all == []


def test_name_longer_than_another_wins() -> None:
    words = Vocabulary(people=[Name(id="a", name="Anna"), Name(id="am", name="Anna Maria")])

    assert parse("Anna Maria and Anna", words, AskSettings(), NOW).people_all == ["am", "a"]


def test_summer_of_the_south_is_around_new_year() -> None:
    south = AskSettings(hemisphere="south")

    assert slots(understood("summer 2019", south))["dates"] == ["2019-12-01..2020-02-29"]
    assert slots(understood("last summer", south))["dates"] == ["2025-12-01..2026-02-28"]
    assert slots(understood("this winter", south))["dates"] == ["2026-06-01..2026-08-31"]


def test_last_summer_in_autumn_is_the_one_just_over() -> None:
    october = datetime(2026, 10, 3, tzinfo=UTC)

    assert slots(understood("last summer", now=october))["dates"] == ["2026-06-01..2026-08-31"]


def test_week_begins_where_the_home_says() -> None:
    assert slots(understood("this week", AskSettings(week_starts="sunday")))["dates"] == ["2026-07-12..2026-07-18"]


def test_slashed_date_is_read_in_the_homes_order() -> None:
    assert slots(understood("05/06/2021", AskSettings(date_order="mdy")))["dates"] == ["2021-05-06..2021-05-06"]
    assert slots(understood("25/06/2021", AskSettings(date_order="mdy")))["dates"] == ["2021-06-25..2021-06-25"]


def test_today_is_the_homes_day() -> None:
    late = datetime(2026, 7, 15, 23, 30, tzinfo=UTC)

    assert understood("today", AskSettings(timezone="Asia/Tokyo"), late).dates[0].start == date(2026, 7, 16)
    assert understood("today", AskSettings(timezone="America/New_York"), late).dates[0].start == date(2026, 7, 15)


def test_unknown_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="is not a time zone"):
        AskSettings(timezone="Mars/Olympus")


def test_last_weekend_on_a_sunday_is_the_one_before() -> None:
    sunday = datetime(2026, 7, 19, 12, tzinfo=UTC)

    assert slots(understood("last weekend", now=sunday))["dates"] == ["2026-07-11..2026-07-12"]
    assert slots(understood("this weekend", now=sunday))["dates"] == ["2026-07-18..2026-07-19"]


def test_what_was_understood_is_said_in_one_sentence() -> None:
    plan = understood("20 photos of Anna and Ben at the beach last summer on the kitchen frame, no screenshots")

    assert say(plan) == ("20 photos of Anna and Ben Miller, beach, June to August 2025, no screenshots, on Kitchen")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("only Anna in Italy", "photos of Anna and nobody else, in Italy"),
        ("Anna or Ben without Cara", "photos of Anna or Ben Miller, without Cara"),
        ("since 2020", "photos, since 2020"),
        ("before March 2021", "photos, until the end of February 2021"),
        ("Christmas 2019", "photos, 24 to 26 December 2019"),
        ("every Christmas", "photos, every 24 to 26 December"),
        ("in May", "photos, every May"),
        ("Easter", "photos, every Easter"),
        ("2015 to 2018 on weekends", "photos, 2015 to 2018, on weekends"),
        ("10 best black and white photos", "10 best black-and-white photos"),
        ("no people, every 5 minutes", "photos, no people, changing every 5 minutes"),
        ("not in Italy or from 2019", "photos, not in Italy, not 2019"),
        ('"Holidays" on every frame', "photos, from the album “Holidays”, on every frame"),
    ],
)
def test_plan_reads_as_plain_words(text: str, said: str) -> None:
    assert say(understood(text)) == said


def test_plan_written_by_hand_reads_without_labels() -> None:
    assert say(QueryPlan(people_all=["anna"], semantic="beach")) == "photos of anna, beach"


def test_span_tells_which_words_became_what() -> None:
    spans = {span.slot: span.text for span in understood("Anna at the beach last summer, no screenshots").spans}

    assert spans == {
        "people_all": "Anna",
        "semantic": "beach",
        "tags_any": "beach",
        "dates": "last summer",
        "kinds_none": "screenshots",
    }


def _syllables(source: random.Random) -> str:
    return "".join(source.choice("bdfgklmnprst") + source.choice("aeiou") for _ in range(source.randint(2, 4)))


def test_a_large_library_is_read_in_milliseconds() -> None:
    source = random.Random(1)
    names = [_syllables(source).title() for _ in range(6000)]
    large = Vocabulary(
        people=[Name(id=f"p{n}", name=" ".join(names[n : n + 2])) for n in range(300)],
        places=[Name(id=f"l{n}", name=names[300 + n]) for n in range(2000)],
        folders=[Name(id=f"f{n}", name=f"{names[2300 + n]} trip to {names[2301 + n]}") for n in range(500)],
        frames=[Name(id=f"r{n}", name=f"{names[2800 + n]} frame") for n in range(20)],
        tags=[name.lower() for name in names[3000:]],
    )
    text = f"{names[0]} and {names[5]} at the beach in {names[400]} last summer without dogs, no screenshots"
    took = []
    for _ in range(20):
        started = time.process_time()
        plan = parse(text, large, AskSettings(), NOW)
        took.append(time.process_time() - started)

    assert plan.people_all or plan.people_any
    assert min(took) < 0.005


@pytest.mark.parametrize(
    "word", ["in ", "May ", "1/", "no ", '"a" ', "'a ", "on the ", "between ", "Anna, ", "5 ", "“"]
)
def test_hostile_repetition_is_read_in_time(word: str) -> None:
    started = time.process_time()
    understood((word * 1000)[:1000])

    assert time.process_time() - started < 1.0


def test_vocabulary_can_be_empty() -> None:
    assert slots(parse("Anna at the beach", Vocabulary(), AskSettings(), NOW)) == {"semantic": ["anna at the beach"]}


def test_frame_on_which_it_is_said_may_be_called_by_its_room() -> None:
    assert VOCABULARY.labels["frames:living"] == "Living room frame"
    assert understood("on the living room").frame == "living"
    assert understood("in the living room").frame is None


def test_every_wish_of_a_frame_has_a_word_that_has_it_looked_for() -> None:
    assert [" ".join(words) for words in WISHES if TRIGGERS.isdisjoint(words)] == []


@pytest.mark.parametrize(
    ("today", "text", "days"),
    [
        (datetime(2026, 6, 2, 12, tzinfo=UTC), "last summer", "2025-06-01..2025-08-31"),
        (datetime(2026, 9, 1, 12, tzinfo=UTC), "last summer", "2026-06-01..2026-08-31"),
        (datetime(2026, 1, 1, 0, 30, tzinfo=UTC), "yesterday", "2025-12-31..2025-12-31"),
        (datetime(2026, 1, 1, 0, 30, tzinfo=UTC), "last month", "2025-12-01..2025-12-31"),
        (datetime(2026, 1, 1, 0, 30, tzinfo=UTC), "last winter", "2024-12-01..2025-02-28"),
        (datetime(2026, 1, 1, 0, 30, tzinfo=UTC), "two Christmases ago", "2024-12-24..2024-12-26"),
        (datetime(2024, 2, 29, 12, tzinfo=UTC), "a year ago today", "2023-02-28..2023-02-28"),
        (datetime(2024, 2, 29, 12, tzinfo=UTC), "the week before last", "2024-02-12..2024-02-18"),
    ],
)
def test_words_of_time_are_right_at_the_edges_of_the_year(today: datetime, text: str, days: str) -> None:
    assert slots(understood(text, now=today))["dates"] == [days]


def test_seasons_are_counted_back_in_the_south_too() -> None:
    south = AskSettings(hemisphere="south", week_starts="sunday")

    assert slots(understood("two summers ago", south))["dates"] == ["2024-12-01..2025-02-28"]
    assert slots(understood("the week before last", south))["dates"] == ["2026-06-28..2026-07-04"]
    assert slots(understood("Friday last week", south))["dates"] == ["2026-07-10..2026-07-10"]
