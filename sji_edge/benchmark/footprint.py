"""Measures the peak memory of one predictor, in a process that holds nothing else.

``python -m sji_edge.benchmark.footprint MODULE:FUNCTION WORD…`` calls the function with the words and writes the
process's peak resident memory as JSON.
"""

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

from sji_edge.core.errors import SjiError

STATUS = Path("/proc/self/status")
TIMEOUT_S = 300
CALLS = 3


def peak_rss_of(target: str, *words: str) -> int:
    """Run a function in its own process and return that process's peak resident memory in bytes.

    Args:
        target: ``"module:function"``.
        words: its arguments.

    Raises:
        SjiError: the process failed; the message quotes the last line that it wrote.
    """
    command = [sys.executable, "-m", "sji_edge.benchmark.footprint", target, *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise SjiError(f"measuring the memory of {target} took longer than {TIMEOUT_S} s") from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise SjiError(f"the memory of {target} could not be measured: {last[:200]}")
    return int(json.loads(done.stdout.strip().splitlines()[-1])["peak_rss_bytes"])


def judge_once(folder: str, batch: str, threads: str) -> None:
    """Open a bundle's engine and judge a few batches of black crops."""
    import numpy as np

    from sji_edge.runtime.bundle.bundle import open_bundle, open_engine

    bundle = open_bundle(Path(folder), require_released=False)
    engine = open_engine(bundle, int(threads))
    engine.prepare([int(batch)])
    for _ in range(CALLS):
        engine.infer(np.zeros((int(batch), *bundle.preprocess.shape), np.uint8))
    engine.close()


def peak_rss_bytes() -> int:
    """Return this process's peak resident memory.

    ``ru_maxrss`` survives ``exec``, so a child of a big process would report its parent's peak; Linux's ``VmHWM`` does
    not.
    """
    if STATUS.is_file():
        found = re.search(r"^VmHWM:\s+(\d+) kB$", STATUS.read_text(), re.MULTILINE)
        if found:
            return int(found[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _main(target: str, *words: str) -> None:
    module, _, function = target.partition(":")
    getattr(importlib.import_module(module), function)(*words)
    sys.stdout.write(json.dumps({"peak_rss_bytes": peak_rss_bytes()}) + "\n")


if __name__ == "__main__":
    _main(*sys.argv[1:])
