"""A recogniser of lines with the inputs, outputs and metadata of PaddleOCR's in ONNX, small enough for a test.

It reads grey stripes: each character is a shade, the middle grey (which is also what fills a batch up) is CTC's blank,
white is a space. In a picture with real letters it finds stripes, too, and makes some of its characters of them.
"""

import hashlib
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from framed.models import weights
from framed.models.ocr_script_sets import REVISION
from framed.models.ocr_scripts import FILE

_SHARP = 1000.0
_BLOCK = 8
_STRIPE = 16


def write_reader(folder: Path, script: str, characters: str, *, metadata: bool = True) -> None:
    """Puts the weights `ocr-SCRIPT` into `folder`."""
    home = folder / f"ocr-{script}"
    home.mkdir(parents=True)
    model = _model(characters)
    if metadata:
        model.metadata_props.add(key="character", value="\n".join(characters))
    onnx.save(model, str(home / FILE))
    data = (home / FILE).read_bytes()
    fact = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    weights.write_manifest(f"ocr-{script}", REVISION, {FILE: fact}, home=home)


def line(seen: str, characters: str) -> np.ndarray:
    """A picture of a line, (48, W, 3), that a reader of these characters reads so from left to right."""
    shades = dict(zip(characters, _levels(len(characters)), strict=True)) | {" ": 1.0}
    stripes = []
    for character in seen:
        value = round((shades[character] + 1) * 127.5)
        stripes += [np.full((48, _STRIPE, 3), value, np.uint8), np.full((48, _STRIPE, 3), 128, np.uint8)]
    return np.concatenate(stripes, axis=1)


def _levels(count: int) -> list[float]:
    """Shades from -1, black, to 1, white, none near the blank's 0."""
    dark = count // 2
    return [*np.linspace(-0.9, -0.2, dark).tolist(), *np.linspace(0.3, 0.8, count - dark).tolist()]


def _model(characters: str) -> onnx.ModelProto:
    """(N, 3, 48, W) from -1 to 1 → (N, W / 8, classes) that sum to 1."""
    levels = np.array([[[0.0, *_levels(len(characters)), 1.0]]], np.float32)
    held = [
        numpy_helper.from_array(levels, "levels"),
        numpy_helper.from_array(np.array(-_SHARP, np.float32), "sharp"),
        numpy_helper.from_array(np.array([1, 2], np.int64), "flat"),
        numpy_helper.from_array(np.array([2], np.int64), "last"),
    ]
    nodes = [
        helper.make_node("AveragePool", ["x"], ["blocks"], kernel_shape=[48, _BLOCK], strides=[48, _BLOCK]),
        helper.make_node("ReduceMean", ["blocks"], ["grey"], axes=[1], keepdims=1),
        helper.make_node("Squeeze", ["grey", "flat"], ["row"]),
        helper.make_node("Unsqueeze", ["row", "last"], ["column"]),
        helper.make_node("Sub", ["column", "levels"], ["off"]),
        helper.make_node("Mul", ["off", "off"], ["square"]),
        helper.make_node("Mul", ["square", "sharp"], ["raised"]),
        helper.make_node("Softmax", ["raised"], ["fetch_name_0"], axis=2),
    ]
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 48, "w"])
    made = helper.make_tensor_value_info("fetch_name_0", TensorProto.FLOAT, ["n", "t", levels.shape[2]])
    graph = helper.make_graph(nodes, "rec", [given], [made], held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
    onnx.checker.check_model(model)
    return model
