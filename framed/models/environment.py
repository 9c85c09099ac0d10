"""Makes a Python environment of a backend's own, with uv where it is at hand, else with venv and framed's own pip.

Only wheels are taken: nothing that is downloaded runs while it is installed. framed itself imports nothing of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import structlog

from framed.errors import Unavailable
from framed.models.weights import Environment

log = structlog.get_logger(__name__)

TIME_S = 3600.0
_LOOK_S = 5.0
_PACKAGES = "packages"
_LINE_CHARS = 300
_PASSED_ON = ("PATH", "HOME", "USER", "LANG", "TMPDIR", "LD_LIBRARY_PATH", "REQUESTS_CA_BUNDLE")
_PASSED_ON_PREFIXES = ("LC_", "PIP_", "UV_", "SSL_CERT_")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
_UNREACHABLE = re.compile(
    r"dns error|resolve|connection|network is unreachable|timed? ?out|error sending request|client error \(connect\)",
    re.IGNORECASE,
)


async def make(
    wanted: Environment,
    at: Path,
    *,
    what: str,
    wheels: Path | None = None,
    report: Callable[[int], None] = lambda size: None,
    uv: str | None = None,
) -> dict[str, Any]:
    """The environment in the folder `at`; what the manifest says of it. Raises Unavailable; cancelling ends the work.

    `what` it is for, in words; packages that were fetched stay beside `at` for the next time; `wheels` is a folder that
    stands in for the package index; `report` gets the bytes so far; `uv` is the program, "" for none.
    """
    await asyncio.to_thread(shutil.rmtree, at, ignore_errors=True)
    await asyncio.to_thread(at.parent.mkdir, parents=True, exist_ok=True)
    program = _uv() if uv is None else uv
    source = ["--no-index", "--find-links", str(wheels)] if wheels else []
    async with _watched((at, at.parent / _PACKAGES), report):
        for command in _commands(program, at, wanted, source):
            if said := await _run(command, at.parent):
                raise Unavailable(_sentence(what, said))
    if why := await problem(wanted.modules, at / "bin" / "python"):
        raise Unavailable(f"{what} was installed, and does not start: {why}")
    size = await asyncio.to_thread(size_of, at)
    log.info("an environment is made", packages=wanted.packages, bytes=size, uv=bool(program))
    return {"packages": [*wanted.packages, *wanted.over], "modules": list(wanted.modules), "size": size}


def up_to_date(wanted: Environment, fact: Any) -> bool:
    """Whether the manifest's word of an environment is of the packages that are wanted today."""
    return isinstance(fact, dict) and fact.get("packages") == [*wanted.packages, *wanted.over]


async def problem(modules: Sequence[str], python: Path) -> str:
    """Why they do not import; empty where they do. What they would leave in a home goes with a folder of no owner."""
    with tempfile.TemporaryDirectory(prefix="framed-") as home:
        try:
            tried = [str(python), "-P", "-s", "-c", f"import {', '.join(modules)}"]
            return _last(await _run(tried, Path(home), {"HOME": home}))
        except OSError as error:
            return f"its Python is gone ({error.strerror})."


def size_of(folder: Path) -> int:
    """Blocks. Bytes of all files below; what goes meanwhile does not count."""
    size = 0
    for here, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                size += os.lstat(os.path.join(here, name)).st_size
    return size


def _uv() -> str:
    """Beside this Python or on the path; empty where there is none."""
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if os.access(beside, os.X_OK) else shutil.which("uv") or ""


def _commands(uv: str, at: Path, wanted: Environment, source: Sequence[str]) -> list[list[str]]:
    python = str(at / "bin" / "python")
    if uv:
        made = [uv, "venv", "--quiet", "--python", sys.executable, str(at)]
        install = [uv, "pip", "install", "--quiet", "--python", python, "--compile-bytecode"]
        again = ["--reinstall"]
    else:
        made = [sys.executable, "-m", "venv", "--without-pip", str(at)]  # its own pip would take longest of all
        install = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-input"]
        install += ["--disable-pip-version-check"]
        again = ["--force-reinstall"]
    install += ["--only-binary", ":all:", *source]
    commands = [made, [*install, *wanted.packages]]
    if wanted.over:
        commands.append([*install, "--no-deps", *again, *wanted.over])
    return commands


async def _run(command: Sequence[str], folder: Path, over: Mapping[str, str] | None = None) -> str:
    """Why the command failed, in its own words; empty where it did not. Cancelled, it takes its children along."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env={**_environment(folder / _PACKAGES), **(over or {})},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(TIME_S):
            _, complaint = await process.communicate()
    except TimeoutError:
        return f"it was not done within {TIME_S / 60:.0f} minutes"
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if process.returncode == 0:
        return ""
    said = complaint.decode(errors="replace")
    log.warning("a tool failed", command=Path(command[0]).name, said=_plain(said)[-2_000:])
    return said.strip() or "the process was killed"


def _sentence(what: str, said: str) -> str:
    if "No module named pip" in said:
        return f"{what} needs an environment of its own. To make one, install uv: https://docs.astral.sh/uv"
    if _UNREACHABLE.search(said):
        return (
            f"{what} could not be installed: the package index cannot be reached. What has come is kept for the next"
            f" try. Without internet, put its wheels into a folder, as the README says."
        )
    return f"{what} could not be installed: {_last(said)}"


def _last(said: str) -> str:
    lines = [line.strip() for line in _plain(said).splitlines() if line.strip()]
    return lines[-1][:_LINE_CHARS] if lines else ""


def _plain(said: str) -> str:
    """A tool's words without colours, and without addresses, which may hold a password."""
    return re.sub(r"\w+://\S+", "its address", re.sub(r"\x1b\[[0-9;]*m", "", said))


def _environment(cache: Path) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _PASSED_ON or name.startswith(_PASSED_ON_PREFIXES) or name.lower() in _PROXIES
    }
    return kept | {"UV_CACHE_DIR": str(cache), "PIP_CACHE_DIR": str(cache)}


@asynccontextmanager
async def _watched(folders: Sequence[Path], report: Callable[[int], None]) -> AsyncIterator[None]:
    """Neither tool says how far it is where nobody looks on; what lies on the disk does."""

    async def watch() -> None:
        while True:
            report(max([await asyncio.to_thread(size_of, folder) for folder in folders]))
            await asyncio.sleep(_LOOK_S)

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
