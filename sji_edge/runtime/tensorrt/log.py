"""Keeps TensorRT's messages while it builds and runs, for the bundle and for error messages."""

import time
from functools import cache
from pathlib import Path
from typing import Any

from sji_edge.core.errors import BundleError, EnvironmentMismatchError
from sji_edge.core.text import one_line

MAX_LINES = 20_000
MAX_NOTED = 1_000
"""Maximum number of errors, and of warnings, that are kept apart from the lines; an engine may run for months."""

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
        """Keep a line; ``level`` is TensorRT's name for its severity."""
        line = " ".join(text.split())
        seconds = (time.perf_counter_ns() - self._start_ns) / 1e9
        if len(self.lines) < MAX_LINES:
            self.lines.append(f"{seconds:9.3f} {level:<14} {line}")
        noted = {"ERROR": self.errors, "INTERNAL_ERROR": self.errors, "WARNING": self.warnings}.get(level)
        if noted is not None and len(noted) < MAX_NOTED:
            noted.append(line)

    def text(self) -> str:
        """Return the log as a file's content."""
        return "".join(f"{line}\n" for line in self.lines)

    def reason(self) -> str:
        """Return the first error without the places in TensorRT's source, or say that there was none."""
        return self._error(0)

    def latest(self) -> str:
        """Return the last error, as ``reason`` does the first."""
        return self._error(-1)

    def _error(self, place: int) -> str:
        if not self.errors:
            return "no reason was given"
        return one_line(ValueError(self.errors[place].partition(" In ")[0]))


def logger_of(trt: Any, log: BuildLog) -> Any:
    """Return the process's only logger for a package; its messages go into ``log`` from now on.

    TensorRT keeps the first logger that it gets as long as any of its objects lives. A second one would receive few
    messages, and the first one must not be freed.
    """
    logger = _one_logger(trt)
    logger.heard_by = log
    return logger


@cache
def _one_logger(trt: Any) -> Any:
    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.heard_by = BuildLog()

        def log(self, severity: Any, message: str) -> None:
            if int(severity) < KEPT:
                self.heard_by.add(str(severity.name), message)

    return Logger()


def runtime_of(trt: Any, log: BuildLog) -> Any:
    """Return a runtime of the package.

    Raises:
        EnvironmentMismatchError: it has no runtime on this machine.
    """
    try:
        return trt.Runtime(logger_of(trt, log))
    except TypeError as error:  # its factory returned a null pointer
        raise EnvironmentMismatchError(f"TensorRT has no runtime here: {log.reason()}") from error


def parser_error(parser: Any, graph: Path) -> BundleError:
    """Return the parser's errors as one error: which operator of the graph, where, and why."""
    found = [parser.get_error(index) for index in range(parser.num_errors)]
    if not found:
        return BundleError(f"TensorRT cannot parse {graph}: it gave no reason")
    first = found[0]
    # 8.6 gives the node's number, but neither its name nor its operator.
    name = _text(first, "node_name") or f"number {first.node()}"
    operator = _text(first, "node_operator") or "an operator"
    more = f" ({len(found) - 1} more)" if len(found) > 1 else ""
    return BundleError(
        f"TensorRT cannot parse {graph}: {operator}, node {name}: {one_line(ValueError(first.desc()))}{more}",
        hint="export the model with sji-edge export; custom layers must use standard ONNX operators",
    )


def _text(error: Any, method: str) -> str:
    ask = getattr(error, method, None)
    return str(ask()) if ask is not None else ""
