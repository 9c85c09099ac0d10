"""What counts as JSON from outside, and what is refused before anything else looks at it."""

import pytest

from framed.errors import BadJson
from framed.strict_json import read_object

HOSTILE = {
    "not UTF-8": b'{"text": "\xff\xfe"}',
    "not JSON": b'{"text": ',
    "a list": b"[1]",
    "a number": b"7",
    "NaN": b'{"limit": NaN}',
    "infinite": b'{"limit": -Infinity}',
    "infinite by its exponent": b'{"limit": 1e999}',
    "past 64 bits": b'{"limit": 9223372036854775808}',
    "five thousand digits": b'{"limit": ' + b"9" * 5_000 + b"}",
    "a key twice": b'{"frame": "hall", "frame": "den"}',
    "a key twice inside": b'{"plan": {"a": 1, "a": 2}}',
    "half a surrogate pair": b'{"text": "\\ud800"}',
    "half a surrogate pair as a key": b'{"\\udfff": 1}',
    "NUL": b'{"text": "a\\u0000b"}',
    "deep": b'{"a":' * 40 + b"1" + b"}" * 40,
    "very deep": b"[" * 100_000,
    "very deep in an object": b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "wide": b'{"a": [' + b"0," * 60_000 + b"0]}",
}


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_hostile_json_is_refused_in_a_sentence(name: str) -> None:
    with pytest.raises(BadJson) as refused:
        read_object(HOSTILE[name])

    assert refused.value.message.endswith(".")


def test_what_people_write_is_read_as_it_is() -> None:
    assert read_object('{"text": "photos of [[[[Anna]]]] 👩‍👩‍👧 \\ud83d\\ude00", "limit": -5, "x": 1.5e3}') == {
        "text": "photos of [[[[Anna]]]] 👩‍👩‍👧 😀",
        "limit": -5,
        "x": 1500.0,
    }
    assert read_object(b" \n") == {}
    assert read_object(b'{"a":' + b"[" * 20 + b"]" * 20 + b"}")
