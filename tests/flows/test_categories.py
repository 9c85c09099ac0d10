"""Categories of tags on the whole daemon: asked for, excluded, edited and read again, on real pictures."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml
from PIL import Image

from framed.app import App
from framed.config import load
from tests.flows.conftest import analysed, settings, write_photo
from tests.handlers.conftest import Home
from tests.installed import installed

pytestmark = [pytest.mark.models, pytest.mark.asyncio(loop_scope="module")]

ALL = {"cat", "coffee", "motorcycle", "rocket", "flower"}


class Categorised(Home):
    """A home with a configuration file and a file of categories beside it."""

    @property
    def tags(self) -> Path:
        return self.folder / "tags.yaml"

    async def found(self, text: str) -> set[str]:
        answer = await self.ask("ask", text=text, dry_run=True)
        return {Path(item["path"]).stem for item in answer["items"]}

    async def use(self, **categories: list[str]) -> dict[str, Any]:
        await asyncio.to_thread(self.tags.write_text, yaml.safe_dump(categories))
        return await self.configure("tags.yaml")

    async def configure(self, name: str | None) -> dict[str, Any]:
        options = settings(self.folder, self.album) | {"tags": {"categories": name}, "mqtt": {"port": self.port}}
        await asyncio.to_thread((self.folder / "config.yaml").write_text, yaml.safe_dump(options))
        if not hasattr(self, "app"):
            return {}
        return await self.ask("options/reload")

    port: int = 0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def home(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Categorised]:
    made = Categorised(tmp_path_factory.mktemp("home"))
    made.port = settings(made.folder, made.album)["mqtt"]["port"]
    write_photo("chelsea.png", made.album / "cat.jpg", taken="2019:07:14 10:00:00")
    write_photo("coffee.png", made.album / "coffee.jpg", taken="2021:12:25 09:30:00")
    write_photo("motorcycle_left.png", made.album / "motorcycle.jpg", taken="2020:05:05 15:00:00")
    write_photo("rocket.jpg", made.album / "rocket.jpg", taken="2022:01:01 12:00:00")
    Image.open(installed("sklearn") / "datasets" / "images" / "flower.jpg").save(made.album / "flower.jpg", quality=92)
    await made.configure(None)
    file = made.folder / "config.yaml"
    async with App(load(file), read=lambda: load(file)) as made.app:
        await analysed(made.app, len(ALL))
        yield made
    await asyncio.to_thread(shutil.rmtree, made.folder, ignore_errors=True)


async def test_a_category_finds_what_belongs_to_it(home: Categorised) -> None:
    assert await home.found("animals") == {"cat"}
    assert await home.found("photos of animals") == {"cat"}
    assert await home.found("food photos") == {"coffee"}
    assert "motorcycle" in await home.found("vehicles")
    assert not {"cat", "coffee"} & await home.found("vehicles")


async def test_a_category_is_excluded(home: Categorised) -> None:
    assert await home.found("everything except animals") == ALL - {"cat"}
    assert await home.found("all photos without food") == ALL - {"coffee"}
    without = await home.found("everything except vehicles")
    assert "motorcycle" not in without
    assert {"cat", "coffee"} <= without


async def test_other_words_narrow_a_category(home: Categorised) -> None:
    assert await home.found("animals from 2019") == {"cat"}
    assert await home.found("animals outdoors in a garden from 2019") == {"cat"}


async def test_a_photo_tells_its_categories_and_traits(home: Categorised) -> None:
    items = (await home.ask("ask", text="animals", dry_run=True))["items"]
    photo = await home.ask("photo/get", id=items[0]["photo"])
    assert {"animals", "pets"} <= set(photo["categories"])
    assert "vehicles" not in photo["categories"]
    assert photo["traits"]["composition"] == {"lengthwise": 1.0}
    assert photo["traits"]["palette"], "its colours, without any model"


async def test_an_edited_file_counts_at_once_and_nothing_is_analysed_again(home: Categorised) -> None:
    before = dict(home.app.pipeline.step_ms)
    assert "tags.categories" in (await home.use(**{"favourite things": ["cat", "espresso"]}))["speech"]
    assert await home.found("favourite things") == {"cat", "coffee"}
    assert await home.found("everything except favourite things") == ALL - {"cat", "coffee"}
    assert "tags.categories" in (await home.use(**{"favourite things": ["vehicle"]}))["speech"], "only its contents"
    assert "motorcycle" in await home.found("favourite things")
    assert "cat" not in await home.found("favourite things")
    assert dict(home.app.pipeline.step_ms) == before
    await home.configure(None)
    assert await home.found("everything except animals") == ALL - {"cat"}


async def test_a_tag_of_the_owner_s_own_makes_a_category(home: Categorised) -> None:
    item = (await home.ask("ask", text="food photos", dry_run=True))["items"][0]
    await home.ask("photo/tag", id=item["photo"], tags=["grandma's cup"])
    await home.use(heirlooms=["Grandma's cup"])
    assert await home.found("heirlooms") == {"coffee"}
    await home.configure(None)


async def test_a_mistake_in_the_file_is_said_by_line_and_the_old_one_stays(home: Categorised) -> None:
    await home.use(heirlooms=["cat"])
    home.tags.write_text("heirlooms:\n  - cat\npets: dog\n")
    answer = await home.app.router.call("options/reload", {})
    assert answer["status"] == "error"
    assert "tags.yaml, line 3: pets: expected a list" in answer["error"]["message"]
    assert await home.found("heirlooms") == {"cat"}
    await home.configure(None)
