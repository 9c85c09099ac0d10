"""Whether the graphics processor of this machine can be used, and what mends it where it cannot."""

import importlib.metadata
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from framed.finding import Finding
from framed.terminal import counted

_ASK_TORCH = """
import json, torch
here = torch.cuda.is_available()
why = ""
if not here and (torch.version.cuda or torch.version.hip):
    try:
        torch.cuda.init()
    except Exception as error:
        why = str(error)
built = [("cuda", torch.version.cuda), ("rocm", torch.version.hip), ("xpu", getattr(torch.version, "xpu", None))]
one = lambda i: {"name": torch.cuda.get_device_name(i), "mb": torch.cuda.get_device_properties(i).total_memory // 10**6}
print(json.dumps({
    "torch": torch.__version__,
    "built_for": next((name for name, version in built if version), "cpu"),
    "cuda": [one(i) for i in range(torch.cuda.device_count())] if here else [],
    "xpu": bool(hasattr(torch, "xpu") and torch.xpu.is_available()),
    "mps": bool(torch.backends.mps.is_available()),
    "why": why,
}))
"""
_DISPLAY, _NVIDIA = "0x03", "0x10de"  # PCI's numbers for display controllers and for the maker


class Card(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str
    mb: int


class Torch(BaseModel):
    """What torch says of itself, in a process of its own."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    torch: str
    built_for: str
    cuda: list[Card]
    xpu: bool
    mps: bool
    why: str


class Driver(NamedTuple):
    """Whose card it is, and the files that its driver is reached by."""

    maker: str
    files: tuple[Path, ...]


def gpu(wanted: str, root: Path = Path("/")) -> Finding:
    """`wanted` is `compute.device`; `root` is where /dev, /sys and /etc lie."""
    driver = _driver(root)
    if driver is None and not _torch_for_others(wanted):
        return _none(wanted, root)
    if wanted == "cpu":
        return Finding("GPU", "good", f"compute.device is cpu: {_processors()} do everything")
    found = _ask_torch()
    if isinstance(found, str):
        return Finding("GPU", "wrong", f"torch does not start: {found}", _torch_anew())
    cards = [f"{card.name} ({card.mb / 1000:.0f} GB)" for card in found.cuda]
    cards += [name for name, here in (("Intel XPU", found.xpu), ("Apple MPS", found.mps)) if here]
    if cards:
        return _numbered(wanted, cards, found)
    if driver is None:
        return _finding(wanted, f"none that torch {found.torch} can use; {_processors()} do everything", "")
    return _unusable(wanted, driver, found, root)


def _none(wanted: str, root: Path) -> Finding:
    if _nvidia_card(root):
        said = f"an NVIDIA card is there, and no driver for it; {_processors()} do everything"
        return _finding(wanted, said, _install_driver(root))
    if wanted in ("auto", "cpu"):
        return Finding("GPU", "good", f"none; {_processors()} do everything")
    said = f"compute.device is {wanted}, and there is no GPU"
    return Finding("GPU", "wrong", said, "set compute.device: auto in config.yaml")


def _torch_for_others(wanted: str) -> bool:
    """Apple's and Intel's cards have no file that tells whether torch can use them."""
    return sys.platform == "darwin" or wanted.startswith("xpu") or "+xpu" in importlib.metadata.version("torch")


def _numbered(wanted: str, cards: list[str], found: Torch) -> Finding:
    number = re.fullmatch(r"cuda:(\d+)", wanted)
    if number and int(number[1]) >= len(found.cuda):
        said = f"compute.device is {wanted}, and there is {counted(len(found.cuda), 'GPU')}, counted from cuda:0"
        return Finding("GPU", "wrong", said, "set compute.device: auto in config.yaml")
    return Finding("GPU", "good", f"{', '.join(cards)}, torch {found.torch}")


def _unusable(wanted: str, driver: Driver, found: Torch, root: Path) -> Finding:
    there = f"the driver of an {driver.maker} card is there"
    closed = [path for path in driver.files if path.exists() and not os.access(path, os.R_OK | os.W_OK)]
    if closed:
        said = f"{there}, but this user may not use {closed[0]}"
        return _finding(wanted, said, f"{_join_groups(closed)}, and sign in anew")
    if found.built_for != ("rocm" if driver.maker == "AMD" else "cuda"):
        said = f"{there}, but torch {found.torch} is built for {found.built_for}; models run on the processor"
        return _finding(wanted, said, _torch_anew())
    why = f": {found.why.splitlines()[0][:200]}" if found.why else ""
    said = f"{there}, but torch {found.torch} cannot use it{why}; models run on the processor"
    if "unknown error" in found.why or "forward compatibility" in found.why:  # updated under the running kernel
        return _finding(wanted, said, "sudo reboot")
    if driver.maker == "AMD":
        return _finding(wanted, said, "set compute.device: cpu in config.yaml if ROCm does not know this card")
    return _finding(wanted, said, _install_driver(root))


def _finding(wanted: str, said: str, mend: str) -> Finding:
    """What framed can do without is worth a note; what `compute.device` asks for is wrong where it is missing."""
    return Finding("GPU", "note" if wanted in ("auto", "cpu") else "wrong", said, mend)


def _driver(root: Path) -> Driver | None:
    """A card of a maker that torch can use. Every desktop has /dev/dri, most often for graphics without that."""
    nvidia = tuple(sorted((root / "dev").glob("nvidia[0-9]*")))
    if nvidia:
        return Driver("NVIDIA", (root / "dev/nvidiactl", *nvidia))
    if (root / "dev/dxg").exists():
        return Driver("NVIDIA", (root / "dev/dxg",))  # Windows' own, in WSL
    if (root / "dev/kfd").exists():
        return Driver("AMD", (root / "dev/kfd", *sorted((root / "dev/dri").glob("renderD*"))))
    return None


def _nvidia_card(root: Path) -> bool:
    """A card that is plugged in, with a driver or without. AMD's are in many processors, and few of them compute."""
    for device in (root / "sys/bus/pci/devices").glob("*"):
        try:
            maker, kind = (device / "vendor").read_text().strip(), (device / "class").read_text().strip()
        except OSError:
            continue  # it went away while it was looked at
        if maker == _NVIDIA and kind.startswith(_DISPLAY):
            return True
    return False


def _install_driver(root: Path) -> str:
    if (root / "dev/dxg").exists():
        return "install the NVIDIA driver in Windows, then: wsl --shutdown"
    try:
        system = (root / "etc/os-release").read_text()
    except OSError:
        system = ""
    if re.search(r"^ID=ubuntu$", system, re.M):
        return "sudo ubuntu-drivers install, then sudo reboot"
    if re.search(r"^ID(_LIKE)?=.*\b(debian|ubuntu)\b", system, re.M):
        return "sudo apt install nvidia-driver, then sudo reboot"
    if re.search(r"^ID(_LIKE)?=.*\b(fedora|rhel)\b", system, re.M):
        return "sudo dnf install akmod-nvidia, then sudo reboot"
    return "install the NVIDIA driver as your system does it, then sudo reboot"


def _join_groups(closed: list[Path]) -> str:
    import grp

    try:
        group = grp.getgrgid(closed[0].stat().st_gid).gr_name
    except KeyError:
        group = "render"
    if group == "root":
        return f"sudo chmod a+rw {' '.join(map(str, closed))}"
    return f"sudo usermod -aG {group} {os.environ.get('USER', '$USER')}"


def _torch_anew() -> str:
    """uv knows the driver, and takes the torch that is built for it."""
    uv = Path(sys.executable).with_name("uv")
    program = f"{uv} pip install --python {sys.executable}" if uv.exists() else "uv pip install"
    return f"{program} --torch-backend=auto --reinstall-package torch torch"


def _processors() -> str:
    return counted(os.cpu_count() or 1, "processor core")


def _ask_torch() -> Torch | str:
    """In a process of its own: torch is slow to import, and a broken driver may take its process along."""
    try:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", _ASK_TORCH], capture_output=True, text=True, timeout=120, check=False
        )
        if done.returncode == 0:
            return Torch.model_validate_json(done.stdout.splitlines()[-1])
    except (OSError, IndexError, ValidationError, subprocess.SubprocessError) as error:
        return type(error).__name__
    said = done.stderr.strip().splitlines()
    return said[-1][:200] if said else f"its process ended with {done.returncode}"
