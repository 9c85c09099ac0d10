"""What frames are sent fits into their small buffers, in whatever script its captions are."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic_core import to_json

from framed.frames.publish import playlist_payload, shortened, show_payload
from framed.frames.registry import Frame, Registry
from framed.store.database import Database

PICTURE = {"sha256": "a" * 64, "ext": "jpg", "bytes": 4_000_000, "mime": "image/jpeg", "width": 3840, "height": 2160}
BASE = f"https://photos.{'long-name.' * 12}example"


@pytest.fixture
async def frame(tmp_path: Path) -> Frame:
    database = Database(tmp_path / "framed.db")
    await database.start()
    registry = Registry(database=database, configured=(), interval_s=300, fit="cover", default="")
    await registry.load()
    await database.close()
    return replace(registry.get("first"), id="f" * 32)


@pytest.mark.parametrize("caption", ["a quay " * 40, "夕日" * 150, "👨‍👩‍👧" * 90, '"' * 300, ""])
def test_show_is_under_a_kilobyte_and_its_caption_gives_way(frame: Frame, caption: str) -> None:
    show = show_payload(
        base="http://192.168.178.20:8480",
        frame=frame,
        rev=10**9,
        item="b" * 20,
        photo="b" * 16,
        picture=PICTURE,
        caption=caption,
        until=1.8e9,
    )

    assert len(to_json(show)) < 1_024
    assert show.get("caption", "").rstrip("…")[:20] == caption[:20]
    assert show["url"].startswith("http://192.168.178.20:8480/p/")


def test_playlist_is_at_most_eight_kilobytes_and_names_the_first(frame: Frame) -> None:
    items: list[tuple[str, dict[str, Any]]] = [(f"{number:016x}-{number}", PICTURE) for number in range(20)]
    payload = playlist_payload(base=BASE, frame=frame, rev=1, id="x" * 32, name="夜" * 80, count=500, items=items)

    assert 7_000 < len(to_json(payload)) <= 8_192
    assert [item["item"] for item in payload["items"]] == [item for item, _ in items][: len(payload["items"])]
    assert payload["count"] == 500


def test_texts_give_way_in_their_order_and_no_further_than_needed() -> None:
    said = {"why": "雨" * 200, "caption": "雪" * 200, "photo": "p"}

    short = shortened(dict(said), 1_000, "why", "caption")

    assert 990 < len(to_json(short)) <= 1_000
    assert short["caption"] == said["caption"]
    assert short["why"].endswith("雨…")
    assert shortened(dict(said), 5_000, "why", "caption") == said
