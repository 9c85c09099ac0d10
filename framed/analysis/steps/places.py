"""Step: from GPS to names: the town people would say, its neighbours, region and country; and places written down."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from framed.analysis.step import BatchStep, Outcome
from framed.errors import Unavailable
from framed.models.base import Call, Compute
from framed.store import photos
from framed.store.photos import PhotoWork

_REGION, _COUNTRY, _WRITTEN = 3, 4, 5


class PlacesStep(BatchStep):
    name = "places"
    version = 1
    needs = ("metadata",)
    batch = 64

    def __init__(self, compute: Compute) -> None:
        self._compute = compute

    async def run(self, photos: Sequence[PhotoWork]) -> list[Outcome]:
        located = [photo for photo in photos if "latitude" in photo.results.get("metadata", {})]
        nearest: dict[int, list[dict[str, Any]]] = {}
        if located:
            points = [[p.results["metadata"]["latitude"], p.results["metadata"]["longitude"]] for p in located]
            try:
                answer = await self._compute.run(Call(task="places", backend="geonames", inputs={"points": points}))
            except Unavailable as error:
                return [Outcome("unavailable", problem=error.message) for _ in photos]
            nearest = {photo.id: found for photo, found in zip(located, answer["places"], strict=True)}
        return [self._outcome(photo, nearest.get(photo.id, [])) for photo in photos]

    def _outcome(self, photo: PhotoWork, nearest: list[dict[str, Any]]) -> Outcome:
        rows = place_rows(nearest, photo.results.get("metadata", {}))
        if not rows:
            return Outcome("skipped", result={"places": []})

        def store(connection: Connection) -> None:
            photos.set_places(connection, photo.id, rows)

        return Outcome("completed", result={"places": nearest}, store=store)


def place_rows(nearest: list[dict[str, Any]], meta: dict[str, Any]) -> list[tuple[str, str, str, str | None, int]]:
    """Slug, name, level, country code, rank; the nearest three towns, then region, county and country, then written."""
    rows: dict[str, tuple[str, str, str, str | None, int]] = {}

    def add(slug_: str, name: str | None, level: str, code: str | None, rank: int) -> None:
        if name and slug_ and slug_ not in rows:
            rows[slug_] = (slug_, name, level, code, rank)

    for rank, place in enumerate(nearest[:3]):
        if place.get("name"):
            add(place["id"], place["name"], "town", place["country_code"], rank)
    if nearest:
        first = nearest[0]
        code = first["country_code"]
        add(photos.slug(f"{code}-{first.get('county') or ''}-c"), first.get("county"), "region", code, _REGION)
        add(photos.slug(f"{code}-{first.get('region') or ''}-r"), first.get("region"), "region", code, _REGION)
        add(photos.slug(f"country-{code}"), first.get("country"), "country", code, _COUNTRY)
    for key in ("city", "state", "country"):
        written = meta.get(key)
        if written and not any(row[1].lower() == written.lower() for row in rows.values()):
            add(photos.slug(f"w-{written}"), written, "written", None, _WRITTEN)
    return list(rows.values())
