"""Captions read as a person would write them and say nothing that is not known."""

import pytest

from framed.analysis.describe import DescriptionFacts, describe

DOG = [("animal", 0.9), ("dog", 0.88), ("pet", 0.88), ("retriever", 0.82), ("golden retriever", 0.8)]
BEACH = [("beach", 0.7), ("coast", 0.72), ("sea", 0.75), ("water", 0.75), ("landscape", 0.73), ("nature", 0.73)]
SYLT = [{"id": "1", "name": "Sylt", "region": "Schleswig-Holstein", "country": "Germany", "country_code": "DE"}]


def caption(**facts: object) -> str:
    return describe(DescriptionFacts.model_validate(facts)).caption


def search_words(**facts: object) -> list[str]:
    return describe(DescriptionFacts.model_validate(facts)).search_text.split()


def meaning(**facts: object) -> str:
    return describe(DescriptionFacts.model_validate(facts)).meaning


def test_everything_known_makes_one_sentence() -> None:
    said = caption(people=["Anna", "Ben"], tags=DOG + BEACH, places=SYLT, taken_local="2019-07-14T19:30:12")
    assert said == "Anna and Ben with a golden retriever on a beach in Sylt, Germany, on a summer evening in 2019"


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({}, "A photo"),
        ({"taken_local": "2019-05-03T10:20:00"}, "A photo from May 2019"),
        ({"taken_local": "2019-05-03T10:20:00", "taken_precision": "year"}, "A photo from 2019"),
        ({"places": SYLT}, "A photo from Sylt, Germany"),
        ({"places": SYLT, "taken_local": "2019-05-03T10:20:00"}, "A photo from Sylt, Germany, taken in May 2019"),
        ({"orientation": "panorama"}, "A panorama"),
        ({"kind": "screenshot", "taken_local": "2019-05-03T10:20:00"}, "A screenshot from May 2019"),
        ({"kind": "document"}, "A document"),
        ({"tags": [("nature", 0.6)]}, "A photo"),
    ],
)
def test_where_little_is_known_little_is_said(facts: dict[str, object], said: str) -> None:
    assert caption(**facts) == said


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"tags": [("drink", 0.92), ("cup", 0.92), ("coffee", 0.9), ("espresso", 0.9)]}, "An espresso"),
        ({"tags": [("animal", 0.84), ("cat", 0.83), ("pet", 0.83)]}, "A cat"),
        ({"tags": [("church", 0.77), ("building", 0.83)]}, "A church"),
        ({"tags": [("vehicle", 0.61), ("boat", 0.6), ("ship", 0.55)]}, "A ship"),
        ({"tags": BEACH}, "A beach"),
        ({"tags": [("mountain", 0.8), ("landscape", 0.8), ("nature", 0.8)]}, "Mountains"),
        ({"tags": [*DOG, ("mountain", 0.8), ("landscape", 0.8)]}, "A golden retriever in the mountains"),
        ({"tags": [("food", 0.9), ("pasta", 0.8)]}, "Pasta"),
        ({"tags": [("umbrella", 0.8)]}, "An umbrella"),
        ({"tags": [("unicycle", 0.8), ("bicycle", 0.8), ("vehicle", 0.8)]}, "A unicycle"),
        ({"people": ["Joe"], "tags": [("clothes", 0.7), ("suit", 0.65)]}, "Joe wearing a suit"),
        ({"people": ["Joe"], "tags": [("sea", 0.7), ("water", 0.7)]}, "Joe by the sea"),
        ({"kind": "drawing", "tags": [("horse", 0.7), ("animal", 0.7)]}, "A drawing of a horse"),
        ({"people": ["Anna", "Ben", "Carl", "Dora", "Emil"]}, "Anna, Ben, Carl and 2 others"),
        ({"people": ["Anna", "Anna "]}, "Anna"),
    ],
)
def test_what_is_seen_is_said_in_plain_words(facts: dict[str, object], said: str) -> None:
    assert caption(**facts) == said


def test_an_unsure_breed_is_only_a_dog() -> None:
    tags = [("animal", 0.8), ("dog", 0.7), ("pet", 0.7), ("pug", 0.5)]
    assert caption(tags=tags) == "A dog"


def test_a_tag_the_tagger_was_not_sure_of_is_left_out() -> None:
    assert caption(people=["Anna"], tags=[("boat", 0.3)]) == "Anna"


@pytest.mark.parametrize(
    ("taken", "precision", "hemisphere", "said"),
    [
        ("2019-07-14T19:30:00", "second", "north", "Anna on a summer evening in 2019"),
        ("2019-07-14T19:30:00", "second", "south", "Anna on a winter evening in 2019"),
        ("2020-10-02T08:00:00", "second", "north", "Anna on an autumn morning in 2020"),
        ("2020-03-02T23:10:00", "second", "north", "Anna on a spring night in 2020"),
        ("2020-01-02T13:10:00", None, "north", "Anna on a winter afternoon in 2020"),
        ("2020-03-02T23:10:00", "day", "north", "Anna in March 2020"),
        ("2020-03-02T00:00:00", "second", "north", "Anna in March 2020"),
        ("2020-03-01T00:00:00", "month", "north", "Anna in March 2020"),
        ("1987-01-01T00:00:00", "year", "north", "Anna in 1987"),
        ("2018-12-24T18:00:00", "second", "north", "Anna at Christmas 2018"),
        ("2018-12-31T23:50:00", "second", "north", "Anna on New Year's Eve 2018"),
        (None, None, "north", "Anna"),
    ],
)
def test_time_is_said_as_exactly_as_it_is_known(
    taken: str | None, precision: str | None, hemisphere: str, said: str
) -> None:
    facts = {"people": ["Anna"], "taken_local": taken, "taken_precision": precision, "hemisphere": hemisphere}
    assert caption(**facts) == said


def test_what_a_person_wrote_comes_first_and_is_not_repeated() -> None:
    said = caption(
        title="Anna's birthday in Sylt.", people=["Anna", "Ben"], places=SYLT, taken_local="2019-05-03T10:00:00"
    )
    assert said == "Anna's birthday in Sylt, with Ben, on a spring morning in 2019"
    assert caption(caption="Grandma at 80", places=SYLT) == "Grandma at 80 in Sylt, Germany"


LONG = (
    "We had lunch at the harbour with Grandma and all her friends from the choir. Ben fell into the water twice, and "
    "nobody minded, because it was the hottest day of that whole summer."
)


def test_what_somebody_wrote_at_length_wins_over_a_model_and_is_shortened_for_show() -> None:
    said = caption(caption=LONG, seen="Two people at a table", places=SYLT)
    assert said == "We had lunch at the harbour with Grandma and all her friends from the choir in Sylt, Germany"
    assert "hottest" in describe(DescriptionFacts(caption=LONG)).search_text
    one_sentence = LONG.replace("choir. Ben", "choir and Ben")
    assert caption(caption=one_sentence, seen="Two people", places=SYLT, people=["Ben"]) == (
        "We had lunch at the harbour with Grandma and all her friends from the choir and Ben fell into the water twice…"
    )


def test_a_title_that_fits_a_line_comes_before_a_caption_that_does_not() -> None:
    assert caption(caption=LONG, title="Grandma at 80") == "Grandma at 80"
    assert caption(title=LONG).startswith("We had lunch")


PROGRAM = (
    '{"filter":0,"hdr":1,"ai_scene":-1}',
    "Shared from https://example.com/a/very/long/address/of/a/picture with the app",
    "<x:xmpmeta><rdf:Description/></x:xmpmeta>",
    "QUJD" * 40,
    "DSC_0001 " * 20,
)


@pytest.mark.parametrize("junk", PROGRAM)
def test_what_a_program_wrote_is_no_caption(junk: str) -> None:
    assert caption(caption=junk, seen="A dog on a sofa") == "A dog on a sofa"


@pytest.mark.parametrize("junk", ["OLYMPUS DIGITAL CAMERA", "SONY DSC", "IMG_2041", "DSC01234.JPG", "untitled", "0815"])
def test_what_a_camera_wrote_is_no_caption(junk: str) -> None:
    assert caption(title=junk, caption=junk) == "A photo"


def test_control_characters_from_a_file_never_reach_a_caption() -> None:
    assert caption(title="Picnic\x00 by\nthe\x1b[31m lake") == "Picnic by the [31m lake"


def test_a_place_without_a_town_is_still_named() -> None:
    assert caption(places=[{"region": "Tuscany", "country": "Italy"}]) == "A photo from Tuscany, Italy"
    assert caption(places=[{"name": "Singapore", "country": "Singapore"}]) == "A photo from Singapore"


def test_a_photo_is_found_by_everything_that_is_known() -> None:
    words = search_words(
        people=["Anna"],
        tags=DOG,
        kind="photo",
        places=SYLT,
        taken_local="2019-07-14T19:30:12",
        keywords=["holiday"],
        colours=["blue"],
        orientation="landscape",
        folder="2019 Summer/SyltTrip",
        file_name="IMG_2041_jump.jpg",
        camera="Apple iPhone 8",
        text="ICE CREAM 2 EUR",
    )
    expected = (
        "Anna dog puppy animal pet Sylt Schleswig-Holstein Germany 2019 July Sunday weekend summer evening holiday"
    )
    assert set(expected.lower().split()) <= {word.lower() for word in words}
    assert {"blue", "landscape", "Trip", "jump", "Apple", "CREAM", "2010s"} <= set(words)


def test_counters_and_folders_of_cameras_are_no_words() -> None:
    words = search_words(folder="DCIM/100APPLE/WhatsApp Images", file_name="IMG_2019.JPG")
    assert words == ["photo"]


def test_a_word_is_kept_once() -> None:
    words = search_words(tags=DOG, keywords=["dog", "Dog"], title="dog")
    assert [word.lower() for word in words].count("dog") == 1


def test_a_screenshot_is_found_by_its_kind() -> None:
    assert {"screenshot", "screen"} <= set(search_words(kind="screenshot"))


def test_the_meaning_holds_what_is_there_without_names_dates_and_places() -> None:
    said = meaning(people=["Anna", "Ben"], tags=DOG + BEACH, places=SYLT, taken_local="2019-07-14T19:30:12")
    assert said.startswith("two people with a golden retriever on a beach")
    assert not {"Anna", "Ben", "Sylt", "Germany", "2019", "July"} & set(said.replace(",", "").split())


def test_the_meaning_is_never_empty() -> None:
    assert meaning() == "a photo"
    assert meaning(colours=["blue", "white"]) == "a photo, mostly blue and white"


def test_the_meaning_holds_what_people_wrote_and_what_is_written_in_the_picture() -> None:
    said = meaning(title="Garden party", keywords=["birthday"], folder="Trips/2019 Wedding", text="Happy birthday Ben")
    assert said == 'Garden party, birthday, Wedding, the words "Happy birthday Ben"'


def test_night_is_part_of_the_meaning() -> None:
    assert meaning(tags=[("castle", 0.8)], taken_local="2019-07-14T23:30:12") == "a castle at night"
