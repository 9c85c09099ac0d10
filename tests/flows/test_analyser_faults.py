"""Analysers that raise, hang, die, fill the memory or answer nonsense: it costs the photo that look, and no more."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from PIL import Image

from framed.analysis.late import MAX_ATTEMPTS
from framed.app import App
from framed.config import load
from framed.models.catalogue import PACKAGED
from tests.flows.conftest import analysed, settings, until, write_photo
from tests.models.faulty_analysers import CORNERS, FAULTY, HANGS

pytestmark = [pytest.mark.broker, pytest.mark.models, pytest.mark.asyncio(loop_scope="module")]

CALL_S = 12.0
PICTURES = {"red": "rocket.jpg", "green": "chelsea.png", "blue": "coffee.png", "yellow": "astronaut.png"}
LOOKS = ("faces", "ocr", "aesthetics")


def write_photos(album: Path) -> None:
    for month, (colour, source) in enumerate(PICTURES.items(), start=1):
        path = album / f"{colour}.jpg"
        write_photo(source, path, taken=f"2021:{month:02}:04 12:00:00")
        picture = Image.open(path)
        exif = picture.info["exif"]
        picture.paste(CORNERS[colour], (0, 0, 90, 90))
        picture.save(path, "JPEG", quality=92, exif=exif)


class House:
    """A running framed whose analysers are at fault, and what it said while one of them hung."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.said_meanwhile = ""
        self.first: dict[str, dict[str, Any]] = {}

    async def photo(self, colour: str) -> dict[str, Any]:
        found = (await self.app.router.call("ask", {"text": "all photos", "dry_run": True}))["data"]["items"]
        uid = next(item["photo"] for item in found if Path(item["path"]).stem == colour)
        photo: dict[str, Any] = (await self.app.router.call("photo/get", {"id": uid}))["data"]
        return photo

    async def steps(self, colour: str) -> dict[str, Any]:
        steps: dict[str, Any] = (await self.photo(colour))["steps"]
        return steps

    async def looked(self) -> None:
        """Every photo has every look behind it, well or badly, and none is under way."""

        async def check() -> bool:
            if self.app.late.running is not None or self.app.pipeline.busy:
                return False
            return all([set(LOOKS) <= set(await self.steps(colour)) for colour in PICTURES])

        await until(check, 150.0)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    home = tmp_path_factory.mktemp("home")
    write_photos(home / "photos")
    models = {**dict.fromkeys(LOOKS, "faulty"), "image_embedding": "off", "caption": "off"}
    more = {"models": models, "compute": {"call_timeout_s": CALL_S, "device": "cpu"}}
    with PACKAGED.also(*FAULTY):
        async with App(load(None, settings(home, home / "photos") | more)) as app:
            house = House(app)
            await analysed(app, len(PICTURES))

            async def hangs() -> bool:
                return (home / "photos" / ".hung-0").exists()

            await until(hangs, 90.0)
            house.said_meanwhile = (await app.router.call("ask", {"text": "a cat", "dry_run": True}))["data"]["speech"]
            assert not (home / "photos" / f".hung-{HANGS}").exists()
            await house.looked()
            house.first = {colour: await house.steps(colour) for colour in PICTURES}
            yield house


async def test_a_photo_that_an_analyser_raises_on_says_so_and_the_others_are_complete(house: House) -> None:
    failed = house.first["red"]["ocr"]
    assert failed["state"] == "failed"
    assert failed["problem"].endswith(".")
    assert "secret" not in failed["problem"]
    assert house.first["yellow"]["ocr"]["state"] == "completed"
    assert {look["state"] for look in house.first["yellow"].values()} <= {"completed", "skipped"}


async def test_a_hanging_analyser_is_killed_tried_again_and_then_left_for_later(house: House) -> None:
    failed = house.first["green"]["ocr"]
    assert (failed["state"], failed["attempts"]) == ("failed", 1)
    assert f"{CALL_S:g} s, tried twice" in failed["problem"]
    hosts = (await house.app.router.call("health", {}))["data"]["hosts"]
    assert sum(host["restarts"] for host in hosts if host["kind"] == "cpu") >= HANGS


async def test_requests_are_answered_while_an_analyser_hangs(house: House) -> None:
    assert "cat" in house.said_meanwhile


async def test_an_analyser_that_kills_its_process_costs_the_photo_that_look_alone(house: House) -> None:
    assert house.first["green"]["faces"]["state"] == "failed"
    assert house.first["blue"]["faces"]["state"] == "completed"


@pytest.mark.parametrize(("colour", "look"), [("red", "faces"), ("red", "aesthetics")])
async def test_what_is_not_a_number_is_a_failure_and_is_not_kept(house: House, colour: str, look: str) -> None:
    assert house.first[colour][look]["state"] == "failed"
    assert "no number" in house.first[colour][look]["problem"]


@pytest.mark.parametrize(("colour", "look"), [("blue", "ocr"), ("green", "aesthetics")])
async def test_an_answer_of_the_wrong_shape_fails_its_photo_alone(house: House, colour: str, look: str) -> None:
    assert house.first[colour][look]["state"] == "failed"
    assert house.first["yellow"][look]["state"] == "completed"


async def test_out_of_memory_halves_the_batch_then_renews_the_host_and_is_told(house: House) -> None:
    assert house.first["yellow"]["aesthetics"]["state"] == "completed"
    assert house.first["blue"]["aesthetics"]["state"] == "failed"
    health = (await house.app.router.call("health", {}))["data"]
    assert any("not enough memory for aesthetics" in sentence for sentence in health["advice"])


async def test_what_failed_is_tried_three_times_in_all_and_what_works_again_is_kept(house: House) -> None:
    async def through() -> bool:
        if house.app.late.running is None:
            house.app.late.wake()
        found = [(await house.steps(colour))[look] for colour in PICTURES for look in LOOKS]
        return all(look["state"] == "completed" or look["attempts"] >= MAX_ATTEMPTS for look in found)

    await until(through)
    house.app.late.wake()
    await house.looked()
    assert (await house.steps("red"))["ocr"]["attempts"] == MAX_ATTEMPTS
    assert (await house.steps("green"))["ocr"]["state"] == "completed"
    assert (await house.photo("green"))["state"] in ("completed", "partial")
