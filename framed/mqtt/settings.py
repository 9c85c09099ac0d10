"""How to reach the broker: address, account, TLS, limits."""

from pathlib import Path
from typing import Any, Final, Literal, Self
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from framed.errors import ConfigError

Version = Literal["5", "3.1.1"]

_NO_URL: Final = "The broker must be given as mqtt://user:password@host:1883, or mqtts:// for TLS."


class TlsSettings(BaseModel):
    """`insecure` accepts any certificate; `ca` is needed only for one that the system does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = False
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    insecure: bool = False


class MqttSettings(BaseModel):
    """How to reach the broker, and how large a message may be; `auto` is MQTT 5, and 3.1.1 where there is no 5."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = "127.0.0.1"
    port: int = Field(default=1883, ge=1, le=65_535)
    username: str | None = None
    password: SecretStr | None = None
    protocol: Literal["auto", "5", "3.1.1"] = "auto"
    tls: TlsSettings = TlsSettings()
    client_id: str = Field(default="framed", pattern=r"^[A-Za-z0-9_-]{1,64}$")
    keepalive: int = Field(default=30, ge=5, le=3_600)
    max_json_bytes: int = Field(default=262_144, ge=4_096)
    max_binary_bytes: int = Field(default=1_000_000, ge=4_096)
    connect_timeout_s: float = Field(default=5.0, gt=0, le=60)
    plain: bool = False
    """Messages without MQTT 5 properties: iotcore hands those to 3.1.1 clients too, whose connections break by it."""

    @classmethod
    def from_url(cls, url: str, **more: Any) -> Self:
        """From `mqtt://user:password@host:port`, or `mqtts://` for TLS; ConfigError never repeats the password."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise ConfigError(_NO_URL, field="broker") from error
        if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname or parts.path.strip("/"):
            raise ConfigError(_NO_URL, field="broker")
        encrypted = parts.scheme == "mqtts"
        if encrypted:
            more = {"tls": TlsSettings(enabled=True), **more}
        if parts.username:
            more["username"] = unquote(parts.username)
        if parts.password:
            more["password"] = SecretStr(unquote(parts.password))
        return cls(host=parts.hostname, port=port or (8883 if encrypted else 1883), **more)
