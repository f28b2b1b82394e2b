"""A real browser, driven by Playwright, and a station in a process of its own; skipped where Chromium is missing."""

import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")

expect = playwright.expect
WAIT_MS = 60_000
"""Other tests run beside this one."""
expect.set_options(timeout=WAIT_MS)


@contextmanager
def station(*words):
    """Run the command on a free port; yields the process and its address."""
    command = [
        sys.executable,
        "-m",
        "sji_edge",
        "review",
        *map(str, words),
        "--port",
        "0",
        "--blind-share",
        "0",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            line = process.stdout.readline()
            assert "review station at http://" in line, line + process.stdout.read()
            yield process, line.split()[-1]
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                process.wait(60)


@contextmanager
def browser_page():
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        opened = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
        opened.set_default_timeout(WAIT_MS)
        opened.faults = []
        opened.on("pageerror", lambda error: opened.faults.append(str(error)))
        opened.on(
            "console",
            lambda said: opened.faults.append(said.text) if "Content Security" in said.text else None,
        )
        yield opened
        assert opened.faults == []
        browser.close()
