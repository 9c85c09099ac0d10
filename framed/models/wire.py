"""The bytes between the daemon and a compute host: a length, then one msgpack value; nothing in them is executed.

    message   length of the body as 4 bytes, big-endian; then the body
    body      msgpack of None, bool, int (64 bits), float, str, bytes, lists, dicts with string or integer keys, arrays
    array     extension 1: msgpack of [dtype, [length of each axis]], then the elements in C order, little-endian

Strings may hold lone surrogates, which is how Python spells a file name that is not text.
"""

from __future__ import annotations

import math
import struct
from typing import Any

import msgpack
import numpy as np

MAX_MESSAGE_BYTES = 512 * 1024 * 1024
LENGTH = struct.Struct(">I")

_ARRAY = 1
_MAX_AXES = 8
_DTYPES = {
    np.dtype(name).newbyteorder("<").str: np.dtype(name).newbyteorder("<")
    for name in ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
}


class WireError(ValueError):
    """A value that the wire cannot carry, or bytes that are no message."""


def encode(value: Any) -> tuple[bytes, bytes]:
    """The length and the body, to be sent one after the other. Raises WireError for what the wire cannot carry."""
    try:
        body: bytes = msgpack.packb(value, default=_pack_other, use_bin_type=True, unicode_errors="surrogatepass")
    except (TypeError, ValueError, OverflowError) as error:
        raise WireError(f"Not a value that the wire carries: {error}") from error
    if len(body) > MAX_MESSAGE_BYTES:
        raise WireError(f"A message of {len(body):,} bytes is over the limit of {MAX_MESSAGE_BYTES:,}.")
    return LENGTH.pack(len(body)), body


def body_length(head: bytes | bytearray) -> int:
    """How many bytes follow the four of ``head``. Raises WireError where that is over the limit."""
    (length,) = LENGTH.unpack(head)
    if length > MAX_MESSAGE_BYTES:
        raise WireError(f"A message of {length:,} bytes is announced; the limit is {MAX_MESSAGE_BYTES:,}.")
    return int(length)


def decode(body: bytes | bytearray | memoryview) -> Any:
    """The value in one body; its arrays own their memory and are writable. Raises WireError for anything malformed."""
    try:
        return msgpack.unpackb(
            body, ext_hook=_unpack_extension, raw=False, strict_map_key=False, unicode_errors="surrogatepass"
        )
    except (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException) as error:
        raise WireError(f"Not a message: {error or type(error).__name__}") from error


def _pack_other(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return msgpack.ExtType(_ARRAY, _pack_array(value))
    if isinstance(value, np.generic) and value.dtype.kind in "biuf":
        return value.item()
    raise TypeError(f"{type(value).__module__}.{type(value).__qualname__}")


def _pack_array(array: np.ndarray) -> bytes:
    dtype = array.dtype.newbyteorder("<")
    if dtype.str not in _DTYPES or array.ndim > _MAX_AXES:
        raise TypeError(f"an array of {array.dtype} with {array.ndim} axes")
    head: bytes = msgpack.packb([dtype.str, list(array.shape)])
    # join copies the elements once, straight from the array; tobytes would copy them a second time.
    elements = np.ascontiguousarray(array, dtype=dtype)
    return b"".join((head, elements.reshape(-1).view(np.uint8).data))


def _unpack_extension(code: int, data: bytes) -> np.ndarray:
    if code != _ARRAY:
        raise WireError(f"extension {code} is unknown")
    unpacker = msgpack.Unpacker(max_buffer_size=len(data))
    unpacker.feed(data[:256])
    head = unpacker.unpack()
    if not (isinstance(head, list) and len(head) == 2 and isinstance(head[0], str) and isinstance(head[1], list)):
        raise WireError("an array without dtype and shape")
    dtype, shape = _DTYPES.get(head[0]), head[1]
    if dtype is None:
        raise WireError(f"an array of {head[0][:20]!r}")
    if len(shape) > _MAX_AXES or not all(type(axis) is int and 0 <= axis < 2**32 for axis in shape):
        raise WireError("an array with an impossible shape")
    start = unpacker.tell()
    if math.prod(shape) * dtype.itemsize != len(data) - start:
        raise WireError(f"an array of shape {shape} in {len(data) - start} bytes")
    return np.frombuffer(bytearray(memoryview(data)[start:]), dtype=dtype).reshape(shape)
