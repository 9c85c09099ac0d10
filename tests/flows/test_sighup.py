"""SIGHUP, as `systemctl reload` sends it: the configuration is read again, and systemd hears when that is over."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from tests.broker_fixtures import free_port


def test_sighup_reads_the_file_again_and_tells_systemd(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    settings: dict[str, Any] = {
        "data_dir": str(tmp_path / "data"),
        "http": {"host": "127.0.0.1", "port": free_port()},
        "mqtt": {"port": free_port()},
        "logging": {"format": "json"},
    }
    file.write_text(yaml.safe_dump(settings))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd, contextlib.ExitStack() as ended:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(60)
        log = ended.enter_context((tmp_path / "log").open("wb"))
        process = subprocess.Popen(
            [sys.executable, "-m", "framed", "run", "--config", str(file)],
            env={**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")},
            stdout=log,
            stderr=log,
        )
        ended.callback(process.wait)
        ended.callback(process.kill)
        assert systemd.recv(999).startswith(b"READY=1")
        file.write_text(yaml.safe_dump(settings | {"logging": {"format": "json", "level": "debug"}}))
        before_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        process.send_signal(signal.SIGHUP)
        reloading, ready = systemd.recv(999).split(b"\n"), systemd.recv(999)
        assert reloading[0] == b"RELOADING=1"
        assert int(reloading[1].removeprefix(b"MONOTONIC_USEC=")) >= before_us
        assert ready.startswith(b"READY=1")
        assert '"changed": ["logging.level"]' in (tmp_path / "log").read_text()
        file.write_text("logging: {level: loud}\n")
        process.send_signal(signal.SIGHUP)
        assert systemd.recv(999).startswith(b"RELOADING=1")
        assert systemd.recv(999).startswith(b"READY=1")
        assert "config.yaml, line 1: logging.level" in (tmp_path / "log").read_text()
        process.terminate()
        assert systemd.recv(999) == b"STOPPING=1"
        assert process.wait(60) == 0
