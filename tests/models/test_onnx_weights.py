"""Weights too small to matter are zeros before a model is run; what it answers stays."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from framed.models.onnx_weights import without_subnormals
from tests.installed import installed

SUBNORMAL = 1e-41
DETECTOR = installed("rapidocr") / "models" / "PP-OCRv6_det_small.onnx"


def model() -> onnx.ModelProto:
    """x + a + b: `a` holds its numbers as raw bytes, `b` as floats, and bytes that look subnormal are a number's."""
    raw = numpy_helper.from_array(np.array([SUBNORMAL, 0.5, -SUBNORMAL, 1.2e-38], np.float32), "a")
    listed = helper.make_tensor("b", TensorProto.FLOAT, [4], [2.0, SUBNORMAL, -3.0, 0.0])
    whole = numpy_helper.from_array(np.array([1, 2, 3, 4], np.int32), "counts")
    nodes = [
        helper.make_node("Add", ["x", "a"], ["y"]),
        helper.make_node("Add", ["y", "b"], ["z"]),
        helper.make_node("Identity", ["counts"], ["n"]),
    ]
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])
    made = [
        helper.make_tensor_value_info("z", TensorProto.FLOAT, [4]),
        helper.make_tensor_value_info("n", TensorProto.INT32, [4]),
    ]
    graph = helper.make_graph(nodes, "sum", [given], made, [raw, listed, whole])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)


def answer(model: bytes, given: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    answers: list[np.ndarray] = session.run(None, {session.get_inputs()[0].name: given})
    return answers


def test_they_are_zero_and_every_other_number_stays() -> None:
    a, b, counts = (
        numpy_helper.to_array(tensor)
        for tensor in onnx.load_from_string(without_subnormals(model().SerializeToString())).graph.initializer
    )

    assert a.tolist() == np.array([0, 0.5, 0, 1.2e-38], np.float32).tolist()
    assert b.tolist() == [2.0, 0.0, -3.0, 0.0]
    assert counts.tolist() == [1, 2, 3, 4]  # whole numbers have the bytes of subnormal ones
    assert answer(without_subnormals(model().SerializeToString()), np.ones(4, np.float32))[0].tolist() == [
        3,
        1.5,
        -2,
        1,
    ]


def test_the_packaged_detector_has_none_left_and_answers_as_before() -> None:
    before = DETECTOR.read_bytes()
    after = without_subnormals(before)
    x = np.random.default_rng(7).uniform(-1, 1, (1, 3, 96, 96)).astype(np.float32)

    weights = [numpy_helper.to_array(tensor) for tensor in onnx.load_from_string(after).graph.initializer]
    tiny = np.finfo(np.float32).tiny
    assert sum(int(((held != 0) & (np.abs(held) < tiny)).sum()) for held in weights if held.dtype == np.float32) == 0
    assert np.array_equal(answer(before, x)[0], answer(after, x)[0])


@pytest.mark.parametrize("broken", [b"\xff" * 20, b"no model at all", model().SerializeToString()[:-40]])
def test_what_is_no_model_is_refused(broken: bytes) -> None:
    with pytest.raises(ValueError, match="ONNX model"):
        without_subnormals(broken)
