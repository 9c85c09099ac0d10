"""The command line: `framed run` is the daemon, the other commands ask it over HTTP or look at this machine.

Heavy imports stand inside the commands, so that `framed --help` is quick.
"""

import json
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from framed.errors import BadRequest, ConfigError, FramedError, Unavailable

if TYPE_CHECKING:
    from framed.app import App
    from framed.config import Config

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # they hold tokens
    help="Puts a home's photos, on request, on every picture frame in the house.",
)
out = Console(markup=False, highlight=False, soft_wrap=True)

ConfigFile = Annotated[Path | None, typer.Option("--config", help="config.yaml; else the usual places are looked at.")]
Data = Annotated[Path | None, typer.Option("--data", envvar="FRAMED_DATA", help="The data folder.")]
HttpPort = Annotated[int | None, typer.Option("--http-port", help="Port of the pages and the API.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_TIMEOUT_S = 60.0


def main() -> NoReturn:
    """Errors meant for people are one sentence on stderr: status 2 for the configuration, 1 for the rest."""
    try:
        app()
    except FramedError as error:
        print(error.message, file=sys.stderr)
        sys.exit(2 if isinstance(error, ConfigError) else 1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the reader has gone, as with `| head`; nothing is left to say
        sys.exit(1)
    sys.exit(0)


# -- the daemon and the reference frame ----------------------------------------------------------------------------


@app.command()
def run(
    config: ConfigFile = None,
    photos: Annotated[list[Path] | None, typer.Option("--photos", help="A folder of photos; may be repeated.")] = None,
    data: Data = None,
    http_port: HttpPort = None,
    mqtt_port: Annotated[int | None, typer.Option("--mqtt-port", help="Port of the MQTT broker.")] = None,
    samples: Annotated[bool, typer.Option("--samples", help="Write sample photos and show those too.")] = False,
) -> None:
    """Run framed until it is told to stop."""
    import asyncio

    from framed.logs import configure

    settings = _load(config, data, http_port, mqtt_port)
    folders = [_folder(path) for path in photos or ()]
    if samples:
        folders.append(_write_samples(settings.data_dir / "sample-photos"))
    if folders:
        settings = _load(config, data, http_port, mqtt_port, folders)
    configure(settings.logging.level, settings.logging.format)

    from framed.app import serve

    asyncio.run(serve(settings, _say_ready))


def _folder(path: Path) -> Path:
    path = path.expanduser().absolute()
    if not path.is_dir():
        raise ConfigError(f"--photos: {path} is no folder on this machine.")
    return path


def _write_samples(folder: Path) -> Path:
    """In a process of its own: the daemon does not load Pillow."""
    import subprocess

    try:
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", "framed.samples", str(folder)], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise Unavailable(f"The sample photos could not be written to {folder}: {error}.") from error
    return folder


def _say_ready(running: "App") -> None:
    mqtt, end = running.config.mqtt, running.endpoint
    out.print(f"\nframed is running. Open {running.base_url}/?token={running.token}")
    if end is None:
        out.print(f"It uses the MQTT broker at {mqtt.host}:{mqtt.port}.")
    else:
        passwords = running.config.data_dir / "broker"
        out.print(f"Its own MQTT broker ({end.kind}) listens at {end.host}:{end.port}.")
        out.print(f"Home Assistant signs in there as `home`; the passwords are in {passwords}/.")
    out.print(f"Try: {_again(running.config)}      Ctrl+C stops it.\n")


def _again(config: "Config") -> str:
    """The command that asks this daemon, whatever folder and port it was started with."""
    import shlex

    from framed.config import Config, Http

    words = [sys.argv[0] if sys.argv[0].endswith("framed") else "framed", "ask"]
    if config.data_dir != Config().data_dir:
        words += ["--data", str(config.data_dir)]
    if config.http.port != Http().port:
        words += ["--http-port", str(config.http.port)]
    return shlex.join(words) + ' "cats"'


@app.command()
def frame(
    name: Annotated[str, typer.Option(help="Short name: a-z, 0-9, - and _.")],
    size: Annotated[str, typer.Option(help="The panel's size, such as 800x480.")],
    out_file: Annotated[Path, typer.Option("--out", help="The picture file: .png, .jpg or .bmp.")],
    broker: Annotated[
        str, typer.Option(envvar="FRAMED_BROKER", help="mqtt://user:password@host:port")
    ] = "mqtt://127.0.0.1:1883",
    title: Annotated[str, typer.Option(help="The name people say.")] = "",
    delivery: Annotated[str, typer.Option(help="url or mqtt.")] = "url",
    once: Annotated[bool, typer.Option("--once", help="Show one picture and end.")] = False,
) -> None:
    """Be a picture frame: write what framed wants shown to a file."""
    import asyncio

    from pydantic import ValidationError

    from framed.frames.client import FrameClientOptions, run_frame
    from framed.logs import configure
    from framed.router import bad_request

    given = {"name": name, "size": size, "out": out_file, "broker": broker, "title": title}
    try:
        options = FrameClientOptions.model_validate({**given, "delivery": delivery, "once": once})
    except ValidationError as error:
        raise bad_request(error) from error
    configure("info", "auto")
    try:
        asyncio.run(run_frame(options))
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


# -- asking the daemon ---------------------------------------------------------------------------------------------


@app.command()
def ask(
    text: Annotated[str, typer.Argument(help='Such as "beach photos from last summer".')],
    frame: Annotated[str | None, typer.Option(help="The frame to show them on.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing.")] = False,
    config: ConfigFile = None,
    data: Data = None,
    http_port: HttpPort = None,
    as_json: AsJson = False,
) -> None:
    """Ask for photos in plain words, and show them."""
    wanted: dict[str, Any] = {"text": text, "dry_run": dry_run, "source": "cli"}
    if frame is not None:
        wanted["frame"] = frame
    answer = _call("ask", wanted, _load(config, data, http_port))
    _print(answer, as_json, lambda: _print_found(answer))


@app.command()
def plan(
    text: str, config: ConfigFile = None, data: Data = None, http_port: HttpPort = None, as_json: AsJson = False
) -> None:
    """Say how a sentence is understood."""
    answer = _call("playlist/plan", {"text": text}, _load(config, data, http_port))

    def words() -> None:
        out.print(_words(answer.get("understood")))
        if answer.get("unknown"):
            out.print(f"Not understood: {_words(answer['unknown'])}")

    _print(answer, as_json, words)


@app.command()
def search(
    text: str,
    limit: Annotated[int, typer.Option(min=1, max=500)] = 20,
    config: ConfigFile = None,
    data: Data = None,
    http_port: HttpPort = None,
    as_json: AsJson = False,
) -> None:
    """Find photos without showing them."""
    answer = _call("photo/search", {"text": text, "limit": limit}, _load(config, data, http_port))
    _print(answer, as_json, lambda: _print_found(answer))


@app.command()
def status(config: ConfigFile = None, data: Data = None, http_port: HttpPort = None, as_json: AsJson = False) -> None:
    """Say how framed is doing."""
    answer = _call("health", {}, _load(config, data, http_port))

    def words() -> None:
        queue, mqtt = answer["queue"], answer["mqtt"]
        out.print(f"framed has been running for {answer['uptime_s'] // 60} min with {answer['memory_mb']:.0f} MB.")
        library = answer["library"]
        out.print(f"Photos: {library['photos']:,}, {library['pending']:,} still to be looked at.")
        if library["failed"]:
            count = "1 file" if library["failed"] == 1 else f"{library['failed']:,} files"
            out.print(f"{count} cannot be read; `framed photos` says why.")
        out.print(f"Jobs: {queue['queued']} waiting, {queue['running']} running, {queue['failed']} failed.")
        out.print(f"MQTT: {'connected' if mqtt['connected'] else 'not connected'}.")
        out.print(f"Errors in the last hour: {answer['errors_1h']}.")
        if answer.get("problem"):
            out.print(f"Problem: {answer['problem']}")

    _print(answer, as_json, words)


@app.command()
def rescan(
    path: Annotated[Path | None, typer.Argument(help="A photo folder or one inside it; else all of them.")] = None,
    confirm: Annotated[bool, typer.Option("--confirm", help="What is missing was deleted on purpose.")] = False,
    config: ConfigFile = None,
    data: Data = None,
    http_port: HttpPort = None,
    as_json: AsJson = False,
) -> None:
    """Look at the photo folders now, without waiting for the next scan."""
    wanted: dict[str, Any] = {"confirm": confirm}
    if path is not None:
        wanted["path"] = str(path.expanduser().absolute())
    answer = _call("library/rescan", wanted, _load(config, data, http_port))
    _print(answer, as_json, lambda: out.print(f"Scanning. `framed jobs` says how it ends (job {answer['job']})."))


@app.command()
def photos(
    state: Annotated[
        str, typer.Option(help="failed, pending, completed, partial, gone, hidden or favourite.")
    ] = "failed",
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 100,
    config: ConfigFile = None,
    data: Data = None,
    http_port: HttpPort = None,
    as_json: AsJson = False,
) -> None:
    """List photos by state; those that could not be read, with the reason, unless told otherwise."""
    answer = _call("photo/list", {"state": state, "limit": limit}, _load(config, data, http_port))
    _print(answer, as_json, lambda: _table(answer["items"], ("photo", "path", "problem", "caption")))


@app.command()
def frames(config: ConfigFile = None, data: Data = None, http_port: HttpPort = None, as_json: AsJson = False) -> None:
    """List the frames and what they show."""
    answer = _call("frame/list", {}, _load(config, data, http_port))
    columns = ("frame", "name", "width", "height", "playlist_name", "caption", "paused", "error")
    _print(answer, as_json, lambda: _table(answer["items"], columns))


@app.command()
def jobs(config: ConfigFile = None, data: Data = None, http_port: HttpPort = None, as_json: AsJson = False) -> None:
    """List the long work."""
    answer = _call("job/list", {}, _load(config, data, http_port))
    _print(answer, as_json, lambda: _table(answer["items"], ("id", "kind", "state", "progress", "step", "error")))


@app.command()
def link(
    frame: str, config: ConfigFile = None, data: Data = None, http_port: HttpPort = None, as_json: AsJson = False
) -> None:
    """Print the address to open in a browser that is to be the frame."""
    answer = _call("frame/link", {"frame": frame}, _load(config, data, http_port))
    _print(answer, as_json, lambda: out.print(answer["link"]))


# -- looking at this machine ---------------------------------------------------------------------------------------


@app.command()
def check(config: ConfigFile = None, data: Data = None, http_port: HttpPort = None, as_json: AsJson = False) -> None:
    """Read the configuration and say whether it is right."""
    from framed import config as configuration

    settings = _load(config, data, http_port)
    used = configuration.find(config)
    missing = [str(root.path) for root in settings.library.roots if not Path(root.path).expanduser().is_dir()]
    said = {"config": str(used) if used else None, "data_dir": str(settings.data_dir), "missing_folders": missing}

    def words() -> None:
        out.print(f"{used} is right." if used else "There is no config.yaml; the defaults are used.")
        out.print(f"Data folder: {settings.data_dir}")
        for path in missing:
            out.print(f"This folder of photos is not there now: {path}")

    _print(said, as_json, words)


@app.command()
def contract(config: ConfigFile = None, data: Data = None, http_port: HttpPort = None, as_json: AsJson = False) -> None:
    """Print the MQTT topics and the JSON Schemas of the requests."""
    from framed.contract import TOPICS, schemas

    known = schemas()
    document = {"topics": [topic._asdict() for topic in TOPICS], "schemas": known}

    def words() -> None:
        _table((topic._asdict() for topic in TOPICS), ("topic", "direction", "retained", "qos", "meaning"))
        out.print_json(json.dumps(known))

    _print(document, as_json, words)


@app.command()
def doctor(config: ConfigFile = None, data: Data = None, http_port: HttpPort = None, as_json: AsJson = False) -> None:
    """Look at this machine for what framed needs, and say how to mend what is missing."""
    settings = _load(config, data, http_port)
    found = [dict(zip(("state", "what", "said"), row, strict=True)) for row in _examine(settings)]
    _print({"items": found}, as_json, lambda: _table(found, ("state", "what", "said")))
    if any(row["state"] == "wrong" for row in found):
        raise typer.Exit(1)


_Row = tuple[str, str, str]


def _examine(settings: "Config") -> Iterable[_Row]:
    import platform
    import shutil

    from framed.models import catalogue

    yield ("good", "Python", platform.python_version())
    yield _sqlite()
    for task, entry in catalogue.report().items():
        ready = entry["state"] == "ready"
        yield ("good" if ready else "missing", task, entry["reason"] or f"{entry['backend']} {entry['model']}".strip())
    if settings.mqtt.host is not None:
        yield ("good", "MQTT broker", f"configured: {settings.mqtt.host}:{settings.mqtt.port}")
    elif where := shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"):
        yield ("good", "MQTT broker", where)
    else:
        mend = "brew install mosquitto" if sys.platform == "darwin" else "sudo apt install mosquitto"
        yield ("missing", "MQTT broker", f"Mosquitto is not installed; iotcore stands in, for a trial. {mend}")
    yield from _formats()
    yield from _folder_rows(settings.data_dir)
    if (limit := _inotify_limit()) is not None:
        mend = "" if limit >= 65_536 else "; for large libraries: sudo sysctl fs.inotify.max_user_watches=524288"
        yield ("good" if not mend else "low", "watched folders", f"at most {limit:,}{mend}")
    yield _port(settings)


def _sqlite() -> _Row:
    try:
        from pysqlite3 import dbapi2 as sqlite

        return ("good", "SQLite", f"{sqlite.sqlite_version} (pysqlite3)")
    except ImportError:
        import sqlite3

        return ("missing", "SQLite", f"{sqlite3.sqlite_version} of Python; pysqlite3 is missing: install framed again")


def _formats() -> Iterable[_Row]:
    from PIL import __version__, features

    yield ("good", "Pillow", __version__)
    try:
        from pillow_heif import libheif_version

        yield ("good", "HEIC", f"libheif {libheif_version()}")
    except ImportError as error:
        yield ("missing", "HEIC", f"pillow-heif cannot be imported ({error}); install framed again")
    avif = features.check("avif")
    yield ("good" if avif else "missing", "AVIF", "Pillow reads it" if avif else "this Pillow does not read it")


def _folder_rows(folder: Path) -> Iterable[_Row]:
    import shutil

    there = next(place for place in (folder, *folder.parents) if place.exists())
    writable = there.is_dir() and os.access(there, os.W_OK | os.X_OK)
    said = str(folder) if there == folder else f"{folder} will be made"
    yield ("good", "data folder", said) if writable else ("wrong", "data folder", f"{there} may not be written to")
    free = shutil.disk_usage(there).free / 1e9
    yield ("good" if free > 5 else "low", "disk space", f"{free:.1f} GB free")


def _inotify_limit() -> int | None:
    try:
        return int(Path("/proc/sys/fs/inotify/max_user_watches").read_text())
    except (OSError, ValueError):
        return None  # not Linux


def _port(settings: "Config") -> _Row:
    import socket

    what = f"port {settings.http.port}"
    try:
        _http("GET", settings, "/healthz")
        return ("good", what, "framed answers there")
    except FramedError:
        pass  # not framed: is it free, then?
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((settings.http.host or "0.0.0.0", settings.http.port))
        except OSError as error:
            return ("wrong", what, f"cannot be used: {error.strerror}; choose another with --http-port")
    return ("good", what, "free; framed is not running")


# -- configuration, requests, printing -----------------------------------------------------------------------------


def _load(
    config: Path | None,
    data: Path | None,
    http_port: int | None,
    mqtt_port: int | None = None,
    folders: list[Path] | None = None,
) -> "Config":
    from framed import config as configuration

    over: dict[str, Any] = {}
    if data is not None:
        over["data_dir"] = str(data)
    if http_port is not None:
        over["http"] = {"port": http_port}
    if mqtt_port is not None:
        over["mqtt"] = {"port": mqtt_port}
    if folders:
        over["library"] = {"roots": [{"path": str(folder)} for folder in folders]}
    return configuration.load(configuration.find(config), over)


def _call(verb: str, payload: dict[str, Any], settings: "Config") -> dict[str, Any]:
    """The `data` of the daemon's answer; its error is raised with its own sentence."""
    path = settings.data_dir / "token"
    try:
        token = path.read_text().strip()
    except FileNotFoundError:
        token = ""  # never started with this folder; the daemon that answers, if one does, says so
    except OSError as error:
        raise Unavailable(f"The token in {path} cannot be read: {error.strerror}.") from error
    answer = _http("POST", settings, f"/api/v1/{verb}", payload, token)
    if answer.get("status") not in ("ok", "accepted"):
        said = answer.get("error") or {}
        if said.get("code") == "refused":
            raise Unavailable(f"framed refuses the token in {path}: is --data the folder it runs with?")
        raise BadRequest(str(said.get("message", "framed answered something that is no answer.")))
    found = answer.get("data")
    return found if isinstance(found, dict) else {}


def _http(
    method: str, settings: "Config", path: str, payload: dict[str, Any] | None = None, token: str = ""
) -> dict[str, Any]:
    import http.client

    host = settings.http.host if settings.http.host not in (None, "", "0.0.0.0", "::") else "127.0.0.1"
    connection = http.client.HTTPConnection(str(host), settings.http.port, timeout=_TIMEOUT_S)
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    where = f"{host}:{settings.http.port}"
    try:
        connection.request(method, path, None if payload is None else json.dumps(payload), headers)
        document = json.loads(connection.getresponse().read())
    except TimeoutError as error:
        raise Unavailable(f"framed at {where} did not answer within {_TIMEOUT_S:.0f} s.") from error
    except OSError as error:
        raise Unavailable(f"framed is not running at {where}: start it with `make run` or `framed run`.") from error
    except (ValueError, http.client.HTTPException) as error:
        raise Unavailable(f"What answers at {where} is not framed; choose its port with --http-port.") from error
    finally:
        connection.close()
    if not isinstance(document, dict) or "status" not in document:
        raise Unavailable(f"What answers at {where} is not framed; choose its port with --http-port.")
    return document


def _print(document: dict[str, Any], as_json: bool, words: Callable[[], None]) -> None:
    if as_json:
        print(json.dumps(document, ensure_ascii=False, indent=2))
    else:
        words()


def _print_found(answer: dict[str, Any]) -> None:
    out.print(_words(answer.get("speech")))
    rows = [{**item, "why": _words(item.get("why"))} for item in answer.get("items", [])]
    if rows:
        _table(rows, ("photo", "path", "score", "why"))


def _table(rows: Iterable[dict[str, Any]], columns: tuple[str, ...]) -> None:
    """Only columns that hold something. Cells are Text: what a photo or a frame is called is never markup."""
    listed = list(rows)
    used = [column for column in columns if any(row.get(column) not in (None, "") for row in listed)]
    if not used:
        out.print("There are none.")
        return
    table = Table(box=None, header_style="bold")
    for column in used:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in listed:
        table.add_row(*(Text(_words(row.get(column))) for column in used))
    Console().print(table)


def _words(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case list():
            return ", ".join(_words(part) for part in value)
        case dict():
            return str(value.get("message") or json.dumps(value, ensure_ascii=False))
    return "".join(character if character.isprintable() else " " for character in str(value))
