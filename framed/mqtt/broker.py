"""The broker that framed brings along: a supervised Mosquitto where it is installed, else iotcore."""

import asyncio
import base64
import contextlib
import ctypes
import errno
import hashlib
import importlib.util
import ipaddress
import json
import os
import re
import secrets
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Protocol

import psutil
import structlog
from pydantic import BaseModel, SecretStr, ValidationError

from framed.errors import ConfigError, FramedError, Unavailable
from framed.mqtt.settings import MqttSettings
from framed.mqtt.topics import check_slug

log = structlog.get_logger(__name__)

BrokerKind = Literal["mosquitto", "iotcore"]

DAEMON: Final = "framed"
HOME: Final = "home"

_PLACES: Final = ("/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto", "/opt/homebrew/sbin/mosquitto")
_READY_S: Final = 10.0
_RELOAD_S: Final = 2.0
# Asked again and again: Mosquitto 2.0 forgets a SIGTERM that comes just before its main loop begins.
_STOP_TRY_S: Final = 0.5
_STOP_TRIES: Final = 10
_BACKOFF_S: Final = (0.2, 30.0)
_GOOD_RUN_S: Final = 60.0
# Pictures go by HTTP; 20 MB is what a user may raise mqtt.max_binary_bytes to before the broker is in the way.
_MESSAGE_LIMIT: Final = 20_000_000
_IOTCORE_NOTE: Final = (
    "iotcore is a broker to try framed with: nothing survives its restart, one filter yields at most 100 retained"
    " topics, MQTT 5 has a port of its own, and every account may read and write everything."
    " Install Mosquitto for daily use."
)


@dataclass(frozen=True, slots=True)
class Credentials:
    username: str
    password: SecretStr


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the daemon finds its broker; `port_v5` where MQTT 5 has a port of its own."""

    host: str
    port: int
    port_v5: int | None
    username: str
    password: SecretStr
    kind: BrokerKind
    note: str

    def settings(self, **more: Any) -> MqttSettings:
        """For the daemon's own client, which speaks MQTT 5 unless told otherwise."""
        main_port = self.port_v5 is None or more.get("protocol") == "3.1.1"
        return MqttSettings(
            **{
                **more,
                "host": self.host,
                "port": self.port if main_port else self.port_v5,
                "username": self.username,
                "password": self.password,
                "plain": self.kind == "iotcore",
            }
        )


class _Running(BaseModel):
    """The pid file: the broker, and the daemon that started it, told from a later process of the same number."""

    broker: int
    daemon: int
    daemon_started: float


class _Recipe(Protocol):
    """How one kind of broker is written down and started; `write` is called in a thread."""

    @property
    def kind(self) -> BrokerKind: ...
    @property
    def note(self) -> str: ...
    def ports(self) -> tuple[int, ...]: ...
    def write(self, passwords: dict[str, str]) -> None: ...
    def command(self) -> list[str]: ...
    def is_command(self, command: list[str]) -> bool: ...


class ManagedBroker:
    """One broker process: started, restarted when it dies, and ended with the daemon, even by kill -9.

    `data` is a folder of its own; configuration, accounts and Mosquitto's database live there, readable by this user
    only. `base` and `discovery` are the topic prefixes that the rights are written for.
    """

    def __init__(
        self,
        data: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 1883,
        base: str = "framed",
        discovery: str = "homeassistant",
        kind: BrokerKind | None = None,
    ) -> None:
        self._data = data
        self._host = host
        self._port = port
        self._base = base
        self._discovery = discovery
        self._kind = kind
        self._passwords: dict[str, str] = {}
        self._recipe: _Recipe | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._running = asyncio.Event()
        self._reloaded = asyncio.Event()
        self._accounts_lock = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    @property
    def open_to_lan(self) -> bool:
        """Whether other machines can reach it; nobody gets in without an account in either case."""
        try:
            return not ipaddress.ip_address(self._host).is_loopback
        except ValueError:
            return self._host != "localhost"

    async def start(self) -> Endpoint:
        """Raises ConfigError for a taken port or a folder in use, Unavailable where no broker can be run."""
        recipe = self._recipe = await self._choose()
        await asyncio.to_thread(self._prepare, recipe)
        await self._spawn(recipe)
        self._supervisor = asyncio.create_task(self._supervise(recipe), name="broker supervisor")
        log.info("broker started", kind=recipe.kind, host=self._host, port=self._port, pid=self.pid)
        if recipe.kind == "iotcore":
            log.warning("broker with limits", note=recipe.note)
        daemon = self.credentials(DAEMON)
        return Endpoint(
            host="127.0.0.1" if self._host in ("", "0.0.0.0", "::") else self._host,
            port=self._port,
            port_v5=next((port for port in recipe.ports() if port != self._port), None),
            username=daemon.username,
            password=daemon.password,
            kind=recipe.kind,
            note=recipe.note,
        )

    async def stop(self) -> None:
        if self._supervisor is not None:
            self._supervisor.cancel()
            await asyncio.gather(self._supervisor, return_exceptions=True)
            self._supervisor = None
        await self._end_process()
        await asyncio.to_thread(self._pid_file.unlink, missing_ok=True)

    def credentials(self, user: str) -> Credentials:
        """The account of `framed`, `home`, or a frame that has been given one."""
        return Credentials(user, SecretStr(self._passwords[user]))

    async def add_frame(self, frame: str, *, renew: bool = False) -> Credentials:
        """Give a frame its account (user name = frame id), or return the one it has; `renew` gives a new password."""
        if check_slug(frame) in (DAEMON, HOME):
            raise ConfigError(f"A frame on framed's own broker cannot be called {frame!r}: the name is taken there.")
        async with self._accounts_lock:
            if renew or frame not in self._passwords:
                self._passwords[frame] = _new_password()
                await self._accounts_changed()
            return self.credentials(frame)

    async def remove_frame(self, frame: str) -> None:
        """Take a frame's account away; Mosquitto disconnects it at once."""
        async with self._accounts_lock:
            if frame not in (DAEMON, HOME) and self._passwords.pop(frame, None) is not None:
                await self._accounts_changed()

    # Accounts and files: called in a thread

    @property
    def _pid_file(self) -> Path:
        return self._data / "broker.pid"

    @property
    def _accounts_file(self) -> Path:
        return self._data / "accounts.json"

    def _prepare(self, recipe: _Recipe) -> None:
        if "\n" in str(self._data):
            raise ConfigError("The data folder of the broker must not have a line break in its name.", field="data")
        self._data.mkdir(parents=True, exist_ok=True)
        self._data.chmod(0o700)
        self._passwords = {**_read_accounts(self._accounts_file), **self._passwords}
        for user in (DAEMON, HOME):
            self._passwords.setdefault(user, _new_password())
        self._write(recipe)
        self._end_orphan(recipe)
        for port in recipe.ports():
            _check_free(self._host, port)

    def _write(self, recipe: _Recipe) -> None:
        write_private(self._accounts_file, json.dumps(self._passwords, indent=1))
        recipe.write(self._passwords)

    async def _accounts_changed(self) -> None:
        if self._recipe is None:
            return
        await asyncio.to_thread(self._write, self._recipe)
        if self._process is None or self._process.returncode is not None:
            return
        if self._recipe.kind != "mosquitto":
            self._process.terminate()  # rumqttd cannot read its accounts again; the supervisor starts it anew
            return
        self._reloaded.clear()
        self._process.send_signal(signal.SIGHUP)
        try:
            async with asyncio.timeout(_RELOAD_S):
                await self._reloaded.wait()
        except TimeoutError:
            log.warning("the broker does not say that it has read its accounts again", pid=self.pid)

    def _end_orphan(self, recipe: _Recipe) -> None:
        """End a broker that an earlier daemon left behind, known by its command line: a pid alone says nothing."""
        try:
            left = _Running.model_validate_json(self._pid_file.read_bytes())
            process = psutil.Process(left.broker)
            if not recipe.is_command(process.cmdline()):
                return
        except (FileNotFoundError, ValidationError, psutil.NoSuchProcess, psutil.AccessDenied):
            return
        if _lives(left.daemon, left.daemon_started) and left.daemon != os.getpid():
            raise ConfigError(f"Another framed (process {left.daemon}) already uses the broker folder {self._data}.")
        log.warning("ending the broker of an earlier run", pid=left.broker)
        with contextlib.suppress(psutil.NoSuchProcess):  # it ended meanwhile
            _end_and_wait(process)

    # The process

    async def _choose(self) -> _Recipe:
        binary = await usable_mosquitto() if self._kind in (None, "mosquitto") else None
        if binary is not None:
            path, version = binary
            return _Mosquitto(
                data=self._data,
                host=self._host,
                port=self._port,
                base=self._base,
                discovery=self._discovery,
                binary=path,
                note=f"Mosquitto {version}, run by framed.",
            )
        if self._kind in (None, "iotcore") and importlib.util.find_spec("iotcore") is not None:
            return _Iotcore(data=self._data, host=self._host, port=self._port)
        raise Unavailable(
            "There is no broker to run: install Mosquitto 2.0 or newer (apt install mosquitto), or set mqtt.host to"
            " the broker that you have."
        )

    async def _spawn(self, recipe: _Recipe) -> None:
        self._running.clear()
        process = await asyncio.create_subprocess_exec(
            *recipe.command(),
            stdin=asyncio.subprocess.PIPE,  # iotcore ends when this closes
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            cwd="/",
            preexec_fn=_end_with_parent(),
        )
        self._process = process
        said: list[str] = []
        self._reader = asyncio.create_task(self._read_log(process, said), name="broker log")
        me = os.getpid()
        running = _Running(broker=process.pid, daemon=me, daemon_started=psutil.Process(me).create_time())
        await asyncio.to_thread(write_private, self._pid_file, running.model_dump_json())
        try:
            async with asyncio.timeout(_READY_S):
                await self._ready(recipe, process)
        except (TimeoutError, Unavailable) as error:
            await self._end_process()
            detail = said[-1] if said else str(error) or f"it was not ready after {_READY_S:.0f} s"
            raise Unavailable(f"The {recipe.kind} broker did not start: {detail}") from error

    async def _ready(self, recipe: _Recipe, process: asyncio.subprocess.Process) -> None:
        ended = asyncio.create_task(process.wait())
        ready = asyncio.create_task(self._running.wait() if recipe.kind == "mosquitto" else self._accepts(recipe))
        try:
            await asyncio.wait((ended, ready), return_when=asyncio.FIRST_COMPLETED)
            if not ready.done():
                raise Unavailable(f"The {recipe.kind} broker ended with code {process.returncode}.")
        finally:
            ended.cancel()
            ready.cancel()
            await asyncio.gather(ended, ready, return_exceptions=True)

    async def _accepts(self, recipe: _Recipe) -> None:
        for port in recipe.ports():
            while True:
                try:
                    _, writer = await asyncio.open_connection(self._host, port)
                except OSError:  # not listening yet; the caller bounds the time
                    await asyncio.sleep(0.02)
                    continue
                writer.close()
                break

    async def _read_log(self, process: asyncio.subprocess.Process, said: list[str]) -> None:
        assert process.stderr is not None
        while True:
            try:
                line = (await process.stderr.readline()).decode(errors="replace")
            except ValueError:  # longer than the reader's limit; the rest follows as lines of its own
                continue
            if not line:
                return
            text = line.strip()
            said[:] = [*said[-4:], text]
            if re.fullmatch(r"mosquitto version \S+ running", text):
                self._running.set()
            elif text.startswith("Reloading config"):
                self._reloaded.set()
            level = "warning" if text.startswith(("Error", "Warning")) else "debug"
            getattr(log, level)("broker says", text=text)

    async def _supervise(self, recipe: _Recipe) -> None:
        attempt = 0
        started = time.monotonic()
        while True:
            if self._process is not None:
                code = await self._process.wait()
                log.error("broker ended, starting it again", kind=recipe.kind, code=code)
            if time.monotonic() - started > _GOOD_RUN_S:
                attempt = 0
            await asyncio.sleep(min(_BACKOFF_S[1], _BACKOFF_S[0] * 2**attempt))
            attempt = min(attempt + 1, 10)
            started = time.monotonic()
            try:
                await self._spawn(recipe)
            except (FramedError, OSError) as error:
                log.error("broker cannot be started again, trying on", kind=recipe.kind, reason=str(error))

    async def _end_process(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            await _end(process)
        if process is not None and process.stdin is not None:
            process.stdin.close()
        if self._reader is not None:
            await self._reader  # ends with the process's stderr
            self._reader = None


@dataclass(frozen=True, slots=True)
class _Mosquitto:
    """Mosquitto 2.0 or newer, with accounts and rights per frame."""

    data: Path
    host: str
    port: int
    base: str
    discovery: str
    binary: str
    note: str
    kind: BrokerKind = "mosquitto"

    def ports(self) -> tuple[int, ...]:
        return (self.port,)

    def command(self) -> list[str]:
        return [self.binary, "-c", str(self.data / "mosquitto.conf")]

    def is_command(self, command: list[str]) -> bool:
        return command[1:] == self.command()[1:] and Path(command[0]).name == "mosquitto"

    def write(self, passwords: dict[str, str]) -> None:
        hashed = (f"{user}:{mosquitto_hash(word)}\n" for user, word in passwords.items())
        write_private(self.data / "passwords", "".join(hashed))
        write_private(self.data / "rights", self._rights([user for user in passwords if user not in (DAEMON, HOME)]))
        write_private(self.data / "mosquitto.conf", self._configuration())

    def _configuration(self) -> str:
        lines = [
            f"listener {self.port} {self.host}".rstrip(),
            "allow_anonymous false",
            f"password_file {self.data / 'passwords'}",
            f"acl_file {self.data / 'rights'}",
            "persistence true",
            f"persistence_location {self.data}/",
            "autosave_interval 5",
            "persistent_client_expiration 14d",
            "max_queued_messages 10000",
            "max_queued_bytes 67108864",
            # 2.1 would otherwise cut the connection at 2,000,000 bytes.
            f"max_packet_size {_MESSAGE_LIMIT + 65_536}",
            "set_tcp_nodelay true",
            "log_dest stderr",
            "log_timestamp false",
            "log_type error",
            "log_type warning",
            "log_type notice",
            "log_type information",
        ]
        if os.geteuid() == 0:
            # As root Mosquitto would become user mosquitto, who cannot read this folder.
            lines.append("user root")
        return "\n".join(lines) + "\n"

    def _rights(self, frames: list[str]) -> str:
        base = self.base
        lines = [
            f"user {DAEMON}",
            "topic readwrite #",
            f"user {HOME}",
            f"topic read {base}/#",
            f"topic write {base}/request/#",
            *(f"topic write {base}/frame/+/{leaf}" for leaf in ("set", "cmd", "ask")),
            f"topic readwrite {self.discovery}/#",
        ]
        # A section per frame and not Mosquitto's `pattern`, which would hold for every account.
        for frame in frames:
            lines += [
                f"user {frame}",
                f"topic read {base}/status",
                f"topic read {base}/frame/{frame}/#",
                *(f"topic write {base}/frame/{frame}/{leaf}" for leaf in ("hello", "availability", "report", "cmd")),
            ]
        return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class _Iotcore:
    """rumqttd in a Python process, as iotcore 0.4 starts it; MQTT 5 on the next port."""

    data: Path
    host: str
    port: int
    note: str = _IOTCORE_NOTE
    kind: BrokerKind = "iotcore"

    def ports(self) -> tuple[int, ...]:
        return (self.port, self.port + 1)

    def command(self) -> list[str]:
        options = json.dumps({"config_path": str(self.data / "iotcore.toml")})
        return [sys.executable, "-P", "-m", "iotcore._serve", options]

    def is_command(self, command: list[str]) -> bool:
        return command[1:] == self.command()[1:]

    def write(self, passwords: dict[str, str]) -> None:
        host = f"[{self.host}]" if ":" in self.host else self.host
        # Without these limits rumqttd takes 20 KB a message and listens on every address.
        text = "id = 0\n[router]\nid = 0\nmax_connections = 1000\nmax_outgoing_packet_count = 200\n"
        text += "max_segment_size = 104857600\nmax_segment_count = 10\n"
        for version, port in zip(("v4", "v5"), self.ports(), strict=True):
            text += f'[{version}.1]\nname = "{version}"\nlisten = "{host}:{port}"\nnext_connection_delay_ms = 1\n'
            text += f"[{version}.1.connections]\nconnection_timeout_ms = 10000\nmax_inflight_count = 100\n"
            text += f"max_payload_size = {_MESSAGE_LIMIT}\n[{version}.1.connections.auth]\n"
            text += "".join(f'"{user}" = "{word}"\n' for user, word in passwords.items())
        write_private(self.data / "iotcore.toml", text)


def write_private(path: Path, text: str) -> None:
    """Replace a file in one step; nobody else can read it at any moment."""
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    temporary.replace(path)


def _read_accounts(path: Path) -> dict[str, str]:
    try:
        accounts = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise ConfigError(f"{path} is damaged: delete it, and every frame gets a new password.") from error
    if not isinstance(accounts, dict) or not all(isinstance(word, str) for word in accounts.values()):
        raise ConfigError(f"{path} is damaged: delete it, and every frame gets a new password.")
    return accounts


def _new_password() -> str:
    return secrets.token_urlsafe(24)


def mosquitto_hash(password: str) -> str:
    """Mosquitto 2's `$7$`: PBKDF2-SHA512. Its own 101 rounds do, because these passwords are random."""
    salt = secrets.token_bytes(12)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, 101, 64)
    return f"$7$101${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def _check_free(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigError(_why_not_listening(host, port, error), field="mqtt.port") from error


def _why_not_listening(host: str, port: int, error: OSError) -> str:
    where = f"framed's own broker cannot listen on {host}:{port}"
    if error.errno == errno.EADDRINUSE:
        return (
            f"{where}: another program has the port. If that is your MQTT broker, set mqtt.host to use it; else choose"
            " a free port with mqtt.port or --mqtt-port."
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{where}: this machine does not have that address. Set mqtt.bind to one that it has, or to 0.0.0.0."
    return f"{where}: {error.strerror or error}. Choose another with mqtt.port or --mqtt-port."


def _lives(pid: int, started: float) -> bool:
    try:
        return abs(psutil.Process(pid).create_time() - started) < 1.0
    except psutil.NoSuchProcess:
        return False


async def usable_mosquitto() -> tuple[str, str] | None:
    """Path and version of a Mosquitto from 2.0 on; older ones know neither our password hash nor local listeners."""
    path = shutil.which("mosquitto") or next((place for place in _PLACES if os.access(place, os.X_OK)), None)
    if path is None:
        return None
    process = await asyncio.create_subprocess_exec(
        path, "-h", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    found = re.search(rb"mosquitto version (\d+)\.(\S+)", output)
    if found is None or int(found[1]) < 2:
        log.warning("this Mosquitto is too old, 2.0 is needed", path=path, says=output[:60].decode(errors="replace"))
        return None
    return path, f"{found[1].decode()}.{found[2].decode()}"


def _end_and_wait(process: psutil.Process) -> None:
    """For a thread."""
    for _ in range(_STOP_TRIES):
        process.terminate()
        try:
            process.wait(_STOP_TRY_S)
            return
        except psutil.TimeoutExpired:
            continue  # asked again, then killed
    process.kill()
    process.wait(_STOP_TRY_S)


async def _end(process: asyncio.subprocess.Process) -> None:
    for _ in range(_STOP_TRIES):
        if process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(_STOP_TRY_S):
                await process.wait()
                return
        except TimeoutError:
            continue  # asked again, then killed
    log.warning("broker does not end on SIGTERM, killing it", pid=process.pid)
    process.kill()
    await process.wait()


def _end_with_parent() -> Callable[[], None] | None:
    """For `preexec_fn`: the kernel ends the child when the thread that started it, the event loop's, is gone."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()
    set_death_signal = 1

    def in_child() -> None:
        prctl(set_death_signal, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)  # the parent ended before the signal was set

    return in_child
