"""What the person who runs the server should do, in words, from what framed measures of itself."""

from collections.abc import Mapping, Sequence
from typing import Any

_DISK_LOW = 2_000_000_000
_HOT_C = 88
_FULL = 0.95
_RESTARTS = 3
_SLOW_STEP = 0.6
"""A step that takes this share of all analysis time is what more speed would have to come from."""
_ENOUGH_MS = 60_000

_FASTER = {
    "ocr": "Reading text takes most of the time. Set `models.ocr: off` where nobody looks for words in photos.",
    "faces": "Finding faces takes most of the time. Set `models.faces: off`, or let it run through the nights.",
    "caption": "Captions take most of the time. Set `models.caption: off`, or use a smaller caption model.",
    "tags": "The tagger takes most of the time. Raise `compute.model_threads` where cores are idle, or use a GPU.",
}
_EXAMINED = ("metadata", "preview", "hash", "colours", "quality", "kind", "orientation", "read")


def advice(
    *,
    devices: Sequence[Mapping[str, Any]],
    restarts_1h: Mapping[str, int],
    step_ms: Mapping[str, float],
    pending: int,
    memory_free_mb: float,
    disk_free: int,
    on_cpu: str | None,
    memory_short: Mapping[str, int],
) -> list[str]:
    """Sentences, the most urgent first; none where all is well.

    `restarts_1h` by kind of host; `step_ms` of all photos so far; `on_cpu` says why the models left their device;
    `memory_short` is how often each task wanted more memory than there was.
    """
    said = []
    if disk_free < _DISK_LOW:
        said.append(
            f"The disk of the data folder has {disk_free / 1e9:.1f} GB left. Free some, or lower cache.previews_gb."
        )
    if memory_free_mb < 300:
        said.append("This machine has hardly any memory left. Lower compute.cpu_hosts, or set compute.model_budget_mb.")
    said += [_restarting(kind, count) for kind, count in restarts_1h.items() if count >= _RESTARTS]
    if on_cpu:
        said.append(f"The models run on the CPU for now: {on_cpu}")
    for task, count in memory_short.items():
        if count >= _RESTARTS:
            said.append(
                f"There was not enough memory for {task}, {count} times; it went on in smaller batches. "
                "Set compute.model_budget_mb, or choose a smaller model."
            )
    for device in devices:
        used, total, heat = device["memory_used_mb"], device["memory_total_mb"], device["temperature_c"]
        if used and total and used > _FULL * total:
            said.append(
                f"The memory of {device['name']} is nearly full. Set compute.model_budget_mb, or use smaller models."
            )
        if heat and heat >= _HOT_C:
            said.append(f"{device['name']} is at {heat} °C and slows down. See to its cooling.")
    slow = _slow(step_ms) if pending > 100 else None
    return [*said, slow] if slow else said


def _restarting(kind: str, count: int) -> str:
    known = {"cpu": "decode pictures", "model": "run the models", "light": "embed texts", "apart": "run PaddleOCR"}
    what = known.get(kind, "compute")
    return f"The processes that {what} were restarted {count} times in the last hour; the log says on which photos."


def _slow(step_ms: Mapping[str, float]) -> str | None:
    total = sum(step_ms.values())
    if total < _ENOUGH_MS:
        return None
    decoding = sum(step_ms.get(step, 0.0) for step in _EXAMINED)
    if decoding > _SLOW_STEP * total:
        return "Decoding is the limit: more cores (compute.cpu_hosts) help, a GPU does not."
    step = max(step_ms, key=lambda name: step_ms[name])
    return _FASTER.get(step) if step_ms[step] > _SLOW_STEP * total else None
