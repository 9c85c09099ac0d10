"""A head learns what there is to learn from decisions, and claims nothing where there is nothing."""

import numpy as np
import pytest

from framed.analysis.liking import LEAST, learn

DIM = 256


def library(count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    groups = rng.normal(size=(8, DIM))
    rows = groups[rng.integers(0, 8, count)] + 0.8 * rng.normal(size=(count, DIM))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def tastes(vectors: np.ndarray, seed: int = 1) -> np.ndarray:
    """Liked: what points the way of the household's taste."""
    way = np.random.default_rng(seed).normal(size=DIM)
    along = vectors @ way
    return (along > np.median(along)).astype(np.float32)


def test_photos_that_were_never_judged_are_ranked_by_taste() -> None:
    photos = library(1000)
    liked = tastes(photos)
    head = learn("m", photos[:150], liked[:150], np.ones(150, np.float32), photos)
    assert head is not None
    scores = head.scores(photos[150:])
    assert scores[liked[150:] > 0.5].mean() > scores[liked[150:] < 0.5].mean() + 0.15
    assert float(np.median(head.scores(photos))) == pytest.approx(0.5, abs=0.01)
    assert scores.min() >= 0.0
    assert scores.max() <= 1.0


def test_decisions_without_a_pattern_teach_nothing() -> None:
    photos = library(400)
    chance = np.random.default_rng(5).integers(0, 2, 60).astype(np.float32)
    assert learn("m", photos[:60], chance, np.ones(60, np.float32), photos) is None


@pytest.mark.parametrize(("likes", "dislikes"), [(LEAST - 1, 50), (50, LEAST - 1), (0, 0), (40, 0)])
def test_too_few_of_one_kind_teach_nothing(likes: int, dislikes: int) -> None:
    photos = library(100)[: likes + dislikes]
    liked = np.array([1.0] * likes + [0.0] * dislikes, np.float32)
    assert learn("m", photos, liked, np.ones(len(photos), np.float32), photos) is None


def test_many_skips_do_not_drown_few_favourites() -> None:
    photos = library(900, seed=3)
    liked = tastes(photos)
    yes, no = np.flatnonzero(liked > 0.5)[:25], np.flatnonzero(liked < 0.5)[:375]
    rows = np.concatenate([yes, no])
    strength = np.where(liked[rows] > 0.5, 1.0, 0.3).astype(np.float32)
    head = learn("m", photos[rows], liked[rows], strength, photos)
    assert head is not None
    rest = np.setdiff1d(np.arange(900), rows)
    scores = head.scores(photos[rest])
    assert scores[liked[rest] > 0.5].mean() > scores[liked[rest] < 0.5].mean() + 0.08
