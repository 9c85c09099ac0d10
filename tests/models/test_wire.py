"""What the wire carries, and what it refuses."""

from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framed.models.wire import LENGTH, MAX_MESSAGE_BYTES, WireError, body_length, decode, encode

_ANY_TEXT = st.text(st.characters(exclude_categories=()))  # lone surrogates too
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | _ANY_TEXT | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_ANY_TEXT, inner, max_size=4),
    max_leaves=12,
)


def there_and_back(value: Any) -> Any:
    head, body = encode(value)
    assert body_length(head) == len(body)
    return decode(body)


@given(_VALUES)
def test_every_plain_value_comes_back(value: Any) -> None:
    assert there_and_back(value) == value


@pytest.mark.parametrize("dtype", ["?", "i1", "u1", ">i2", "<u2", "i4", ">u4", "i8", "u8", "f2", ">f4", "f8"])
@pytest.mark.parametrize("shape", [(), (0, 3), (5,), (2, 3, 4)])
def test_every_array_comes_back_writable(dtype: str, shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    back = there_and_back(array)
    assert np.array_equal(back, array)
    assert (back.dtype, back.shape) == (array.dtype.newbyteorder("<"), shape)
    assert back.flags.writeable


def test_an_array_that_is_a_view_comes_back_as_it_looks() -> None:
    array = np.arange(60).reshape(3, 4, 5)[::2, ::-1, 1:4]
    assert np.array_equal(there_and_back(array), array)
    assert np.array_equal(there_and_back(np.asfortranarray(array)), array)


def test_scalars_of_numpy_arrive_as_numbers_and_tuples_as_lists() -> None:
    assert there_and_back([np.float32(0.5), np.int64(7), np.bool_(True), (1, 2)]) == [0.5, 7, True, [1, 2]]


@pytest.mark.parametrize(
    "value",
    [object(), {1, 2}, 2**70, np.array(["text"]), np.array([object()]), np.zeros(2, "M8[s]"), np.zeros((1,) * 9)],
    ids=["object", "set", "large integer", "text array", "object array", "dates", "nine axes"],
)
def test_what_is_not_plain_is_refused_on_the_way_out(value: Any) -> None:
    with pytest.raises(WireError):
        encode({"value": value})


def _array(dtype: object, shape: object, data: bytes = b"") -> bytes:
    packed: bytes = msgpack.packb(msgpack.ExtType(1, msgpack.packb([dtype, shape]) + data))
    return packed


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        b"\x01\x01",
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\x91" * 5000,
        b"\x81\x90\x01",
        b"\xa2\xff\xfe",
        b"\xd4\x05\x00",
        b"\xd4\x01\x00",
        _array("|O", [1], bytes(8)),
        _array("<U1", [1], bytes(4)),
        _array("<f4", [2], bytes(4)),
        _array("<f4", [-1], bytes(4)),
        _array("<f4", [2**40, 2**40]),
        _array("<f4", [1.0], bytes(4)),
        _array("<f4", [True], bytes(4)),
        _array("|u1", [1] * 9, bytes(1)),
        _array(7, [1], bytes(4)),
        _array("<f4", None),
        _array("<f4", list(range(200))),
    ],
)
def test_a_malformed_body_is_refused(body: bytes) -> None:
    with pytest.raises(WireError):
        decode(body)


@given(st.binary(max_size=200))
def test_noise_is_a_value_or_refused_and_nothing_else(body: bytes) -> None:
    try:
        decode(body)
    except WireError:
        return


def test_a_length_over_the_limit_is_refused_before_anything_is_read() -> None:
    assert body_length(LENGTH.pack(MAX_MESSAGE_BYTES)) == MAX_MESSAGE_BYTES
    with pytest.raises(WireError, match="limit"):
        body_length(LENGTH.pack(MAX_MESSAGE_BYTES + 1))
