"""A coordinate is named as people would name it."""

import math
import subprocess
import sys

import pytest

from framed.library.places import Gazetteer


@pytest.fixture(scope="module")
def gazetteer() -> Gazetteer:
    loaded = Gazetteer()
    loaded.load()
    return loaded


@pytest.mark.parametrize(
    ("latitude", "longitude", "name", "country"),
    [
        (54.318, 10.085, "Kiel", "Germany"),  # immich #2669 answers the suburb Hasseldieksdamm
        (53.710, 9.910, "Quickborn", "Germany"),  # immich #17905 answers the village Hasloh
        (52.499, 13.403, "Berlin", "Germany"),
        (52.390, 13.060, "Potsdam", "Germany"),
        (40.728, -74.078, "Jersey City", "United States"),
        (43.738, 7.424, "Monaco", "Monaco"),
        (48.800, 2.120, "Versailles", "France"),
        (35.530, 139.700, "Kawasaki", "Japan"),
        (37.859, -122.485, "Sausalito", "United States"),
        (45.485, 12.417, "Burano", "Italy"),
        (43.4674, 11.885, "Arezzo", "Italy"),
        (-33.857, 151.215, "Sydney", "Australia"),
    ],
)
def test_the_first_place_is_the_one_people_say(
    gazetteer: Gazetteer, latitude: float, longitude: float, name: str, country: str
) -> None:
    places = gazetteer.nearest(latitude, longitude)
    assert (places[0].name, places[0].country) == (name, country)
    assert len(places) == 3


def test_the_nearest_others_follow_by_distance(gazetteer: Gazetteer) -> None:
    places = gazetteer.nearest(54.318, 10.085, k=5)
    assert [place.name for place in places[:2]] == ["Kiel", "Hasseldieksdamm"]
    distances = [place.km for place in places[1:]]
    assert distances == sorted(distances)
    assert len({place.id for place in places}) == 5


def test_a_place_has_its_region_and_a_stable_id(gazetteer: Gazetteer) -> None:
    place = gazetteer.nearest(43.4674, 11.885)[0]
    assert (place.region, place.county, place.country_code) == ("Tuscany", "Province of Arezzo", "IT")
    assert place.id == "it-tuscany-arezzo"
    assert gazetteer.nearest(47.05, 8.31)[0].id == "ch-lucerne-luzern"


def test_namesakes_of_one_region_have_different_ids(gazetteer: Gazetteer) -> None:
    towns = {gazetteer.nearest(*at)[0].id for at in ((41.9261, 20.1883), (41.8136, 19.5939))}
    assert towns == {"al-lezhe-county-bashkia-mirdite-shengjin", "al-lezhe-county-bashkia-lezhe-shengjin"}


@pytest.mark.parametrize(("west", "east"), [((-16.79, -179.999), (-16.79, 179.999)), ((66.0, -179.99), (66.0, 179.99))])
def test_the_date_line_is_nothing_special(
    gazetteer: Gazetteer, west: tuple[float, float], east: tuple[float, float]
) -> None:
    here, there = gazetteer.nearest(*west), gazetteer.nearest(*east)
    assert [place.id for place in here] == [place.id for place in there]


def test_longitude_shrinks_towards_the_pole(gazetteer: Gazetteer) -> None:
    place = gazetteer.nearest(78.22, 15.0)[0]
    assert place.name == "Longyearbyen"
    assert place.km < 20  # by degrees alone Longyearbyen would be 70 km away


def test_off_the_coast_only_the_country_is_known(gazetteer: Gazetteer) -> None:
    (place,) = gazetteer.nearest(47.5, -5.9)
    assert (place.name, place.region, place.country, place.id) == (None, None, "France", "fr")
    assert 60 < place.km < 150


@pytest.mark.parametrize(
    ("latitude", "longitude"),
    [
        (0.0, 0.0),
        (0.0002, -0.0001),
        (91.0, 0.0),
        (10.0, 181.0),
        (math.nan, 10.0),
        (10.0, math.inf),
        (30.0, -40.0),
        (90.0, 0.0),
    ],
)
def test_nowhere_has_no_name(gazetteer: Gazetteer, latitude: float, longitude: float) -> None:
    assert gazetteer.nearest(latitude, longitude) == []


def test_the_module_brings_nothing_heavy_until_it_loads() -> None:
    code = (
        "import sys, framed.library.places; print([m for m in ('scipy', 'reverse_geocode', 'PIL') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
