"""config.yaml → one pydantic class per section; an error names the file, the line and the key.

`!secret name` reads `secrets.yaml` beside the file, `${NAME}` the environment. What runs of framed need is the merge of
the file and the options of `framed run`.
"""

import os
import re
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

from framed.errors import ConfigError
from framed.frames.base import Fit
from framed.frames.registry import FrameConfig
from framed.library.scanner import LibrarySettings
from framed.models.pool import ComputeSettings
from framed.mqtt.client import TlsSettings
from framed.playlists.plan import AskSettings, Kind


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Mqtt(Section):
    host: str | None = None
    port: int = Field(1883, ge=1, le=65_535)
    username: str | None = None
    password: SecretStr | None = None
    protocol: Literal["auto", "5", "3.1.1"] = "auto"
    tls: TlsSettings = TlsSettings()
    client_id: str | None = Field(None, pattern=r"^[A-Za-z0-9_-]{1,64}$")
    base_topic: str = "framed"
    keepalive: int = Field(30, ge=5, le=3_600)
    max_json_bytes: int = Field(262_144, ge=4_096)
    max_binary_bytes: int = Field(1_000_000, ge=4_096)
    bind: str = "127.0.0.1"
    broker: Literal["auto", "mosquitto", "iotcore"] = "auto"

    @field_validator("protocol", mode="before")
    @classmethod
    def _text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


class Http(Section):
    host: str | None = None
    port: int = Field(8480, ge=0, le=65_535)
    base_url: str | None = Field(None, pattern=r"^https?://[^/\s]+$")
    open_lan: bool = False
    embed: list[str] = []


class Cache(Section):
    previews_gb: float = Field(20.0, gt=0)
    pictures_gb: float = Field(5.0, gt=0)


class Photos(Section):
    max_file_mb: int = Field(400, ge=1)
    max_megapixels: int = Field(150, ge=1, le=2_000)


class Ask(AskSettings):
    model_config = ConfigDict(extra="forbid", frozen=True)

    without: list[Kind] = ["screenshot", "document"]


class Models(Section):
    """The backend of each task, and where weights come from and lie."""

    tags: str = "auto"
    image_embedding: str = "auto"
    ocr: str = "auto"
    faces: str = "auto"
    aesthetics: str = "auto"
    caption: str = "auto"
    text_embedding: str = "auto"
    folder: Path | None = None
    mirror: str | None = None
    offline: bool = False

    def choices(self) -> dict[str, str]:
        """The backend that is wanted for each task."""
        return self.model_dump(exclude={"folder", "mirror", "offline"})


class Slideshow(Section):
    interval_s: int = Field(300, ge=5, le=31 * 86_400)
    fit: Fit = "cover"
    default: str = Field("photos in random order", max_length=500)


class Logging(Section):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"


class Config(Section):
    """The whole file. Every key has a default: an empty file is a working one."""

    data_dir: Path = Field(Path("~/.local/share/framed"), validate_default=True)
    instance: str = Field("home", pattern=r"^[a-z0-9_-]{1,20}$")
    mqtt: Mqtt = Mqtt()
    http: Http = Http()
    library: LibrarySettings = LibrarySettings()
    photos: Photos = Photos()
    cache: Cache = Cache()
    ask: Ask = Ask()
    models: Models = Models()
    compute: ComputeSettings = ComputeSettings()
    slideshow: Slideshow = Slideshow()
    frames: list[FrameConfig] = []
    logging: Logging = Logging()

    @field_validator("data_dir")
    @classmethod
    def _home(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @model_validator(mode="after")
    def _once(self) -> "Config":
        seen: set[str] = set()
        for frame in self.frames:
            if frame.id in seen:
                raise ValueError(f"frames: the id {frame.id!r} is used twice")
            seen.add(frame.id)
        return self


# -- reading -----------------------------------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):
    """Safe YAML that knows where each key stands and refuses a key twice."""

    secrets: dict[str, Any] | None = None
    folder: Path = Path()


_Path = tuple[str | int, ...]


def load(path: Path | None, overrides: dict[str, Any] | None = None) -> Config:
    """The configuration of a file (None: the defaults) with `overrides` merged over it. Raises ConfigError."""
    data: dict[str, Any] = {}
    lines: dict[_Path, int] = {}
    name = "config"
    if path is not None:
        name = path.name
        data, lines = _read(path)
    _merge(data, overrides or {})
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        raise ConfigError(_sentences(error, name, lines)) from error


def find(given: Path | None) -> Path | None:
    """The file to use: the one named, else FRAMED_CONFIG, ./config.yaml, the user's, the system's."""
    if given is not None:
        return given
    named = os.environ.get("FRAMED_CONFIG")
    places = [Path(named)] if named else []
    places += [Path("config.yaml"), Path("~/.config/framed/config.yaml").expanduser(), Path("/etc/framed/config.yaml")]
    return next((place for place in places if place.is_file()), None)


def _read(path: Path) -> tuple[dict[str, Any], dict[_Path, int]]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError(f"There is no file {path}. Copy config.yaml.example there.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path.name} is not UTF-8 text.") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
    loader = _Loader(text)
    loader.folder = path.parent
    try:
        node = loader.get_single_node()
        lines: dict[_Path, int] = {}
        if node is not None:
            _note_lines(node, (), lines, path.name)
        data = loader.construct_document(node) if node is not None else {}
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise ConfigError(f"{path.name}, line {line}: {error.problem or error.context}.") from error
    finally:
        loader.dispose()
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise ConfigError(f"{path.name}, line 1: expected keys such as `library:`, not a single value or a list.")
    return _expanded(data, (), lines, path.name), lines


def _note_lines(node: yaml.Node, at: _Path, lines: dict[_Path, int], file: str) -> None:
    lines[at] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            place = (*at, str(key.value))
            if place in lines:
                raise ConfigError(f"{file}, line {key.start_mark.line + 1}: {_key(place)} is given twice.")
            _note_lines(value, place, lines, file)
            lines[place] = key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _note_lines(value, (*at, index), lines, file)


def _secret(loader: _Loader, node: yaml.Node) -> Any:
    if loader.secrets is None:
        path = loader.folder / "secrets.yaml"
        try:
            loader.secrets = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except FileNotFoundError as error:
            line = node.start_mark.line + 1
            raise ConfigError(f"config.yaml, line {line}: !secret needs a file secrets.yaml beside it.") from error
    name = str(node.value)
    if not isinstance(loader.secrets, dict) or name not in loader.secrets:
        raise ConfigError(f"line {node.start_mark.line + 1}: secrets.yaml has no {name!r}.")
    return loader.secrets[name]


_Loader.add_constructor("!secret", _secret)


def _expanded(value: Any, at: _Path, lines: dict[_Path, int], file: str) -> Any:
    if isinstance(value, dict):
        return {key: _expanded(inner, (*at, str(key)), lines, file) for key, inner in value.items()}
    if isinstance(value, list):
        return [_expanded(inner, (*at, index), lines, file) for index, inner in enumerate(value)]
    if isinstance(value, str) and "${" in value:

        def replace(match: re.Match[str]) -> str:
            name, _, default = match[1].partition(":-")
            found = os.environ.get(name)
            if found is None and ":-" not in match[1]:
                where = f"{file}, line {lines.get(at, 0)}: {_key(at)}"
                raise ConfigError(f"{where}: the environment has no {name}.")
            return found if found is not None else default

        return re.sub(r"\$\{([A-Za-z_][A-Za-z0-9_]*(?::-[^}]*)?)\}", replace, value)
    return value


def _merge(data: dict[str, Any], over: dict[str, Any]) -> None:
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(data.get(key), dict):
            _merge(data[key], value)
        else:
            data[key] = value


def _sentences(error: ValidationError, file: str, lines: dict[_Path, int]) -> str:
    said = []
    for problem in error.errors(include_url=False, include_input=False):
        at: _Path = tuple(problem["loc"])
        known = at
        while known and known not in lines:
            known = known[:-1]
        where = f"{file}, line {lines[known]}" if known in lines and lines else file
        said.append(f"{where}: {_key(at) or 'the file'}: {_expected(problem)}.")
    return "\n".join(said)


def _expected(problem: Any) -> str:
    kind, message = problem["type"], str(problem["msg"])
    if kind == "extra_forbidden":
        return "there is no such key; config.yaml.example lists them all"
    if kind == "missing":
        return "this key is needed"
    message = message.removeprefix("Value error, ").rstrip(".")
    return message[0].lower() + message[1:]


def _key(at: _Path) -> str:
    text = ""
    for part in at:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text
