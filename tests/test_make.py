"""make, as a newcomer types it: what there is, and how what is given reaches framed."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """An environment that counts as set up; its `framed` prints its arguments, one a line."""
    bin_ = tmp_path / "venv" / "bin"
    bin_.mkdir(parents=True)
    for name in ("uv", "framed"):
        (bin_ / name).write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
        (bin_ / name).chmod(0o755)
    (tmp_path / "venv" / ".setup-run").touch()
    return tmp_path / "venv"


def make(*words: str) -> list[str]:
    done = subprocess.run(["make", "-C", str(ROOT), "--no-print-directory", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_make_alone_says_what_there_is_and_does_nothing() -> None:
    said = make("VENV=/nowhere")

    assert {"make run", "make test", "make bench"} <= {line.partition("  ")[0] for line in said}


def test_what_is_not_given_is_left_to_framed(installed: Path) -> None:
    assert make("run", f"VENV={installed}") == ["run", "--samples"]


def test_names_of_folders_reach_framed_as_they_are(installed: Path) -> None:
    photos, data = """/home/anna/My "best" pics & 'more' `id`; *""", "/srv/da ta's"
    given = [f"VENV={installed}", f"PHOTOS={photos}", f"DATA={data}", "HTTP_PORT=8490", "MQTT_PORT=1893"]

    said = make("run", *given)

    assert said == ["run", "--photos", photos, "--data", data, "--http-port", "8490", "--mqtt-port", "1893"]
