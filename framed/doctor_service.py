"""Whether systemd starts framed with the machine and keeps it running, and what mends it where it does not."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from framed.finding import Finding

_UNIT = "framed.service"
_PROPERTIES = (
    *("LoadState", "ActiveState", "SubState", "UnitFileState", "FragmentPath"),
    *("Result", "NeedDaemonReload", "NRestarts", "User"),
)


def service(root: Path = Path("/")) -> Iterator[Finding]:
    """Nothing where systemd does not run; `root` is where /run lies."""
    if not (root / "run/systemd/system").is_dir():
        return
    system, own = _unit(), _unit("--user")
    if system.get("LoadState", "not-found") == own.get("LoadState", "not-found") == "not-found":
        said = "framed is not installed as a service; README.md says how systemd/framed.service makes it one"
        yield Finding("service", "good", said)
        return
    if system.get("LoadState", "not-found") != "not-found":
        yield _of_the_system(system)
    if own.get("LoadState", "not-found") != "not-found":
        yield _judge(own, "systemctl --user", f"journalctl --user -u {_UNIT} -e")
        yield from _lingering()


def _of_the_system(unit: dict[str, str]) -> Finding:
    user = unit.get("User", "")
    if user and not _is_user(user):
        return Finding("service", "wrong", f"{_UNIT} runs as {user}, and there is no such user", _add_user(user))
    return _judge(unit, "sudo systemctl", f"journalctl -u {_UNIT} -e")


def _judge(unit: dict[str, str], systemctl: str, log: str) -> Finding:
    """What is worst about it; `systemctl` and `log` are how this unit is steered and read."""
    loaded, active, starts = unit["LoadState"], unit.get("ActiveState", ""), unit.get("UnitFileState", "")
    if loaded == "masked":
        return Finding("service", "wrong", f"{_UNIT} is masked: nothing can start it", f"{systemctl} unmask framed")
    if loaded != "loaded":
        mend = f"systemd-analyze verify {unit.get('FragmentPath') or _UNIT}"
        return Finding("service", "wrong", f"systemd cannot read {_UNIT} ({loaded})", mend)
    if active == "failed":
        why = unit.get("Result") or "no reason"
        return Finding("service", "wrong", f"{_UNIT} has failed ({why})", f"{log}, then {systemctl} restart framed")
    if unit.get("SubState") == "auto-restart":
        often = unit.get("NRestarts") or "many"
        return Finding("service", "wrong", f"{_UNIT} ends as soon as it starts, {often} times so far", log)
    if unit.get("NeedDaemonReload") == "yes":
        mend = f"{systemctl} daemon-reload, then {systemctl} restart framed"
        return Finding("service", "note", f"{_UNIT} was changed, and systemd still has the old one", mend)
    if starts not in ("enabled", "enabled-runtime", "static", "alias", "generated"):
        said = f"{_UNIT} is {active}, and not enabled: it does not start with the machine"
        return Finding("service", "note", said, f"{systemctl} enable --now framed")
    if active == "inactive":
        return Finding("service", "note", f"{_UNIT} is enabled, and does not run", f"{systemctl} start framed")
    return Finding("service", "good", f"{_UNIT} is {active}, and starts with the machine")


def _lingering() -> Iterator[Finding]:
    """A unit of one's own ends with the last session, and begins with the first, unless systemd is told otherwise."""
    if said_by("loginctl", "show-user", _myself(), "--property=Linger", "--value") == "no":
        said = f"{_UNIT} belongs to {_myself()}: it ends when {_myself()} signs out"
        yield Finding("service", "note", said, f"sudo loginctl enable-linger {_myself()}")


def _unit(*options: str) -> dict[str, str]:
    """The unit's properties; empty where systemd does not answer, as it does not for a user without a session."""
    said = said_by("systemctl", *options, "show", _UNIT, f"--property={','.join(_PROPERTIES)}") or ""
    return dict(line.split("=", 1) for line in said.splitlines() if "=" in line)


def _is_user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def _add_user(name: str) -> str:
    return f"sudo useradd --system --user-group {name}, then sudo systemctl restart framed"


def _myself() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())  # a container's user without a name


def said_by(*command: str) -> str | None:
    """What a program of the system prints; None where it is not installed, or does not answer."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
