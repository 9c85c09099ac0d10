"""PaddleOCR in its environment: made by one command, run by a host of its own, as disposable as every other host."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from framed.errors import FramedError, HostCrashed, TimedOut, Unavailable
from framed.models import environment, weights
from framed.models.base import Call
from framed.models.catalogue import choose, report
from framed.models.download import Downloader, Hub
from framed.models.ocr_paddleocr import OWN, PaddleOcr
from framed.models.pool import ComputeSettings, HostPool
from framed.models.pull import Puller, disk_use
from framed.models.weight_sets import named
from framed.models.weights import Environment
from tests.models import fake_paddleocr

pytestmark = pytest.mark.asyncio(loop_scope="module")

found_set = named("paddleocr")
assert found_set is not None
SET = found_set
COMMAND = "framed models pull paddleocr"


def puller(folder: Path, *, offline: bool = True) -> Puller:
    return Puller(Downloader(Hub(mirror=str(folder), offline=offline), free=lambda _: 10**12))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def source(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Path]:
    """A mirror, from which PaddleOCR was pulled."""
    folder = tmp_path_factory.mktemp("paddleocr")
    before = os.environ.get("FRAMED_MODELS")
    weights.use(folder / "models")
    yield fake_paddleocr.mirror(folder / "mirror", SET)
    os.environ.pop("FRAMED_MODELS")
    os.environ |= {"FRAMED_MODELS": before} if before else {}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pulled(source: Path) -> Path:
    await puller(source).pull(SET)
    return source


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool(pulled: Path) -> AsyncIterator[HostPool]:
    os.environ["FRAMED_SECRET"] = "of the daemon alone"
    async with HostPool(ComputeSettings(cpu_hosts=2)) as running:
        yield running
    os.environ.pop("FRAMED_SECRET")


def picture(corner: tuple[int, int, int] = (90, 90, 90), *, text: bool = True) -> np.ndarray:
    made = np.full((300, 400, 3), 90, np.uint8)
    made[0, 0] = corner
    if text:
        made[150:171, 100:201] = (255, 0, 255)
    return made


async def read(pool: HostPool, pixels: np.ndarray, **over: Any) -> dict[str, Any]:
    found: dict[str, Any] = await pool.run(Call("ocr", "paddleocr", {"pixels": pixels}, **{"timeout_s": 60, **over}))
    return found


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110  # another process has no event
            await asyncio.sleep(0.02)


async def test_without_its_environment_it_names_the_command_and_the_packaged_one_reads(source: Path) -> None:
    assert PaddleOcr.available() == f"Its weights are not here: {COMMAND}"
    with pytest.raises(Unavailable, match=COMMAND):
        choose("ocr", "paddleocr")
    assert choose("ocr").backend == "rapidocr"
    assert choose("ocr").passed_over == ("paddleocr",)


async def test_offline_it_says_so_and_leaves_no_half_environment(source: Path, tmp_path: Path) -> None:
    bare = fake_paddleocr.mirror(tmp_path / "mirror", SET)
    (bare / "paddleocr" / "wheels").rename(bare / "paddleocr" / "elsewhere")
    with pytest.raises(Unavailable, match=r"models.offline is true.*models.mirror"):
        await puller(bare).pull(SET)
    assert weights.missing("paddleocr") is not None


async def test_one_command_makes_it_and_auto_takes_it_then(pulled: Path) -> None:
    assert report()["ocr"] | {"reason": ""} == {
        "backend": "paddleocr",
        "model": "pp-ocrv6-medium",
        "state": "ready",
        "reason": "",
    }
    home = weights.folder() / "paddleocr"
    fact = weights.read_manifest("paddleocr")
    assert fact is not None
    assert SET.environment is not None
    assert fact["environment"]["packages"] == [*SET.environment.packages, *SET.environment.over]
    assert disk_use(home) > fact["environment"]["size"]
    assert sorted(path.name for path in home.iterdir()) == ["det", "environment", "framed.json", "glance", "rec"]
    assert (await puller(pulled).pull(SET)).fetched == 0


async def test_what_it_reads_has_the_shape_of_every_reader(pool: HostPool) -> None:
    found = await read(pool, picture())
    (line,) = found["lines"]
    assert (found["looked"], found["scripts"]) == (400, "")
    assert line["score"] == 0.97
    assert line["box"] == [0.25, 0.5, 0.25, pytest.approx(0.0667, abs=1e-3)]
    assert (await read(pool, picture(text=False)))["lines"] == []


async def test_its_host_has_another_python_no_network_and_none_of_the_secrets(pool: HostPool) -> None:
    facts = json.loads((await read(pool, picture()))["lines"][0]["text"])
    assert facts["prefix"] == str(weights.folder() / "paddleocr" / "environment")
    assert facts["network"] is False
    assert facts["secret"] is None
    assert facts["side"] == 400  # the whole of it, which is no larger
    assert facts["home"].startswith(facts["prefix"])
    (host,) = pool.status()
    assert (host["name"], host["kind"], host["loaded"]) == ("paddleocr-1", "apart", ["ocr/paddleocr"])
    assert pool.queued()["paddleocr"] == 0


async def test_a_photo_of_the_disk_is_decoded_there(pool: HostPool, tmp_path: Path) -> None:
    from PIL import Image

    Image.fromarray(picture()).save(tmp_path / "sign.png")
    call = Call("ocr", "paddleocr", {"path": os.fsencode(tmp_path / "sign.png"), "original": None}, timeout_s=60)
    assert len((await pool.run(call))["lines"]) == 1
    (tmp_path / "sign.png").write_bytes(b"\x89PNG no picture")
    with pytest.raises(FramedError, match="cannot be read"):
        await pool.run(call)


async def test_a_crash_or_a_hang_costs_the_call_and_nothing_more(pool: HostPool) -> None:
    with pytest.raises(HostCrashed, match="exit code 9"):
        await read(pool, picture(fake_paddleocr.CRASH))
    with pytest.raises(TimedOut):
        await read(pool, picture(fake_paddleocr.HANG), timeout_s=1)
    assert len((await read(pool, picture()))["lines"]) == 1


async def test_a_cancelled_reading_ends_with_its_process(pool: HostPool) -> None:
    await read(pool, picture())
    (pid,) = [host["pid"] for host in pool.status()]
    reading = asyncio.create_task(read(pool, picture(fake_paddleocr.HANG)))
    await until(lambda: pool.status()[0]["state"] == "busy")
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    assert pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_models_of_the_owner_take_the_place_of_its_own_part_by_part(pool: HostPool) -> None:
    own = weights.folder() / OWN / "rec"
    own.mkdir(parents=True)
    (own / "inference.onnx").write_bytes(b"rec")
    assert PaddleOcr.available() == f"{own} lacks inference.yml."
    (own / "inference.yml").write_text("Global:\n  model_name: cyrillic_rec\n")
    assert PaddleOcr.available() is None
    pool.let_go("paddleocr")
    facts = json.loads((await read(pool, picture()))["lines"][0]["text"])
    assert facts["rec"] == str(own)


async def test_a_lost_python_and_a_broken_module_are_said_and_mended_by_the_same_command(pulled: Path) -> None:
    home = weights.folder() / "paddleocr" / "environment"
    (home / "bin" / "python").rename(home / "bin" / "gone")
    assert weights.missing("paddleocr") == f"The Python of its environment is gone: {COMMAND}"
    await puller(pulled).pull(SET)
    assert PaddleOcr.available() is None

    (module,) = home.rglob("site-packages/paddleocr.py")
    module.write_text("raise ImportError('libGL.so.1: cannot open shared object file')")
    (damage,) = await puller(pulled).verify("paddleocr")
    assert (damage.file, damage.why) == ("environment", "ImportError: libGL.so.1: cannot open shared object file")
    assert PaddleOcr.available() is not None
    await puller(pulled).pull(SET)
    assert PaddleOcr.available() is None
    assert await puller(pulled).verify("paddleocr") == []
    assert not list(home.parent.glob("*.damaged"))


async def test_of_framed_its_host_needs_no_package_but_numpy_and_msgpack() -> None:
    """The environment holds no structlog, pydantic or aiohttp of framed's own choice."""
    code = (
        "import sys; from framed.models import apart;\n"
        "class Only:\n"
        " def find_spec(self, name, path=None, target=None):\n"
        "  top = name.partition('.')[0]\n"
        "  if top not in {*sys.stdlib_module_names, 'framed', 'numpy', 'msgpack'}: raise ImportError(name)\n"
        "sys.meta_path.insert(0, Only())\n"
        "import framed.models.host, framed.models.ocr_paddleocr"
    )
    done = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stderr=asyncio.subprocess.PIPE)
    assert (await done.communicate())[1].decode() == ""


# -- environments ---------------------------------------------------------------------------------------------------


async def test_without_uv_venv_and_pip_make_it(tmp_path: Path) -> None:
    fake_paddleocr.wheel(tmp_path / "wheels", "tiny-reader", "1.0", {"tiny_reader.py": "WORD = 'sign'"})
    wanted = Environment(("tiny-reader>=1,<2",), ("tiny_reader",))
    fact = await environment.make(wanted, tmp_path / "made", what="Tiny", wheels=tmp_path / "wheels", uv="")
    assert environment.up_to_date(wanted, fact)
    assert not environment.up_to_date(Environment(("tiny-reader>=2,<3",), ("tiny_reader",)), fact)
    assert await environment.problem(["tiny_reader"], tmp_path / "made" / "bin" / "python") == ""


@pytest.mark.parametrize(
    ("complaint", "said"),
    [
        ("error: Request failed after 3 retries\n  Caused by: dns error: failed to lookup", "index cannot be reached"),
        ("WARNING: Retrying: NewConnectionError\nERROR: No matching distribution", "index cannot be reached"),
        ("error: \x1b[31mNo space left on device\x1b[0m (os error 28)", r"installed: error: No space left on device"),
        ("error: https://me:secret@index.example/simple refuses", "installed: error: its address refuses"),
        ("/opt/framed/bin/python: No module named pip", "install uv"),
    ],
)
async def test_why_it_could_not_be_made_is_said_in_a_sentence(tmp_path: Path, complaint: str, said: str) -> None:
    uv = tmp_path / "uv"
    uv.write_text(f"#!{sys.executable}\nimport sys\nsys.exit({complaint!r})")
    uv.chmod(0o755)
    with pytest.raises(Unavailable, match=said) as caught:
        await environment.make(Environment(("tiny",), ("tiny",)), tmp_path / "made", what="Tiny", uv=str(uv))
    assert "secret" not in caught.value.message


async def test_what_is_installed_and_does_not_start_is_not_taken(tmp_path: Path) -> None:
    fake_paddleocr.wheel(tmp_path / "wheels", "tiny-reader", "1.0", {"tiny_reader.py": "import nothing_of_the_sort"})
    wanted = Environment(("tiny-reader",), ("tiny_reader",))
    with pytest.raises(Unavailable, match="Tiny was installed, and does not start: ModuleNotFoundError"):
        await environment.make(wanted, tmp_path / "made", what="Tiny", wheels=tmp_path / "wheels")


async def test_a_cancelled_installation_takes_its_processes_along(tmp_path: Path) -> None:
    uv = tmp_path / "uv"
    pid = tmp_path / "pid"
    uv.write_text(
        f"#!{sys.executable}\nimport os, time\nopen({str(pid)!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)"
    )
    uv.chmod(0o755)
    making = asyncio.create_task(
        environment.make(Environment(("tiny",), ("tiny",)), tmp_path / "made", what="Tiny", uv=str(uv))
    )
    await until(lambda: pid.exists() and bool(pid.read_text()))
    making.cancel()
    await asyncio.gather(making, return_exceptions=True)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


# -- the real one ---------------------------------------------------------------------------------------------------


@pytest.mark.models
async def test_the_real_one_reads_a_printed_page() -> None:
    """Where somebody has pulled it (FRAMED_PADDLEOCR names the folder of models): it is large and optional."""
    folder = os.environ.get("FRAMED_PADDLEOCR")
    if folder is None:
        pytest.skip("FRAMED_PADDLEOCR does not name a folder of models with PaddleOCR in it")
    skimage = pytest.importorskip("skimage")
    from PIL import Image

    page = np.asarray(Image.open(Path(skimage.__file__).parent / "data" / "page.png").convert("RGB"))
    before = weights.folder()
    weights.use(Path(folder))
    try:
        async with HostPool(ComputeSettings(cpu_hosts=1)) as pool:
            said = " ".join(line["text"] for line in (await read(pool, page, timeout_s=110))["lines"])
    finally:
        weights.use(before)
    assert "Region-based segmentation Let us first determine markers of the coins" in said
    assert "label unambiguously as either object or background" in said
