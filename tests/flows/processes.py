"""framed as a process of its own, `python -m framed run`, that a test may kill; and photos enough to kill it over."""

import contextlib
import json
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import paho.mqtt.client as mqtt
import psutil
import pysqlite3
import skimage
import yaml
from paho.mqtt.enums import CallbackAPIVersion
from PIL import Image

from tests.broker_fixtures import free_port

PICTURES = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "hubble_deep_field.jpg", "motorcycle_left.png")


def write_photos(folder: Path, count: int, *, edge: int = 640) -> None:
    """Distinct photos: cuts of a few pictures that lie elsewhere and are lit otherwise each time, days apart."""
    folder.mkdir(parents=True, exist_ok=True)
    data = Path(skimage.__file__).parent / "data"
    sources = [Image.open(data / name).convert("RGB").resize((edge * 3 // 2, edge)) for name in PICTURES]
    for number in range(count):
        source = sources[number % len(sources)]
        turn = number // len(sources)
        left, top = turn * 37 % (edge // 2), turn * 23 % (edge // 4)
        light = 0.7 + turn * 0.13 % 0.6
        picture = source.crop((left, top, left + edge, top + edge * 3 // 4)).point(
            lambda value, light=light: min(255, int(value * light))
        )
        exif = Image.Exif()
        month, day = number // 28 % 12 + 1, number % 28 + 1
        exif.get_ifd(0x8769)[0x9003] = f"{2001 + number // 336}:{month:02}:{day:02} 10:00:00"
        picture.save(folder / f"IMG_{number:05}.jpg", "JPEG", quality=85, exif=exif)


def until(check: Callable[[], Any], seconds: float = 60.0, *, every: float = 0.02) -> Any:
    """Waits until `check` gives something true, and gives it; AssertionError after `seconds`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := check():
            return found
        time.sleep(every)
    raise AssertionError("it did not come true in time")


@dataclass
class Home:
    """What outlives a daemon: its configuration, its data folder and its photos."""

    folder: Path
    settings: dict[str, Any]
    log: Path = field(init=False)

    def __post_init__(self) -> None:
        self.log = self.folder / "framed.log"
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "config.yaml").write_text(yaml.safe_dump(self.settings))

    @classmethod
    def at(cls, folder: Path, mqtt: dict[str, Any], **more: Any) -> "Home":
        settings: dict[str, Any] = {
            "data_dir": str(folder / "data"),
            "library": {"roots": [{"path": str(folder / "photos")}], "settle_s": 0.1, "debounce_s": 0.2},
            "http": {"host": "127.0.0.1", "port": free_port()},
            "mqtt": mqtt,
            "logging": {"format": "json"},
        }
        return cls(folder, settings | more)

    @property
    def database(self) -> Path:
        return self.folder / "data" / "framed.db"

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Reads the daemon's database from outside, while it runs or after its death."""
        with contextlib.closing(pysqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=10)) as database:
            return list(database.execute(query, values))

    def value(self, query: str, *values: Any) -> Any:
        """The first value; None where there is no row, or no database yet."""
        try:
            found = self.rows(query, *values)
        except pysqlite3.OperationalError:
            return None
        return found[0][0] if found else None

    def start(self) -> "Daemon":
        return Daemon(self)


class Daemon:
    """One run of framed. It is up when its page server answers; a test ends it by `kill` or `stop`."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self._said = home.log.stat().st_size if home.log.exists() else 0
        with home.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "framed", "run", "--config", str(home.folder / "config.yaml")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._seen: dict[int, psutil.Process] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        if self.process.poll() is None:
            self.kill()

    def log(self) -> list[dict[str, Any]]:
        """What this run has logged."""
        with self.home.log.open("rb") as file:
            file.seek(self._said)
            lines = file.read().splitlines()
        found = []
        for line in lines:
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
        return [entry for entry in found if isinstance(entry, dict)]

    def said(self, event: str) -> list[dict[str, Any]]:
        return [entry for entry in self.log() if entry.get("event") == event]

    def up(self) -> Self:
        def answers() -> bool:
            assert self.process.poll() is None, self.home.log.read_text()[-3000:]
            with contextlib.suppress(OSError):
                return bool(self.get("/healthz"))
            return False

        until(answers, 60)
        return self

    def get(self, path: str) -> bytes:
        address = path if path.startswith("http") else f"http://127.0.0.1:{self.home.settings['http']['port']}{path}"
        with urllib.request.urlopen(address, timeout=10) as answer:
            data: bytes = answer.read()
        return data

    def ask(self, verb: str, **payload: Any) -> dict[str, Any]:
        """A request over HTTP, as the owner."""
        token = (self.home.folder / "data" / "token").read_text().strip()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.home.settings['http']['port']}/api/v1/{verb}",
            json.dumps(payload).encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {token}"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            found: dict[str, Any] = json.loads(answer.read())
        return found

    def family(self) -> list[psutil.Process]:
        """The daemon's child processes now; all that were ever seen are held against `orphans`."""
        try:
            children = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            children = []
        self._seen |= {child.pid: child for child in children}
        return children

    def kill(self) -> None:
        """kill -9, at once."""
        self.family()
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> tuple[int, float]:
        """SIGTERM; the exit status, and the seconds that it took."""
        self.family()
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(20)
        return status, time.monotonic() - began

    def orphans(self, seconds: float = 5.0) -> list[str]:
        """Child processes that are still there so long after the daemon's end."""
        _, alive = psutil.wait_procs(list(self._seen.values()), timeout=seconds)
        return [f"{process.pid} {process.name()}" for process in alive if process.status() != psutil.STATUS_ZOMBIE]


class Watcher:
    """A client of the broker in a thread of its own: keeps every message of the topics it watches, in order."""

    def __init__(self, port: int, *topics: str) -> None:
        self.seen: list[mqtt.MQTTMessage] = []
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self._client.on_message = lambda client, userdata, message: self.seen.append(message)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        for topic in topics:
            self._client.subscribe(topic, qos=1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, topic: str, **payload: Any) -> None:
        self._client.publish(topic, json.dumps(payload), qos=1).wait_for_publish(10)

    def payloads(self, topic: str) -> list[Any]:
        """What came on a topic, decoded; an empty payload is None, plain text stays as it is."""
        found = [bytes(message.payload) for message in list(self.seen) if message.topic == topic]
        return [json.loads(data) if data[:1] == b"{" else data.decode() or None for data in found]

    def wait(self, topic: str, wanted: Callable[[Any], Any] = lambda payload: True, seconds: float = 60.0) -> Any:
        """The first payload of the topic that is `wanted`."""
        return until(lambda: [found for found in self.payloads(topic) if found and wanted(found)], seconds)[0]


def retained_now(port: int, topic: str) -> Any:
    """What the broker has kept on a topic."""
    with Watcher(port, topic) as watcher:
        until(lambda: watcher.seen, 10)
        assert watcher.seen[0].retain
        return watcher.payloads(topic)[0]


STEP_ROWS = "select photo_id, step, version, state, attempts, at from photo_steps"


@dataclass(frozen=True)
class Killed:
    """What the store held when a daemon was killed: its step rows, and whether SQLite finds the file sound."""

    rows: dict[tuple[int, str], tuple[Any, ...]]
    integrity: str
    orphans: list[str]


def kill_when(daemon: Daemon, ready: Callable[[], Any], seconds: float = 120.0) -> Killed:
    """Kills the daemon as soon as `ready` gives something true, and looks at what it left."""

    def now() -> Any:
        assert daemon.process.poll() is None, daemon.home.log.read_text()[-3000:]
        return ready()

    until(now, seconds)  # looked at more often, and at its children too, the daemon would be slowed to half
    daemon.kill()
    orphans = daemon.orphans()
    home = daemon.home
    made = home.value("select 1 from sqlite_master where name = 'photo_steps'")  # else it was killed before that
    rows = {(photo, step): rest for photo, step, *rest in home.rows(STEP_ROWS)} if made else {}
    return Killed({key: tuple(row) for key, row in rows.items()}, str(home.value("pragma integrity_check")), orphans)


@contextlib.contextmanager
def running(home: Home) -> Iterator[Daemon]:
    with home.start() as daemon:
        yield daemon.up()
