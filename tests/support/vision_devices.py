"""Machine-vision cameras of a test machine: Aravis' GigE Vision device on loopback, and EMVA's GenTL producer."""

import contextlib
import fcntl
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

DEVICE = "arv-fake-gv-camera-0.8"
SERIAL = "SJI01"


class GigeCamera:
    """A process that is a GigE Vision device on loopback; killed, it is a camera that lost its power."""

    def __init__(self, *arguments):
        self._arguments = arguments
        self.start()

    def start(self):
        command = [shutil.which(DEVICE), "-i", "127.0.0.1", "-s", SERIAL, *self._arguments]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.2)
        assert self._process.poll() is None

    def kill(self):
        self._process.kill()
        self._process.wait()


@contextlib.contextmanager
def gige_camera(*arguments):
    """One at a time on this machine: the protocol's port is fixed."""
    if shutil.which(DEVICE) is None:
        pytest.skip(f"needs {DEVICE} (apt-get install aravis-tools)")
    with (Path(tempfile.gettempdir()) / "sji-edge-gige.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        camera = GigeCamera(*arguments)
        try:
            yield camera
        finally:
            camera.kill()


def producer():
    """The GenTL producer that comes with the genicam package: three cameras that show a game."""
    genicam = pytest.importorskip("genicam")
    pytest.importorskip("harvesters")
    return Path(genicam.__file__).parent / "viky.cti"
