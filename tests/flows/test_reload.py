"""The configuration is read again while framed runs, and everything it can change is changed."""

import asyncio
import copy
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
from framed.events import BackendChanged
from framed.models.pool import DeviceChanged
from tests.flows.conftest import analysed, free_port, until, write_photo
from tests.handlers.conftest import Home
from tests.models.tiny_reader import write_reader

pytestmark = [pytest.mark.models, pytest.mark.asyncio(loop_scope="module")]


class Configured(Home):
    """A home whose configuration is a file that tests write again."""

    settings: dict[str, Any]

    @property
    def file(self) -> Path:
        return self.folder / "config.yaml"

    async def write(self, **sections: Any) -> dict[str, Any]:
        """The first configuration with these sections over it, read again; what came of it."""
        settings = copy.deepcopy(self.settings)
        for name, section in sections.items():
            settings[name] = settings.get(name, {}) | section if isinstance(section, dict) else section
        await asyncio.to_thread(self.file.write_text, yaml.safe_dump(settings))
        return await self.ask("options/reload")

    async def on(self, frame: str) -> dict[str, Any]:
        return await self.app.player.state_payload(frame)

    async def size(self, frame: str) -> tuple[int, int]:
        show = await self.retained(f"framed/frame/{frame}/show")
        return show["w"], show["h"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def home(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Configured]:
    made = Configured(tmp_path_factory.mktemp("home"))
    write_photo("chelsea.png", made.album / "cat.jpg", taken="2019:07:14 10:00:00")
    write_photo("coffee.png", made.album / "private" / "coffee.jpg", taken="2021:12:25 09:30:00")
    write_photo("rocket.jpg", made.folder / "other" / "rocket.jpg", taken="2022:01:01 12:00:00")
    made.settings = {
        "data_dir": str(made.folder / "data"),
        "library": {"roots": [{"path": str(made.album)}], "settle_s": 0.1, "debounce_s": 0.2},
        "http": {"host": "127.0.0.1", "port": 0},
        "mqtt": {"port": free_port()},
        "frames": [{"id": "kitchen", "width": 320, "height": 240}],
    }
    made.file.write_text(yaml.safe_dump(made.settings))
    async with App(load(made.file), read=lambda: load(made.file)) as made.app:
        await analysed(made.app, 2)
        yield made
    await asyncio.to_thread(shutil.rmtree, made.folder, ignore_errors=True)


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def as_it_was(home: Configured) -> AsyncIterator[None]:
    yield
    await home.write()


async def test_a_mistake_is_said_by_line_and_nothing_changes(home: Configured) -> None:
    home.file.write_text("slideshow:\n  interval_s: soon\n")

    refused = await home.refused("options/reload")

    assert "config.yaml, line 2: slideshow.interval_s:" in refused["message"]

    async def said() -> bool:
        return "config.yaml, line 2" in (await home.retained("framed/health")).get("problem", "")

    await until(said)
    assert (await home.on("kitchen"))["interval_s"] == 300
    await home.write()
    assert "problem" not in await home.app.system.health_payload()


async def test_roots_and_patterns_are_followed(home: Configured) -> None:
    other = str(home.folder / "other")
    await home.write(library={"roots": [str(home.album), other]})
    await analysed(home.app, 3)
    assert await home.found("photos") == ["cat.jpg", "coffee.jpg", "rocket.jpg"]

    await home.write(library={"roots": [{"path": str(home.album), "exclude": ["private/"]}]})

    async def left() -> bool:
        return await home.found("photos") == ["cat.jpg"]

    await until(left)
    await home.write()
    await analysed(home.app, 2)
    assert await home.found("photos") == ["cat.jpg", "coffee.jpg"]


async def test_a_file_event_is_heard_after_the_folders_were_read_again(home: Configured) -> None:
    await home.write(library={"debounce_s": 0.1})

    write_photo("motorcycle_left.png", home.album / "new.jpg", taken="2023:03:03 12:00:00")
    await analysed(home.app, 3)
    (home.album / "new.jpg").unlink()

    async def gone() -> bool:
        return "new.jpg" not in await home.found("photos")

    await until(gone)


async def test_frames_come_change_and_go(home: Configured) -> None:
    done = await home.write(
        frames=[{"id": "kitchen", "width": 400, "height": 300, "name": "Cuisine"}, {"id": "hall", "width": 240}]
    )
    assert done["changed"] == ["frames"]
    assert (await home.on("kitchen"))["name"] == "Cuisine"

    async def rendered() -> bool:
        return await home.size("kitchen") == (400, 300)

    await until(rendered)
    assert "Showing" in (await home.ask("ask", text="cats on the hall"))["speech"]

    async def shown() -> bool:
        return (await home.retained("framed/frame/hall/state"))["photo"] == await home.uid("cat.jpg")

    await until(shown)  # the answer is given in this process, the state travels by the broker

    await home.write()

    assert [frame["frame"] for frame in (await home.ask("frame/list"))["items"]] == ["kitchen"]

    async def nothing_left() -> bool:
        try:
            async with asyncio.timeout(1):
                return not await home.retained("framed/frame/hall/#")
        except TimeoutError:
            return True

    await until(nothing_left)


async def test_the_slideshow_s_interval_and_quiet_hours_hold_at_once(home: Configured) -> None:
    quiet = {"start": "00:00", "end": "23:59"}
    await home.write(
        slideshow={"interval_s": 77}, frames=[{"id": "kitchen", "width": 320, "height": 240, "quiet_hours": quiet}]
    )
    state = await home.on("kitchen")
    assert (state["interval_s"], state["on"]) == (77, False)


async def test_a_new_filter_takes_what_it_forbids_off_the_frame(home: Configured) -> None:
    await home.ask("ask", text="cats on the kitchen")
    cat = await home.uid("cat.jpg")
    assert (await home.on("kitchen"))["photo"] == cat

    await home.write(frames=[{"id": "kitchen", "width": 320, "height": 240, "filter": "no cats"}])

    async def left() -> bool:
        return (await home.on("kitchen"))["photo"] == await home.uid("coffee.jpg")

    await until(left)


async def test_requests_are_understood_by_the_new_settings(home: Configured) -> None:
    before = await home.ask("playlist/plan", text="photos from summer")
    assert before["plan"]["seasons"] == ["summer"]
    assert await home.found("photos from summer") == ["cat.jpg"]

    await home.write(ask={"hemisphere": "south", "max_count": 70, "timezone": "Pacific/Auckland"})

    assert await home.found("photos from summer") == ["coffee.jpg"]

    async def described() -> bool:
        return "winter" in (await home.ask("photo/get", id=await home.uid("cat.jpg")))["caption"]

    await until(described)


async def test_what_needs_a_restart_is_said_a_sentence_each_and_stays(home: Configured) -> None:
    done = await home.write(instance="other", http={"port": 1}, slideshow={"fit": "contain"})

    assert [sentence.partition(" needs a restart: ")[0] for sentence in done["restart"]] == ["instance", "http.port"]
    assert done["changed"] == ["slideshow.fit"]
    assert home.app.config.instance == "home"
    assert "instance needs a restart" in (await home.app.system.health_payload())["problem"]


async def test_where_models_come_from_and_where_they_lie_follows(home: Configured, tmp_path: Path) -> None:
    write_reader(tmp_path / "models", "cyrillic", "абв")
    (tmp_path / "hub").mkdir()

    done = await home.write(
        models={"folder": str(tmp_path / "models"), "mirror": str(tmp_path / "hub"), "offline": True}
    )
    listed = await home.ask("models/list")
    job = (await home.ask("models/pull", name="ocr-thai"))["job"]

    async def failed() -> Any:
        return (await home.ask("job/get", id=job)).get("error")

    await until(failed, 20)

    assert (done["restart"], done["problems"]) == ([], [])
    assert (listed["folder"], listed["offline"]) == (str(tmp_path / "models"), True)
    assert {one["name"]: one["state"] for one in listed["weights"]}["ocr-cyrillic"] == "here"
    assert str(tmp_path / "hub") in (await failed())["message"]
    assert (tmp_path / "models" / "ocr-thai").is_dir()  # where it began to lie

    await home.write()
    assert (await home.ask("models/list"))["offline"] is False


async def test_the_schedule_and_caches_follow(home: Configured) -> None:
    entry = {"at": "sunset-00:30", "ask": "evening photos", "frame": "kitchen"}
    await home.write(schedule=[entry], location={"latitude": 52.5, "longitude": 13.4}, cache={"previews_gb": 0.5})

    [item] = (await home.ask("schedule/list"))["items"]
    assert {key: item[key] for key in entry} == entry
    assert item["next"] is not None
    assert home.app.previews._max_bytes == 500_000_000


async def test_more_room_lets_files_that_were_too_large_in(home: Configured) -> None:
    await home.write(photos={"max_megapixels": 1})
    Image.effect_noise((1600, 1000), 60).convert("RGB").save(home.album / "large.jpg")

    async def parked() -> Any:
        return (await home.ask("photo/list", state="parked"))["items"]

    await until(parked)

    await home.write(photos={"max_megapixels": 150})

    await analysed(home.app, 3)
    assert await parked() == []
    (home.album / "large.jpg").unlink()


async def test_a_backend_that_changed_is_told_and_waiting_photos_get_their_step(home: Configured) -> None:
    photo = await home.uid("cat.jpg")
    mark = "update photo_steps set state = 'unavailable', version = 0 where step = 'tags'"
    await home.app.database.write(lambda c: c.exec_driver_sql(mark).close())
    home.app.backends._known["tags"] = BackendChanged("tags", "", "unavailable", "It was not installed.")
    async with home.mqtt() as client, asyncio.timeout(30):
        await client.subscribe("framed/event", qos=1)
        await home.app.backends.look()
        home.app.backends.heard(DeviceChanged("cpu", "The model host crashed."))
        said = [message.payload async for message in _first(client.messages, 2, b"backend_changed")]
    assert b"efficientnet" in said[0]
    assert b"The model host crashed." in said[1]

    async def done() -> bool:
        return (await home.ask("photo/get", id=photo))["steps"]["tags"]["state"] == "completed"  # type: ignore[no-any-return]

    await until(done)


async def test_what_computes_follows_and_loses_no_call(home: Configured) -> None:
    before = {host["pid"] for host in home.app.pool.status()}
    cat = await home.uid("cat.jpg")

    asking = [asyncio.create_task(home.ask("frame/preview", frame="kitchen", photo=cat)) for _ in range(3)]
    done = await home.write(compute={"cpu_hosts": 1, "device": "cpu", "cpu_address_space_mb": 2900})
    await asyncio.gather(*asking)
    write_photo("horse.png", home.album / "horse.jpg", taken="2020:05:01 08:00:00")
    await analysed(home.app, 3)

    assert done["restart"] == []
    assert "compute.cpu_hosts" in done["changed"]

    async def renewed() -> bool:
        """One that works, reading text perhaps, ends when it is free."""
        hosts = {host["pid"] for host in home.app.pool.status() if host["kind"] == "cpu"}
        return len(hosts) <= 1 and not hosts & before

    await until(renewed, 60)


async def _first(messages: Any, count: int, holding: bytes) -> AsyncIterator[Any]:
    async for message in messages:
        if holding in message.payload:
            yield message
            count -= 1
            if not count:
                return
