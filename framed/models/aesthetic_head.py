"""The published heads that turn a picture's vector into a score: chains of linear layers, which are one linear map."""

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from framed.errors import Unavailable


class LinearHead:
    """`score = vector @ weights + bias`, on the scale of the people who rated (1 to 10)."""

    def __init__(self, weights: NDArray[np.float64], bias: float) -> None:
        self.weights = weights
        self.bias = bias

    @classmethod
    def read(cls, path: Path) -> "LinearHead":
        """From safetensors whose layers are named by number ("layers.0.weight", …) and have dropout between them,
        which does nothing after training; so they are multiplied into one. Unavailable: it is not such a head."""
        from safetensors.numpy import load_file

        tensors = load_file(path)
        layers: dict[int, dict[str, NDArray[np.float64]]] = {}
        for name, values in tensors.items():
            found = re.search(r"(\d+)\.(weight|bias)$", name)
            if found is not None:
                layers.setdefault(int(found[1]), {})[found[2]] = values.astype(np.float64)
        try:
            width = layers[min(layers)]["weight"].shape[1]
            weights, bias = np.eye(width), np.zeros(width)
            for number in sorted(layers):
                matrix = layers[number]["weight"]
                weights, bias = weights @ matrix.T, bias @ matrix.T + layers[number]["bias"]
            (last,) = bias.tolist()
        except (KeyError, ValueError) as error:
            raise Unavailable(f"{path.name} is not the head it should be: framed models verify") from error
        return cls(weights[:, 0], last)

    def scores(self, vectors: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Of N × dim unit vectors."""
        found: NDArray[np.float64] = vectors.astype(np.float64) @ self.weights + self.bias
        return found


def share(scores: NDArray[np.float64], *, middle: float, spread: float) -> NDArray[np.float64]:
    """From the raters' scale to 0 … 1, so that `middle` is 0.5; NaN stays NaN."""
    found: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-(scores - middle) / spread))
    return found
