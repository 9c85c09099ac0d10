"""Runs every bench, one after the other, each in a process of its own: `python bench [--full] [NAME …]`.

Small numbers unless told otherwise: they show that a bench works and roughly where framed stands. `--full` takes the
numbers of docs/figures.md. How long each took is said at its end; the exit status is 1 where one of them failed.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
SMALL = {
    "ask": "--photos 5000 --turns 1",
    "ask_to_show": "--photos 5000 --rounds 5",
    "clusters": "5000",
    "duplicates": "",
    "faces": "",
    "flat": "300",
    "frames": "10 40",
    "idle": "1000 20",
    "index": "32 --warm 16 --showable",
    "kill": "60 3",
    "library": "--real 600",
    "models": "--profile small --batches 1 --previews 4",
    "render": "--rounds 3",
    "scan": "10000 200",
    "text": "",
}
"""Every bench, and its arguments where it takes some."""
FULL = {"ask": "--photos 10000 100000 1000000", "ask_to_show": "--photos 10000 100000 1000000"}
"""Where the figures are of larger numbers than the script's own."""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("names", nargs="*", metavar="NAME", help=f"only these of: {', '.join(SMALL)}")
    arguments.add_argument("--full", action="store_true", help="with the numbers of docs/figures.md, for hours")
    chosen = arguments.parse_args()
    if unknown := set(chosen.names) - set(SMALL):
        arguments.error(f"there is no bench {', '.join(sorted(unknown))}")
    failed = [name for name in chosen.names or SMALL if not _run(name, full=chosen.full)]
    if failed:
        sys.exit(f"Failed: {', '.join(failed)}")


def _run(name: str, *, full: bool) -> bool:
    given = (FULL.get(name, "") if full else SMALL[name]).split()
    print(f"== bench/{name}.py {' '.join(given)}", flush=True)
    begun = time.monotonic()
    done = subprocess.run([sys.executable, str(HERE / f"{name}.py"), *given], check=False)
    print(
        f"== {name}: {'done' if done.returncode == 0 else 'FAILED'} in {time.monotonic() - begun:.0f} s\n", flush=True
    )
    return done.returncode == 0


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
