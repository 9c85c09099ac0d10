"""The systemd unit: what it promises, and how systemd itself rates its sandbox."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).parent.parent / "systemd" / "framed.service"
WORST = 2.0

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed, so the unit cannot be rated"
)


def _analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@needs_systemd
def test_the_sandbox_is_rated_two_or_better() -> None:
    answer = _analyze("security", "--no-pager", "--offline=true", str(UNIT))
    if "unrecognized option" in answer.stderr:
        pytest.skip("this systemd-analyze is older than 250 and rates no files")
    rated = re.search(r"Overall exposure level for framed\.service: ([\d.]+)", answer.stdout)
    assert rated, answer.stdout + answer.stderr
    assert float(rated[1]) <= WORST


@needs_systemd
def test_systemd_understands_every_line(tmp_path: Path) -> None:
    here = tmp_path / "framed.service"
    here.write_text(UNIT.read_text().replace("/opt/framed/.venv/bin/framed", shutil.which("true") or "/bin/true"))
    answer = _analyze("verify", "--man=no", str(here))
    assert "framed.service" not in answer.stderr, answer.stderr


@pytest.mark.parametrize(
    "line",
    [
        "Type=notify",
        "NotifyAccess=main",
        "WatchdogSec=60",
        "Restart=on-failure",
        "TimeoutStopSec=10",
        "KillMode=mixed",
        "User=framed",
        "StateDirectory=framed",
        "UMask=0077",
        "ExecStart=/opt/framed/.venv/bin/framed run --config /etc/framed/config.yaml",
    ],
)
def test_the_unit_keeps_what_the_daemon_relies_on(line: str) -> None:
    assert line in UNIT.read_text().splitlines()


def test_the_default_data_folder_lies_in_the_state_directory() -> None:
    assert re.search(r"^Environment=.*\bHOME=/var/lib/framed\b", UNIT.read_text(), re.M)
