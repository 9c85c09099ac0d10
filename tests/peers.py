"""Programs that tests talk to for real: found, or the test is skipped with a reason, which CI does not accept."""

import os
import shutil

import pytest

_ALSO_IN = ("/usr/sbin", "/usr/local/sbin", "/usr/local/bin", "/opt/homebrew/sbin", "/opt/homebrew/bin")


def require_peer(name: str) -> str:
    """The path of a program on this machine. Skips where it is missing, and fails there if CI=true."""
    path = shutil.which(name) or shutil.which(name, path=os.pathsep.join(_ALSO_IN))
    if path is not None:
        return path
    reason = f"{name} is not installed here"
    if os.environ.get("CI") == "true":
        pytest.fail(f"{reason}, and CI=true asks for it")
    pytest.skip(reason)
