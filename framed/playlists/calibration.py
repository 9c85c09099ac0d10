"""Where likeness between words and pictures ends, for one model in one library.

A model's cosines mean nothing by themselves: CLIP's lie between 0.1 and 0.4, SigLIP's between -0.1 and 0.2, and a word
that is near to everything in general is nearer to all photos. So each request is measured by this library:

- the mean of prompts that no household has pictures of is taken off its vector, and with it what any words share;
- its noise is where the lower quarter of a sample of the library lies (of a request that half of the photos match,
  the middle would already be a match), and how far those prompts spread over the library;
- a photo belongs to it when it is further above that noise than the best photo of such prompts gets.
"""

import base64
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection

from framed.playlists.spaces import VectorSpace
from framed.store import vectors

Vectors = NDArray[np.float32]

ENOUGH = 50
"""Photos from which on a library says where likeness ends; in a smaller one the model's usual cosine does."""
_SAMPLE = 512
_QUARTER = 0.6745  # of a normal distribution's deviation, from its lower quarter to its middle
_SURE = 0.9  # of the prompts' best photos lie under the line: one of them may really be in the library
_LEAST, _MOST = 3.0, 8.0
_MORE = 1.0  # deviations more where other photos hold the very words
_MORE_COSINE = 1.15


class Calibration(BaseModel):
    """What was measured; kept with the model. `null` is the mean of the prompts' vectors, float16 in base64."""

    model_config = ConfigDict(frozen=True)

    model: str
    photos: int = Field(ge=0)
    prompts: int
    spread: float = Field(gt=0)
    alone: float
    null: str

    def judge(self, sample: Vectors) -> "Judge":
        return Judge(self, np.frombuffer(base64.b64decode(self.null), np.float16).astype(np.float32), sample)


class Line:
    """The vector that a request's photos are ranked by, and the products with it under which they are noise: `alone`,
    and `beside` photos that hold the very words."""

    def __init__(self, vector: Vectors, alone: float, beside: float) -> None:
        self.vector, self.alone, self.beside = vector, alone, beside


class Judge:
    def __init__(self, calibration: Calibration, null: Vectors, sample: Vectors) -> None:
        self.calibration = calibration
        self._null = null
        self._sample = sample

    def line(self, vector: Vectors) -> Line:
        own = vector - self._null
        noise = _noise(self._sample @ own, self.calibration.spread)
        alone, spread = self.calibration.alone, self.calibration.spread
        return Line(own, noise + alone * spread, noise + (alone + _MORE) * spread)


def usual_line(vector: Vectors, cosine: float) -> Line:
    """For a model in a library that is too small to measure it by."""
    return Line(vector, cosine, cosine * _MORE_COSINE)


def phrased(text: str) -> list[str]:
    """How a request is put to a model: as it was said, and as these models' captions are written."""
    return [text, f"a photo of {text}"]


def combined(rows: Vectors) -> Vectors:
    """One unit vector of those of `phrased`. FloatingPointError: the model gave no numbers."""
    mean = rows.mean(axis=0)
    length = float(np.linalg.norm(mean))
    if not np.isfinite(length) or length == 0.0:
        raise FloatingPointError("a text's vector is no numbers")
    unit: Vectors = (mean / length).astype(np.float32)
    return unit


def sample_of(connection: Connection, space: VectorSpace) -> Vectors:
    """Vectors of at most 512 photos, from the first to the newest; 2 MB for 1,024 dimensions."""
    ids = np.flatnonzero(space.signs.known)
    chosen = ids[np.unique(np.linspace(0, len(ids) - 1, min(len(ids), _SAMPLE)).astype(np.int64))] if len(ids) else ids
    return vectors.get(connection, space.model, chosen.tolist())[1]


def calibrate(
    connection: Connection, space: VectorSpace, mask: NDArray[np.bool_], prompts: Sequence[Vectors]
) -> tuple[Calibration, Vectors] | None:
    """Measures a model by `NEVER_THERE`'s vectors over the photos of the mask; None where they are too few. Gives the
    sample it was measured with, too."""
    count = len(space.known(mask))
    if count < ENOUGH:
        return None
    sample = sample_of(connection, space)
    null = np.mean(prompts, axis=0)
    own = [prompt - null for prompt in prompts]
    low, high = np.percentile(np.stack(own) @ sample.T, (25, 75), axis=1)
    spread = max(float(np.median(high - low)) / (2 * _QUARTER), 1e-6)
    tops = []
    for vector in own:
        _, products = space.nearest(connection, mask, vector)
        tops.append((float(products[0]) - _noise(sample @ vector, spread)) / spread)
    made = Calibration(
        model=space.model,
        photos=count,
        prompts=len(prompts),
        spread=spread,
        alone=min(max(float(np.quantile(tops, _SURE)), _LEAST), _MOST),
        null=base64.b64encode(null.astype(np.float16).tobytes()).decode(),
    )
    return made, sample


def _noise(products: Vectors, spread: float) -> float:
    return float(np.percentile(products, 25)) + _QUARTER * spread
