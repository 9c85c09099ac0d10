"""Asks the running daemon over HTTP: where it is, and what it answers."""

import json
import shlex
import sys
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from framed import config_file
from framed.errors import BadRequest, ConfigError, FramedError, Unavailable

_TIMEOUT_S = 60.0
_ANY_ADDRESS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


@dataclass(frozen=True)
class Where:
    """The daemon's data folder, which holds its token, and the address that this machine reaches it under."""

    data: Path
    host: str
    port: int

    def command(self, *words: str) -> str:
        """A command line for this daemon, such as `framed run`, as it can be typed here."""
        program = sys.argv[0] if Path(sys.argv[0]).name == "framed" else "framed"
        options = []
        if self.data != Path(config_file.DATA_DIR).expanduser():
            options += ["--data", str(self.data)]
        if self.port != config_file.HTTP_PORT:
            options += ["--http-port", str(self.port)]
        return shlex.join([program, *words, *options])

    def token(self) -> str:
        """The owner's token; empty where framed was never started with this folder."""
        path = self.data / "token"
        try:
            return path.read_text().strip()
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise Unavailable(
                f"The token in {path} cannot be read: {error.strerror}. Ask as the user that runs framed."
            ) from error


def where(config: Path | None, data: Path | None, http_port: int | None) -> Where:
    """From the options and config.yaml; reads no more of it than the address. Raises ConfigError."""
    path = config_file.find(config)
    document: dict[str, Any] = {}
    if path is not None:
        from framed.config_yaml import read

        document, _ = read(path)
        config_file.resolve(document, path)
    http = document.get("http") or {}
    folder = data or document.get("data_dir") or config_file.DATA_DIR
    host, port = (http.get("host"), http.get("port", config_file.HTTP_PORT)) if isinstance(http, dict) else (None, None)
    if http_port is not None:
        port = http_port
    if not (isinstance(folder, str | Path) and isinstance(port, int) and isinstance(host, str | None)):
        from framed.config import load  # it says what is wrong

        load(path)
        raise ConfigError("config.yaml does not say where framed is.")
    return Where(Path(folder).expanduser().absolute(), _ANY_ADDRESS.get(host or "", host or ""), port)


def call(verb: str, payload: dict[str, Any], at: Where) -> dict[str, Any]:
    """The `data` of the daemon's answer; its error is raised with its own sentence."""
    token = at.token()
    status, answer = fetch("POST", at, f"/api/v1/{verb}", payload, token)
    if status == HTTPStatus.UNAUTHORIZED:
        raise Unavailable(f"{_not_let_in(at, token)} Is --data the folder that framed runs with?")
    if answer.get("status") not in ("ok", "accepted"):
        said = answer.get("error") or {}
        error = BadRequest(str(said.get("message", "framed answered something that is no answer.")))
        error.code = str(said.get("code", error.code))
        raise error
    found = answer.get("data")
    return found if isinstance(found, dict) else {}


def _not_let_in(at: Where, token: str) -> str:
    if not token:
        return f"There is no token in {at.data}."
    return f"framed refuses the token in {at.data / 'token'}."


def runs(at: Where) -> bool:
    """Whether framed, and nothing else, answers there."""
    try:
        fetch("GET", at, "/healthz", timeout_s=5.0)
    except FramedError:
        return False  # the reason is said where it matters, by who wanted an answer
    return True


def fetch(
    method: str,
    at: Where,
    path: str,
    payload: dict[str, Any] | None = None,
    token: str = "",
    *,
    timeout_s: float = _TIMEOUT_S,
) -> tuple[int, dict[str, Any]]:
    """The HTTP status and the document that came with it."""
    import http.client

    connection = http.client.HTTPConnection(at.host, at.port, timeout=timeout_s)
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    place = f"{at.host}:{at.port}"
    try:
        connection.request(method, path, None if payload is None else json.dumps(payload), headers)
        response = connection.getresponse()
        document = json.loads(response.read())
    except TimeoutError as error:
        raise Unavailable(f"framed at {place} did not answer within {timeout_s:.0f} s.") from error
    except ConnectionRefusedError as error:
        raise Unavailable(f"framed is not running at {place}. Start it with: {at.command('run')}") from error
    except (ValueError, http.client.HTTPException) as error:
        raise Unavailable(f"What answers at {place} is not framed; say its port with --http-port.") from error
    except ConnectionError as error:
        raise Unavailable(f"What listens at {place} hung up without an answer: is it framed, and well?") from error
    except OSError as error:
        raise Unavailable(f"{place} cannot be reached: {error.strerror or error}.") from error
    finally:
        connection.close()
    if not isinstance(document, dict) or "status" not in document:
        raise Unavailable(f"What answers at {place} is not framed; say its port with --http-port.")
    return response.status, document
