"""The benches are run by hand, so that what they import may be gone long before anybody sees it."""

import ast
import importlib
import importlib.util
from pathlib import Path

import pytest

BENCHES = sorted((Path(__file__).parent.parent / "bench").rglob("*.py"))


@pytest.mark.parametrize("path", BENCHES, ids=lambda path: path.stem)
def test_what_a_bench_takes_from_elsewhere_is_there(path: Path) -> None:
    taken = [
        (node.module or "", name.name)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    ]

    assert [(module, name) for module, name in taken if not _has(module, name)] == []


def test_make_bench_runs_every_bench_and_none_that_is_not_there() -> None:
    runner = BENCHES[0].parent / "__main__.py"
    small = next(
        node.value
        for node in ast.parse(runner.read_text()).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "SMALL"
    )

    assert sorted(ast.literal_eval(small)) == [path.stem for path in BENCHES if path.parent == runner.parent][1:]


def _has(module: str, name: str) -> bool:
    if module.partition(".")[0] in ("framed", "tests"):
        return hasattr(importlib.import_module(module), name) or _is_module(f"{module}.{name}")
    beside = Path(__file__).parent.parent / "bench" / f"{module}.py"
    return not beside.exists() or name in _defined(beside)


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def _defined(path: Path) -> set[str]:
    """The names at the top of a module, which is not run for it."""
    found: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)}
    return found
