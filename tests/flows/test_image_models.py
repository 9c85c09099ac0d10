"""One running framed: photos are alike, weights arrive, requests see the pictures, another model takes over."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
import skimage
from PIL import Image, ImageOps

from framed.app import App
from framed.config import load
from framed.models import weights
from framed.models.base import Context
from framed.models.embedding_openclip import FastImages, OpenClipImages, SmallImages
from framed.models.openclip_profiles import FAST, SMALL, Profile
from framed.store import image_model, vectors
from tests.flows.conftest import analysed, settings, until
from tests.installed import installed
from tests.models import tiny_openclip

installed("open_clip")
pytestmark = [pytest.mark.models, pytest.mark.asyncio(loop_scope="module")]

DATA = Path(skimage.__file__).parent / "data"
SOURCES = {
    "cat": "chelsea.png",
    "coffee": "coffee.png",
    "eileen": "astronaut.png",
    "rocket": "rocket.jpg",
    "moon": "moon.png",
}
NONSENSE = "quixotic velleity"


def write_album(folder: Path) -> None:
    """Five pictures; of the cat a mirrored, a cropped and a smaller one too."""
    folder.mkdir()
    for name, source in SOURCES.items():
        Image.open(DATA / source).convert("RGB").save(folder / f"{name}.jpg", quality=92)
    cat = Image.open(DATA / "chelsea.png").convert("RGB")
    ImageOps.mirror(cat).save(folder / "cat-mirrored.jpg", quality=92)
    cat.crop((40, 20, cat.width - 30, cat.height - 20)).save(folder / "cat-cropped.jpg", quality=92)
    cat.resize((cat.width // 2, cat.height // 2)).save(folder / "cat-small.jpg", quality=85)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def app(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[App]:
    folder = tmp_path_factory.mktemp("home")
    write_album(folder / "photos")
    options = settings(folder, folder / "photos")
    options["models"] = {"ocr": "off", "faces": "off", "folder": str(folder / "models")}
    before = os.environ.get("FRAMED_MODELS")
    async with App(load(None, options)) as running:
        await analysed(running, 8)
        yield running
    os.environ.pop("FRAMED_MODELS", None)
    if before is not None:
        os.environ["FRAMED_MODELS"] = before
    await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


async def ask(app: App, verb: str, **payload: Any) -> dict[str, Any]:
    answer = await app.router.call(verb, payload)
    assert answer["status"] == "ok", answer
    found: dict[str, Any] = answer["data"]
    return found


def names(answer: dict[str, Any]) -> list[str]:
    return [Path(item["path"]).stem for item in answer["items"]]


async def uid(app: App, name: str) -> str:
    listed = await ask(app, "photo/list", state="all")
    return next(str(item["photo"]) for item in listed["items"] if Path(item["path"]).stem == name)


async def similar(app: App, name: str, by: str) -> dict[str, Any]:
    return await ask(app, "photo/similar", id=await uid(app, name), by=by)


def arrive(profile: Profile, kind: type[OpenClipImages], album: Path, says: str) -> None:
    """A model whose every text means this picture."""
    tiny_openclip.write(profile, seed=2)
    tower = kind()
    tower.load({"precision": "fp32"}, "cpu")
    picture = np.asarray(Image.open(album / f"{says}.jpg"))[None]
    vector = tower.run({"pixels": picture}, Context())["vectors"][0]
    shutil.rmtree(weights.folder() / profile.weights)
    tiny_openclip.write(profile, seed=2, says=vector)


async def test_without_downloads_the_same_picture_mirrored_and_cropped_is_most_alike(app: App) -> None:
    answer = await similar(app, "cat", "embedding")
    assert set(names(answer)[:2]) == {"cat-mirrored", "cat-cropped"}  # the smaller one is the same picture: a copy
    assert "moon" not in names(answer)
    assert answer["by"] == "embedding"
    assert app.image_models.status() is None


async def test_by_hash_the_same_picture_comes_first_and_others_not_at_all(app: App) -> None:
    answer = await similar(app, "cat", "hash")
    assert names(answer)[0] == "cat-small"
    assert answer["items"][0]["why"] == ["the same picture"]
    assert not {"moon", "coffee", "rocket"} & set(names(answer))
    by_face = await similar(app, "cat", "face")
    assert by_face["problem"] == "No face was found in this photo."


async def test_once_weights_are_there_requests_see_the_pictures_themselves(app: App) -> None:
    assert (await ask(app, "photo/search", text=NONSENSE))["count"] == 0
    album = Path(app.config.library.roots[0].path)
    await asyncio.to_thread(arrive, SMALL, SmallImages, album, "coffee")
    app.image_models.wake()

    async def answering() -> bool:
        found = await app.database.read(lambda c: vectors.count(c, SMALL.model_id))
        return app.image_models.status() == {"model": SMALL.model_id} and found == 8

    await until(answering, 120)

    async def seen() -> list[str]:
        return names(await ask(app, "photo/search", text=NONSENSE))

    assert (await until(seen))[0] == "coffee"
    found = await ask(app, "photo/search", text=NONSENSE)
    assert found["items"][0]["why"] == [f"looks like “{NONSENSE}”"]


async def test_another_model_takes_over_at_once_when_it_knows_the_library(app: App) -> None:
    album = Path(app.config.library.roots[0].path)
    app.late.paused = True
    await asyncio.to_thread(arrive, FAST, FastImages, album, "rocket")
    app.image_models.wake()

    async def announced() -> bool:
        return (app.image_models.status() or {}).get("next") == FAST.model_id

    await until(announced)
    said = {"model": SMALL.model_id, "next": FAST.model_id, "done": 0, "of": 8}
    assert (await ask(app, "health"))["image_search"] == said
    assert (await ask(app, "models/list"))["image_search"] == said
    assert names(await ask(app, "photo/search", text=NONSENSE))[0] == "coffee"  # the old one answers meanwhile
    app.late.paused = False
    app.late.wake()

    async def switched() -> bool:
        gone = not await app.database.read(lambda c: vectors.count(c, SMALL.model_id))
        return app.image_models.status() == {"model": FAST.model_id} and gone

    await until(switched, 120)

    async def seen() -> list[str]:
        return names(await ask(app, "photo/search", text=NONSENSE))

    assert (await until(seen))[0] == "rocket"
    kept = await app.database.read(image_model.get)
    assert (kept.answers, kept.making) == (FAST.model_id, FAST.model_id)


async def test_a_photo_that_comes_later_is_seen_too_and_likeness_is_the_models(app: App) -> None:
    album = Path(app.config.library.roots[0].path)
    Image.open(DATA / "brick.png").convert("RGB").save(album / "wall.jpg", quality=92)
    await analysed(app, 9)

    async def known() -> bool:
        images = app.index.images
        return images is not None and int(images.signs.known.sum()) == 9

    await until(known)
    answer = await similar(app, "cat", "embedding")
    assert answer["by"] == "embedding"
    assert "cat-small" not in names(answer)


async def test_every_picture_is_compared_with_sentences_and_again_when_the_model_changed(app: App) -> None:
    async def compared() -> bool:
        return not (await app.late.left()).get("traits") and not app.pipeline.busy

    await until(compared)
    photo = await ask(app, "photo/get", id=await uid(app, "cat"))
    assert photo["steps"]["traits"]["state"] == "completed"
    assert photo["state"] == "completed"
    assert photo["traits"]["palette"], "the new comparison leaves the measurements in place"
    results = await app.database.read(
        lambda c: (
            c.exec_driver_sql("select distinct json_extract(result, '$.model') from photo_steps where step = 'traits'")
            .scalars()
            .all()
        )
    )
    assert list(results) == [FAST.model_id]
