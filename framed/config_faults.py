"""What is wrong in config.yaml, in words: file, line, key and what was expected there."""

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from framed.config_file import Place, written

_FORMS = {
    "id": "a–z, 0–9, _ and -, at most 32 characters",
    "instance": "a–z, 0–9, _ and -, at most 20 characters",
    "client_id": "letters without accents, digits, _ and -, at most 64 characters",
    "base_url": "an address without a path, such as http://framed.lan:8480",
    "url": "an address such as http://gpu-box.lan:11434, without a user, password or question mark",
    "device": "auto, cpu, cuda, cuda:1, xpu or mps",
    "embed": "an origin such as http://ha.lan:8123",
    "colour": "a colour such as '#f4f1ea'",
    **dict.fromkeys(("palette", "wire_palette"), "a colour such as '#f4f1ea'"),
}
"""What a key whose value has a form of its own wants; the key's name is enough to know it."""
_LIMITS = {
    "greater_than_equal": ("ge", "at least"),
    "greater_than": ("gt", "more than"),
    "less_than_equal": ("le", "at most"),
    "less_than": ("lt", "less than"),
}
_PLAIN = {
    "missing": "this key is needed",
    "list_type": "expected a list: [one, another], or a line beginning with - for each",
    "path_type": "expected the path of a file or folder",
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "expected a whole number"),
    **dict.fromkeys(("float_type", "float_parsing", "finite_number"), "expected a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "expected true or false"),
    **dict.fromkeys(("time_type", "time_parsing"), 'expected a time of day such as "22:30"'),
}


def sentences(error: ValidationError, model: type[BaseModel], file: str, lines: Mapping[Place, int]) -> str:
    """One line for each key at fault. `lines` has every key of the file; values never appear, they may be secrets."""
    wanted: dict[Place, list[str]] = {}
    for problem in error.errors(include_url=False):
        at = _place(problem, lines)
        said = _expected(problem, at, model).removeprefix(f"{written(at)}: ")
        if said not in wanted.setdefault(at, []):
            wanted[at].append(said)
    return "\n".join(
        f"{_where(at, file, lines)}: {written(at) or 'the file'}: {_either(said)}." for at, said in wanted.items()
    )


def _place(problem: Any, lines: Mapping[Place, int]) -> Place:
    """Where it is in the file: of a value that may be one of several things, pydantic names each of them below it."""
    at: Place = tuple(problem["loc"])
    if not at:
        key = str(problem["msg"]).removeprefix("Value error, ").partition(":")[0]
        return next((place for place in lines if place and written(place) == key), ())
    place: Place = ()
    for part in at:
        if (*place, part) in lines:
            place = (*place, part)
    if problem["type"] == "missing":
        return (*place, at[-1])
    return place or at


def _where(at: Place, file: str, lines: Mapping[Place, int]) -> str:
    while at and at not in lines:
        at = at[:-1]
    return f"{file}, line {lines[at]}" if at in lines else file


def _either(said: list[str]) -> str:
    """Several things that a value might be are one sentence."""
    first, *others = said
    return "; or ".join([first, *(other.removeprefix("expected ") for other in others)])


def _expected(problem: Any, at: Place, model: type[BaseModel]) -> str:
    kind, message, context = problem["type"], str(problem["msg"]), problem.get("ctx") or {}
    if kind in _PLAIN:
        return _PLAIN[kind]
    if kind in _LIMITS:
        name, words = _LIMITS[kind]
        return f"expected {words} {context[name]:g}"
    match kind:
        case "extra_forbidden":
            return f"there is no such key; {nearest(at, model) or 'config.yaml.example lists them all'}"
        case "model_type" | "dict_type":
            return f"expected keys of its own, {_example_key(at, model)}"
        case "too_short":
            return f"expected at least {context['min_length']}"
        case "string_type":
            quotes = "" if isinstance(problem.get("input"), list | dict) else "; put it in quotes"
            return f"expected text{quotes}"
        case "literal_error":
            return f"expected {context['expected']}{_meant(problem.get('input'), context['expected'])}"
        case "string_pattern_mismatch":
            last = next((part for part in reversed(at) if isinstance(part, str)), "")
            return f"expected {_FORMS.get(last) or 'text of the form ' + context['pattern']}"
    message = message.removeprefix("Value error, ").rstrip(".")
    return message[0].lower() + message[1:]


def _meant(given: Any, known: str) -> str:
    """`known` is what pydantic lists: 'cover', 'contain' or 'blur'."""
    words = re.findall(r"'([^']+)'", known)
    near = difflib.get_close_matches(given.lower(), words, n=1, cutoff=0.75) if isinstance(given, str) else []
    return f"; did you mean {near[0]}" if near else ""


def _example_key(at: Place, model: type[BaseModel]) -> str:
    section = _section(at, model)
    name = next(iter(section.model_fields), None) if section is not None else None
    return f"such as `{name}:`" if name else "such as `name: value`"


def nearest(at: Place, model: type[BaseModel]) -> str:
    """The key that was probably meant: one beside it with nearly that name, or one of that name in another section."""
    name = str(at[-1])
    section = _section(at[:-1], model)
    beside = difflib.get_close_matches(name.lower(), section.model_fields, n=1, cutoff=0.7) if section else []
    if beside:
        return f"did you mean {written((*at[:-1], beside[0]))}"
    elsewhere = [place for place in _keys(model) if place[-1] == name]
    return f"did you mean {written(elsewhere[0])}" if len(elsewhere) == 1 else ""


def _keys(model: type[BaseModel], above: Place = ()) -> Iterator[Place]:
    for name, field in model.model_fields.items():
        yield (*above, name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _keys(field.annotation, (*above, name))


def _section(at: Place, model: type[BaseModel]) -> type[BaseModel] | None:
    """The class that describes what lies at a place; None where nothing is known of it."""
    found: type[BaseModel] | None = model
    for part in at:
        if found is None:
            return None
        if isinstance(part, str):
            field = found.model_fields.get(part)
            found = _model_in(field.annotation) if field is not None else None
    return found


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The class in `Section`, `list[Section]` or `Section | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((inner for part in get_args(annotation) if (inner := _model_in(part)) is not None), None)


def without_nulls(value: Any, model: type[BaseModel] | None) -> Any:
    """A key with nothing behind it, as where every line below it is commented out, means its default."""
    if isinstance(value, list):
        return [without_nulls(part, model) for part in value]
    if not isinstance(value, dict) or model is None:
        return value
    fields = model.model_fields
    return {
        key: without_nulls(inner, _model_in(fields[key].annotation) if key in fields else None)
        for key, inner in value.items()
        if inner is not None or key not in fields
    }
