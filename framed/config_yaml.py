"""Reads config.yaml: its `!secret` and `${NAME}`, and the line of each key. The only importer of yaml."""

import os
import re
from pathlib import Path
from typing import Any

import yaml

from framed.config_file import Place, written
from framed.errors import ConfigError


class _Loader(yaml.SafeLoader):
    """Safe YAML that knows where each key stands and refuses a key twice."""

    secrets: dict[str, Any] | None = None
    folder: Path = Path()


def read(path: Path) -> tuple[dict[str, Any], dict[Place, int]]:
    """The document, and the line of each of its keys. Raises ConfigError."""
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
        lines: dict[Place, int] = {}
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


def _note_lines(node: yaml.Node, at: Place, lines: dict[Place, int], file: str) -> None:
    lines[at] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            place = (*at, str(key.value))
            if place in lines:
                raise ConfigError(f"{file}, line {key.start_mark.line + 1}: {written(place)} is given twice.")
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


def _expanded(value: Any, at: Place, lines: dict[Place, int], file: str) -> Any:
    if isinstance(value, dict):
        return {key: _expanded(inner, (*at, str(key)), lines, file) for key, inner in value.items()}
    if isinstance(value, list):
        return [_expanded(inner, (*at, index), lines, file) for index, inner in enumerate(value)]
    if isinstance(value, str) and "${" in value:

        def replace(match: re.Match[str]) -> str:
            name, _, default = match[1].partition(":-")
            found = os.environ.get(name)
            if found is None and ":-" not in match[1]:
                where = f"{file}, line {lines.get(at, 0)}: {written(at)}"
                raise ConfigError(f"{where}: the environment has no {name}.")
            return found if found is not None else default

        return re.sub(r"\$\{([A-Za-z_][A-Za-z0-9_]*(?::-[^}]*)?)\}", replace, value)
    return value
