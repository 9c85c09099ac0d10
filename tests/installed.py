"""Finds what installed packages bring without importing them: some take seconds, in every worker."""

from importlib.util import find_spec
from pathlib import Path

import pytest
from PIL import Image


def installed(package: str) -> Path:
    """Its folder; where it is missing, the module that asks is skipped."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        pytest.skip(f"{package} is not installed", allow_module_level=True)
    return Path(spec.origin).parent


def sample(name: str) -> Image.Image:
    """One of scikit-image's pictures; its own way to them imports SciPy."""
    return Image.open(installed("skimage") / "data" / name).convert("RGB")
