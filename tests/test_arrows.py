"""Holds the import arrows of the design: who may know whom, and where heavy libraries may enter."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "framed"
HEAVY = {"torch", "diffusers", "open_clip", "insightface", "paddleocr", "rapidocr", "dlib", "transformers"}
FORBIDDEN = {
    "handlers": {"web", "assembly", "app", "cli"},
    "models": {"store", "bus", "mqtt", "handlers", "playlists", "frames", "web"},
    "frames": {"handlers", "playlists", "analysis", "web", "art"},
    "store": {"bus", "mqtt", "handlers", "playlists", "frames", "web", "analysis", "library", "models"},
    "mqtt": {"store", "bus", "handlers", "playlists", "frames", "web", "analysis", "library", "models"},
    "library": {"handlers", "playlists", "frames", "web", "analysis", "models", "mqtt"},
    "web": {"handlers", "playlists", "analysis", "models", "mqtt", "store"},
    "playlists": {"handlers", "frames", "web", "mqtt"},
    "analysis": {"handlers", "frames", "web", "mqtt", "playlists"},
}
ONLY_IN = {
    "aiomqtt": {"mqtt/connection.py"},
    "yaml": {"config_yaml.py"},
    "watchdog": {"library/watcher.py"},
    "prometheus_client": {"metrics.py"},
}


def imports(path: Path, *, top_only: bool) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = tree.body if top_only else list(ast.walk(tree))
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


MODULES = sorted(ROOT.rglob("*.py"))


@pytest.mark.parametrize("package", sorted(FORBIDDEN))
def test_packages_follow_the_arrows(package: str) -> None:
    wrong = {
        (str(path.relative_to(ROOT)), name)
        for path in (ROOT / package).rglob("*.py")
        for name in imports(path, top_only=False)
        if name.startswith("framed.") and name.split(".")[1] in FORBIDDEN[package]
    }

    assert wrong == set()


def test_a_handler_never_imports_another_handler() -> None:
    wrong = {
        (path.name, name)
        for path in (ROOT / "handlers").glob("*.py")
        for name in imports(path, top_only=False)
        if name.startswith("framed.handlers.")
    }

    assert wrong == set()


def test_heavy_libraries_are_imported_inside_load_only() -> None:
    wrong = {
        (str(path.relative_to(ROOT)), name)
        for path in MODULES
        for name in imports(path, top_only=True)
        if name.split(".")[0] in HEAVY
    }

    assert wrong == set()


@pytest.mark.parametrize("library", sorted(ONLY_IN))
def test_a_library_has_one_door(library: str) -> None:
    users = {
        str(path.relative_to(ROOT))
        for path in MODULES
        for name in imports(path, top_only=False)
        if name.split(".")[0] == library
    }

    assert users == ONLY_IN[library]


def test_the_schema_head_is_the_newest_migration() -> None:
    from framed.store.database import SCHEMA_HEAD

    newest = max(path.name[:4] for path in (ROOT / "store" / "migrations" / "versions").glob("[0-9]*.py"))

    assert newest == SCHEMA_HEAD
