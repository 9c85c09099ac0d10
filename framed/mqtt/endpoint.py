"""Where framed's own broker listens, and an account there."""

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import SecretStr

from framed.mqtt.settings import MqttSettings

BrokerKind = Literal["mosquitto", "iotcore"]


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
