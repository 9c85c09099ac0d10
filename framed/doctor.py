"""Looks at this machine for what framed needs, and says how to mend what is missing."""

import asyncio
import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framed import remote
from framed.doctor_gpu import gpu
from framed.doctor_service import said_by, service
from framed.errors import FramedError, Unavailable
from framed.finding import Finding
from framed.remote import Where
from framed.terminal import counted

if TYPE_CHECKING:
    from framed.config import Config

NEEDED = ("examine", "render", "tags", "text_embedding", "places")
"""Tasks that the main job cannot be done without; the others are more than that."""

_REINSTALL = "make setup"
_FREE_MB = (300, 5_000)
_WATCHES = 65_536
_OLDEST = 1_735_689_600  # 2025: a clock before it was never set


def examine(settings: "Config", at: Where, used: Path | None) -> Iterator[Finding]:
    """Every finding, the quick ones first; asks the daemon too where it runs."""
    yield Finding("configuration", "good", str(used) if used else "no config.yaml: the defaults")
    running = remote.runs(at)
    yield _python()
    yield _packages()
    yield _sqlite()
    yield from _formats()
    yield from _tasks(settings, at)
    yield _weights(settings, at)
    yield gpu(settings.compute.device)
    yield from _data(settings.data_dir)
    yield from _photos(settings, running)
    yield from _watches()
    yield from _daemon(at) if running else _ports(settings, at)
    yield from _broker(settings)
    yield from _clock(settings)
    yield from service()


def broken_configuration(message: str) -> Finding:
    return Finding("configuration", "wrong", message, "mend config.yaml; config.yaml.example explains every key")


# -- the installation ----------------------------------------------------------------------------------------------


def _python() -> Finding:
    return Finding("Python", "good", f"{platform.python_version()} at {sys.executable}")


def _packages() -> Finding:
    """The base requirements of the installed framed; versions are checked where `packaging` is at hand."""
    try:
        requires = importlib.metadata.requires("framed") or []
    except importlib.metadata.PackageNotFoundError:
        return Finding("packages", "wrong", "framed itself is not installed", _REINSTALL)
    base = [line for line in requires if "extra ==" not in line]
    faults = [fault for line in base if (fault := _fault(line))]
    if faults:
        return Finding("packages", "wrong", "; ".join(faults), _REINSTALL)
    return Finding("packages", "good", f"all {len(base)} are here")


def _fault(requirement: str) -> str | None:
    name = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return f"{name} is missing"
    try:
        from packaging.requirements import Requirement
    except ImportError:
        return None  # then only presence is known
    wanted = Requirement(requirement)
    if wanted.marker is not None and not wanted.marker.evaluate():
        return None
    return (
        None if wanted.specifier.contains(version, prereleases=True) else f"{name} {version} is not {wanted.specifier}"
    )


def _sqlite() -> Finding:
    try:
        from pysqlite3 import dbapi2 as sqlite
    except ImportError as error:
        return Finding("SQLite", "wrong", f"pysqlite3 cannot be imported: {error}", _REINSTALL)
    connection = sqlite.connect(":memory:")
    try:
        connection.execute("create virtual table words using fts5(text)")
    except sqlite.Error as error:
        return Finding("SQLite", "wrong", f"{sqlite.sqlite_version} without FTS5: {error}", _REINSTALL)
    finally:
        connection.close()
    return Finding("SQLite", "good", f"{sqlite.sqlite_version} of pysqlite3, with FTS5")


def _formats() -> Iterator[Finding]:
    from PIL import __version__, features

    read = ["JPEG", "PNG", "GIF", "TIFF", *(name for name in ("webp", "avif") if features.check(name))]
    missing = [name.upper() for name in ("webp", "avif") if not features.check(name)]
    for name, package in (("HEIC", "pillow_heif"), ("RAW", "rawpy")):
        try:
            __import__(package)
            read.append(name)
        except ImportError:
            missing.append(name)
    said = f"{', '.join(name.upper() for name in read)} (Pillow {__version__})"
    yield Finding("formats", "good", said)
    if missing:
        yield Finding("formats", "wrong", f"{', '.join(missing)} cannot be read", _REINSTALL)


def _tasks(settings: "Config", at: Where) -> Iterator[Finding]:
    from framed.models import catalogue, vision_settings, weights

    weights.use(settings.models_folder)
    vision_settings.use(settings.captions)
    choices = settings.models.choices()
    for task in catalogue.report():
        wanted = choices.get(task, "auto")
        if wanted == "off":
            yield Finding(task, "good", "off, as config.yaml has it")
            continue
        try:
            choice = catalogue.choose(task, wanted)
        except Unavailable as error:
            bad = task in NEEDED or wanted != "auto"
            said = error.message if bad else "nothing that does it is here; framed works without"
            yield Finding(
                task, "wrong" if bad else "note", said, _mend(error.message, at) or (_REINSTALL if bad else "")
            )
        else:
            server = vision_settings.server(choice.backend) if task == "caption" else None
            model = f"at {server.host}, to which photos are sent" if server else choice.model_id
            yield Finding(task, "good", f"{choice.backend} {model}".strip() + _why(wanted, choice.passed_over))


def _mend(problem: str, at: Where) -> str:
    """The command that the backends name, as it can be typed here."""
    if pull := re.search(r"framed (models (?:pull|verify) [\w-]+)", problem):
        return at.command(*pull[1].split())
    if install := re.search(r"pip (install '?[\w\[\]-]+'?)", problem):
        return f"{Path(sys.executable).with_name('pip')} {install[1]}"
    return ""


def _why(wanted: str, passed_over: tuple[str, ...]) -> str:
    if wanted != "auto":
        return ", as config.yaml has it"
    return f", the best that is here; preferred to it: {', '.join(passed_over)}" if passed_over else ""


def _weights(settings: "Config", at: Where) -> Finding:
    """One line for all that could be downloaded: an offer, not an alarm."""
    from framed.models.download import gigabytes
    from framed.models.weight_sets import WEIGHTS
    from framed.shelf import state_of

    states = {wanted.name: state_of(wanted) for wanted in WEIGHTS}
    broken = [name for name, (state, _) in states.items() if state == "damaged"]
    if broken:
        mend = "; ".join(at.command("models", "verify", "--fetch", name) for name in broken)
        return Finding("weights", "wrong", f"damaged: {', '.join(broken)}", mend)
    here = [name for name, (state, _) in states.items() if state in ("here", "outdated")]
    more = [f"{w.name} ({w.task.replace('_', ' ')}, {gigabytes(w.size)})" for w in WEIGHTS if w.name not in here]
    had = f"{', '.join(here)}. " if here else ""
    if not more:
        return Finding("weights", "good", had.removesuffix(". "))
    mend = at.command("models", "pull", "NAME")
    said = f"{had}Better models than the packaged ones can be added with {mend}: {', '.join(more)}"
    return Finding("weights", "good", said)


# -- folders -------------------------------------------------------------------------------------------------------


def _data(folder: Path) -> Iterator[Finding]:
    there = next((place for place in (folder, *folder.parents) if place.exists()), Path("/"))
    if not there.is_dir():
        yield Finding("data folder", "wrong", f"{there} is a file", "choose another folder with --data")
        return
    if os.access(there, os.W_OK | os.X_OK):
        yield Finding("data folder", "good", str(folder) if there == folder else f"{folder} will be made")
    else:
        mend = f"sudo chown -R {os.environ.get('USER', '$USER')} {there}, or choose another with --data"
        yield Finding("data folder", "wrong", f"{there} may not be written to", mend)
    free_mb = shutil.disk_usage(there).free / 1e6
    said = f"{free_mb / 1000:,.1f} GB free"
    if free_mb < _FREE_MB[0]:
        yield Finding("disk space", "wrong", said, "make room: nothing new can be stored")
    elif free_mb < _FREE_MB[1]:
        yield Finding("disk space", "note", said, "make room, or lower cache.previews_gb in config.yaml")
    else:
        yield Finding("disk space", "good", said)


def _photos(settings: "Config", running: bool) -> Iterator[Finding]:
    from framed.library.mounts import mount_of, read_mounts

    roots = settings.library.roots
    if not roots and not running:  # a daemon may have been given folders on its command line
        yield Finding("photos", "note", "config.yaml names no folder of photos", "framed run --photos FOLDER")
    mounts = read_mounts()
    for root in roots:
        path = Path(root.path)
        if problem := _unreadable(path):
            yield Finding("photos", "wrong", f"{path}: {problem[0]}", problem[1])
            continue
        mount = mount_of(os.fsencode(path), mounts)
        how = " (network mount, looked through every minute)" if mount.remote else ""
        yield Finding("photos", "good", f"{path}{how}")


def _unreadable(path: Path) -> tuple[str, str] | None:
    """What is wrong, and what to do."""
    if not path.is_dir():
        return ("there is no such folder", f"mount it, or take it out of library.roots: {path}")
    try:
        with os.scandir(path) as entries:
            empty = next(entries, None) is None
    except OSError as error:
        return (f"it cannot be listed: {error.strerror}", f"give this user the right to read it: chmod -R a+rX {path}")
    if empty:
        return ("it is empty, so nothing in the library is touched", "is its disk mounted?")
    return None


def _watches() -> Iterator[Finding]:
    try:
        limit = int(Path("/proc/sys/fs/inotify/max_user_watches").read_text())
    except (OSError, ValueError):
        return  # not Linux: there is no such limit
    said = f"up to {limit:,} folders are watched"
    if limit < _WATCHES:
        yield Finding("inotify", "note", said, "sudo sysctl fs.inotify.max_user_watches=524288")
    else:
        yield Finding("inotify", "good", said)


# -- the daemon, ports, broker -------------------------------------------------------------------------------------


def _daemon(at: Where) -> Iterator[Finding]:
    try:
        health = remote.call("health", {}, at)
    except FramedError as error:
        yield Finding("daemon", "wrong", error.message)
        return
    problem = health.get("problem")
    if problem:
        yield Finding("daemon", "wrong", problem)
    else:
        yield Finding("daemon", "good", f"runs at {at.host}:{at.port}, {health['memory_mb']:.0f} MB of memory")
    library = health.get("library") or {}
    yield Finding(
        "library", "good", f"{library.get('analysed', 0):,} photos ready, {library.get('pending', 0):,} waiting"
    )
    if health.get("errors_1h"):
        yield Finding("daemon", "note", f"{counted(health['errors_1h'], 'error')} in the last hour: its log has them")
    if failed := library.get("failed"):
        yield Finding("library", "note", f"{counted(failed, 'file')} could not be read", at.command("photos"))


def _ports(settings: "Config", at: Where) -> Iterator[Finding]:
    yield Finding("daemon", "note", f"framed is not running at {at.host}:{at.port}", at.command("run"))
    wanted = [("HTTP port", settings.http.host or "0.0.0.0", settings.http.port, "--http-port")]
    if settings.mqtt.host is None:
        wanted.append(("MQTT port", settings.mqtt.bind, settings.mqtt.port, "--mqtt-port"))
    for what, host, port, option in wanted:
        if taken := _taken(host, port):
            mend = f"choose another with {option}, or stop the program that has it: ss -ltnp 'sport = {port}'"
            yield Finding(what, "wrong", f"{port} cannot be used: {taken}", mend)
        else:
            yield Finding(what, "good", f"{port} is free")


def _taken(host: str, port: int) -> str | None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except OSError as error:
            return error.strerror or str(error)
    return None


def _broker(settings: "Config") -> Iterator[Finding]:
    mqtt = settings.mqtt
    if mqtt.host is not None:
        yield from _given_broker(settings)
        return
    from framed.mqtt.mosquitto import usable_mosquitto

    found = asyncio.run(usable_mosquitto())
    if found is not None and mqtt.broker != "iotcore":
        yield Finding("MQTT broker", "good", f"Mosquitto {found[1]} at {found[0]}, run by framed")
        return
    mend = "brew install mosquitto" if sys.platform == "darwin" else "sudo apt install mosquitto"
    if importlib.util.find_spec("iotcore") is None:
        yield Finding("MQTT broker", "wrong", "neither Mosquitto 2 nor iotcore is installed", mend)
    elif mqtt.broker == "mosquitto":
        yield Finding("MQTT broker", "wrong", "mqtt.broker is mosquitto, and Mosquitto 2 is not installed", mend)
    else:
        yield Finding("MQTT broker", "note", "iotcore stands in for Mosquitto: nothing survives its restart", mend)


def _given_broker(settings: "Config") -> Iterator[Finding]:
    """Connects as framed would, with another client id: one that is in use would throw the daemon out."""
    from framed.mqtt.connection import probe
    from framed.mqtt.settings import MqttSettings

    mqtt = settings.mqtt
    reached = MqttSettings(
        host=str(mqtt.host),
        port=mqtt.port,
        username=mqtt.username,
        password=mqtt.password,
        protocol=mqtt.protocol,
        tls=mqtt.tls,
    )
    problem = asyncio.run(probe(reached, f"framed-doctor-{os.getpid()}"))
    if problem is None:
        yield Finding("MQTT broker", "good", f"{mqtt.host}:{mqtt.port} lets framed in")
    else:
        yield Finding("MQTT broker", "wrong", problem, "the section mqtt of config.yaml says how to reach it")


# -- clock ---------------------------------------------------------------------------------------------


def _clock(settings: "Config") -> Iterator[Finding]:
    now = time.time()
    if now < _OLDEST:
        yield Finding("clock", "wrong", f"it says {time.strftime('%Y-%m-%d')}", "sudo timedatectl set-ntp true")
        return
    zone, here = settings.ask.timezone, _zone_of_machine()
    said = f"{time.strftime('%Y-%m-%d %H:%M')}; dates are understood in {zone}"
    if here is not None and here != zone and _offset(here) != _offset(zone):
        yield Finding("clock", "note", f"{said}, this machine is in {here}", f"set ask.timezone: {here}")
    elif said_by("timedatectl", "show", "--property=NTPSynchronized", "--value") == "no":
        yield Finding("clock", "note", f"{said}; nothing keeps it right", "sudo timedatectl set-ntp true")
    else:
        yield Finding("clock", "good", said)


def _zone_of_machine() -> str | None:
    if named := os.environ.get("TZ", "").removeprefix(":"):
        return named
    parts = Path("/etc/localtime").resolve().parts
    return "/".join(parts[parts.index("zoneinfo") + 1 :]) if "zoneinfo" in parts else None


def _offset(zone: str) -> Any:
    from datetime import datetime
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return datetime.now(ZoneInfo(zone)).utcoffset()
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None  # TZ may be a rule such as CET-1CEST, which is no zone's name
