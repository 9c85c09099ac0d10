"""How soon 50 frames have their next picture when all ask at once: `python bench/frames.py [frames] [photos]`.

The whole daemon with its broker. A client in a process of its own publishes `next` for every frame at once; a frame
has its picture when its `show` has come and the bytes are fetched by HTTP and have the hash that `show` names. Measured
with the pictures rendered ahead, as they are a moment after the last one, with none (`cold`), and with none for one
wish that names all frames (`one wish`). `sharp` is when the last frame has its own picture in place of a stand-in.
"""

import argparse
import asyncio
import hashlib
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import photos
import structlog
from index import analysed, free_port, processes, used

SIZES = ((1920, 1080), (800, 480), (1280, 800), (1024, 600), (1080, 1920))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("frames", nargs="?", type=int, default=50)
    arguments.add_argument("photos", nargs="?", type=int, default=100)
    arguments.add_argument("--keep", type=Path, help="a folder for photos and data, to be used again")
    arguments.add_argument("--client", action="store_true", help="run by this script itself")
    chosen = arguments.parse_args()
    if chosen.client:
        asyncio.run(client(json.loads(sys.stdin.readline())))
        return
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    with tempfile.TemporaryDirectory() as folder:
        top = chosen.keep or Path(folder)
        if not (top / "photos").exists():
            photos.write(top / "photos", chosen.photos)
        asyncio.run(measure(top, chosen.frames, chosen.photos))


async def measure(top: Path, frames: int, count: int) -> None:
    from framed.app import App
    from framed.config import load
    from framed.frames import player

    names = [f"frame{number:02}" for number in range(frames)]
    settings = {
        "data_dir": str(top / "data"),
        "library": {"roots": [{"path": str(top / "photos")}], "settle_s": 0.1},
        "http": {"host": "127.0.0.1", "port": 0},
        "mqtt": {"port": free_port()},
        "frames": [
            {"id": name, "width": SIZES[place % len(SIZES)][0], "height": SIZES[place % len(SIZES)][1]}
            for place, name in enumerate(names)
        ],
    }
    async with App(load(None, settings)) as app:
        await analysed(app, count)
        uids = await app.database.read(lambda c: [row[0] for row in c.exec_driver_sql("select uid from photos")])
        for place, name in enumerate(names):
            mine = uids[place * 7 % len(uids) :] + uids[: place * 7 % len(uids)]
            await request(app, "playlist/set", {"frame": name, "photos": mine[:40]})
        await prepared(app)
        peer = await start_client(app, names)
        rounds = (("first", 3), ("rendered ahead", 3), ("rendered ahead", 3), ("cold", 0), ("cold", 0), ("one wish", 0))
        for name, ahead in rounds:
            player.AHEAD = ahead
            if not ahead:
                # What is rendered already is used up first, so that the next one is new to its frame.
                await app.database.write(lambda c: c.exec_driver_sql("delete from renders"))
            before, began = used(app), time.monotonic()
            found = await ask(peer, "show everything on all frames" if name == "one wish" else "next")
            spent = difference(before, used(app))
            sharp = await heard(peer)
            if name != "first":
                said = "  ".join(f"{part} {value:.2f} s" for part, value in found.items())
                print(f"{frames} frames, {name:15} {said}  cpu: {spent}  sharp: {sharp:.2f} s", flush=True)
            await prepared(app)
            passed = time.monotonic() - began
            print(f"  all rendered ahead again after {passed:.1f} s  cpu: {difference(before, used(app))}", flush=True)
        print("  ".join(f"{name} {p.memory_info().rss / 1e6:.0f} MB" for name, p in processes(app).items()))
        peer.terminate()
        await peer.wait()


def difference(before: dict[str, float], after: dict[str, float]) -> str:
    spent = {name: seconds - before.get(name, 0.0) for name, seconds in after.items()}
    return "  ".join(f"{name} {seconds:.1f} s" for name, seconds in spent.items() if seconds >= 0.05)


async def request(app: Any, verb: str, asked: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = await app.router.call(verb, asked, source="bench")
    if answer["status"] != "ok":
        raise RuntimeError(answer)
    return answer


async def prepared(app: Any) -> None:
    """Everything ahead is rendered: nothing is under way for a second."""
    quiet = 0
    while quiet < 5:
        await asyncio.sleep(0.2)
        busy = any(not task.done() for task in app.player._ahead.values()) or app.rendered._rendering
        quiet = 0 if busy else quiet + 1


async def start_client(app: Any, names: list[str]) -> asyncio.subprocess.Process:
    peer = await asyncio.create_subprocess_exec(
        *(sys.executable, __file__, "--client"), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    end = app.endpoint
    told = {
        "host": end.host,
        "port": end.port_v5 or end.port,
        "username": end.username,
        "password": end.password.get_secret_value() if end.password else None,
    }
    assert peer.stdin is not None
    assert peer.stdout is not None
    peer.stdin.write(json.dumps({**told, "frames": names}).encode() + b"\n")
    await peer.stdout.readline()
    return peer


async def ask(peer: asyncio.subprocess.Process, said: str) -> dict[str, float]:
    assert peer.stdin is not None
    peer.stdin.write(said.encode() + b"\n")
    took = sorted(await heard(peer))
    return {"p50": took[len(took) // 2], "p95": took[int(len(took) * 0.95)], "max": took[-1]}


async def heard(peer: asyncio.subprocess.Process) -> Any:
    assert peer.stdout is not None
    return json.loads(await peer.stdout.readline())


# -- the client --------------------------------------------------------------------------------------------------


async def client(told: dict[str, Any]) -> None:
    """At each line of stdin: `next` to all frames, or a wish; then the seconds until each had its picture."""
    import aiohttp
    import aiomqtt

    names = told.pop("frames")
    sizes = {name: SIZES[place % len(SIZES)] for place, name in enumerate(names)}
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with (
        aiomqtt.Client(told["host"], told["port"], username=told["username"], password=told["password"]) as broker,
        aiohttp.ClientSession() as session,
    ):
        await broker.subscribe("framed/frame/+/show", qos=1)
        shown: dict[str, dict[str, Any]] = {}
        messages = aiter(broker.messages)
        while len(shown) < len(names):
            message = await anext(messages)
            shown[str(message.topic).split("/")[2]] = json.loads(bytes(message.payload))
        print("ready", flush=True)
        while line := await reader.readline():
            began, took, fetching = time.monotonic(), list[float](), list[asyncio.Task[None]]()

            async def fetch(show: dict[str, Any], began: float = began, took: list[float] = took) -> None:
                async with session.get(show["url"]) as answer:
                    data = await answer.read()
                if hashlib.sha256(data).hexdigest() != show["sha256"]:
                    raise RuntimeError(f"other bytes than those of {show}")
                took.append(round(time.monotonic() - began, 3))

            said = line.decode().strip()
            asked = [f"framed/frame/{name}/cmd" for name in names] if said == "next" else ["framed/request/ask"]
            await asyncio.gather(*(broker.publish(topic, said, qos=1) for topic in asked))
            waiting, soft = set(names), set(names)
            while soft:
                message = await anext(messages)
                frame, show = str(message.topic).split("/")[2], json.loads(bytes(message.payload))
                if frame in waiting and show["rev"] != shown[frame]["rev"]:
                    waiting.discard(frame)
                    fetching.append(asyncio.create_task(fetch(show)))
                    if not waiting:
                        await asyncio.gather(*fetching)
                        print(json.dumps(took), flush=True)
                if frame not in waiting and (show["w"], show["h"]) == sizes[frame]:
                    soft.discard(frame)
                shown[frame] = show
            print(json.dumps(round(time.monotonic() - began, 3)), flush=True)


if __name__ == "__main__":
    main()
