"""What a process gives up before it decodes untrusted bytes: network, other programs, other processes, endless memory.

A picture that takes a decoder over should find itself in a room without doors. The filter is seccomp's (Linux, x86-64
and ARM64); elsewhere the limits stand without it.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import platform
import resource
import signal
import struct
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_SECCOMP = 22
_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_MODE_FILTER = 2
_OPEN_FILES = 256

_ALLOW = 0x7FFF0000
_DENY = 0x00050000 | errno.EPERM
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06  # the opcodes of classic BPF
_NUMBER_AT, _ARCHITECTURE_AT = 0, 4  # in struct seccomp_data
_X32 = 0x40000000  # a second numbering of the same calls on x86-64

# The audit architecture, then socket, execve, execveat, ptrace, process_vm_readv, process_vm_writev, io_uring_setup
# (which opens sockets by another way), pidfd_getfd (which takes those of another process).
_CALLS = {
    "x86_64": (0xC000003E, (41, 59, 322, 101, 310, 311, 425, 438)),
    "aarch64": (0xC00000B7, (198, 221, 281, 117, 270, 271, 425, 438)),
}


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def die_with(parent: int) -> None:
    """The kernel kills this process when the thread that started it ends, however it ends."""
    if sys.platform == "linux":
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def settle(*, niceness: int) -> None:
    """What every host does: Ctrl-C is the daemon's to handle; no core dump of somebody's photos; no new privileges."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(niceness)
    if sys.platform == "linux":
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
        # Out of memory, the kernel should take a host and never the daemon.
        with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
            score.write("500")


def confine(address_space_mb: int) -> None:
    """For a host that reads untrusted bytes; after `settle`, before any thread starts. 0 MB means no limit."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES, _OPEN_FILES))
    if address_space_mb:
        resource.setrlimit(resource.RLIMIT_AS, (address_space_mb << 20, address_space_mb << 20))
    if sys.platform == "linux" and platform.machine() in _CALLS and sys.maxsize > 2**32:
        program = _filter(*_CALLS[platform.machine()])
        holder = _Program(len(program) // 8, program)
        try:
            _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(holder))
        except OSError as error:
            print(f"This kernel has no seccomp ({error}); decoding goes on without it.", file=sys.stderr)


def _filter(architecture: int, denied: tuple[int, ...]) -> bytes:
    """Classic BPF: each test jumps to the last instruction, which denies, or falls through to the next."""
    tests = [(_AT_LEAST, _X32), *((_EQUAL, number) for number in denied)]
    program = [
        _instruction(_LOAD, _ARCHITECTURE_AT),
        _instruction(_EQUAL, architecture, past_if_not=len(tests) + 2),
        _instruction(_LOAD, _NUMBER_AT),
        *(_instruction(code, number, past_if=len(tests) - index) for index, (code, number) in enumerate(tests)),
        _instruction(_RETURN, _ALLOW),
        _instruction(_RETURN, _DENY),
    ]
    return b"".join(program)


def _instruction(code: int, value: int, *, past_if: int = 0, past_if_not: int = 0) -> bytes:
    """`past_if`: how many instructions to leave out where the test holds."""
    return struct.pack("=HBBI", code, past_if, past_if_not, value)


def _prctl(option: int, *values: int) -> None:
    arguments = [ctypes.c_ulong(value) for value in (*values, 0, 0, 0, 0)[:4]]
    if ctypes.CDLL(None, use_errno=True).prctl(option, *arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
