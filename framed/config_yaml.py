"""Reads config.yaml: its `!secret` and `${NAME}`, and the line of each key. The only importer of yaml."""

import os
import re
from pathlib import Path
from typing import Any

import yaml

from framed.config_file import Place, written
from framed.errors import ConfigError


class _Plain(yaml.SafeLoader):
    """As YAML 1.2: for 1.1, and PyYAML, 22:30 is a number of minutes, and on, off, yes and no are booleans."""


def _meant(first: str) -> list[tuple[str, re.Pattern[str]]]:
    """What a word without quotes that begins so may be, but for text."""
    known = yaml.SafeLoader.yaml_implicit_resolvers[first]
    kept = [(tag, pattern) for tag, pattern in known if not tag.endswith(":bool")]
    return [("tag:yaml.org,2002:str", _SIXTIES), ("tag:yaml.org,2002:bool", _BOOLEAN), *kept]


_SIXTIES = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?$")
_BOOLEAN = re.compile(r"(true|True|TRUE|false|False|FALSE)$")
_Plain.yaml_implicit_resolvers = {first: _meant(first) for first in yaml.SafeLoader.yaml_implicit_resolvers}


class _Loader(_Plain):
    """Safe YAML that knows where each key stands and refuses a key twice."""

    secrets: dict[str, Any] | None = None
    file: Path = Path()


class _Literal(str):
    """A secret: what looks like ${NAME} in it is a part of it."""


def read(path: Path) -> tuple[dict[str, Any], dict[Place, int]]:
    """The document, and the line of each of its keys. Raises ConfigError."""
    text = _text(path)
    try:
        loader = _Loader(text)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError(f"{path.name}, line {line}: a character that YAML does not allow.") from error
    loader.file = path
    try:
        node = loader.get_single_node()
        lines: dict[Place, int] = {}
        if node is not None:
            _note_lines(node, (), lines, path.name)
        data = loader.construct_document(node) if node is not None else {}
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise ConfigError(f"{path.name}, line {line}: {_said(error)}.") from error
    except RecursionError as error:
        raise ConfigError(
            f"{path.name}: it is nested without end; does an alias (*name) stand inside itself?"
        ) from error
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


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        what = "Copy config.yaml.example there." if path.name == "config.yaml" else "Is its name right?"
        raise ConfigError(f"There is no file {path}. {what}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path.name} is not UTF-8 text.") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error


def _said(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or error.context or "it is not YAML"
    if tag := re.search(r"constructor for the tag '(.*)'", problem):
        return f"there is no {tag[1]}; `!secret name` takes a value from secrets.yaml"
    if "\\t" in problem:
        return "a tab; YAML is indented with spaces"
    if "cannot start any token" in problem:
        return f"{problem}; put text that begins so in quotes"
    return problem


def _secret(loader: _Loader, node: yaml.Node) -> Any:
    where = f"{loader.file.name}, line {node.start_mark.line + 1}"
    path = loader.file.parent / "secrets.yaml"
    if loader.secrets is None:
        if not path.exists():
            raise ConfigError(f"{where}: !secret needs a file secrets.yaml beside it.")
        loader.secrets = _secrets(path)
    if not isinstance(node, yaml.ScalarNode) or not node.value:
        raise ConfigError(f"{where}: !secret wants a name behind it, of a line in secrets.yaml.")
    if node.value not in loader.secrets:
        raise ConfigError(f"{where}: secrets.yaml has no {node.value!r}.")
    found = loader.secrets[node.value]
    return _Literal(found) if isinstance(found, str) else found


def _secrets(path: Path) -> dict[str, Any]:
    """Nothing that stands in the file is repeated in an error."""
    try:
        found = yaml.load(_text(path), _Plain) or {}
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark is not None else ""
        raise ConfigError(f'{path.name}{line}: this is not YAML; write `name: "value"` on each line.') from error
    if not isinstance(found, dict):
        raise ConfigError(f"{path.name}: expected `name: value` on each line.")
    return {str(name): value for name, value in found.items()}


_Loader.add_constructor("!secret", _secret)


def _expanded(value: Any, at: Place, lines: dict[Place, int], file: str) -> Any:
    if isinstance(value, dict):
        return {key: _expanded(inner, (*at, str(key)), lines, file) for key, inner in value.items()}
    if isinstance(value, list):
        return [_expanded(inner, (*at, index), lines, file) for index, inner in enumerate(value)]
    if isinstance(value, _Literal):
        return str(value)
    if isinstance(value, str) and "${" in value:
        return _NAME.sub(lambda match: _of_environment(match, at, f"{file}, line {lines.get(at, 0)}"), value)
    return value


_NAME = re.compile(r"\$?\$\{(?:([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\})?")


def _of_environment(match: re.Match[str], at: Place, where: str) -> str:
    if match[0].startswith("$$"):
        return match[0][1:]
    if match[1] is None:
        raise ConfigError(
            f"{where}: {written(at)}: write ${{NAME}} or ${{NAME:-otherwise}}, and $${{ for these characters."
        )
    found = os.environ.get(match[1], match[2])
    if found is None:
        raise ConfigError(f"{where}: {written(at)}: the environment has no {match[1]}.")
    return found
