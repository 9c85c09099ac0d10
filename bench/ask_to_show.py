"""From a published request to the retained `show` at another client, with many photos in the store.

Run: python bench/ask_to_show.py [--photos 10000 100000] [--rounds 25] [--keep FOLDER]. The whole daemon with a real
Mosquitto; the frame says hello over MQTT; a client in a process of its own publishes and waits. The library is that of
bench/library.py, its photos share a few hundred real preview files, and every picture is rendered: no request shows a
photo that was rendered before. Between requests it waits until what is rendered ahead is done.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import library
import numpy as np
import psutil
import structlog
from ask import requests, spread
from index import free_port
from PIL import Image

FRAMES = {"tablet": (1280, 800), "screen": (1920, 1080)}
PREVIEWS = 300


def write_previews(folder: Path) -> list[Path]:
    """Crops of the photographs that scikit-image and scikit-learn ship, as large as framed's previews."""
    import skimage
    import sklearn

    data = Path(skimage.__file__).parent / "data"
    images = [
        data / name for name in ("chelsea.png", "coffee.png", "astronaut.png", "rocket.jpg", "motorcycle_left.png")
    ]
    images += sorted((Path(sklearn.__file__).parent / "datasets" / "images").glob("*.jpg"))
    pictures = [Image.open(path).convert("RGB") for path in images if path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(4)
    written = []
    for number in range(PREVIEWS):
        path = folder / f"{number}.jpg"
        written.append(path)
        if path.exists():
            continue
        picture = pictures[number % len(pictures)]
        left, top = (int(rng.integers(size // 4)) for size in picture.size)
        cropped = picture.crop((left, top, left + picture.width * 3 // 4, top + picture.height * 3 // 4))
        sized = np.asarray(cropped.resize((1440, 1080), Image.Resampling.BICUBIC), np.int16)
        grain = rng.integers(-6, 7, (1080, 1440, 1), np.int16)
        Image.fromarray(np.clip(sized + grain, 0, 255).astype(np.uint8)).save(path, quality=88)
    return written


class Stopwatch:
    """When the parts of one request began and how long they took, in milliseconds since it reached the handler."""

    def __init__(self) -> None:
        self.parts: dict[str, float] = {}
        self.began = self.spent = 0.0

    def asking(self, work: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def noted(*args: Any, **options: Any) -> Any:
            self.parts.clear()
            self.began, self.spent = time.perf_counter(), time.process_time()
            return await work(*args, **options)

        return noted

    def from_here(self, name: str, work: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def noted(*args: Any, **options: Any) -> Any:
            self.parts.setdefault(name, (time.perf_counter() - self.began) * 1000)
            self.parts.setdefault(f"{name}, CPU", (time.process_time() - self.spent) * 1000)
            return await work(*args, **options)

        return noted

    def around(self, name: str, work: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def timed(*args: Any, **options: Any) -> Any:
            began = time.perf_counter()
            try:
                return await work(*args, **options)
            finally:
                self.parts[name] = self.parts.get(name, 0.0) + (time.perf_counter() - began) * 1000

        return timed

    def report(self, all_ms: float) -> dict[str, float]:
        """`render`: from its beginning to the publishing of `show`; the playlist is written beside it. `broker`: all
        outside the handler, both ways."""
        embed, shown = self.parts.get("embed", 0.0), self.parts["show"]
        return {
            "plan": self.parts["plan"],
            "embed": embed,
            "search": self.parts["answer"] - embed,
            "render": shown - self.parts["render"],
            "broker": all_ms - shown,
            "all": all_ms,
            "daemon, CPU": self.parts["show, CPU"],
        }


async def measure(count: int, top: Path, previews: list[Path], rounds: int) -> None:
    from framed.analysis.late import LateSteps
    from framed.analysis.pipeline import Pipeline
    from framed.app import App
    from framed.config import load

    async def nothing_to_analyse(_: Any) -> None:
        """The photos have no rows for their steps; they would all be analysed again."""

    Pipeline.start = LateSteps.start = nothing_to_analyse  # type: ignore[method-assign]
    settings = {
        "data_dir": str(top / f"{count}"),
        "library": {"roots": [{"path": str(library.ROOT)}]},
        "http": {"host": "127.0.0.1", "port": 0},
        "mqtt": {"port": free_port()},
    }
    async with App(load(None, settings)) as app:
        app.previews.path = lambda uid, size="preview": previews[int(uid, 16) % len(previews)]  # type: ignore[method-assign]
        await app.index.built.wait()
        watch = watched(app)
        peer = await start_client(app)
        print(f"\n{count:,} photos; daemon {psutil.Process().memory_info().rss / 1e6:.0f} MB resident", flush=True)
        for frame in FRAMES:
            await asked(app, peer, frame, "photos from Oslo")  # hosts and models are there from now on
            await asked(app, peer, frame, "dogs")
        for frame, size in FRAMES.items():
            for embedding in (False, True):
                took = await turns(app, peer, watch, frame, rounds, embedding)
                named = "with the embedding" if embedding else "without an embedding"
                print(f"  {size[0]}x{size[1]}, {named} ({len(took['all'])} requests)")
                for part, values in took.items():
                    print(f"    {part:11} ms  {spread(values)}", flush=True)
        peer.terminate()
        await peer.wait()


def watched(app: Any) -> Stopwatch:
    watch = Stopwatch()
    app.asker.plan = watch.around("plan", app.asker.plan)
    app.asker._vector = watch.around("embed", app.asker._vector)
    app.asker.answer = watch.around("answer", app.asker.answer)
    app.rendered.get = watch.from_here("render", app.rendered.get)
    app.messages.show = watch.from_here("show", app.messages.show)
    payload, ask = app.router._verbs["ask"]
    app.router._verbs["ask"] = (payload, watch.asking(ask))
    return watch


async def turns(
    app: Any, peer: Any, watch: Stopwatch, frame: str, rounds: int, embedding: bool
) -> dict[str, list[float]]:
    took: dict[str, list[float]] = {}
    texts = [text for seed in range(rounds // 50 + 1) for text in requests(100 + seed)][:rounds]
    for text in texts:
        if embedding:
            app.asker._vectors.clear()
        else:
            plan = await app.asker.plan(text)
            await app.asker._vector(plan.semantic)
        ms = await asked(app, peer, frame, text)
        if ms is not None:
            for name, part in watch.report(ms).items():
                took.setdefault(name, []).append(part)
    return took


async def asked(app: Any, peer: asyncio.subprocess.Process, frame: str, text: str) -> float | None:
    """Milliseconds from the request to its `show`, None where nothing matched; returns when all is quiet again."""
    await app.database.write(lambda c: c.exec_driver_sql("delete from renders"))
    assert peer.stdin is not None
    assert peer.stdout is not None
    peer.stdin.write(json.dumps({"frame": frame, "text": text}).encode() + b"\n")
    line = await asyncio.wait_for(peer.stdout.readline(), 60)
    quiet = 0
    while quiet < 3:
        await asyncio.sleep(0.02)
        player = app.player
        busy = any(not task.done() for task in player._ahead.values()) or app.rendered.busy or player._spawned
        quiet = 0 if busy else quiet + 1
    found: float | None = json.loads(line)
    return found


async def start_client(app: Any) -> asyncio.subprocess.Process:
    peer = await asyncio.create_subprocess_exec(
        *(sys.executable, __file__, "--client"), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    end = app.endpoint
    secret = end.password.get_secret_value() if end.password else None
    told = {"host": end.host, "port": end.port_v5 or end.port, "username": end.username, "password": secret}
    assert peer.stdin is not None
    assert peer.stdout is not None
    peer.stdin.write(json.dumps(told).encode() + b"\n")
    await asyncio.wait_for(peer.stdout.readline(), 30)
    while not all(app.registry.knows(frame) for frame in FRAMES):  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    return peer


async def client(told: dict[str, Any]) -> None:
    """Says hello for the frames; then for each line of stdin asks, and prints the milliseconds until `show` came."""
    import aiomqtt

    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    port, login = told["port"], {"username": told["username"], "password": told["password"]}
    async with (
        aiomqtt.Client(told["host"], port, **login) as asking,
        aiomqtt.Client(told["host"], port, **login) as seeing,
    ):
        for frame, (width, height) in FRAMES.items():
            hello = {"v": 1, "name": frame, "width": width, "height": height, "formats": ["jpeg"], "delivery": "url"}
            await asking.publish(f"framed/frame/{frame}/hello", json.dumps(hello), qos=1, retain=True)
            await seeing.subscribe(f"framed/frame/{frame}/show", qos=1)
        await seeing.subscribe("framed/response/ask", qos=1)
        print("ready", flush=True)
        seen: asyncio.Queue[tuple[float, str, dict[str, Any]]] = asyncio.Queue()
        hearing = asyncio.create_task(hear(seeing, seen))
        while line := await reader.readline():
            told = json.loads(line)
            transaction = f"t{time.time_ns()}"
            began, took, answer = time.perf_counter(), None, None
            await asking.publish("framed/request/ask", json.dumps({**told, "transaction": transaction}), qos=1)
            while answer is None:
                at, topic, document = await seen.get()
                if at < began:
                    continue  # the sharp picture after the rough one of the request before
                if topic == f"framed/frame/{told['frame']}/show":
                    took = took or (at - began) * 1000
                elif document.get("transaction") == transaction:
                    answer = document
            print(json.dumps(took if answer["status"] == "ok" and answer["data"]["count"] else None), flush=True)
        hearing.cancel()


async def hear(seeing: Any, seen: "asyncio.Queue[tuple[float, str, dict[str, Any]]]") -> None:
    """Each message with when it came."""
    async for message in seeing.messages:
        at = time.perf_counter()
        seen.put_nowait((at, str(message.topic), json.loads(bytes(message.payload)) if message.payload else {}))


async def make(count: int, top: Path, scenes: library.Scenes) -> None:
    from framed.store.database import Database

    path = top / f"{count}" / "framed.db"
    if not path.exists():
        database = Database(path)
        await database.start()
        print(f"{count:,} photos written in {await library.fill(database, scenes, count):.0f} s", flush=True)
        await database.close()


async def measure_all(counts: list[int], top: Path, rounds: int) -> None:
    from framed.models.pool import ComputeSettings, HostPool

    previews = await asyncio.to_thread(write_previews, top / "previews")
    if not all((top / f"{count}" / "framed.db").exists() for count in counts):
        async with HostPool(ComputeSettings(cpu_hosts=1)) as pool:
            scenes = await library.scenes(pool)
        for count in counts:
            await make(count, top, scenes)
    for count in counts:
        await measure(count, top, previews, rounds)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--photos", type=int, nargs="+", default=[10_000, 100_000])
    arguments.add_argument("--rounds", type=int, default=25, help="requests per frame, with and without embedding")
    arguments.add_argument("--keep", type=Path, help="a folder in which the made libraries stay for the next run")
    arguments.add_argument("--client", action="store_true", help="run by this script itself")
    chosen = arguments.parse_args()
    if chosen.client:
        asyncio.run(client(json.loads(sys.stdin.readline())))
        return
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure_all(chosen.photos, chosen.keep or Path(folder), chosen.rounds))


if __name__ == "__main__":
    main()
