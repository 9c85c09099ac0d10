"""Who may sign in to framed's own broker: the daemon, the home, and every frame that was given an account."""

import json
import secrets
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from framed.errors import ConfigError
from framed.mqtt.endpoint import Credentials
from framed.mqtt.topics import check_slug
from framed.private_file import write_private

DAEMON: Final = "framed"
HOME: Final = "home"


class Accounts:
    """`load` and `save` open the file, so they are for a thread; the others answer at once."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.passwords: dict[str, str] = {}

    def load(self) -> None:
        """Those of `framed` and `home` are made where they are missing. Raises ConfigError for a damaged file."""
        self.passwords = {**_read(self._file), **self.passwords}
        for user in (DAEMON, HOME):
            self.passwords.setdefault(user, _new_password())

    def save(self) -> None:
        write_private(self._file, json.dumps(self.passwords, indent=1))

    def of(self, user: str) -> Credentials:
        return Credentials(user, SecretStr(self.passwords[user]))

    def give(self, frame: str, *, renew: bool) -> bool:
        """Whether the frame's account is new or `renew` has changed it; its user name is the frame's id."""
        if check_slug(frame) in (DAEMON, HOME):
            raise ConfigError(f"A frame on framed's own broker cannot be called {frame!r}: the name is taken there.")
        if not renew and frame in self.passwords:
            return False
        self.passwords[frame] = _new_password()
        return True

    def take(self, frame: str) -> bool:
        """Whether there was one to take away."""
        return frame not in (DAEMON, HOME) and self.passwords.pop(frame, None) is not None


def _read(path: Path) -> dict[str, str]:
    try:
        accounts = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise _damaged(path) from error
    if not isinstance(accounts, dict) or not all(isinstance(word, str) for word in accounts.values()):
        raise _damaged(path)
    return accounts


def _damaged(path: Path) -> ConfigError:
    return ConfigError(f"{path} is damaged: delete it, and every frame gets a new password.")


def _new_password() -> str:
    return secrets.token_urlsafe(24)
