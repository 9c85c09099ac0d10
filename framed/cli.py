"""The command line: `framed run` is the daemon, the other commands ask it over HTTP or look at this machine.

Heavy imports stand inside the commands, so that they answer quickly. Exit status: 0 done, 1 framed says no,
2 the command line or the configuration is wrong, 130 ended by Ctrl+C.
"""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from framed import __version__, asking, model_commands, remote, terminal
from framed.errors import ConfigError, FramedError, Unavailable
from framed.options import JSON_ASKED, AsJson, ConfigFile, Data, HttpPort

if TYPE_CHECKING:
    from framed.app import App
    from framed.config import Config
    from framed.frames.client import Shown


class _Commands(TyperGroup):
    def invoke(self, ctx: Any) -> Any:
        """An error meant for people is one sentence on stderr; with --json it is an object on stdout too."""
        try:
            return super().invoke(ctx)
        except FramedError as error:
            if ctx.meta.get(JSON_ASKED):
                print(json.dumps({"error": {"code": error.code, "message": error.message}}, ensure_ascii=False))
            print(error.message, file=sys.stderr)
            raise typer.Exit(2 if isinstance(error, ConfigError) else 1) from error
        except KeyboardInterrupt:
            print(file=sys.stderr)
            raise typer.Exit(130) from None
        except BrokenPipeError:
            terminal.hush()
            raise typer.Exit(1) from None


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,  # a traceback of theirs would show tokens
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="Puts a home's photos, on request, on every picture frame in the house.",
)


def main() -> NoReturn:
    if sys.getfilesystemencoding() != "utf-8" and not sys.flags.utf8_mode:
        _start_in_utf8()
    terminal.forgive()
    app()
    sys.exit(0)


def _start_in_utf8() -> NoReturn:
    """File names, arguments and what framed writes are UTF-8, whatever the locale says; the terminal keeps its own."""
    environment = {**os.environ, "PYTHONUTF8": "1", "PYTHONIOENCODING": sys.stdout.encoding}
    os.execve(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]], environment)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"framed {__version__}")
        raise typer.Exit


@app.callback()
def framed(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Puts a home's photos, on request, on every picture frame in the house."""


# -- the daemon and the reference frame ----------------------------------------------------------------------------


@app.command()
def run(
    config: ConfigFile = None,
    photos: Annotated[
        list[Path] | None,
        typer.Option(
            "--photos",
            metavar="FOLDER",
            readable=False,
            help="A folder of photos, beside those of config.yaml; repeatable.",
        ),
    ] = None,
    data: Data = None,
    http_port: HttpPort = None,
    mqtt_port: Annotated[
        int | None, typer.Option("--mqtt-port", metavar="PORT", min=1, max=65_535, help="Port of the MQTT broker.")
    ] = None,
    samples: Annotated[
        bool, typer.Option("--samples", help="Show sample photos where no folder of photos is named.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run framed until it is told to stop."""
    import asyncio
    import gc

    gc.disable()  # thousands of objects are made that stay: collecting among them costs a tenth of the start
    from framed.logs import configure

    given = [_folder(path) for path in photos or ()]

    def read() -> "Config":
        """Now, and again whenever the configuration is read anew."""
        settings = _load(config, data, http_port, mqtt_port)
        roots = [root.model_dump() for root in settings.library.roots]
        roots += [{"path": folder} for folder in given if folder not in {root["path"] for root in roots}]
        if samples and not roots:
            roots = [{"path": _write_samples(settings.data_dir / "sample-photos")}]
        return _load(config, data, http_port, mqtt_port, roots)

    settings = read()
    configure(settings.logging.level, settings.logging.format)

    from framed.daemon import serve

    def ready(running: "App") -> None:
        from framed.welcome import Welcome

        at = remote.Where(settings.data_dir, settings.http.host or "", running.web.port)
        sentence = "cats" if samples and not given else "my best photos"
        running.background.start(Welcome(running, at, sentence=sentence, as_json=as_json).run(), "welcome")
        gc.collect()
        gc.freeze()
        gc.enable()

    asyncio.run(serve(settings, ready, read))


def _folder(path: Path) -> str:
    path = path.expanduser().absolute()
    if not path.exists():
        raise ConfigError(f"--photos: there is no folder {path} on this machine.")
    if not path.is_dir():
        raise ConfigError(f"--photos: {path} is a file, and a folder of photos is wanted.")
    if not os.access(path, os.R_OK | os.X_OK):
        raise ConfigError(
            f"--photos: {path} may not be read by this user; give it the right: chmod -R a+rX, or setfacl."
        )
    return str(path)


def _write_samples(folder: Path) -> str:
    """In a process of its own: the daemon does not load Pillow."""
    import subprocess

    from framed import samples

    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if samples.incomplete(folder):
            subprocess.run([sys.executable, "-m", "framed.samples", str(folder)], check=True)
    except OSError as error:
        raise Unavailable(f"The data folder {folder.parent} cannot be written: {error.strerror}.") from error
    except subprocess.CalledProcessError as error:
        raise Unavailable(f"The sample photos could not be written to {folder}.") from error
    return str(folder)


@app.command()
def frame(
    name: Annotated[str, typer.Option(metavar="NAME", help="Short name: a-z, 0-9, - and _.")],
    size: Annotated[str, typer.Option(metavar="WxH", help="The panel's size, such as 800x480.")],
    out_file: Annotated[Path, typer.Option("--out", metavar="FILE", help="The picture file: .png, .jpg or .bmp.")],
    broker: Annotated[
        str, typer.Option(metavar="URL", envvar="FRAMED_BROKER", help="mqtt://user:password@host:port")
    ] = "mqtt://127.0.0.1:1883",
    title: Annotated[str, typer.Option(metavar="TEXT", help="The name people say.")] = "",
    delivery: Annotated[str, typer.Option(metavar="url|mqtt", help="How the picture comes.")] = "url",
    rotation: Annotated[
        int, typer.Option(metavar="DEGREES", help="How far clockwise the panel was turned to hang: 0, 90, 180 or 270.")
    ] = 0,
    palette: Annotated[
        str | None, typer.Option(metavar="NAME", help="The inks of an e-ink panel, such as spectra6 or mono.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Show one picture and end.")] = False,
    wake_s: Annotated[
        int | None, typer.Option("--wake", metavar="SECONDS", help="With --once: when the frame will ask again.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Be a picture frame: write what framed wants shown to a file."""
    import asyncio

    from pydantic import ValidationError

    from framed.frames.client import FrameClientOptions, run_frame
    from framed.logs import configure
    from framed.router import bad_request

    given = {"name": name, "size": size, "out": out_file, "broker": broker, "title": title, "delivery": delivery}
    given |= {"rotation": rotation, "palette": palette, "once": once, "wake_s": wake_s}
    try:
        options = FrameClientOptions.model_validate(given)
    except ValidationError as error:
        raise ConfigError(bad_request(error).message) from error
    configure("info", "json" if as_json else "auto")

    async def shown(what: "Shown") -> None:
        fact = {"item": what.item, "caption": what.caption, "out": str(out_file)}
        terminal.show(fact, as_json, lambda: terminal.say(f"{out_file}: {what.caption or what.item}"))

    asyncio.run(run_frame(options, shown=shown))


# -- asking the daemon ---------------------------------------------------------------------------------------------

for _command in (
    asking.ask,
    asking.plan,
    asking.search,
    asking.similar,
    asking.status,
    asking.rescan,
    asking.photos,
    asking.frames,
    asking.people,
    asking.jobs,
    asking.link,
    asking.account,
):
    app.command()(_command)
app.add_typer(model_commands.app, name="models")


# -- looking at this machine ---------------------------------------------------------------------------------------


@app.command()
def check(config: ConfigFile = None, data: Data = None, http_port: HttpPort = None, as_json: AsJson = False) -> None:
    """Read the configuration and say whether it is right."""
    from framed import config as configuration

    settings = _load(config, data, http_port)
    used = configuration.find(config)
    missing = [root.path for root in settings.library.roots if not Path(root.path).is_dir()]
    said = {"config": str(used) if used else None, "data_dir": str(settings.data_dir), "missing_folders": missing}

    def words() -> None:
        terminal.say(f"{used} is right." if used else "There is no config.yaml: the defaults are used.")
        terminal.say(f"Data folder: {settings.data_dir}")
        for root in settings.library.roots:
            terminal.say(f"Photos: {root.path}{' (not there now)' if root.path in missing else ''}")

    terminal.show(said, as_json, words)
    if missing:
        raise typer.Exit(1)


@app.command()
def contract(
    as_json: AsJson = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print docs/contract.md.")] = False,
) -> None:
    """Print the topics, requests, error codes and HTTP addresses."""
    from framed import contract as written

    if markdown:
        print(written.markdown(), end="")
        return

    def words() -> None:
        for title, _, heads, rows in written.sections():
            terminal.say(f"{title.upper()}\n")
            plain = [dict(zip(heads, (cell.replace("`", "") for cell in row), strict=True)) for row in rows]
            terminal.table(plain, heads)
            print()
        terminal.say("JSON SCHEMAS\n")
        print(json.dumps(written.schemas(), indent=2))

    terminal.show(written.document() if as_json else {}, as_json, words)


@app.command()
def doctor(config: ConfigFile = None, data: Data = None, http_port: HttpPort = None, as_json: AsJson = False) -> None:
    """Look for what framed needs, and say how to mend it."""
    from framed import doctor as examination

    found = []
    try:
        used = _found(config)
        settings = _load(config, data, http_port)
    except ConfigError as error:
        found.append(examination.broken_configuration(error.message))
        settings, used = _load_defaults(data, http_port), None
    at = remote.Where(settings.data_dir, settings.http.host or "127.0.0.1", settings.http.port)
    found += [row for row in examination.examine(settings, at, used) if not (found and row.what == "configuration")]
    good = all(row.state != "wrong" for row in found)
    document = {"good": good, "items": [row._asdict() for row in found]}

    def words() -> None:
        terminal.table((row._asdict() for row in found), ("state", "what", "said"))
        terminal.say("\nframed can run here." if good else "\nSomething that framed needs is wrong.")
        for row in found:
            if row.mend:
                terminal.say(f"  {row.what}: {row.mend}")

    terminal.show(document, as_json, words)
    if not good:
        raise typer.Exit(1)


# -- configuration and printing ------------------------------------------------------------------------------------


def _found(config: Path | None) -> Path | None:
    from framed.config import find

    return find(config)


def _load(
    config: Path | None,
    data: Path | None,
    http_port: int | None,
    mqtt_port: int | None = None,
    roots: list[dict[str, Any]] | None = None,
) -> "Config":
    from framed import config as configuration

    return configuration.load(configuration.find(config), _options(data, http_port, mqtt_port, roots))


def _load_defaults(data: Path | None, http_port: int | None) -> "Config":
    from framed import config as configuration

    return configuration.load(None, _options(data, http_port))


def _options(
    data: Path | None,
    http_port: int | None,
    mqtt_port: int | None = None,
    roots: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """What was given on the command line, as it would stand in config.yaml."""
    over: dict[str, Any] = {}
    if data is not None:
        over["data_dir"] = str(data)
    if http_port is not None:
        over["http"] = {"port": http_port}
    if mqtt_port is not None:
        over["mqtt"] = {"port": mqtt_port}
    if roots:
        over["library"] = {"roots": roots}
    return over
