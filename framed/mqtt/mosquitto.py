"""Mosquitto as framed's own broker: which one can be used, its configuration, accounts and rights."""

import asyncio
import base64
import hashlib
import os
import re
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from framed.mqtt.accounts import DAEMON, HOME
from framed.mqtt.endpoint import BrokerKind
from framed.mqtt.recipe import MESSAGE_LIMIT
from framed.private_file import write_private

log = structlog.get_logger(__name__)

_PLACES: Final = ("/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto", "/opt/homebrew/sbin/mosquitto")


@dataclass(frozen=True, slots=True)
class Mosquitto:
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
            f"max_packet_size {MESSAGE_LIMIT + 65_536}",
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


def mosquitto_hash(password: str) -> str:
    """Mosquitto 2's `$7$`: PBKDF2-SHA512. Its own 101 rounds do, because these passwords are random."""
    salt = secrets.token_bytes(12)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, 101, 64)
    return f"$7$101${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


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
