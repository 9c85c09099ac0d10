"""Faces become people in the running daemon: groups, names, refusals, and photos asked for by name."""

import importlib.util
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from PIL import Image

from framed.app import App
from framed.config import load
from tests.flows.conftest import analysed, settings, until
from tests.installed import sample

_FOUND = importlib.util.find_spec("insightface")
PACKAGE = Path(_FOUND.origin).parent if _FOUND and _FOUND.origin else Path("/nowhere")
PHOTOS = 6


def shots(folder: Path) -> None:
    """Three pictures of Eileen, one of a man, a group of six strangers, and a cat."""
    folder.mkdir(parents=True)
    eileen = sample("astronaut.png")
    eileen.save(folder / "one.jpg", quality=92)
    eileen.crop((100, 0, 400, 330)).point([min(255, round(v * 1.2)) for v in range(256)] * 3).save(folder / "two.jpg")
    eileen.rotate(8, resample=Image.Resampling.BICUBIC).convert("L").convert("RGB").save(folder / "three.jpg")
    Image.open(PACKAGE / "data/images/Tom_Hanks_54745.png").convert("RGB").resize((448, 448)).save(folder / "man.jpg")
    Image.open(PACKAGE / "data/images/t1.jpg").convert("RGB").save(folder / "group.jpg", quality=92)
    sample("chelsea.png").save(folder / "cat.jpg")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def home(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[App]:
    folder = tmp_path_factory.mktemp("people")
    shots(folder / "photos")
    wanted = settings(folder, folder / "photos")
    wanted["models"] = {"ocr": "off", "faces": "dlib", "image_embedding": "off", "aesthetics": "off", "caption": "off"}
    async with App(load(None, wanted)) as app:
        await analysed(app, PHOTOS)
        await until(lambda: looked(app), 120.0)
        await app.grouping.regroup()
        yield app


async def looked(app: App) -> bool:
    return not (await app.late.left()).get("faces")


async def call(app: App, verb: str, **payload: Any) -> dict[str, Any]:
    answer = await app.router.call(verb, payload, source="test")
    assert answer["status"] != "error", answer
    data: dict[str, Any] = answer["data"]
    return data


async def refused(app: App, verb: str, **payload: Any) -> str:
    answer = await app.router.call(verb, payload, source="test")
    assert answer["status"] == "error", answer
    code: str = answer["error"]["code"]
    return code


async def names(app: App, text: str) -> list[str]:
    found = await call(app, "photo/search", text=text)
    return sorted(Path(item["path"]).name for item in found["items"])


pytestmark = [pytest.mark.broker, pytest.mark.models, pytest.mark.asyncio(loop_scope="module")]


async def test_three_pictures_of_one_woman_are_one_group_and_strangers_are_none(home: App) -> None:
    listed = await call(home, "person/list")

    assert [person["photos"] for person in listed["items"]] == [3]
    assert listed["unnamed"] == 1
    assert listed["faces_alone"] == 7  # the man and the six of the group
    assert listed["items"][0]["name"] is None


async def test_a_named_group_is_asked_for_by_name_at_once_and_told_in_captions(home: App) -> None:
    group = (await call(home, "person/list"))["items"][0]["id"]

    named = await call(home, "person/name", id=group, name="Eileen")

    assert named["id"] == "eileen"
    assert await names(home, "photos of Eileen") == ["one.jpg", "three.jpg", "two.jpg"]
    assert (await home.system.library_payload())["people"] == 1

    async def told() -> bool:
        photo = (await call(home, "photo/search", text="photos of Eileen"))["items"][0]["photo"]
        return "Eileen" in (await call(home, "photo/get", id=photo))["caption"]

    await until(told)


async def test_nobody_else_counts_the_faces_without_names(home: App) -> None:
    group = await call(home, "person/list", least=1, named=True)
    assert [person["id"] for person in group["items"]] == ["eileen"]
    photos = await call(home, "photo/search", text="photos of people")

    assert {Path(item["path"]).name for item in photos["items"]} >= {"group.jpg", "man.jpg", "one.jpg"}
    assert "cat.jpg" not in {Path(item["path"]).name for item in photos["items"]}


async def test_a_refusal_survives_another_grouping_and_another_look(home: App) -> None:
    faces = (await call(home, "person/get", id="eileen"))["items"]
    refused_photo = faces[-1]["photo"]

    await call(home, "person/reject", id="eileen", faces=[faces[-1]["face"]])
    await home.grouping.regroup()

    assert len(await names(home, "photos of Eileen")) == 2
    await home.database.write(lambda c: c.exec_driver_sql("delete from photo_steps where step = 'faces'").close())
    home.late.wake()
    await until(lambda: looked(home), 120.0)
    await home.grouping.regroup()
    again = (await call(home, "person/get", id="eileen"))["items"]
    assert len(again) == 2
    assert refused_photo not in {face["photo"] for face in again}

    face = (await call(home, "person/photo", photo=refused_photo))["items"][0]
    assert face["person"] is None
    await call(home, "person/assign", faces=[face["face"]], name="eileen")
    assert len(await names(home, "photos of Eileen")) == 3


async def test_one_face_gets_a_name_and_merges_and_splits_hold(home: App) -> None:
    photo = (await call(home, "photo/search", text="everything"))["items"]
    uid = next(item["photo"] for item in photo if item["path"].endswith("group.jpg"))
    six = (await call(home, "person/photo", photo=uid))["items"]
    assert len(six) == 6
    assert [face["box"][0] for face in six] == sorted(face["box"][0] for face in six)

    await call(home, "person/assign", faces=[six[0]["face"]], name="Ann")
    await call(home, "person/assign", faces=[six[1]["face"]], name="Anne")
    assert await names(home, "photos of Ann and Anne") == ["group.jpg"]
    assert await refused(home, "person/name", id="ann", name="Anne") == "bad_request"

    await call(home, "person/merge", id="ann", ids=["anne"])
    await home.grouping.regroup()
    assert (await call(home, "person/get", id="ann"))["count"] == 2
    assert await refused(home, "person/get", id="anne") == "unknown_person"
    assert await names(home, "photos of Anne") == ["group.jpg"]  # still a name of hers

    both = {face["face"] for face in (await call(home, "person/get", id="ann"))["items"]}
    split = await call(home, "person/split", id="ann", faces=[six[1]["face"]], name="Beth")
    await home.grouping.regroup()
    assert split["id"] == "beth"
    left = {face["face"] for face in (await call(home, "person/get", id="ann"))["items"]}
    assert left == both - {six[1]["face"]}


async def test_a_hidden_person_is_in_no_list_and_no_sentence(home: App) -> None:
    await call(home, "person/hide", id="beth")

    assert "beth" not in [person["id"] for person in (await call(home, "person/list", named=True))["items"]]
    assert [person["id"] for person in (await call(home, "person/list", hidden=True))["items"]] == ["beth"]
    await call(home, "person/hide", id="beth", on=False)
    assert "beth" in [person["id"] for person in (await call(home, "person/list", named=True))["items"]]


async def test_a_face_is_a_picture_for_the_owner_alone(home: App) -> None:
    cover = (await call(home, "person/list", named=True))["items"][0]["cover"]
    base = f"http://127.0.0.1:{home.web.port}"

    async with aiohttp.ClientSession() as session:
        async with session.get(base + cover["picture"]) as answer:
            assert answer.status == 401
        async with session.get(base + cover["picture"], headers={"Authorization": f"Bearer {home.token}"}) as answer:
            assert answer.status == 200
            picture = Image.open(io.BytesIO(await answer.read()))
        nobody = cover["picture"].rpartition("/")[0] + "/999999"
        async with session.get(base + nobody, headers={"Authorization": f"Bearer {home.token}"}) as answer:
            assert answer.status == 404

    assert picture.size == (320, 320)


@pytest.mark.parametrize(
    ("verb", "payload", "code"),
    [
        ("person/get", {"id": "nobody"}, "unknown_person"),
        ("person/name", {"id": "eileen", "name": "  "}, "bad_request"),
        ("person/merge", {"id": "eileen", "ids": ["nobody"]}, "unknown_person"),
        ("person/reject", {"id": "eileen", "faces": [999999]}, "bad_request"),
        ("person/assign", {"faces": [1], "id": "eileen", "name": "Ann"}, "bad_request"),
        ("person/assign", {"faces": [999999], "name": "Nobody New"}, "bad_request"),
    ],
)
async def test_what_makes_no_sense_is_refused(home: App, verb: str, payload: dict[str, Any], code: str) -> None:
    before = await call(home, "person/list", least=1)

    assert await refused(home, verb, **payload) == code

    assert await call(home, "person/list", least=1) == before
