"""The owner's token: the file in the data folder that opens the page and the API."""

import os
import secrets
from pathlib import Path

_SHORTEST = 16


def owner_token(data: Path) -> str:
    """Reads it; the first start makes it, readable by its user alone. Opens files, so not for the event loop."""
    path = data / "token"
    try:
        found = path.read_text().strip()
        if len(found) >= _SHORTEST:
            return found
    except FileNotFoundError:
        pass  # made below
    made = secrets.token_urlsafe(24)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(made + "\n")
    return made
