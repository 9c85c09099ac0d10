"""Backends that do on demand what real ones do by accident: crash, hang, eat memory, never end."""

import ctypes
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from framed.errors import BadPhoto
from framed.models.base import Backend, Context, HostKind
from framed.models.catalogue import Catalogue, Entry
from framed.models.wire import LENGTH


class OutOfMemoryError(RuntimeError):
    """Named as torch names its own."""


class LocalError(BadPhoto):
    """A class that the daemon does not know, below one that it does."""


class Fake(Backend):
    """inputs: `do` names a method here, the rest are its arguments."""

    task: ClassVar[str] = "fake"
    name: ClassVar[str] = "cpu"
    host: ClassVar[HostKind] = "cpu"
    loaded: ClassVar[list[str]] = []

    @classmethod
    def available(cls) -> str | None:
        return None

    def load(self, options: dict[str, Any], device: str) -> None:
        self.options = options
        self.device = device
        Fake.loaded.append(str(options.get("name")))

    def unload(self) -> None:
        Fake.loaded.remove(str(self.options.get("name")))

    def run(self, inputs: dict[str, Any], context: Context) -> dict[str, Any]:
        self.context = context
        arguments = {name: value for name, value in inputs.items() if name != "do"}
        answer = getattr(self, inputs["do"])(**arguments)
        return answer if answer is not None else {"pid": os.getpid()}

    def echo(self, **values: Any) -> dict[str, Any]:
        return values

    def look(self) -> dict[str, Any]:
        """What this process is and may."""
        import resource

        return {
            "pid": os.getpid(),
            "environment": dict(os.environ),
            "modules": list(sys.modules),
            "address_space": resource.getrlimit(resource.RLIMIT_AS)[0],
            "files": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
            "status": Path("/proc/self/status").read_text(),
            "nice": os.nice(0),
            "loaded": list(Fake.loaded),
            "device": self.device,
        }

    def wait_for(self, path: str, started: str | None = None) -> None:
        if started:
            Path(started).touch()
        while not os.path.exists(path):
            self.context.check()
            time.sleep(0.005)

    def crash(self, how: str, once: str | None = None) -> None:
        if once and os.path.exists(once):
            return
        if once:
            Path(once).touch()
        match how:
            case "abort":
                os.abort()
            case "segfault":
                ctypes.string_at(0)
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "exit":
                os._exit(3)

    def hang(self, once: str | None = None) -> None:
        """Deaf to cancel, as a long C call is."""
        if once and os.path.exists(once):
            return
        if once:
            Path(once).touch()
        time.sleep(600)

    def hold_gil(self) -> None:
        ctypes.PyDLL(None).sleep(600)

    def hog(self) -> None:
        bytearray(64 << 30)

    def device_full(self, unless_alone: bool) -> None:
        if not (unless_alone and len(Fake.loaded) == 1):
            raise OutOfMemoryError("CUDA out of memory")

    def fits(self, paths: list[str], most: int, names: list[str] | None = None) -> dict[str, Any]:
        """A batch of at most `most`."""
        if len(paths) > most:
            raise OutOfMemoryError("CUDA out of memory")
        return {
            "said": [f"{name} in {path}" for path, name in zip(paths, names or paths, strict=True)],
            "rows": np.full((len(paths), 2), len(paths)),
            "pid": os.getpid(),
            "device": self.device,
        }

    def fits_on_cpu(self, paths: list[str]) -> dict[str, Any]:
        if self.device != "cpu":
            raise OutOfMemoryError("CUDA out of memory")
        return {"device": self.device}

    def device_lost(self) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    def escape(self, act: str) -> dict[str, Any]:
        try:
            match act:
                case "connect":
                    socket.create_connection(("127.0.0.1", 9), timeout=1)
                case "listen":
                    socket.socket(socket.AF_INET6)
                case "execute":
                    os.execv("/bin/true", ["true"])
                case "trace":
                    traceme = 0
                    libc = ctypes.CDLL(None, use_errno=True)
                    if libc.ptrace(traceme, 0, 0, 0) != 0:
                        raise OSError(ctypes.get_errno(), "ptrace")
        except OSError as error:
            return {"stopped": type(error).__name__}
        return {"stopped": ""}

    def steps(self, count: int) -> None:
        for step in range(count):
            self.context.progress(step / count, f"step {step}")
        self.context.progress(1.0)

    def fail(self, kind: str) -> None:
        if kind == "local":
            raise LocalError("This is no picture.", field="path")
        raise KeyError("a secret of the inside")

    def print_lines(self, count: int) -> None:
        for number in range(count):
            print("line", number, "\x1b[2J")

    def answer_with(self, what: str) -> Any:
        return {"list": [1], "object": {"x": object()}, "nan": {"x": np.full(3, np.nan)}}[what]

    def babble(self) -> None:
        os.write(int(sys.argv[sys.argv.index("--fd") + 1]), LENGTH.pack(5) + b"\xc1" * 5)
        time.sleep(600)


class ModelFake(Fake):
    name = "model"
    host = "model"
    memory_mb = 100


class LightFake(Fake):
    name = "light"
    host = "light"


FAKES = Catalogue(
    [
        Entry("fake", "cpu", "tests.models.fake_backends:Fake", "cpu"),
        Entry("fake", "model", "tests.models.fake_backends:ModelFake", "model"),
        Entry("fake", "light", "tests.models.fake_backends:LightFake", "light"),
        Entry("kept", "model", "tests.models.fake_backends:ModelFake", "model"),
        Entry("fake", "gone", "tests.models.no_such_module:Fake", "cpu"),
    ]
)
