"""A headless Chromium for tests, spoken to over a pipe in the DevTools protocol; nothing but the standard library."""

import base64
import contextlib
import itertools
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--remote-debugging-pipe",
)
TIMEOUT_S = 60


def find_chromium():
    """The path of an installed browser, None where there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Tab:
    """A page in the browser.

    Attributes:
        problems: texts of console errors, warnings and exceptions, and of log entries, in order.
        requests: the addresses that the page asked for, itself included.
    """

    def __init__(self, send, receive):
        self._write, self._read = send, receive
        self._numbers = itertools.count(1)
        self._session = None
        self._loaded = False
        self.problems, self.requests = [], []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method, **params):
        """Sends a command and waits for its result; what happens meanwhile is noted."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._write(message)
        while True:
            message = self._read()
            if message.get("id") == number:
                assert "error" not in message, message
                return message["result"]
            self._note(message)

    def _note(self, message):
        method, params = message.get("method"), message.get("params", {})
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Log.entryAdded":
            self.problems.append(params["entry"]["text"])
        elif method == "Runtime.exceptionThrown":
            self.problems.append(json.dumps(params["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.problems.append(json.dumps(params["args"]))

    def open(self, address, *, width=1280, height=900, dark=False, phone=False):
        """Loads a page in a window of a size, in its light or dark form, and waits for it."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self._loaded = False
        self.call("Page.navigate", url=address)
        while not self._loaded:
            self._note(self._read())

    def run(self, expression):
        """The value of a JavaScript expression."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def wait(self, holds):
        """Waits until a function of no arguments returns something true; meanwhile the page goes on."""
        end = time.monotonic() + TIMEOUT_S
        while not holds():
            assert time.monotonic() < end, "what was waited for did not come about in a minute"
            self.run("new Promise((done) => setTimeout(done, 50))")

    def move(self, x, y):
        """Moves the pointer to a place in the window."""
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def click(self, x, y):
        """Presses and releases the left button at a place in the window."""
        self.move(x, y)
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key):
        """Presses and releases a key."""
        codes = {"Enter": 13, "Tab": 9, "ArrowRight": 39, "ArrowLeft": 37, "Home": 36, "End": 35, "Escape": 27}
        for kind in ("rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=codes[key])

    def screenshot(self, path, *, whole=True):
        """Writes a PNG of the page, or of what the window shows of it."""
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(data))


@contextlib.contextmanager
def open_tab(path):
    """A tab of a browser that ends with the block.

    Args:
        path: of the browser.
    """
    in_read, in_write = os.pipe()
    out_read, out_write = os.pipe()

    def prepare():
        # The browser reads commands from 3 and answers on 4. Both are moved up first: one may be the other's number.
        reading, writing = os.dup(in_read), os.dup(out_write)
        high = 40
        os.dup2(reading, high)
        os.dup2(writing, high + 1)
        os.dup2(high, 3)
        os.dup2(high + 1, 4)

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        browser = subprocess.Popen(
            [path, *FLAGS, f"--user-data-dir={folder}", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            close_fds=False, preexec_fn=prepare,
        )  # fmt: skip
        os.close(in_read)
        os.close(out_write)
        buffer = bytearray()

        def send(message):
            data = json.dumps(message).encode() + b"\0"
            while data:
                data = data[os.write(in_write, data) :]

        def receive():
            end = time.monotonic() + TIMEOUT_S
            while b"\0" not in buffer:
                ready, _, _ = select.select([out_read], [], [], max(end - time.monotonic(), 0))
                data = os.read(out_read, 1 << 16) if ready else b""
                assert data, "the browser ended, or said nothing for a minute"
                buffer.extend(data)
            message, _, rest = bytes(buffer).partition(b"\0")
            buffer[:] = rest
            return json.loads(message)

        try:
            yield Tab(send, receive)
        finally:
            os.close(in_write)
            os.close(out_read)
            # Without its pipe the browser ends by itself.
            try:
                browser.wait(10)
            except subprocess.TimeoutExpired:
                browser.kill()
                browser.wait()
