"""Files with secrets: nobody but their user can read them at any moment."""

import os
import secrets
from pathlib import Path


def write_private(path: Path, text: str) -> None:
    """Replaces the file in one step. For a thread."""
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    temporary.replace(path)
