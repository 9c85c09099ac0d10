"""Weights from a hub to a photo's vector: through the whole daemon, over MQTT, HTTP and the command line."""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
import pytest_asyncio

from framed.analysis.steps.image_embedding import ImageEmbeddingStep
from framed.app import App
from framed.config import load
from framed.models import weights
from framed.models.openclip_profiles import FAST
from framed.store import vectors
from tests.flows.conftest import analysed, free_port, until, write_photo
from tests.models import tiny_openclip
from tests.models.fake_hub import COMMIT, FakeHub, fake_hub

pytestmark = pytest.mark.asyncio(loop_scope="module")
OFF = {task: "off" for task in ("ocr", "faces", "aesthetics", "caption")}
REPO = "timm/ViT-B-16-SigLIP2"


class House:
    def __init__(self, folder: Path, hub: FakeHub) -> None:
        self.folder = folder
        self.hub = hub
        self.app: App

    def options(self, **models: Any) -> dict[str, Any]:
        return {
            "data_dir": str(self.folder / "data"),
            "library": {"roots": [{"path": str(self.folder / "photos")}], "settle_s": 0.1, "debounce_s": 0.2},
            "http": {"host": "127.0.0.1", "port": 0},
            "mqtt": {"port": free_port()},
            "compute": {"cpu_hosts": 1},
            "models": {"mirror": self.hub.base, **OFF, **models},
        }

    async def ask(self, verb: str, **payload: Any) -> dict[str, Any]:
        found: dict[str, Any] = await self.app.router.call(verb, payload)
        return found

    async def done(self, job: str) -> dict[str, Any]:
        async def ended() -> Any:
            found = await self.app.jobs.get(job)
            return found if found and found["state"] in ("succeeded", "failed", "cancelled") else None

        found: dict[str, Any] = await until(ended)
        return found

    async def weights(self, name: str) -> dict[str, Any]:
        listed = (await self.ask("models/list"))["data"]["weights"]
        return next(item for item in listed if item["name"] == name)

    async def command(self, *words: str) -> tuple[int, str]:
        at = ("--data", str(self.folder / "data"), "--http-port", str(self.app.web.port))
        return await command(*words, *at)


async def command(*words: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "framed", "models", *words),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(process.communicate(), 90)
    return process.returncode or 0, said.decode()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    folder = tmp_path_factory.mktemp("house")
    before = os.environ.get("FRAMED_MODELS")
    weights.use(folder / "made")
    made = await asyncio.to_thread(tiny_openclip.write, FAST)
    write_photo("coffee.png", folder / "photos" / "coffee.jpg", taken="2021:12:25 09:30:00")
    async with fake_hub() as hub:
        hub.files = {f"{REPO}/{path.name}": path.read_bytes() for path in made.iterdir() if path.name != "framed.json"}
        hub.files |= {f"{REPO}/tokenizer_config.json": b"{}"}
        house = House(folder, hub)
        async with App(load(None, house.options())) as house.app:
            await analysed(house.app, 1)
            house.app.late.steps = [ImageEmbeddingStep(house.app.pool, house.app.previews)]
            yield house
    os.environ.pop("FRAMED_MODELS")
    os.environ |= {"FRAMED_MODELS": before} if before else {}
    await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


async def test_pulled_weights_are_used_for_the_photos_there_are(house: House) -> None:
    app, end = house.app, house.app.endpoint
    assert end is not None
    heard: dict[str, list[dict[str, Any]]] = {}
    account: dict[str, Any] = {"username": end.username, "password": end.password.get_secret_value(), "timeout": 40}
    house.hub.cut_at[f"{REPO}/open_clip_model.safetensors"] = 100_000

    async with aiomqtt.Client(end.host, end.port, **account) as client, asyncio.timeout(90):
        for topic in ("framed/response/models/pull", "framed/event", "framed/job/+", "framed/info"):
            await client.subscribe(topic, qos=1)
        wish = {"name": "openclip-fast", "transaction": "pull-1"}
        await client.publish("framed/request/models/pull", json.dumps(wish), qos=1)
        async for message in client.messages:
            topic = str(message.topic).replace(
                str(message.topic).rpartition("/")[2], "+", "framed/job" in str(message.topic)
            )
            heard.setdefault(topic, []).append(json.loads(message.payload))
            answers = heard.get("framed/response/models/pull", [])
            info = heard["framed/info"][-1]["backends"]["image_embedding"] if "framed/info" in heard else {}
            if len(answers) == 2 and info.get("backend") == "openclip-fast":
                break

    accepted, final = heard["framed/response/models/pull"]
    assert (accepted["status"], final["status"], final["transaction"]) == ("accepted", "ok", "pull-1")
    assert final["data"]["speech"].startswith("SigLIP 2 ViT-B-16 is here: ")
    events = [e for e in heard["framed/event"] if e["event_type"] == "backend_changed"]
    assert ("image_embedding", "openclip-fast", "ready") in [(e["task"], e["backend"], e["state"]) for e in events]
    steps = [job.get("step", "") for job in heard["framed/job/+"]]
    assert any(step.startswith("open_clip_model.safetensors: ") for step in steps)

    async def embedded() -> bool:
        return await app.database.read(lambda c: vectors.count(c, FAST.model_id)) == 1

    await until(embedded)
    listed = await house.weights("openclip-fast")
    assert (listed["state"], listed["in_use"], listed["revision"]) == ("here", True, COMMIT)


async def test_weights_in_use_are_removed_only_on_purpose(house: House) -> None:
    refused = await house.ask("models/remove", name="openclip-fast")
    assert refused["error"]["code"] == "busy"
    assert refused["error"]["message"].startswith("SigLIP 2 ViT-B-16 does image embedding and query embedding now.")

    status, said = await house.command("remove", "openclip-fast", "--force")

    assert (status, said.startswith("SigLIP 2 ViT-B-16 is gone; ")) == (0, True)
    report = (await house.ask("models/list"))["data"]["items"]
    assert next(item for item in report if item["task"] == "image_embedding")["backend"] == "efficientnet"
    assert not (house.folder / "data" / "models" / "openclip-fast").exists()


async def test_the_command_line_pulls_lists_and_mends(house: House) -> None:
    status, said = await house.command("pull", "openclip-fast")
    assert status == 0
    assert "Licence: Apache-2.0, https://www.apache.org/licenses/LICENSE-2.0" in said
    assert said.rstrip().splitlines()[-1].startswith("SigLIP 2 ViT-B-16 is here: ")
    file = house.folder / "data" / "models" / "openclip-fast" / "open_clip_model.safetensors"
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))

    mended, named = await house.command("verify", "--fetch")

    assert named == (
        "openclip-fast is damaged: open_clip_model.safetensors (its bytes are not those that were fetched)."
        " It was fetched again.\n"
    )
    assert (mended, file.read_bytes() == content) == (0, True)


async def test_a_licence_that_asks_is_asked_once(house: House) -> None:
    unasked = await house.ask("models/pull", name="insightface")
    refused, words = await house.command("pull", "insightface-buffalo-l")
    house.hub.refuses.clear()

    said_yes = await house.ask("models/pull", name="insightface", accept_licence=True)
    job = await house.done(said_yes["data"]["job"])
    later = await house.ask("models/pull", name="insightface")

    assert unasked["error"]["code"] == "refused"
    assert "non-commercial research only" in unasked["error"]["message"]
    assert "framed models pull insightface-buffalo-l --accept-licence" in unasked["error"]["message"]
    assert (refused, "Nothing was downloaded" in words) == (1, True)
    assert job["error"]["message"] == "127.0.0.1 has no buffalo_l.zip."
    assert later["status"] == "accepted"
    assert (await house.weights("insightface-buffalo-l"))["accepted"][:2] == "20"


async def test_strange_names_are_refused(house: House) -> None:
    for name in ("../../etc", "openclip", "x" * 80):
        for verb in ("pull", "remove", "verify"):
            assert (await house.ask(f"models/{verb}", name=name))["error"]["code"] == "bad_request"


async def test_without_a_daemon_the_commands_work_on_the_folder(house: House, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps({"data_dir": str(tmp_path / "data"), "models": {"mirror": house.hub.base}}))
    at = ("--config", str(config), "--http-port", str(free_port()))

    status, said = await command("pull", "openclip-fast", *at)
    _, listed = await command("list", "--json", *at)
    _, gone = await command("remove", "openclip-fast", *at)

    assert (status, "SigLIP 2 ViT-B-16 is here" in said) == (0, True), said
    found = next(item for item in json.loads(listed)["weights"] if item["name"] == "openclip-fast")
    assert (found["state"], found["in_use"]) == ("here", True)
    assert gone.startswith("SigLIP 2 ViT-B-16 is gone; ")


async def test_a_configured_backend_gets_its_weights_without_delaying_the_start(house: House, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    other = House(tmp_path, house.hub)
    house.hub.hold = asyncio.Event()
    async with App(load(None, other.options(image_embedding="openclip-fast"))) as other.app:
        assert weights.missing("openclip-fast") is not None

        async def running() -> Any:  # one that is still queued would take in the second request
            return [job for job in await other.app.jobs.listed() if job["state"] == "running"]

        [begun] = await until(running)
        second = await other.ask("models/pull", name="openclip-fast")
        house.hub.hold.set()
        first, waited = await other.done(begun["id"]), await other.done(second["data"]["job"])

        assert (first["kind"], first["state"]) == ("models_pull", "succeeded")
        assert (first["result"]["fetched"] > 100_000, waited["result"]["fetched"]) == (True, 0)
        assert (await other.weights("openclip-fast"))["in_use"]
    house.hub.hold = None
    weights.use(house.folder / "data" / "models")


async def test_offline_nothing_is_fetched_and_the_start_says_so(house: House, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    other = House(tmp_path, house.hub)
    async with App(load(None, other.options(image_embedding="openclip-fast", offline=True))) as other.app:
        pulled = await other.ask("models/pull", name="openclip-fast")
        job = await other.done(pulled["data"]["job"])

        assert [each["id"] for each in await other.app.jobs.listed()] == [job["id"]]
        assert job["error"]["message"].startswith("models.offline is true in config.yaml")
    weights.use(house.folder / "data" / "models")
