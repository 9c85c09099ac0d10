"""JSON from outside, read strictly and within bounds, before a validator, a database or a log meets it."""

import json
import math
from typing import Any

from framed.errors import BadJson

DEEPEST = 32
MOST_VALUES = 50_000


def read_object(text: bytes | str) -> dict[str, Any]:
    """The JSON object in `text`; nothing at all is an empty one. Raises BadJson with what is wrong.

    Refused beyond RFC 8259: NaN and infinities (also as 1e999), a key twice, integers past 64 bits, half a surrogate
    pair, NUL, more than 32 levels or 50,000 values. The caller bounds the bytes.
    """
    try:
        decoded = text if isinstance(text, str) else text.decode("utf-8")
    except UnicodeDecodeError:
        raise BadJson("This is not UTF-8 text.") from None
    if not decoded.strip():
        return {}
    try:
        value = json.loads(
            decoded,
            parse_constant=_no_number,
            parse_float=_finite,
            parse_int=_whole,
            object_pairs_hook=_each_key_once,
        )
    except RecursionError:
        raise BadJson(f"The JSON is nested deeper than {DEEPEST} levels.") from None
    except ValueError:
        raise BadJson("This is not JSON: check its quotes, commas and braces.") from None
    if not isinstance(value, dict):
        raise BadJson('The JSON must be an object, such as {"text": "beach photos"}.')
    _check_shape(value)
    return value


def _no_number(name: str) -> float:
    raise BadJson(f"{name} is not a number of JSON.")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise BadJson("The JSON has a number that is too large.")
    return number


def _whole(text: str) -> int:
    if len(text) > 20 or not -(2**63) <= int(text) < 2**63:
        raise BadJson("The JSON has a number that is too large.")
    return int(text)


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Two readers of `{"frame": "hall", "frame": "den"}` would act on different frames."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadJson("The JSON has a key twice in one object.")
    return found


def _check_shape(value: dict[str, Any]) -> None:
    level: list[Any] = [value]
    seen = 0
    for depth in range(DEEPEST + 1):
        seen += len(level)
        if seen > MOST_VALUES:
            raise BadJson(f"The JSON has more than {MOST_VALUES} values.")
        for text in (part for item in level for part in _texts(item)):
            _check_text(text)
        level = [child for item in level for child in _children(item)]
        if not level:
            return
        if depth == DEEPEST:
            raise BadJson(f"The JSON is nested deeper than {DEEPEST} levels.")


def _check_text(text: str) -> None:
    if "\0" in text:
        raise BadJson("The JSON has a NUL character in a text.")
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise BadJson("The JSON has half a surrogate pair in a text.")


def _children(item: Any) -> list[Any]:
    if isinstance(item, dict):
        return list(item.values())
    return item if isinstance(item, list) else []


def _texts(item: Any) -> list[str]:
    if isinstance(item, str):
        return [item]
    return list(item) if isinstance(item, dict) else []
