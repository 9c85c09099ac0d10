"""A real headless Chromium, driven over the DevTools protocol."""

import asyncio
import base64
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
    "--host-resolver-rules=MAP frame.lan 127.0.0.1",
)


class Page:
    """One tab: navigate, evaluate, wait for a condition, look."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._number = 0
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.problems: list[str] = []

    async def listen(self) -> None:
        async for message in self._socket:
            said = json.loads(message.data)
            waiting = self._answers.pop(said.get("id", 0), None)
            if waiting is not None and not waiting.done():
                waiting.set_result(said)
            elif said.get("method") == "Runtime.exceptionThrown":
                details = said["params"]["exceptionDetails"]
                self.problems.append(str(details.get("exception", {}).get("description", details["text"])))
            elif said.get("method") == "Log.entryAdded" and said["params"]["entry"]["source"] == "security":
                self.problems.append(said["params"]["entry"]["text"])

    async def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        answer = self._answers[self._number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": self._number, "method": method, "params": parameters})
        async with asyncio.timeout(20):
            said = await answer
        assert "error" not in said, said["error"]
        return dict(said["result"])

    async def navigate(self, url: str) -> None:
        answer = await self.send("Page.navigate", url=url)
        assert "errorText" not in answer, answer

    async def evaluate(self, expression: str) -> Any:
        answer = await self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def wait_for(self, expression: str, seconds: float = 40) -> Any:
        """The first true value of an expression; also across a reload."""
        pause = 0.01
        try:
            async with asyncio.timeout(seconds):
                while True:
                    try:
                        value = await self.evaluate(expression)
                    except AssertionError:  # the page is between two documents
                        value = None
                    if value:
                        return value
                    await asyncio.sleep(pause)
                    pause = min(pause * 1.3, 0.1)
        except TimeoutError:
            raise AssertionError(f"never true: {expression}; problems: {self.problems}") from None

    async def at_start(self, script: str) -> str:
        """Run `script` in each document before its own; `not_at_start` takes what this returns."""
        return str((await self.send("Page.addScriptToEvaluateOnNewDocument", source=script))["identifier"])

    async def not_at_start(self, script: str) -> None:
        await self.send("Page.removeScriptToEvaluateOnNewDocument", identifier=script)

    async def viewport(self, width: int, height: int, *, scale: float = 1, mobile: bool = False) -> None:
        await self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=mobile
        )

    async def scheme(self, scheme: str) -> None:
        await self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    async def screenshot(self, path: Path, *, whole: bool = False) -> None:
        answer = await self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        await asyncio.to_thread(path.write_bytes, base64.b64decode(answer["data"]))

    async def press(self, key: str, code: int, text: str = "") -> None:
        for kind in ("keyDown", "keyUp"):
            await self.send("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, text=text)

    async def click(self, x: float, y: float) -> None:
        for kind in ("mousePressed", "mouseReleased"):
            await self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    async def memory(self) -> dict[str, float]:
        """Nodes, listeners and JS heap after a garbage collection."""
        for _ in range(2):
            await self.send("HeapProfiler.collectGarbage")
        metrics = (await self.send("Performance.getMetrics"))["metrics"]
        return {one["name"]: one["value"] for one in metrics}


@asynccontextmanager
async def browser_page(program: str, profile: Path) -> AsyncIterator[Page]:
    """A tab of a new browser with an empty profile; both are gone afterwards."""
    process = await asyncio.create_subprocess_exec(
        program,
        *ARGUMENTS,
        f"--user-data-dir={profile}",
        "about:blank",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stderr is not None
    try:
        async with AsyncExitStack() as stack:
            session = await stack.enter_async_context(aiohttp.ClientSession())
            async with asyncio.timeout(60):
                port = await _debugging_port(process.stderr)
                _run(stack, process.stderr.read())  # a full pipe would stop the browser
                async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                    tabs = [tab for tab in await answer.json() if tab["type"] == "page"]
                socket = await session.ws_connect(tabs[0]["webSocketDebuggerUrl"], max_msg_size=0)
            stack.push_async_callback(socket.close)
            page = Page(socket)
            _run(stack, page.listen())
            for domain in ("Page", "Runtime", "Log", "Performance"):
                await page.send(f"{domain}.enable")
            yield page
    finally:
        _end_group(process.pid)
        await process.wait()
        await asyncio.to_thread(shutil.rmtree, profile, ignore_errors=True)


def _run(stack: AsyncExitStack, work: Coroutine[Any, Any, Any]) -> None:
    task = asyncio.create_task(work)

    async def end() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    stack.push_async_callback(end)


async def _debugging_port(stderr: asyncio.StreamReader) -> int:
    async for line in stderr:
        if b"DevTools listening on" in line:
            return int(line.decode().split("127.0.0.1:")[1].split("/")[0])
    raise AssertionError("Chromium ended before it was ready")


def _end_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)  # its own session: the browser's children and nothing else
    except ProcessLookupError:
        return
