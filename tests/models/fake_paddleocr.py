"""PaddleOCR as its wheel would be, but for the reading: what `ocr_paddleocr` calls, with the same names and answers.

A magenta pixel is text. The colour of the first pixel asks for what real ones do by accident. `mirror` lays it, and
what its environment wants beside it, into a folder that stands in for the package index.
"""

import base64
import hashlib
import sysconfig
import zipfile
from pathlib import Path

from framed.models.weights import Weights

CRASH, HANG = (1, 2, 3), (3, 2, 1)
"""As RGB."""

MODULE = """
import json, os, socket, sys, time
from pathlib import Path
import numpy as np

class _Model:
    def __init__(self, name, folder, config):
        said = (Path(folder) / "inference.yml").read_text()
        assert name in said and (Path(folder) / "inference.onnx").is_file(), (name, folder)
        assert config["engine"] == "onnxruntime" and config["device"] == "cpu"
        assert set(config["engine_config"]) == {"intra_op_num_threads", "inter_op_num_threads", "enable_cpu_mem_arena"}

class TextDetection(_Model):
    def __init__(self, *, model_name, model_dir, limit_side_len, limit_type, thresh, box_thresh, **config):
        super().__init__(model_name, model_dir, config)
    def predict(self, input):
        if tuple(input[0, 0][::-1]) == (1, 2, 3): os._exit(9)
        if tuple(input[0, 0][::-1]) == (3, 2, 1): time.sleep(600)
        return [{"dt_polys": _places(input), "dt_scores": [0.9]}]

class PaddleOCR(_Model):
    def __init__(self, *, text_detection_model_name, text_detection_model_dir, text_recognition_model_name,
                 text_recognition_model_dir, use_doc_orientation_classify, use_doc_unwarping, use_textline_orientation,
                 text_det_limit_side_len, text_det_limit_type, text_det_thresh, text_det_box_thresh,
                 text_det_unclip_ratio, **config):
        super().__init__(text_detection_model_name, text_detection_model_dir, config)
        super().__init__(text_recognition_model_name, text_recognition_model_dir, config)
        assert not (use_doc_orientation_classify or use_doc_unwarping or use_textline_orientation)
        self.folder = text_recognition_model_dir
    def predict(self, input, *, text_det_limit_side_len, text_det_limit_type):
        polys = _places(input)
        return [{"rec_texts": [self._said(text_det_limit_side_len)] * len(polys), "rec_scores": [0.97] * len(polys),
                 "rec_polys": polys, "dt_polys": polys}]
    def _said(self, side):
        try:
            socket.socket().close()
            network = True
        except OSError:
            network = False
        return json.dumps({"prefix": sys.prefix, "network": network, "rec": self.folder, "side": side,
                           "secret": os.environ.get("FRAMED_SECRET"), "home": os.environ["PADDLE_PDX_CACHE_HOME"]})

def _places(bgr):
    ys, xs = np.nonzero((bgr == (255, 0, 255)).all(axis=2))
    if not len(xs): return []
    low, high = (int(xs.min()), int(ys.min())), (int(xs.max()), int(ys.max()))
    return [np.array([low, (high[0], low[1]), high, (low[0], high[1])], dtype=np.int16)]
"""


def wheel(folder: Path, name: str, version: str, files: dict[str, str]) -> None:
    stem = name.replace("-", "_")
    about = f"{stem}-{version}.dist-info"
    files = files | {
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / f"{stem}-{version}-py3-none-any.whl", "w") as archive:
        record = ""
        for path, text in files.items():
            archive.writestr(path, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            record += f"{path},sha256={digest},{len(text.encode())}\n"
        archive.writestr(f"{about}/RECORD", f"{record}{about}/RECORD,,\n")


def mirror(folder: Path, wanted: Weights, module: str = MODULE) -> Path:
    """A folder that stands in for the hub and for the package index. numpy, msgpack, OpenCV and Pillow are borrowed
    from the tests' own environment; framed is not among what it lends."""
    home = folder / wanted.name
    for part in ("det", "rec"):
        (home / part).mkdir(parents=True)
        (home / part / "inference.onnx").write_bytes(part.encode())
        (home / part / "inference.yml").write_text(f"Global:\n  model_name: tiny_{part}\n")
    wheel(home / "wheels", "paddleocr", "3.7.99", {"paddleocr.py": module})
    lend = {"lent.pth": sysconfig.get_paths()["purelib"] + "\n"}
    wheel(home / "wheels", "opencv-contrib-python-headless", "4.10.0.84", lend)
    for name, version in (
        ("paddlex", "3.7.99"),
        ("onnxruntime", "1.99"),
        ("msgpack", "1.99"),
        ("pillow", "12.99"),
        ("pillow-heif", "1.99"),
    ):
        wheel(home / "wheels", name, version, {})
    return folder
