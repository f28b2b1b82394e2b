"""What ``demo`` prints: each step with its command and result, then one closing table."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from sji_edge.cli.render.audit import print_finding
from sji_edge.cli.render.build import print_built
from sji_edge.cli.render.calibration import print_audit
from sji_edge.cli.render.console import console
from sji_edge.cli.render.figures import figure, rate
from sji_edge.cli.render.live import RunScreen
from sji_edge.cli.render.training import print_run
from sji_edge.cli.run_output import RunOutput
from sji_edge.core.clock import Clock, SystemClock
from sji_edge.data.audit import Finding
from sji_edge.metrics.rates import DefectRates
from sji_edge.workflows.demo import DemoListener, DemoResult, DemoStep

if TYPE_CHECKING:
    from sji_edge.training.train import Run
    from sji_edge.workflows.build.write_bundle import Built
    from sji_edge.workflows.calibrate import CalibrationResult


class DemoScreen(DemoListener):
    """Prints the progress of a demo.

    Args:
        clock: measures how long it takes.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._started_ns = self._clock.monotonic_ns()
        self._screen = console()

    @property
    def seconds(self) -> float:
        """Seconds since the demo began."""
        return (self._clock.monotonic_ns() - self._started_ns) / 1e9

    def data_written(self, folder: Path, boards: Path) -> None:
        """Say where the synthetic images are."""
        self._rule("data", f"synthetic joints in {folder}, boards in {boards}")

    def began(self, step: DemoStep) -> None:
        """Print the command that is equivalent to the step."""
        self._rule(step.title, step.command)

    def found(self, finding: Finding) -> None:
        """Print a fault of the dataset."""
        print_finding(finding)

    def epoch(self, line: str) -> None:
        """Print the epoch's line."""
        self._screen.print(line, markup=False)

    def trained(self, run: "Run") -> None:
        """Print the run's figures."""
        print_run(run.folder, run.card)

    def exported(self, model: Path) -> None:
        """Say that the graph agrees with PyTorch."""
        self._screen.print(f"{model} agrees with PyTorch on the golden crops", markup=False)

    def calibrated(self, made: "CalibrationResult") -> None:
        """Print the calibration set's audit."""
        print_audit(made)

    def built(self, built: "Built") -> None:
        """Print what was tried, and the engine's parity."""
        print_built(built)

    @contextmanager
    def judging(self) -> Iterator[RunScreen]:
        """Show the run as ``infer`` does."""
        with RunOutput() as output:
            yield RunScreen(output)

    def close(self, result: DemoResult) -> None:
        """Print the closing table."""
        self._screen.rule()
        self._screen.print(_closing_table(result))
        self._screen.print(f"everything is in {result.folder}/ ({self.seconds:.0f} s)", markup=False)

    def _rule(self, title: str, text: str) -> None:
        self._screen.rule(f"[bold]{title}[/bold]  ({self.seconds:.0f} s)", align="left")
        self._screen.print(text, markup=False)


def _closing_table(result: DemoResult) -> Table:
    bundle = result.built.bundle
    manifest = bundle.manifest
    table = Table(title=escape(f"{manifest.name} ({manifest.backend}, {manifest.precision})"))
    table.add_column("")
    for name in result.rates:
        table.add_column(name, justify="right")
    for row, cells in _rows(list(result.rates.values())).items():
        table.add_row(row, *cells)
    judged = bundle.parity.comparisons[bundle.parity.gated]
    summary = result.inference.summary
    table.add_section()
    table.add_row(
        "parity with PyTorch",
        f"{judged['flips']} flips, {judged['escape_flips']} of them to PASS, in {bundle.parity.joints} crops",
    )
    table.add_row("throughput", f"{summary.joints_per_s:.0f} joints/s, reading included")
    latency = summary.latency.get("end to end")
    if latency is not None:
        table.add_row("latency per frame", f"p50 {latency.p50_ms:.1f} ms, p99 {latency.p99_ms:.1f} ms")
    return table


def _rows(columns: list[DefectRates]) -> dict[str, list[str]]:
    return {
        "good / defective joints": [f"{item.goods} / {item.defects}" for item in columns],
        "F1 (defect)": [figure(item.f1) for item in columns],
        "escape rate [95 %]": [rate(item.escape_rate, item.escape_interval) for item in columns],
        "false-call rate [95 %]": [rate(item.false_call_rate, item.false_call_interval) for item in columns],
        "REVIEW": [str(item.reviews) for item in columns],
        "ERROR": [str(item.errors) for item in columns],
    }
