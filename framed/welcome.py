"""What `framed run` tells the person who started it: where everything is, and how far the photos are."""

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framed.remote import Where
from framed.terminal import counted, lasted

if TYPE_CHECKING:
    from framed.app import App

_LOOK_S = 1.0
_LINE_S = 5.0
_LARGE = 20_000
"""From so many photos on they are counted every five seconds only: counting takes a while then."""


class Welcome:
    """`say` once framed is up, then `follow` until every photo found at the start is ready.

    `sentence` is what to try. In the journal (systemd) the sign-in token is not shown; its file is.
    """

    def __init__(self, app: "App", at: Where, *, sentence: str, as_json: bool = False) -> None:
        self._app = app
        self._at = at
        self._sentence = sentence
        self._as_json = as_json
        self._private = not _into_journal()

    async def run(self) -> None:
        self.say()
        if self._app.config.library.roots:
            await self.follow()

    def say(self) -> None:
        facts = self._facts()
        if self._as_json:
            self._line({"event": "ready", **facts})
            return
        lines = [("Page", self._page_words(facts))]
        if facts["frame"]:
            lines.append(("Frame", f"{facts['frame']}  (any browser that opens it is a frame)"))
        lines += [("Broker", words) for words in self._broker_words(facts["broker"])]
        lines += [("Photos", folder) for folder in facts["folders"]]
        if not facts["folders"]:
            lines.append(("Photos", "no folder is known yet: start with --photos FOLDER, or name it in config.yaml"))
        lines += [("Try", f'{self._at.command("ask")} "{self._sentence}"'), ("Stop", "Ctrl+C")]
        said, before = ["", "framed is running."], ""
        for head, words in lines:
            said.append(f"  {'' if head == before else head:<7} {words}")
            before = head
        print("\n".join([*said, ""]), flush=True)

    def _facts(self) -> dict[str, Any]:
        app, mqtt, end = self._app, self._app.config.mqtt, self._app.endpoint
        frames = app.registry.all() if self._private else []
        broker: dict[str, Any] = {"host": mqtt.host, "port": mqtt.port, "kind": "yours", "user": mqtt.username}
        if end is not None:
            accounts = str(app.config.data_dir / "broker" / "accounts.json")
            broker = {"host": end.host, "port": end.port, "kind": end.kind, "user": "home", "accounts": accounts}
        return {
            "page": f"{app.base_url}/?token={app.token}" if self._private else f"{app.base_url}/",
            "token_file": str(app.config.data_dir / "token"),
            "frame": f"{app.base_url}/frame/{frames[0].id}?k={frames[0].token}" if len(frames) == 1 else None,
            "broker": broker,
            "folders": [str(Path(root.path)) for root in app.config.library.roots],
        }

    def _page_words(self, facts: dict[str, Any]) -> str:
        if self._private:
            return f"{facts['page']}  (the link signs you in)"
        return f"{facts['page']}  (sign in with the token in {facts['token_file']})"

    def _broker_words(self, broker: dict[str, Any]) -> Iterator[str]:
        place = f"mqtt://{broker['host']}:{broker['port']}"
        if broker["kind"] == "yours":
            yield f"{place}  (yours)"
            return
        trial = ", for a trial: install Mosquitto for daily use" if broker["kind"] == "iotcore" else ""
        yield f"{place}  ({broker['kind']}, run by framed{trial})"
        yield f"user home, password in {broker['accounts']}"
        if self._app.config.mqtt.bind == "127.0.0.1":
            yield "only this machine reaches it; `mqtt.bind: 0.0.0.0` in config.yaml opens it to the house"

    # -- how far the photos are ----------------------------------------------------------------------------------

    async def follow(self) -> None:
        on_terminal = sys.stdout.isatty() and not self._as_json
        with _bar() if on_terminal else _no_bar() as bar:
            since_line = _LINE_S
            while True:
                library = await self._app.system.library_payload()
                if _ready(library):
                    break
                large = library["photos"] + library["pending"] > _LARGE
                pause = _LINE_S if large else _LOOK_S
                if bar is not None:
                    bar(library)
                elif since_line >= _LINE_S:
                    since_line = 0.0
                    self._report(library)
                since_line += pause
                await asyncio.sleep(pause)
        self._finish(library)

    def _report(self, library: dict[str, Any]) -> None:
        if self._as_json:
            self._line({"event": "indexing", **library})
        elif library["pending"]:
            read, ready, total = _progress(library)
            left = f", about {lasted(library['eta_s'])} left" if "eta_s" in library else ""
            print(f"Indexing {counted(total, 'photo')}: {read:,} read, {ready:,} ready{left}.", flush=True)
        else:
            print("Looking through the folders.", flush=True)

    def _finish(self, library: dict[str, Any]) -> None:
        if self._as_json:
            self._line({"event": "indexed", **library})
            return
        ready = counted(library["analysed"], "photo is", "photos are")
        print(f"{ready[0].upper()}{ready[1:]} ready.", flush=True)
        if library["failed"]:
            files = counted(library["failed"], "file")
            print(f"{files} could not be read; `{self._at.command('photos')}` says why.", flush=True)

    def _line(self, document: dict[str, Any]) -> None:
        print(json.dumps(document, ensure_ascii=False), flush=True)


def _into_journal() -> bool:
    """Whether stdout is the journal's; the variable alone says nothing, because terminals inherit it."""
    try:
        stdout = os.fstat(sys.stdout.fileno())
    except (OSError, ValueError):
        return False  # closed, or not a file at all
    return os.environ.get("JOURNAL_STREAM") == f"{stdout.st_dev}:{stdout.st_ino}"


def _ready(library: dict[str, Any]) -> bool:
    return library["last_scan"] is not None and not library["scanning"] and not library["pending"]


def _progress(library: dict[str, Any]) -> tuple[int, int, int]:
    """Photos whose file has been read, those through every step, and all of them."""
    ready = library["analysed"] + library["failed"]
    total = ready + library["pending"]
    return min(total, library["photos"] + library["failed"]), ready, total


@contextmanager
def _no_bar() -> Iterator[None]:
    yield None


@contextmanager
def _bar() -> Iterator[Any]:
    """A bar below the log; it is gone when the photos are ready."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    console = Console(highlight=False)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[left]}"),
        console=console,
        transient=True,
        refresh_per_second=2,
    ) as bar:
        task = bar.add_task("Looking through the folders", total=None, left="")

        def move(library: dict[str, Any]) -> None:
            read, ready, total = _progress(library)
            if not total:
                return
            words = f"Indexing {counted(total, 'photo')}: {read:,} read, {ready:,} ready"
            left = f"about {lasted(library['eta_s'])} left" if "eta_s" in library else ""
            bar.update(task, description=words, completed=read + ready, total=2 * total, left=left)

        yield move
