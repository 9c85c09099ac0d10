"""framed doctor on machines that are not here: their files and programs are made, and each finding mends."""

import os
import pwd
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from framed.doctor_gpu import gpu
from framed.doctor_service import service
from framed.finding import Finding

H200 = {"name": "NVIDIA H200", "mb": 150_000}
Torch = Callable[..., None]
Program = Callable[[str, str], None]


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    root = tmp_path / "machine"
    (root / "dev").mkdir(parents=True)
    (root / "etc").mkdir()
    (root / "etc/os-release").write_text("NAME=Debian\nID=debian\n")
    return root


@pytest.fixture
def torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Torch:
    """A torch that says of itself what the test wants, for the process that doctor starts."""

    def install(**said: Any) -> None:
        cards = said.get("cards", [])
        built = said.get("built", {"cuda": "13.2"})
        lines = [
            "from types import SimpleNamespace as one",
            f"__version__ = {said.get('version', '2.15.0')!r}",
            f"version = one(**{ {'cuda': None, 'hip': None, 'xpu': None} | built!r})",
            f"cards = [one(name=c['name'], total_memory=c['mb'] * 10**6) for c in {cards!r}]",
            f"def init(): raise RuntimeError({said.get('why', '')!r})",
            "cuda = one(is_available=lambda: bool(cards), device_count=lambda: len(cards), init=init,",
            "    get_device_name=lambda i: cards[i].name, get_device_properties=lambda i: cards[i])",
            "xpu = one(is_available=lambda: False)",
            "backends = one(mps=one(is_available=lambda: False))",
            said.get("more", ""),
        ]
        folder = tmp_path / "packages"
        folder.mkdir(exist_ok=True)
        (folder / "torch.py").write_text("\n".join(lines))
        monkeypatch.setenv("PYTHONPATH", str(folder))

    return install


def nvidia(machine: Path) -> None:
    for name in ("nvidiactl", "nvidia0"):
        (machine / "dev" / name).touch()


def plug(machine: Path, vendor: str, kind: str = "0x030000") -> None:
    device = machine / "sys/bus/pci/devices/0000:01:00.0"
    device.mkdir(parents=True)
    (device / "vendor").write_text(f"{vendor}\n")
    (device / "class").write_text(f"{kind}\n")


def test_a_card_that_torch_can_use_is_named_with_its_memory(machine: Path, torch: Torch) -> None:
    nvidia(machine)
    torch(cards=[H200])
    assert gpu("auto", machine) == Finding("GPU", "good", "NVIDIA H200 (150 GB), torch 2.15.0")
    found = gpu("cuda:1", machine)
    assert (found.state, found.said) == ("wrong", "compute.device is cuda:1, and there is 1 GPU, counted from cuda:0")


def test_a_driver_with_a_torch_that_is_built_without_it_asks_for_another_torch(machine: Path, torch: Torch) -> None:
    nvidia(machine)
    torch(version="2.15.0+cpu", built={})
    found = gpu("auto", machine)
    assert found.state == "note"
    assert "torch 2.15.0+cpu is built for cpu" in found.said
    assert found.mend.endswith("--torch-backend=auto --reinstall-package torch torch")
    assert gpu("cuda", machine).state == "wrong"
    assert gpu("cpu", machine).state == "good"


@pytest.mark.parametrize(
    ("why", "mend"),
    [
        ("The NVIDIA driver on your system is too old (found version 11040).\nMore.", "apt install nvidia-driver"),
        ("CUDA unknown error - this may be due to an incorrectly set up environment", "sudo reboot"),
    ],
)
def test_a_driver_that_torch_cannot_use_is_said_with_torchs_reason(
    machine: Path, torch: Torch, why: str, mend: str
) -> None:
    nvidia(machine)
    torch(why=why)
    found = gpu("auto", machine)
    assert why.splitlines()[0] in found.said
    assert "More" not in found.said
    assert mend in found.mend


def test_a_torch_that_does_not_start_is_said_in_its_own_words(machine: Path, torch: Torch) -> None:
    nvidia(machine)
    torch(more="raise ImportError('libcudart.so.13: cannot open shared object file')")
    found = gpu("auto", machine)
    assert (found.state, "libcudart.so.13" in found.said, "reinstall" in found.mend) == ("wrong", True, True)
    torch(more="import os; os.kill(os.getpid(), 9)")  # a broken driver takes its process along
    assert "ended with -9" in gpu("auto", machine).said


@pytest.mark.skipif(os.geteuid() == 0, reason="root may use every file")
def test_a_card_that_this_user_may_not_use_names_the_group(machine: Path, torch: Torch) -> None:
    nvidia(machine)
    (machine / "dev/nvidia0").chmod(0)
    torch()
    assert "usermod -aG" in gpu("auto", machine).mend


def test_a_card_without_a_driver_names_the_package(machine: Path) -> None:
    plug(machine, "0x10de")
    found = gpu("auto", machine)
    assert (found.state, found.mend) == ("note", "sudo apt install nvidia-driver, then sudo reboot")
    (machine / "etc/os-release").write_text("ID=ubuntu\nID_LIKE=debian\n")
    assert "ubuntu-drivers" in gpu("auto", machine).mend


def test_the_graphics_inside_a_processor_are_no_alarm(machine: Path) -> None:
    plug(machine, "0x8086")
    (machine / "dev/dri").mkdir()
    (machine / "dev/dri/renderD128").touch()
    found = gpu("auto", machine)
    assert (found.state, found.mend) == ("good", "")
    assert gpu("cuda", machine).state == "wrong"


# -- systemd -------------------------------------------------------------------------------------------------------

GOOD = {"LoadState": "loaded", "ActiveState": "active", "SubState": "running", "UnitFileState": "enabled"}
GOOD |= {"NeedDaemonReload": "no", "NRestarts": "0", "User": ""}
MISSING = {"LoadState": "not-found", "ActiveState": "inactive", "UnitFileState": ""}


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)

    def install(name: str, code: str) -> None:
        file = folder / name
        file.write_text(f"#!/bin/sh\n{code}\n")
        file.chmod(file.stat().st_mode | stat.S_IXUSR)

    return install


def findings(
    machine: Path, program: Program, system: dict[str, str], own: dict[str, str] = MISSING, linger: str = "yes"
) -> list[Finding]:
    (machine / "run/systemd/system").mkdir(parents=True, exist_ok=True)
    system_says, own_says = ("\n".join(map("=".join, unit.items())) for unit in (system, own))
    program("systemctl", f"case \"$*\" in *--user*show*) echo '{own_says}';; show*) echo '{system_says}';; esac")
    program("loginctl", f'case "$*" in *--property=Linger*) echo {linger};; esac')
    return list(service(machine))


@pytest.mark.parametrize(
    ("changed", "state", "said", "mend"),
    [
        ({}, "good", "active, and starts with the machine", ""),
        ({"UnitFileState": "disabled"}, "note", "not enabled", "sudo systemctl enable --now framed"),
        ({"ActiveState": "inactive"}, "note", "does not run", "sudo systemctl start framed"),
        ({"ActiveState": "failed", "Result": "exit-code"}, "wrong", "failed (exit-code)", "journalctl -u framed"),
        ({"SubState": "auto-restart", "NRestarts": "4"}, "wrong", "4 times", "journalctl -u framed.service -e"),
        ({"NeedDaemonReload": "yes"}, "note", "still has the old one", "sudo systemctl daemon-reload"),
        ({"LoadState": "masked"}, "wrong", "nothing can start it", "sudo systemctl unmask framed"),
        ({"LoadState": "bad-setting", "FragmentPath": "/x"}, "wrong", "cannot read", "systemd-analyze verify /x"),
        ({"User": "nobody-here"}, "wrong", "no such user", "sudo useradd --system --user-group nobody-here"),
    ],
)
def test_a_service_is_judged_by_what_systemd_says_of_it(
    machine: Path, program: Program, changed: dict[str, str], state: str, said: str, mend: str
) -> None:
    (found,) = findings(machine, program, GOOD | changed)
    assert (found.what, found.state) == ("service", state)
    assert said in found.said
    assert mend in found.mend
    assert bool(found.mend) == (state != "good")


def test_a_service_of_ones_own_needs_lingering(machine: Path, program: Program) -> None:
    me = pwd.getpwuid(os.getuid()).pw_name
    own, lingering = findings(machine, program, MISSING, GOOD, linger="no")
    assert own.state == "good"
    assert (lingering.state, lingering.mend) == ("note", f"sudo loginctl enable-linger {me}")
    assert len(findings(machine, program, MISSING, GOOD, linger="yes")) == 1
    (disabled,) = findings(machine, program, MISSING, GOOD | {"UnitFileState": "disabled"})
    assert disabled.mend == "systemctl --user enable --now framed"


def test_no_service_is_no_fault_and_without_systemd_nothing_is_said(machine: Path, program: Program) -> None:
    assert list(service(machine)) == []
    (found,) = findings(machine, program, MISSING)
    assert found.state == "good"
