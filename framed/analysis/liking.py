"""What a household likes, learned from its own decisions: a small head over the vectors that likeness is measured by.

Ridge regression on unit vectors, judged by leaving one decision out at a time, which has a closed form. A head that
does not tell liked from disliked photos better than chance is thrown away: then nothing is claimed.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEAST = 12
"""Decisions of each kind before anything is learned; with fewer, one album decides."""
LEAST_AUC = 0.60
_RIDGE = 1.0


@dataclass(frozen=True)
class Head:
    """`score` of a unit vector is `vector @ weights + bias`, brought to 0 … 1 around `middle` by `spread`."""

    model: str
    weights: NDArray[np.float32]
    bias: float
    middle: float
    spread: float
    auc: float
    decisions: int

    def scores(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Of N × dim unit vectors; 0.5 is the ordinary photo of this library."""
        raw = (vectors @ self.weights + self.bias - self.middle) / self.spread
        scores: NDArray[np.float32] = (1.0 / (1.0 + np.exp(-1.7 * raw))).astype(np.float32)
        return scores


def learn(
    model: str,
    vectors: NDArray[np.float32],
    liked: NDArray[np.float32],
    strength: NDArray[np.float32],
    ordinary: NDArray[np.float32],
) -> Head | None:
    """A head from N decisions, or None where they are too few or say nothing.

    `vectors` N × dim, of length 1; `liked` 1 or 0; `strength` how much each decision counts; `ordinary` M × dim are
    other photos of the library, against which scores are scaled.
    """
    if min(int((liked > 0.5).sum()), int((liked <= 0.5).sum())) < LEAST:
        return None
    wanted = np.where(liked > 0.5, 1.0, -1.0)
    centre = np.average(vectors, axis=0, weights=_balanced(liked, strength))
    weights, left_out = _ridge(vectors - centre, wanted, _balanced(liked, strength))
    auc = _auc(left_out, liked > 0.5)
    if auc < LEAST_AUC:
        return None
    raw = ordinary @ weights if len(ordinary) else vectors @ weights
    return Head(
        model=model,
        weights=weights.astype(np.float32),
        bias=0.0,
        middle=float(np.median(raw)),
        spread=max(float(np.std(raw)), 1e-6),
        auc=round(auc, 3),
        decisions=len(vectors),
    )


def _balanced(liked: NDArray[np.float32], strength: NDArray[np.float32]) -> NDArray[np.float64]:
    """Both kinds weigh the same: a household presses "next" more often than the heart."""
    weights = strength.astype(np.float64)
    for kind in (liked > 0.5, liked <= 0.5):
        weights[kind] *= len(liked) / 2 / max(weights[kind].sum(), 1e-9)
    return weights


def _ridge(
    x: NDArray[np.floating[Any]], y: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The weights, and each decision as foretold by the others: y − e / (1 − h), with h of the hat matrix
    (Allen's PRESS). In the dual form, because decisions are fewer than dimensions."""
    root = np.sqrt(weights)
    scaled = x * root[:, None]
    kernel = scaled @ scaled.T
    inverse = np.linalg.inv(kernel + _RIDGE * np.eye(len(x)))
    alpha = inverse @ (y * root)
    hat = kernel @ inverse
    errors = (y * root - hat @ (y * root)) / np.maximum(1.0 - np.diag(hat), 1e-9)
    left_out = y - errors / np.maximum(root, 1e-9)
    return scaled.T @ alpha, left_out


def _auc(scores: NDArray[np.float64], liked: NDArray[np.bool_]) -> float:
    """The share of (liked, disliked) pairs in the right order."""
    order = np.argsort(scores, kind="stable")
    ranks = np.empty(len(scores))
    ranks[order] = np.arange(1, len(scores) + 1)
    yes, no = int(liked.sum()), int((~liked).sum())
    return float((ranks[liked].sum() - yes * (yes + 1) / 2) / (yes * no))
