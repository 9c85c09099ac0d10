"""Technical quality of a picture: what a photographer checks before printing it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

Array = NDArray[np.float32]


class Quality(BaseModel):
    """Every number runs from 0 to 1."""

    sharpness: float
    """Of the sharpest parts: a portrait before a blurred background is sharp."""
    exposure: float
    """1: light and shadow both hold detail. A night scene with lights in it is well exposed."""
    contrast: float
    noise: float
    """0: none. 1: grain all over."""
    resolution: float
    """1 from four megapixels, 0 at the size of a thumbnail."""
    score: float
    """All of it together, for choosing the best of several."""
    words: list[str]
    """Of "blurred", "too dark", "overexposed", "noisy", "small": what a person would complain about."""


_SIDE = 512
_BLOCK = 32
_SMALL_PX = 800
"""Longer side below which a picture looks coarse on any frame."""


def quality(rgb: NDArray[np.uint8], full_width: int, full_height: int) -> Quality:
    """Of an upright (H, W, 3) picture of 512 px or more; its original had ``full_width`` × ``full_height``.

    Sharpness and noise are judged at 512 px, near to what a frame shows at a distance, so that pictures of all sizes
    compare; a smaller original is judged at its own size, because enlarging is not the photographer's blur.
    """
    luma = _luma(rgb, min(_SIDE, max(full_width, full_height, 1)))
    noise = _noise(luma)
    sharpness = _sharpness(luma, noise)
    sampled = luma[::3, ::3]
    exposure, complaint = _exposure(sampled)
    dark, light = np.percentile(sampled, (3, 97))
    contrast = float(np.clip((light - dark) / 0.7, 0, 1))
    resolution = float(np.clip(np.log2(max(full_width * full_height, 1) / 75e3) / np.log2(4e6 / 75e3), 0, 1))
    words = []
    if sharpness < 0.25:
        words.append("blurred")
    if complaint:
        words.append(complaint)
    if noise > 0.7:
        words.append("noisy")
    if max(full_width, full_height) < _SMALL_PX:
        words.append("small")
    score = 0.4 * sharpness + 0.2 * exposure + 0.1 * contrast + 0.1 * (1 - noise) + 0.2 * resolution
    # What is blurred or lost in the dark is not saved by its megapixels.
    score *= 0.5 + 0.5 * min(1.0, sharpness / 0.4, exposure / 0.4)
    return Quality(
        sharpness=round(sharpness, 3),
        exposure=round(exposure, 3),
        contrast=round(contrast, 3),
        noise=round(noise, 3),
        resolution=round(resolution, 3),
        score=round(score, 3),
        words=words,
    )


def _luma(rgb: NDArray[np.uint8], side: int) -> Array:
    red, green, blue = (rgb[..., channel].astype(np.float32) for channel in range(3))
    luma: Array = red * np.float32(0.299 / 255) + green * np.float32(0.587 / 255) + blue * np.float32(0.114 / 255)
    longest = max(luma.shape)
    if longest <= side:
        return luma
    if longest >= 2 * side:
        step = longest // side
        height, width = luma.shape[0] // step * step, luma.shape[1] // step * step
        if height and width:
            means: Array = luma[:height, :width].reshape(height // step, step, width // step, step).mean(axis=(1, 3))
            return means
    rows = np.linspace(0, luma.shape[0] - 1, max(1, round(luma.shape[0] * side / longest)))
    columns = np.linspace(0, luma.shape[1] - 1, max(1, round(luma.shape[1] * side / longest)))
    return _interpolated(_interpolated(luma, rows).T, columns).T


def _interpolated(values: Array, at: NDArray[np.float64]) -> Array:
    below = np.minimum(at.astype(np.intp), len(values) - 1)
    above = np.minimum(below + 1, len(values) - 1)
    part = (at - below).astype(np.float32)[:, None]
    mixed: Array = values[below] * (1 - part) + values[above] * part
    return mixed


def _sharpness(luma: Array, noise: float) -> float:
    """How much of the steps between neighbours a blur takes away: much from a sharp picture, little from a blurred one.

    After Crété et al., "The Blur Effect" (2007), but block by block and of the sharpest quarter of those with detail.
    """
    if min(luma.shape) < 12:
        return 0.0
    across, along = _steps_and_lost(luma), _steps_and_lost(luma.T)
    steps, lost = across[0] + along[0].T, across[1] + along[1].T
    detail = steps > max(0.012, 0.25 * float(np.percentile(steps, 90)))
    if not detail.any():
        return 0.0
    share = lost[detail] / steps[detail]
    best = float(np.mean(np.sort(share)[-max(1, len(share) // 4) :]))
    # A blurred picture keeps 0.4 and less, a crisp one at 512 px 0.8 and more; noise is no sharpness.
    return float(np.clip((best - 0.38) / 0.47, 0, 1) * (1 - 0.5 * noise))


def _steps_and_lost(luma: Array) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Per block: the mean step from a pixel to the next in its row, and how much of it a blur takes away."""
    blurred = _mean_along(luma, 9)
    before = np.abs(np.diff(luma, axis=1, append=luma[:, -1:]))
    after = np.abs(np.diff(blurred, axis=1, append=blurred[:, -1:]))
    return _blocks(before), _blocks(np.maximum(before - after, 0))


def _mean_along(values: Array, size: int) -> Array:
    half = size // 2
    padded = np.pad(values, ((0, 0), (half + 1, half)), mode="edge")
    sums = np.cumsum(padded, axis=1, dtype=np.float32)
    mean: Array = (sums[:, size:] - sums[:, :-size]) / np.float32(size)
    return mean


def _blocks(values: Array) -> NDArray[np.float64]:
    """The mean of each 32 px block; what is left over at the right and at the bottom is dropped."""
    block = min(_BLOCK, *values.shape)
    rows, columns = values.shape[0] // block, values.shape[1] // block
    cut = values[: rows * block, : columns * block]
    mean: NDArray[np.float64] = cut.reshape(rows, block, columns, block).mean(axis=(1, 3), dtype=np.float64)
    return mean


def _noise(luma: Array) -> float:
    """After Immerkær, "Fast Noise Variance Estimation" (1996).

    Grass and leaves are as rough as noise, but neighbours in them are alike: means of 4 × 4 pixels differ nearly as
    much as pixels do. Of noise they differ a quarter as much.
    """
    if min(luma.shape) < _BLOCK + 2:
        return 0.0
    along = luma[:, :-2] - 2 * luma[:, 1:-1] + luma[:, 2:]
    curvature = np.abs(along[:-2] - 2 * along[1:-1] + along[2:])
    sigma = _blocks(curvature) * np.sqrt(np.pi / 2) / 6
    rows, columns = sigma.shape
    fours = luma[1 : 1 + rows * _BLOCK, 1 : 1 + columns * _BLOCK].reshape(rows, 8, 4, columns, 8, 4).mean(axis=(2, 5))
    light, spread = fours.mean(axis=(1, 3)), fours.std(axis=(1, 3))
    usable = (light > 0.06) & (light < 0.94)
    grainy = usable & (spread < 0.7 * sigma)
    if grainy.sum() < 0.06 ** max(1, usable.sum()):
        return 0.0
    # Noise is everywhere, in the calmest blocks too; the grain of a table is not.
    return float(np.clip((np.percentile(sigma[usable], 8) - 0.008) / 0.045, 0, 1))


def _exposure(luma: Array) -> tuple[float, str | None]:
    low, high, top = (float(value) for value in np.percentile(luma, (5, 95, 99.5)))
    burnt = float((luma > 0.985).mean())
    # Dark means that nothing is light: lamps, a moon or a lit face make it a night photo.
    dark = float(np.clip((0.5 - top) / 0.35, 0, 1)) + float(np.clip((0.12 - high) / 0.1, 0, 1)) * float(top < 0.75)
    # White means that even the shadows are light; a drawing on white paper is not overexposed.
    white = float(np.clip((burnt - 0.3) / 0.4, 0, 1)) * float(low > 0.25)
    white += float(np.clip((low - 0.5) / 0.3, 0, 1)) * float(high > 0.95)
    exposure = float(np.clip(1 - max(dark, white) - 0.3 * float(low > 0.1) * np.clip(burnt / 0.5, 0, 1), 0, 1))
    complaint = "too dark" if dark > 0.5 else "overexposed" if white > 0.5 else None
    return exposure, complaint
