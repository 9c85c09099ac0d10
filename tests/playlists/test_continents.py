"""Countries are found under their continent, of which no photo says anything."""

from framed.playlists.continents import CONTINENTS, continents_of
from framed.playlists.grammar import AskSettings, parse
from framed.playlists.vocabulary import compiled
from tests.playlists.library import NOW


def test_every_country_lies_somewhere() -> None:
    assert continents_of("it") == ["Europe"]
    assert continents_of("tr") == ["Asia", "Europe"]
    assert all(len(code) == 2 for codes in CONTINENTS.values() for code in codes)


def test_a_continent_is_all_countries_of_the_library_on_it() -> None:
    places = [("country-it", "Italy", []), ("country-de", "Germany", []), ("country-jp", "Japan", [])]
    vocabulary = compiled({"people": [], "places": places, "folders": [], "tags": []}, [], ())

    plan = parse("photos from Europe", vocabulary, AskSettings(), NOW)
    assert plan.places_any == ["country-it", "country-de"]
    assert plan.labels == {"places:country-it": "Italy", "places:country-de": "Germany"}
    assert parse("Italy and Asia", vocabulary, AskSettings(), NOW).places_any == ["country-it", "country-jp"]
    assert parse("photos from Africa", vocabulary, AskSettings(), NOW).unknown_places == ["Africa"]
