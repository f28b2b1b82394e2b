"""What TensorRT says while it builds: kept for the bundle, shown as steps, and errors in one line."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sji_edge.core.errors import BundleError
from sji_edge.runtime.graph import one_line

MAX_LINES = 20_000
KEPT = 4
"""Errors, warnings and information; TensorRT's verbose lines are left out."""


class BuildLog:
    """Every line of one build, with the seconds since its start."""

    def __init__(self) -> None:
        self._start_ns = time.perf_counter_ns()
        self.lines: list[str] = []
        self.errors: list[str] = []
        self.warnings: list[str] = []

    def add(self, level: str, text: str) -> None:
        """Keep a line; ``level`` is TensorRT's own word for it."""
        line = " ".join(text.split())
        seconds = (time.perf_counter_ns() - self._start_ns) / 1e9
        if len(self.lines) < MAX_LINES:
            self.lines.append(f"{seconds:9.3f} {level:<14} {line}")
        if level in ("ERROR", "INTERNAL_ERROR"):
            self.errors.append(line)
        elif level == "WARNING":
            self.warnings.append(line)

    def text(self) -> str:
        """Return the log as a file's content."""
        return "".join(f"{line}\n" for line in self.lines)

    def reason(self) -> str:
        """Return the first error, without the places in TensorRT's own source, or that there was none."""
        if not self.errors:
            return "it gave no reason"
        return one_line(ValueError(self.errors[0].partition(" In ")[0]))


def logger_of(trt: Any, log: BuildLog) -> Any:
    """Return a logger of the package that writes into ``log``, and nothing on the terminal."""

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if int(severity) < KEPT:
                log.add(str(severity.name), message)

    return Logger()


def monitor_of(trt: Any, step: Callable[[str], None]) -> Any | None:
    """Return a progress monitor that tells ``step`` what is being done, or None where the package has none."""
    if not hasattr(trt, "IProgressMonitor"):
        return None

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._totals: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            del parent_phase
            self._totals[phase_name] = num_steps
            step(phase_name)

        def step_complete(self, phase_name: str, step: int) -> bool:
            self._say(phase_name, step)
            return True

        def _say(self, phase_name: str, done: int) -> None:
            total = self._totals.get(phase_name, 0)
            if total > 1:
                step(f"{phase_name}: {done + 1} of {total}")

        def phase_finish(self, phase_name: str) -> None:
            self._totals.pop(phase_name, None)

    return Monitor()


def parser_error(parser: Any, graph: Path) -> BundleError:
    """Return the parser's errors as one: which operator of the graph, where, and why."""
    found = [parser.get_error(index) for index in range(parser.num_errors)]
    if not found:
        return BundleError(f"TensorRT cannot parse {graph}: it gave no reason")
    first = found[0]
    # 8.6 numbers the node and names neither it nor its operator.
    name = _text(first, "node_name") or f"number {first.node()}"
    operator = _text(first, "node_operator") or "an operator"
    more = f" ({len(found) - 1} more)" if len(found) > 1 else ""
    return BundleError(
        f"TensorRT cannot parse {graph}: {operator}, node {name}: {one_line(ValueError(first.desc()))}{more}",
        hint="export the model with sji-edge export; a custom layer must be written with standard ONNX operators",
    )


def _text(error: Any, method: str) -> str:
    ask = getattr(error, method, None)
    return str(ask()) if ask is not None else ""
