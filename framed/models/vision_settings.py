"""Which servers put pictures into words: the settings, and those that this process uses."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator


class ServerSettings(BaseModel):
    """`timeout_s`: for one photo, loading the model included."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str | None = Field(None, pattern=r"^https?://[^/@\s?#]+(/[^@\s?#]*)?$")
    model: str = Field("", max_length=200)
    api_key: SecretStr | None = None
    timeout_s: float = Field(180.0, ge=1, le=3_600)

    @field_validator("url")
    @classmethod
    def _bare(cls, url: str | None) -> str | None:
        return url.rstrip("/") if url else None

    @property
    def host(self) -> str:
        return urlsplit(self.url or "").netloc


class OllamaSettings(ServerSettings):
    model: str = Field("qwen2.5vl:3b", max_length=200)


class CaptionSettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    max_chars: int = Field(300, ge=40, le=300)
    detailed: bool = False
    ollama: OllamaSettings = OllamaSettings()
    openai: ServerSettings = ServerSettings()

    @field_validator("ollama", "openai", mode="before")
    @classmethod
    def _empty(cls, value: Any) -> Any:
        """A section whose every key is commented out is null in YAML; it means the defaults."""
        return {} if value is None else value


_used = CaptionSettings()


def use(settings: CaptionSettings) -> None:
    """What this process asks from now on. Never in the environment, which the compute hosts see: it holds keys."""
    global _used
    _used = settings


def used() -> CaptionSettings:
    return _used


def server(backend: str) -> ServerSettings | None:
    """Of a backend that is a server; None for one that computes here."""
    found: dict[str, ServerSettings] = {"ollama": _used.ollama, "openai": _used.openai}
    return found.get(backend)
