"""Headless Chromium, driven over its DevTools protocol: enough to open a page and hear what it does."""

import itertools
import json
import shutil
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

import websocket

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
--disable-component-update --disable-sync --remote-debugging-port=0 --remote-allow-origins=*""".split()


class Browser:
    """`visit(url)` returns the events of loading a page, `evaluate(script)` a value from the page."""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        command = [PROGRAM, *FLAGS, f"--user-data-dir={self.folder.name}", "about:blank"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        port_file = Path(self.folder.name, "DevToolsActivePort")
        end = time.monotonic() + 60
        while not (port_file.exists() and port_file.read_text().count("\n")):
            assert time.monotonic() < end and self.process.poll() is None, "Chromium did not start"
            time.sleep(0.1)
        port = port_file.read_text().split()[0]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json") as answer:
            page = next(target for target in json.load(answer) if target["type"] == "page")
        self.socket = websocket.create_connection(page["webSocketDebuggerUrl"], timeout=60)
        self.number, self.events = itertools.count(), []
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        return self

    def __exit__(self, *_):
        self.socket.close()
        self.process.terminate()
        self.process.wait(30)
        self.folder.cleanup()

    def call(self, method, **params):
        number = next(self.number)
        self.socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while (message := json.loads(self.socket.recv())).get("id") != number:
            self.events.append(message)
        assert "error" not in message, message
        return message["result"]

    def visit(self, url, ready="document.readyState === 'complete'", seconds=60):
        """Opens the page and waits until the script `ready` is true; the events so far."""
        self.events = []
        self.call("Page.navigate", url=url)
        end = time.monotonic() + seconds
        while not (self.evaluate("location.href !== 'about:blank'") and self.evaluate(ready)):
            assert time.monotonic() < end, f"{url}: not ready: {ready}"
            time.sleep(0.1)
        return self.events

    def evaluate(self, script):
        """The value of a script, or of the promise that it gives."""
        how = {"returnByValue": True, "awaitPromise": True}
        return self.call("Runtime.evaluate", expression=script, **how)["result"].get("value")

    def screen(self, width, dark=False):
        """What pages see from now on: a screen of this width in pixels, and which colours its owner prefers."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 700
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
