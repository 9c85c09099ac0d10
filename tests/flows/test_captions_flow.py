"""Captions by a vision server on the whole daemon: searched by, kept, and gone on with when the server is back."""

import io
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from framed.app import App
from framed.config import load
from tests.flows.conftest import analysed, settings, until, write_photo
from tests.models.fake_vision import Asked, FakeVision

pytestmark = [pytest.mark.broker, pytest.mark.models]

EILEEN = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"><Iptc4xmpExt:PersonInImage>'
    "<rdf:Bag><rdf:li>Eileen Collins</rdf:li></rdf:Bag></Iptc4xmpExt:PersonInImage></rdf:Description>"
    "</rdf:RDF></x:xmpmeta>"
)
WRITTEN = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:description><rdf:Alt>'
    '<rdf:li xml:lang="x-default">Grandpa flew this one over the desert with his friends. It was so cold up there that '
    "the coffee froze, and they had to come down again long before the end of the day.</rdf:li></rdf:Alt>"
    "</dc:description></rdf:Description></rdf:RDF></x:xmpmeta>"
)


def photos(folder: Path) -> None:
    write_photo("astronaut.png", folder / "eileen.jpg", taken="2020:05:05 15:00:00", place=(43.7696, 11.2558))
    (folder / "eileen.xmp").write_text(EILEEN)
    write_photo("rocket.jpg", folder / "rocket.jpg", taken="2018:02:06 12:00:00")
    (folder / "rocket.xmp").write_text(WRITTEN)
    write_photo("coffee.png", folder / "cup.jpg", taken="2021:12:25 09:30:00")


async def call(app: App, verb: str, **payload: Any) -> dict[str, Any]:
    answer = await app.router.call(verb, payload, source="test")
    assert answer["status"] != "error", answer
    data: dict[str, Any] = answer["data"]
    return data


async def facts(app: App) -> dict[str, dict[str, Any]]:
    """What is known of each photo, by its file name."""
    items = (await call(app, "photo/list", state="all"))["items"]
    found = [await call(app, "photo/get", id=item["photo"]) for item in items]
    return {Path(photo["path"]).name: photo for photo in found}


ANSWERS = {"Eileen": "Here's a description of the image:\n\n**Eileen Collins smiles before a shuttle.**"}


async def test_captions_come_from_a_server_that_goes_away_and_comes_back(tmp_path: Path) -> None:
    photos(tmp_path / "photos")
    fake = FakeVision(says="A cup of black coffee on a wooden table", answers=ANSWERS)
    fake.faults = ["", "blind"]  # it does one photo, and then another model is loaded
    async with fake:
        wanted = settings(tmp_path, tmp_path / "photos") | {
            "models": {task: "off" for task in ("ocr", "faces", "image_embedding", "aesthetics")},
            "captions": {"ollama": {"url": fake.url, "model": "seer", "api_key": "sk-flow"}},
        }
        async with App(load(None, wanted)) as app:
            await until(rests_of(app))
            (one,) = await app.late.outlook()
            assert (one["step"], one["left"]) == ("caption", 1)
            assert "look at pictures" in (await app.system.library_payload())["deeper"][0]["problem"]

    async with App(load(None, wanted)) as app:  # its host is there, nobody answers
        await until(rests_of(app))
        assert sorted(photo["caption_by"] for photo in (await facts(app)).values()) == ["assembled", "file", "ollama"]
        async with FakeVision(says=fake.says, answers=ANSWERS, port=fake.port) as back:
            app.late.wake()
            await until(captioned(app))
            await analysed(app, 3)
            assert len(back.asked) == 1  # what was done before the restart is not asked again
        check_what_was_sent([*fake.asked, *back.asked])
        await check_what_people_see(app)


def rests_of(app: App) -> Callable[[], Awaitable[Any]]:
    async def check() -> Any:
        return any(one["problem"] for one in await app.late.outlook())

    return check


def captioned(app: App) -> Callable[[], Awaitable[Any]]:
    async def check() -> Any:
        return {photo["caption_by"] for photo in (await facts(app)).values()} == {"ollama", "file"}

    return check


def check_what_was_sent(asked: list[Asked]) -> None:
    eileen = next(one for one in asked if "Eileen" in one.prompt)
    assert "In it: Eileen Collins." in eileen.prompt
    assert "Taken in Florence, Italy." in eileen.prompt
    picture = Image.open(io.BytesIO(eileen.picture))
    assert picture.format == "JPEG"
    assert not picture.getexif().get_ifd(0x8825)  # where it was taken goes in words or not at all
    assert {one.headers["Authorization"] for one in asked} == {"Bearer sk-flow"}


async def check_what_people_see(app: App) -> None:
    known = await facts(app)
    assert known["eileen.jpg"]["caption"] == (
        "Eileen Collins smiles before a shuttle in Florence, Italy, on a spring afternoon in 2020"
    )
    assert known["eileen.jpg"]["caption_by"] == "ollama"
    assert known["rocket.jpg"]["caption"].startswith("Grandpa flew this one over the desert with his friends, on a")
    assert known["rocket.jpg"]["caption_by"] == "file"
    assert known["cup.jpg"]["caption"].startswith("A cup of black coffee on a wooden table")
    for text, name in {
        "photos of Eileen": "eileen.jpg",
        "a wooden table": "cup.jpg",
        "shuttle": "eileen.jpg",
        "the coffee froze": "rocket.jpg",
    }.items():
        found = await call(app, "photo/search", text=text)
        assert name in [Path(item["path"]).name for item in found["items"]], text
