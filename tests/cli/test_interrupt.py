"""A signal ends a command wherever it arrives."""

import subprocess
import sys

DEAF = """
import signal, time
from sji_edge.cli.interrupt import Interrupt

class Deaf:
    def __del__(self):
        signal.raise_signal(signal.{number})

try:
    with Interrupt():
        Deaf()
        print("dropped", flush=True)
        time.sleep(20)
except KeyboardInterrupt:
    print("interrupted")
"""


def test_a_signal_within_a_finalizer_still_ends_the_command():
    for number in ("SIGINT", "SIGTERM"):
        script = DEAF.format(number=number)
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=15, check=False)
        assert (done.stdout.split(), done.stderr) == ([b"dropped", b"interrupted"], b"")


def test_a_signal_that_was_dropped_at_the_very_end_still_counts():
    script = DEAF.format(number="SIGINT").replace("        time.sleep(20)\n", "")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=15, check=False)
    assert (done.stdout.split(), done.stderr) == ([b"dropped", b"interrupted"], b"")


def test_other_exceptions_of_finalizers_are_printed_as_ever():
    script = DEAF.format(number="SIGINT").replace("signal.raise_signal(signal.SIGINT)", "raise ValueError(7)")
    script = script.replace("time.sleep(20)", "")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=15, check=False)
    assert done.stdout.split() == [b"dropped"]
    assert b"ValueError: 7" in done.stderr
