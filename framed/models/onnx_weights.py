"""Weights of an ONNX model without numbers so small that a processor takes its slow path for them.

Training drives weights that nothing needs towards zero without arriving: in PP-OCRv6's detector of text, 256,000 of 2.4
million are below 1.2e-38. They change nothing in what it answers, but many processors take a hundred times as long for
them, which made two of its 83 convolutions cost two thirds of it all. onnxruntime can be told to take such numbers for
zeros, but heeds that for a process's first session and the thread that made it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

_SMALLEST = np.finfo(np.float32).tiny
_GRAPH = 7
"""Numbers of fields in onnx.proto: of ModelProto, then of GraphProto, then of TensorProto."""
_INITIALIZER = 5
_DATA_TYPE, _FLOAT_DATA, _RAW_DATA = 2, 4, 9
_FLOAT = 1


class _Field(NamedTuple):
    number: int
    start: int
    end: int
    value: int
    """Of a number; elsewhere the field's length in bytes."""


def without_subnormals(model: bytes) -> bytes:
    """The serialised model, its float32 weights below 1.2e-38 set to zero. ValueError: this is no ONNX model."""
    data = bytearray(model)
    for graph in _fields(data, 0, len(data)):
        if graph.number != _GRAPH:
            continue
        for tensor in _fields(data, graph.start, graph.end):
            if tensor.number == _INITIALIZER:
                _mend(data, tensor)
    return bytes(data)


def _mend(data: bytearray, tensor: _Field) -> None:
    parts = list(_fields(data, tensor.start, tensor.end))
    if not any(part.number == _DATA_TYPE and part.value == _FLOAT for part in parts):
        return
    for part in parts:
        if part.number in (_FLOAT_DATA, _RAW_DATA) and (part.end - part.start) % 4 == 0:
            numbers = np.frombuffer(memoryview(data)[part.start : part.end], dtype="<f4")
            numbers[np.abs(numbers) < _SMALLEST] = 0


def _fields(data: bytearray, start: int, end: int) -> Iterator[_Field]:
    """The fields of a protobuf message that lies there."""
    while start < end:
        tag, start = _varint(data, start)
        value, number, kind = 0, tag >> 3, tag & 7
        if kind == 0:
            value, after = _varint(data, start)
        elif kind == 2:
            value, start = _varint(data, start)
            after = start + value
        elif kind in (1, 5):
            after = start + (8 if kind == 1 else 4)
        else:
            raise ValueError("this is no ONNX model")
        if after > end:
            raise ValueError("this ONNX model is cut short")
        yield _Field(number, start, after, value)
        start = after


def _varint(data: bytearray, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data):
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise ValueError("this ONNX model is cut short")
