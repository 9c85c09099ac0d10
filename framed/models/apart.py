"""Starts a compute host under the Python of another environment: framed's code, and none of the packages beside it.

That environment has its own numpy and its own msgpack. framed is therefore found by its place and not through
`sys.path`, which would bring the whole of framed's environment along.
"""

import importlib.util
import runpy
import sys
from pathlib import Path


def framed_alone() -> None:
    """Makes `framed` importable, and nothing that lies beside it."""
    folder = Path(__file__).resolve().parent.parent
    spec = importlib.util.spec_from_file_location(
        "framed", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["framed"] = module
    spec.loader.exec_module(module)


if __name__ == "__main__":
    framed_alone()
    runpy.run_module("framed.models.host", run_name="__main__", alter_sys=True)
