"""The owner's token: the file in the data folder that opens the page and the API."""

import secrets
from pathlib import Path

from framed.private_file import write_private

_SHORTEST = 16


def owner_token(data: Path) -> str:
    """Reads it; the first start makes it. Opens files, so not for the event loop."""
    path = data / "token"
    try:
        found = path.read_text().strip()
        if len(found) >= _SHORTEST:
            return found
    except FileNotFoundError:
        pass  # made below
    made = secrets.token_urlsafe(24)
    write_private(path, made + "\n")
    return made
