"""The command line as people and programs use it: against a daemon that runs, and against none."""

import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from framed import samples
from framed.cli import app
from tests.flows.conftest import free_port, write_photo

pytestmark = pytest.mark.models

FRAMED = (sys.executable, "-m", "framed")
ASKING = ("status", "frames", "jobs", "photos", "link", "ask cats", "plan cats", "search cats", "account hall")


def environment(**more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("FRAMED_", "COLUMNS", "LINES"))}
    return {**kept, "OPENBLAS_NUM_THREADS": "1", **more}


@dataclass
class Daemon:
    """`framed run --json` in a process of its own; `said` is what it has printed, line by line."""

    process: subprocess.Popen[str]
    data: Path
    port: int
    said: list[dict[str, Any]]

    @property
    def options(self) -> list[str]:
        return ["--data", str(self.data), "--http-port", str(self.port)]

    def hear(self, event: str) -> dict[str, Any]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(json.loads(line))
            if self.said[-1]["event"] == event:
                return self.said[-1]
        raise AssertionError(f"framed ended without {event}")

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(app, [*words, *self.options], env={"FRAMED_CONFIG": None})


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    folder = tmp_path_factory.mktemp("cli")
    album = folder / "photos"
    write_photo("chelsea.png", album / "cat.jpg", taken="2019:07:14 10:00:00", place=(43.7696, 11.2558))
    write_photo("coffee.png", album / "coffee.jpg", taken="2021:12:25 09:30:00")
    (album / "broken\n.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    port = free_port()
    command = [*FRAMED, "run", "--json", "--photos", str(album), "--data", str(folder / "data")]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [*command, "--http-port", str(port), "--mqtt-port", str(free_port())],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            cwd=folder,
            env=environment(),
            start_new_session=True,
        )
        running = Daemon(process, folder / "data", port, [])
        try:
            running.hear("ready")
            running.hear("indexed")
            yield running
        finally:
            os.killpg(process.pid, signal.SIGINT)  # as Ctrl+C in a terminal does
            assert process.wait(60) == 0, (folder / "log").read_text()
            assert "broker ended" not in (folder / "log").read_text(), "it is framed that ends its broker"
            assert process.stdout is not None
            process.stdout.close()


@pytest.fixture
def nobody(tmp_path: Path) -> list[str]:
    """The options of a daemon that does not run."""
    return ["--data", str(tmp_path / "no data"), "--http-port", str(free_port())]


def framed(*words: str, **more: Any) -> subprocess.CompletedProcess[str]:
    options: dict[str, Any] = {"capture_output": True, "text": True, "timeout": 120, "env": environment(), **more}
    return subprocess.run([*FRAMED, *words], check=False, **options)


def on_terminal(command: list[str], columns: int) -> str:
    """What a terminal of that width would get from the command."""
    main, side = pty.openpty()
    process = subprocess.Popen(
        command, stdin=side, stdout=side, stderr=side, env=environment(COLUMNS=str(columns), TERM="xterm")
    )
    os.close(side)
    text = b""
    while True:
        try:
            part = os.read(main, 65_536)
        except OSError:  # Linux: the other side has closed
            break
        if not part:
            break
        text += part
    process.wait(60)
    os.close(main)
    return text.decode().replace("\r\n", "\n")


# -- framed run ----------------------------------------------------------------------------------------------------


def test_run_says_where_everything_is(daemon: Daemon) -> None:
    ready = daemon.said[0]

    assert ready["event"] == "ready"
    with urllib.request.urlopen(ready["page"], timeout=60) as page:
        assert page.status == 200
    with urllib.request.urlopen(ready["frame"], timeout=60) as page:
        assert "text/html" in page.headers["Content-Type"]
    assert "home" in json.loads(Path(ready["broker"]["accounts"]).read_text())
    socket.create_connection((ready["broker"]["host"], ready["broker"]["port"]), timeout=60).close()


def test_run_says_how_far_the_photos_are(daemon: Daemon) -> None:
    last = daemon.said[-1]

    assert [line["event"] for line in daemon.said[1:-1]] == ["indexing"] * (len(daemon.said) - 2)
    assert (last["analysed"], last["failed"], last["pending"]) == (2, 1, 0)


def test_a_taken_http_port_is_said_with_the_way_out(daemon: Daemon, tmp_path: Path) -> None:
    done = framed(
        *("run", "--data", str(tmp_path / "data"), "--http-port", str(daemon.port), "--mqtt-port", str(free_port()))
    )

    assert done.returncode == 1
    assert done.stdout == ""
    assert re.search(rf"Port {daemon.port} is taken .*--http-port", done.stderr.splitlines()[-1])
    assert "Traceback" not in done.stderr


def test_a_taken_mqtt_port_is_said_with_the_way_out(daemon: Daemon, tmp_path: Path) -> None:
    done = framed(
        *("run", "--data", str(tmp_path / "data"), "--http-port", str(free_port())),
        *("--mqtt-port", str(daemon.said[0]["broker"]["port"])),
    )

    assert done.returncode == 2
    assert re.search(r"another program has the port.*mqtt\.host.*--mqtt-port", done.stderr.splitlines()[-1])
    assert "Traceback" not in done.stderr


def test_a_second_framed_on_the_same_data_is_refused(daemon: Daemon) -> None:
    done = framed("run", "--data", str(daemon.data), "--http-port", str(free_port()))

    assert done.returncode == 1
    assert "already runs on" in done.stderr.splitlines()[-1]


def test_a_data_folder_that_cannot_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = framed("run", "--data", str(tmp_path / "file" / "data"), "--http-port", str(free_port()))

    assert done.returncode == 1
    assert re.fullmatch(r"The data folder .*/file/data cannot be written: Not a directory\.", done.stderr.strip())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "--photos", "/no/such/folder"], "there is no folder /no/such/folder on this machine"),
        (["run", "--photos", __file__], "is a file, and a folder of photos is wanted"),
        (["run", "--http-port", "99999"], "--http-port"),
        (["run", "--config", "/no/such/config.yaml"], "There is no file /no/such/config.yaml"),
        (["ask"], "Missing argument"),
        (["as", "cats"], "No such command 'as'"),
        (["status", "--nonsense"], "No such option"),
        (["frame", "--name", "UP", "--size", "8x", "--out", "a.gif"], "name"),
        ([], "Usage"),
    ],
)
def test_wrong_use_is_said_in_a_sentence_and_ends_with_two(words: list[str], said: str) -> None:
    done = CliRunner().invoke(app, words)

    assert done.exit_code == 2
    assert said in done.output
    assert "Traceback" not in done.output


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_this_user_may_not_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir(mode=0o000)
    done = CliRunner().invoke(app, ["run", "--photos", str(tmp_path / "photos")])

    assert (done.exit_code, done.output.count("\n")) == (2, 1)
    assert "may not be read by this user" in done.output


def test_a_mistake_in_the_configuration_is_said_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("http:\n  prot: 1\n")
    done = CliRunner().invoke(app, ["check", "--config", str(tmp_path / "config.yaml")])

    assert done.exit_code == 2
    assert "config.yaml, line 2: http.prot: there is no such key" in done.stderr


def test_folders_of_the_command_line_stand_beside_those_of_the_file(daemon: Daemon, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "config.yaml").write_text(f"library:\n  roots: [{tmp_path / 'kept'}]\nfull: wrong\n")
    done = CliRunner().invoke(app, ["run", "--config", str(tmp_path / "config.yaml"), "--photos", str(daemon.data)])

    assert done.exit_code == 2  # the file is read whole before anything starts
    assert "line 3: full: there is no such key" in done.stderr


def test_sample_photos_are_written_once(tmp_path: Path) -> None:
    assert samples.incomplete(tmp_path)
    samples.write(tmp_path)
    assert not samples.incomplete(tmp_path)


# -- asking the daemon ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["status"], r"framed has been up for .*\nPhotos: 2 ready; 1 could not be read\.\n.*MQTT: connected\."),
        (["frames"], r"frame +name +size.*\nfirst +First frame +1920×1080"),
        (["jobs"], r"id +kind +state|There is no long work"),
        (["photos"], r"path +problem\n.*/broken \.jpg +\S.*cut short"),
        (["photos", "--state", "hidden"], r"There are no photos with state hidden\."),
        (["plan", "photos from Italy, no screenshots"], r"Understood: photos, in Italy, no screenshots"),
        (["plan", "Christmas 2019 without dad"], r"Nobody in the library is called “dad”"),
        (["search", "cats"], r"Found 1:\npath +why\n.*/photos/cat\.jpg +shows cats"),
        (["search", "elephants"], r"I found no elephants"),
        (["ask", "cats", "--dry-run"], r"It would show 1 photo: .*cats"),
        (["ask", "cats"], r"Showing one photo.*First frame\.\npath +why\n.*cat\.jpg"),
        (["ask", "photos from Italy", "--frame", "first"], r"cat\.jpg +taken in Italy"),
        (["link"], r"http://127\.0\.0\.1:\d+/\?token=\S+"),
        (["link", "first"], r"http://\S+/frame/first\?k=\S+"),
        (["link", "First Frame"], r"http://\S+/frame/first\?k=\S+"),
        (["account", "hall"], r"mqtt://hall:\S+@127\.0\.0\.1:\d+\n"),
        (["check"], r"There is no config\.yaml: the defaults are used\.\nData folder: "),
        (["doctor"], r"good +SQLite(.*\n)+.*good +library +2 photos ready(.*\n)+framed can run here\."),
    ],
    ids=" ".join,
)
def test_commands_answer_people(daemon: Daemon, command: list[str], said: str) -> None:
    done = daemon.run(*command)

    assert done.exit_code == 0, done.output
    assert re.search(said, done.output, re.S), done.output
    assert "\x1b" not in done.output


@pytest.mark.parametrize(
    ("command", "key"),
    [
        ("status", "uptime_s"),
        ("frames", "items"),
        ("jobs", "items"),
        ("photos", "items"),
        ("plan cats", "understood"),
        ("search cats", "items"),
        ("ask cats --dry-run", "speech"),
        ("link first", "link"),
        ("account hall", "url"),
        ("check", "data_dir"),
        ("doctor", "good"),
    ],
)
def test_commands_answer_programs(daemon: Daemon, command: str, key: str) -> None:
    done = daemon.run(*command.split(), "--json")

    assert done.exit_code == 0, done.output
    assert key in json.loads(done.stdout)


def test_photos_like_one_are_looked_for_by_its_file_or_its_id(daemon: Daemon) -> None:
    file = daemon.data.parent / "photos" / "cat.jpg"
    done = daemon.run("similar", str(file), "--by", "hash", "--json")
    assert json.loads(done.stdout) == {"items": [], "by": "hash"}
    assert "Nothing else in the library is like it." in daemon.run("similar", str(file), "--by", "hash").output
    unknown = daemon.run("similar", "0" * 16)
    assert (unknown.exit_code, unknown.stderr.strip()) == (1, "There is no photo with that id.")


def test_a_frame_that_is_dark_says_so(daemon: Daemon) -> None:
    daemon.run("ask", "turn off the first frame")
    off = daemon.run("frames").output
    daemon.run("ask", "turn on the first frame")

    assert re.search(r"online +dark.*\nfirst .* no +dark\b", off), off
    assert "dark" not in daemon.run("frames").output


def test_a_file_that_is_not_there_is_not_taken_for_an_id(daemon: Daemon) -> None:
    done = daemon.run("similar", "/no/such/cat.jpg")

    assert (done.exit_code, done.output.splitlines()[0][:40]) == (1, "There is no file /no/such/cat.jpg; name ")


def test_the_contract_is_printed_for_programs() -> None:
    document = json.loads(CliRunner().invoke(app, ["contract", "--json"]).stdout)

    assert set(document) == {"topics", "verbs", "later", "errors", "routes", "schemas"}
    assert set(document["schemas"]["requests"]) == set(document["verbs"])


def test_what_framed_refuses_ends_with_one_and_a_sentence(daemon: Daemon) -> None:
    done = daemon.run("ask", "cats", "--frame", "nowhere")

    assert done.exit_code == 1
    assert done.stdout == ""
    assert done.stderr.strip() == "There is no frame 'nowhere'. The frames are: first."


def test_a_refusal_says_what_is_refused_and_does_not_blame_the_token(daemon: Daemon, tmp_path: Path) -> None:
    done = daemon.run("rescan", str(tmp_path))

    assert done.exit_code == 1
    assert done.stderr.strip() == f"{tmp_path} lies in none of the photo folders."


def test_an_error_is_an_object_for_programs(daemon: Daemon) -> None:
    done = daemon.run("ask", "cats", "--frame", "nowhere", "--json")

    assert done.exit_code == 1
    assert json.loads(done.stdout)["error"]["code"] == "unknown_frame"


def test_a_new_link_ends_the_earlier_one(daemon: Daemon) -> None:
    before = daemon.run("link", "first").stdout.strip()
    after = daemon.run("link", "first", "--new").stdout.strip()

    assert daemon.run("link", "first").stdout.strip() == after != before
    assert urllib.request.urlopen(after, timeout=60).status == 200
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(before, timeout=60)


def test_another_data_folder_is_told_from_the_daemons(daemon: Daemon, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["status", "--data", str(tmp_path), "--http-port", str(daemon.port)])

    assert done.exit_code == 1
    assert "--data" in done.stderr


@pytest.mark.parametrize("command", ASKING)
def test_without_a_daemon_one_sentence_says_how_to_start_it(command: str, nobody: list[str]) -> None:
    done = CliRunner().invoke(app, [*command.split(), *nobody])

    assert done.exit_code == 1
    assert done.stdout == ""
    started = rf"Start it with: framed run --data '\S+ data' --http-port {nobody[-1]}"
    assert re.fullmatch(rf"framed is not running at 127\.0\.0\.1:{nobody[-1]}\. {started}\n", done.stderr)


def test_what_is_not_framed_is_told_from_framed(nobody: list[str]) -> None:
    with socket.create_server(("127.0.0.1", int(nobody[-1]))) as server:
        asking = subprocess.Popen([*FRAMED, "status", *nobody], stderr=subprocess.PIPE, text=True, env=environment())
        talk, _ = server.accept()
        talk.recv(4096)
        talk.sendall(b"220 mail.example ESMTP\r\n")
        talk.close()
        _, said = asking.communicate(timeout=60)

    assert asking.returncode == 1
    assert "is not framed" in said


# -- terminals and pipes -------------------------------------------------------------------------------------------

TABLE = """
from framed import terminal
rows = [{"frame": "kitchen", "path": "/photos/" + "long" * 12, "why": "shows [bold]cats[/bold]", "error": None}]
terminal.table(rows, ("frame", "path", "why", "error"))
"""


def test_a_wide_terminal_gets_a_table_on_one_line() -> None:
    said = re.sub(r"\x1b\[[0-9;]*m", "", on_terminal([sys.executable, "-c", TABLE], 120))

    head, row = said.strip().split("\n")
    assert head.split() == ["frame", "path", "why"]
    assert row.split("  ") == ["kitchen", "/photos/" + "long" * 12, "shows [bold]cats[/bold]"]


def test_a_narrower_terminal_folds_what_is_long_and_loses_nothing() -> None:
    said = re.sub(r"\x1b\[[0-9;]*m", "", on_terminal([sys.executable, "-c", TABLE], 60))

    assert max(map(len, said.split("\n"))) <= 60
    assert "".join(line[9:].partition("  ")[0].strip() for line in said.split("\n")[1:]) == "/photos/" + "long" * 12


def test_a_very_narrow_terminal_gets_paragraphs() -> None:
    said = on_terminal([sys.executable, "-c", TABLE], 30)

    assert said.startswith("frame: kitchen\npath: /photos/longlong")


def test_a_pipe_gets_no_colour_and_whole_lines() -> None:
    code = [sys.executable, "-c", TABLE]
    done = subprocess.run(code, capture_output=True, text=True, check=True, env=environment(COLUMNS="30"))

    assert len(done.stdout.splitlines()) == 2
    assert "\x1b" not in done.stdout


def test_a_reader_that_leaves_early_is_no_error() -> None:
    shell = f"{sys.executable} -m framed contract | head -n 1"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=True, env=environment())

    assert done.stdout == "MQTT TOPICS\n"
    assert done.stderr == ""


def test_a_locale_without_utf_8_changes_only_what_the_terminal_gets(daemon: Daemon) -> None:
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = framed("plan", "Zürich", "--json", *daemon.options, env=environment(**ascii_only))

    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()
    assert "Z\\xfcrich" in done.stdout


def hear_ctrl_c() -> None:
    """A shell without job control starts what it runs in the background deaf to Ctrl+C, and so are its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_ends_a_frame_without_a_traceback(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*FRAMED, "frame", "--name", "hall", "--size", "80x48", "--out", str(tmp_path / "hall.png")],
        stderr=subprocess.PIPE,
        text=True,
        env=environment(FRAMED_BROKER=f"mqtt://127.0.0.1:{free_port()}"),
        preexec_fn=hear_ctrl_c,
    )
    assert process.stderr is not None
    first = process.stderr.readline()  # it says that there is no broker, and goes on
    process.send_signal(signal.SIGINT)
    rest = process.stderr.read()

    assert "No MQTT broker listens" in first
    assert process.wait(60) == 130
    assert "Traceback" not in rest


# -- framed doctor -------------------------------------------------------------------------------------------------


def test_the_doctor_says_what_is_wrong_and_how_to_mend_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (tmp_path / "data").write_text("")
        (tmp_path / "config.yaml").write_text(
            f"http: {{host: 127.0.0.1, port: {port}}}\nlibrary: {{roots: [{tmp_path / 'gone'}]}}\n"
            f"mqtt: {{host: 127.0.0.1, port: {free_port()}}}\nask: {{timezone: Europe/Berlin}}\n"
        )
        options = ["--config", str(tmp_path / "config.yaml"), "--data", str(tmp_path / "data"), "--json"]
        taken.settimeout(0.1)
        done = CliRunner().invoke(app, ["doctor", *options])
    found = {(row["what"], row["state"]): row for row in json.loads(done.stdout)["items"]}

    assert done.exit_code == 1
    assert json.loads(done.stdout)["good"] is False
    assert "is a file" in found["data folder", "wrong"]["said"]
    assert "no such folder" in found["photos", "wrong"]["said"]
    assert "--http-port" in found["HTTP port", "wrong"]["mend"]
    assert "No MQTT broker listens" in found["MQTT broker", "wrong"]["said"]
    assert "framed run" in found["daemon", "note"]["mend"]
    assert all(row["mend"] for row in found.values() if row["state"] == "wrong")


def test_the_doctor_goes_on_with_a_broken_configuration(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("nonsense: 1\n")
    done = CliRunner().invoke(
        app, ["doctor", "--config", str(tmp_path / "config.yaml"), "--http-port", str(free_port())]
    )

    assert done.exit_code == 1
    assert re.search(r"wrong +configuration +config\.yaml, line 1: nonsense", done.stdout)
    assert re.search(r"good +SQLite", done.stdout)


def test_a_short_command_does_not_load_the_daemon() -> None:
    heavy = "{'sqlalchemy', 'aiohttp', 'numpy', 'pydantic', 'rich'}"
    code = f"import sys, framed.cli; sys.exit(str({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.stderr.strip() == "set()"
