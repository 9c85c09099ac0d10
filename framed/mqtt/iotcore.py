"""iotcore as framed's own broker, to try framed where Mosquitto is not installed."""

import importlib.util
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from framed.mqtt.endpoint import BrokerKind
from framed.mqtt.recipe import MESSAGE_LIMIT
from framed.private_file import write_private

_NOTE: Final = (
    "iotcore is a broker to try framed with: nothing survives its restart, one filter yields at most 100 retained"
    " topics, MQTT 5 has a port of its own, and every account may read and write everything."
    " Install Mosquitto for daily use."
)


def installed() -> bool:
    return importlib.util.find_spec("iotcore") is not None


@dataclass(frozen=True, slots=True)
class Iotcore:
    """rumqttd in a Python process, as iotcore 0.4 starts it; MQTT 5 on the next port."""

    data: Path
    host: str
    port: int
    note: str = _NOTE
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
            text += f"max_payload_size = {MESSAGE_LIMIT}\n[{version}.1.connections.auth]\n"
            text += "".join(f'"{user}" = "{word}"\n' for user, word in passwords.items())
        write_private(self.data / "iotcore.toml", text)
