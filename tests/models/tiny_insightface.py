"""A pack with the files, inputs and outputs of InsightFace's buffalo_l, and nets small enough to be made in a test.

The detector's scores are the brightness of each anchor's place, so that it "finds" white squares; the recogniser is one
linear layer over the crop, so that equal crops have equal vectors and others do not. The age is how red a square is:
none at nine tenths of all red, `OLDEST` at all of it.
"""

import hashlib
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from framed.models import weights
from framed.models.faces_insightface import WEIGHTS

_STRIDES = (8, 16, 32)
OLDEST = 40


def write_pack(folder: Path, *, age: bool = True, one_age_at_a_time: bool = False) -> None:
    """Puts the set into `folder`, which is where weights are looked for; without `age` as packs were fetched first."""
    home = folder / WEIGHTS
    home.mkdir(parents=True)
    onnx.save(_detector(), str(home / "det_10g.onnx"))
    onnx.save(_recogniser(), str(home / "w600k_r50.onnx"))
    if age:
        onnx.save(_ages(1 if one_age_at_a_time else None), str(home / "genderage.onnx"))
    files = {
        name: {
            "size": (home / name).stat().st_size,
            "sha256": hashlib.sha256((home / name).read_bytes()).hexdigest(),
        }
        for name in ("det_10g.onnx", "w600k_r50.onnx", *(["genderage.onnx"] if age else []))
    }
    weights.write_manifest(WEIGHTS, "test", files)


def _every(pixels: int) -> dict[str, list[int]]:
    return {"kernel_shape": [pixels, pixels], "strides": [pixels, pixels]}


def _constant(name: str, value: np.ndarray) -> onnx.TensorProto:
    return numpy_helper.from_array(value, name)


def _detector() -> onnx.ModelProto:
    """Nine outputs as SCRFD has them: scores, boxes and five points at three strides, two anchors a place, no batch."""
    nodes: list[onnx.NodeProto] = []
    held: list[onnx.TensorProto] = []
    outputs: dict[str, list[str]] = {"score": [], "box": [], "points": []}
    for stride in _STRIDES:
        held += [
            _constant(f"flat{stride}", np.array([-1, 1], np.int64)),
            _constant(f"four{stride}", np.full((1, 4), 2.5 if stride == 32 else 1.0, np.float32)),
            _constant(f"ten{stride}", np.array([[-1, -1, 1, -1, 0, 0, -1, 1, 1, 1]], np.float32)),
            _constant(f"twice{stride}", np.array([1, 2], np.int64)),
            _constant(f"sharp{stride}", np.array(40.0 if stride == 32 else 0.0, np.float32)),
            _constant(f"least{stride}", np.array(0.9 if stride == 32 else 9.0, np.float32)),
        ]
        s = str(stride)
        nodes += [
            helper.make_node("ReduceMean", ["input"], [f"grey{s}"], axes=[1], keepdims=1),
            helper.make_node("AveragePool", [f"grey{s}"], [f"mean{s}"], **_every(stride)),
            helper.make_node("Reshape", [f"mean{s}", f"flat{s}"], [f"row{s}"]),
            helper.make_node("Tile", [f"row{s}", f"twice{s}"], [f"pair{s}"]),
            helper.make_node("Reshape", [f"pair{s}", f"flat{s}"], [f"each{s}"]),
            helper.make_node("Sub", [f"each{s}", f"least{s}"], [f"over{s}"]),
            helper.make_node("Mul", [f"over{s}", f"sharp{s}"], [f"steep{s}"]),
            helper.make_node("Sigmoid", [f"steep{s}"], [f"sure{s}"]),
            helper.make_node("Relu", [f"sure{s}"], [f"score{s}"] if stride == 32 else [f"half{s}"]),
        ]
        if stride != 32:
            held.append(_constant(f"none{s}", np.array(0.1, np.float32)))
            nodes.append(helper.make_node("Mul", [f"half{s}", f"none{s}"], [f"score{s}"]))
        held.append(_constant(f"zero{s}", np.array(0.0, np.float32)))
        nodes += [
            helper.make_node("Mul", [f"each{s}", f"zero{s}"], [f"nought{s}"]),
            helper.make_node("Add", [f"nought{s}", f"four{s}"], [f"box{s}"]),
            helper.make_node("Add", [f"nought{s}", f"ten{s}"], [f"points{s}"]),
        ]
        for kind in outputs:
            outputs[kind].append(f"{kind}{s}")
    sizes = {"score": 1, "box": 4, "points": 10}
    made = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, sizes[kind]])
        for kind, names in outputs.items()
        for name in names
    ]
    given = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, None, None])
    return _model(helper.make_graph(nodes, "scrfd", [given], made, held))


def _recogniser() -> onnx.ModelProto:
    """(N, 3, 112, 112) → (N, 512), as ArcFace."""
    random = np.random.default_rng(5)
    held = [
        _constant("matrix", random.normal(size=(3 * 14 * 14, 512)).astype(np.float32)),
        _constant("shape", np.array([-1, 3 * 14 * 14], np.int64)),
    ]
    nodes = [
        helper.make_node("AveragePool", ["input.1"], ["small"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Reshape", ["small", "shape"], ["row"]),
        helper.make_node("MatMul", ["row", "matrix"], ["683"]),
    ]
    given = helper.make_tensor_value_info("input.1", TensorProto.FLOAT, [None, 3, 112, 112])
    made = helper.make_tensor_value_info("683", TensorProto.FLOAT, [None, 512])
    return _model(helper.make_graph(nodes, "arcface", [given], [made], held))


def _ages(batch: int | None) -> onnx.ModelProto:
    """(N, 3, 96, 96) RGB, 0 to 255 → (N, 3): two sexes, and the age in hundreds of years. Its first nodes scale the
    picture, as MXNet's do: that is how InsightFace knows that it must not."""
    matrix = np.zeros((3 * 6 * 6, 3), np.float32)
    matrix[21, 2] = OLDEST / 100  # right and down of the middle, where the square is that the detector finds
    held = [
        _constant("minus", np.array(127.5, np.float32)),
        _constant("times", np.array(1 / 127.5, np.float32)),
        _constant("four", np.array(4.0, np.float32)),
        _constant("five", np.array(5.0, np.float32)),
        _constant("matrix", matrix),
        _constant("shape", np.array([-1, 3 * 6 * 6], np.int64)),
    ]
    nodes = [
        helper.make_node("Sub", ["data", "minus"], ["centred"], name="_minusscalar0"),
        helper.make_node("Mul", ["centred", "times"], ["scaled"], name="_mulscalar0"),
        helper.make_node("MaxPool", ["scaled"], ["reddest"], name="reddest", **_every(16)),
        helper.make_node("Mul", ["reddest", "five"], ["steep"], name="steep"),
        helper.make_node("Sub", ["steep", "four"], ["share"], name="share"),
        helper.make_node("Reshape", ["share", "shape"], ["row"], name="row"),
        helper.make_node("MatMul", ["row", "matrix"], ["fc1"], name="fc1"),
    ]
    given = helper.make_tensor_value_info("data", TensorProto.FLOAT, [batch, 3, 96, 96])
    made = helper.make_tensor_value_info("fc1", TensorProto.FLOAT, [batch, 3])
    return _model(helper.make_graph(nodes, "genderage", [given], [made], held))


def _model(graph: onnx.GraphProto) -> onnx.ModelProto:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=7)
    onnx.checker.check_model(model)
    return model
