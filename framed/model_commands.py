"""`framed models`: asks the running framed, or works on the folder of models itself where none runs."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from framed import remote, terminal
from framed.asking import image_search_words
from framed.errors import BadRequest, Cancelled, Refused
from framed.options import AsJson, ConfigFile, Data, HttpPort

if TYPE_CHECKING:
    from framed.config import Config
    from framed.shelf import Shelf

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="The models: what is here, download, remove, check."
)

Tell = Callable[[float, str | None], None]
"""The done fraction, 0 to 1, and what is being done."""
Work = Callable[["Shelf", Tell], Awaitable[dict[str, Any]]]
Name = Annotated[str, typer.Argument(help="The weights or the backend, as `framed models list` names them.")]
_POLL_S = 0.5


@app.command("list")
def list_(config: ConfigFile = None, data: Data = None, http_port: HttpPort = None, as_json: AsJson = False) -> None:
    """List the models, and the weights that can be downloaded."""
    answer = _listed(_Place(config, data, http_port))

    def words() -> None:
        terminal.say("MODELS\n")
        terminal.table(_backend_rows(answer), ("task", "backend", "state", "used", "needs"))
        terminal.say("\nWEIGHTS\n")
        columns = ("name", "for", "size", "on disk", "licence", "state", "revision")
        terminal.table(_weights_rows(answer), columns)
        if looking := answer.get("image_search"):
            terminal.say("\n" + image_search_words(looking))
        terminal.say(f"\nFolder: {answer['folder']} ({_gigabytes(answer['disk'])})")
        terminal.say("Download: framed models pull NAME" if not answer["offline"] else "models.offline: no downloads.")

    terminal.show(answer, as_json, words)


@app.command()
def pull(
    name: Name,
    accept_licence: Annotated[bool, typer.Option("--accept-licence", help="Say yes to its licence.")] = False,
    config: ConfigFile = None,
    data: Data = None,
    http_port: HttpPort = None,
    as_json: AsJson = False,
) -> None:
    """Download weights; goes on where an earlier download broke off."""
    place = _Place(config, data, http_port)
    wanted = _find(_listed(place), name)
    yes = _agreed(wanted, accept_licence, as_json)
    if place.running:
        payload = {"name": wanted["name"], "accept_licence": yes}
        answer = _job("models/pull", payload, place.at, as_json)
    else:

        async def work(shelf: "Shelf", tell: Tell) -> dict[str, Any]:
            from framed.models.pull import said

            found = shelf.find(wanted["name"])
            if yes:
                await shelf.accept(found)
            pulled = await shelf.pull(found, _told(tell))
            speech = said(pulled, found.title)
            return {"name": found.name, "size": pulled.size, "fetched": pulled.fetched, "speech": speech}

        answer = _here(place, work, as_json)
    terminal.show(answer, as_json, lambda: terminal.say(answer["speech"]))


@app.command()
def remove(
    name: Name,
    force: Annotated[bool, typer.Option("--force", help="Also weights that are in use.")] = False,
    config: ConfigFile = None,
    data: Data = None,
    http_port: HttpPort = None,
    as_json: AsJson = False,
) -> None:
    """Remove weights from the disk."""
    place = _Place(config, data, http_port)
    if place.running:
        answer = remote.call("models/remove", {"name": name, "force": force}, place.at)
    else:

        async def work(shelf: "Shelf", _: Tell) -> dict[str, Any]:
            found = shelf.find(name)
            freed = await shelf.remove(found.name)
            speech = (
                f"{found.title} is gone; {_gigabytes(freed)} are free." if freed else f"{found.title} was not here."
            )
            return {"name": found.name, "freed": freed, "speech": speech}

        answer = _here(place, work, as_json)
    terminal.show(answer, as_json, lambda: terminal.say(answer["speech"]))


@app.command()
def verify(
    name: Annotated[str | None, typer.Argument(help="The weights; without it: all that are here.")] = None,
    fetch: Annotated[bool, typer.Option("--fetch", help="Download what is damaged again.")] = False,
    config: ConfigFile = None,
    data: Data = None,
    http_port: HttpPort = None,
    as_json: AsJson = False,
) -> None:
    """Read the weights again and compare their hashes."""
    place = _Place(config, data, http_port)
    if place.running:
        answer = _job("models/verify", {"name": name, "fetch": fetch}, place.at, as_json)
    else:

        async def work(shelf: "Shelf", tell: Tell) -> dict[str, Any]:
            return await shelf.look_through(shelf.find(name).name if name else None, tell, fetch=fetch)

        answer = _here(place, work, as_json)
    terminal.show(answer, as_json, lambda: terminal.say(answer["speech"]))
    if any(item["damaged"] and not item["fetched"] for item in answer["items"]):
        raise typer.Exit(1)


# -- where ---------------------------------------------------------------------------------------------------------


class _Place:
    """The running framed, or the folders of one that does not run."""

    def __init__(self, config: Path | None, data: Path | None, http_port: int | None) -> None:
        self.config, self.data, self.http_port = config, data, http_port
        self.at = remote.where(config, data, http_port)
        self.running = remote.runs(self.at)

    def settings(self) -> "Config":
        from framed import config as configuration

        over: dict[str, Any] = {"data_dir": str(self.data)} if self.data is not None else {}
        return configuration.load(configuration.find(self.config), over)


def _listed(place: _Place) -> dict[str, Any]:
    if place.running:
        return remote.call("models/list", {}, place.at)

    async def work(shelf: "Shelf", _: Tell) -> dict[str, Any]:
        return await shelf.overview()

    settings = place.settings()
    return asyncio.run(_at(settings, work, quiet=True))


def _here(place: _Place, work: Work, as_json: bool) -> dict[str, Any]:
    """Without a daemon; none can start on the same data folder meanwhile."""
    from framed.claim import claim

    settings = place.settings()
    with ExitStack() as stack:
        claim(settings.data_dir, stack)
        return asyncio.run(_at(settings, work, quiet=as_json))


async def _at(settings: "Config", work: Work, *, quiet: bool) -> dict[str, Any]:
    from framed.logs import configure
    from framed.models import weights
    from framed.models.download import Hub
    from framed.shelf import Shelf
    from framed.store.database import Database

    configure("error", "auto")
    weights.use(settings.models_folder)
    hub = Hub(settings.models.mirror, settings.models.offline)
    async with AsyncExitStack() as stack:
        place = settings.data_dir
        if not place.exists():  # looking leaves nothing behind where framed was never started
            place = Path(stack.enter_context(TemporaryDirectory()))
        database = Database(place / "framed.db")
        stack.push_async_callback(database.close)
        await database.start()
        shelf = Shelf(database=database, hub=hub, choices=settings.models.choices)
        with _bar(quiet) as tell:
            return await work(shelf, tell)


def _job(verb: str, payload: dict[str, Any], at: remote.Where, as_json: bool) -> dict[str, Any]:
    """The result of long work that the daemon does. Ctrl+C ends the work too."""
    job = remote.call(verb, payload, at)["job"]
    try:
        with _bar(as_json) as tell:
            while True:
                found = remote.call("job/get", {"id": job}, at)
                tell(float(found.get("progress") or 0.0), found.get("step"))
                if found["state"] in ("succeeded", "failed", "cancelled"):
                    break
                time.sleep(_POLL_S)
    except KeyboardInterrupt:
        remote.call("job/cancel", {"id": job}, at)
        raise
    if found["state"] == "cancelled":
        raise Cancelled("It was cancelled; what has come is kept.")
    if found["state"] == "failed":
        error = BadRequest(str(found["error"]["message"]))
        error.code = str(found["error"]["code"])
        raise error
    result: dict[str, Any] = found["result"]
    return result


def _told(tell: Tell) -> Callable[[int, int, str], None]:
    from framed.shelf import Told

    return Told(tell)


# -- words ---------------------------------------------------------------------------------------------------------


def _find(answer: dict[str, Any], name: str) -> dict[str, Any]:
    for key in ("name", "backend"):
        for wanted in answer["weights"]:
            if wanted[key] == name:
                found: dict[str, Any] = wanted
                return found
    if any(backend["backend"] == name for backend in answer["backends"]):
        raise BadRequest(f"{name} comes inside its Python package; there is nothing to download.")
    known = ", ".join(wanted["name"] for wanted in answer["weights"])
    raise BadRequest(f"There are no weights {name[:60]!r}. There are: {known}.")


def _agreed(wanted: dict[str, Any], accept: bool, as_json: bool) -> bool:
    """Shows the licence; asks where it asks and nobody has said yes. Raises Refused."""
    licence = wanted["licence"]
    if not as_json:
        size = f"about {_gigabytes(wanted['size'])}" if wanted["state"] != "here" else "here"
        terminal.say(f"{wanted['title']} ({size}). Licence: {licence['name']}, {licence['url']}")
    if accept or not licence["ask"] or wanted["accepted"]:
        return accept
    if not as_json and sys.stdin.isatty() and sys.stdout.isatty():
        terminal.say(licence["says"])
        if typer.confirm("Do you accept this licence?"):
            return True
    raise Refused(
        f"Nothing was downloaded: the licence {licence['name']} ({licence['url']}) was not accepted. {licence['says']}"
        f" To accept it: framed models pull {wanted['name']} --accept-licence"
    )


@contextmanager
def _bar(as_json: bool) -> Iterator[Tell]:
    """A progress bar where a person looks on."""
    if as_json or not sys.stdout.isatty():
        yield lambda fraction, step: None
        return
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    columns = (BarColumn(30), TaskProgressColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, transient=True) as progress:
        task = progress.add_task("", total=1.0)
        yield lambda fraction, step: progress.update(task, completed=fraction, description=terminal.clean(step or ""))


def _backend_rows(answer: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "task": item["task"].replace("_", " "),
            "backend": item["backend"],
            "state": item["state"],
            "used": "yes" if item["chosen"] else "",
            "needs": item["reason"],
        }
        for item in answer["backends"]
    ]


def _weights_rows(answer: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "name": item["name"],
            "for": item["task"].replace("_", " "),
            "size": _gigabytes(item["size"]),
            "on disk": _gigabytes(item["disk"]) if item["disk"] else "",
            "licence": item["licence"]["name"] + _yes(item),
            "state": f"{item['state']}{', in use' if item['in_use'] else ''}",
            "revision": item["revision"][:8],
        }
        for item in answer["weights"]
    ]


def _yes(item: dict[str, Any]) -> str:
    if not item["licence"]["ask"]:
        return ""
    return f" (accepted {item['accepted'][:10]})" if item["accepted"] else " (asks)"


def _gigabytes(size: int) -> str:
    from framed.models.download import gigabytes

    return gigabytes(size)
