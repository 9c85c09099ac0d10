"""Turns a published pickle into safetensors, in a process that is thrown away: `python -m framed.models.convert`.

torch reads it with `weights_only`, which makes tensors and nothing else; should that ever be got around, the process
has no network, no other programs and a limited memory. Its hash was checked before it comes here.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import sys
from pathlib import Path

from framed.errors import Unavailable
from framed.models.sandbox import confine, settle

MEMORY_MB = 24 << 10
"""Address space: the checkpoint, its half-precision copy and torch itself."""
TIME_S = 3600.0
_PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH")


async def convert(by: str, source: Path, target: Path) -> None:
    """Has `by` ("module:function") write `target` from `source`. Raises Unavailable; cancelling ends the process."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "framed.models.convert", by, str(source), str(target)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={name: value for name, value in os.environ.items() if name in _PASSED_ON},
    )
    try:
        async with asyncio.timeout(TIME_S):
            _, complaint = await process.communicate()
    except TimeoutError as error:
        raise Unavailable(f"{source.name} could not be converted within {TIME_S / 60:.0f} minutes.") from error
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode != 0:
        last = complaint.decode(errors="replace").strip().rpartition("\n")[2][:200]
        raise Unavailable(f"{source.name} could not be converted to safetensors: {last or 'the process was killed'}.")


def tensors(source: Path, target: Path) -> None:
    """A plain state dict, as it is; for `File.by`."""
    import torch
    from safetensors.torch import save_file

    loaded = torch.load(source, map_location="cpu", weights_only=True)
    state = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else {}
    found = {name: value.contiguous() for name, value in state.items() if isinstance(value, torch.Tensor)}
    if not found:
        raise SystemExit(f"{source.name} holds no tensors")
    save_file(found, target)


def main(by: str, source: str, target: str) -> None:
    settle(niceness=10)
    confine(MEMORY_MB)
    module, _, name = by.partition(":")
    getattr(importlib.import_module(module), name)(Path(source), Path(target))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:4])
    except Exception as problem:  # its parent reads one line
        sys.exit(f"{type(problem).__name__}: {str(problem).strip().partition(chr(10))[0]}")
