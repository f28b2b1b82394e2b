"""The table of all that ``build-engine`` tried."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table

from sji_edge.cli.render.common import console
from sji_edge.cli.render.tensorrt import capabilities
from sji_edge.runtime.bundle.manifest import Attempt, Manifest
from sji_edge.runtime.tensorrt.compatibility import NONE


def print_tried(manifest: Manifest) -> None:
    """Print one row an attempt, and say when INT8 is not faster than the widest type here."""
    batch = next((attempt.batch for attempt in manifest.tried if attempt.batch), None)
    table = Table(title=escape(_title(manifest)))
    for column in (
        "precision",
        "gate",
        "flips",
        "to PASS",
        "max |Δscore|",
        f"batch {batch}",
        "batch 1",
        "MB",
        "",
    ):
        table.add_column(column, justify="left" if column in ("precision", "gate", "") else "right")
    for attempt in manifest.tried:
        table.add_row(
            attempt.label,
            _gate(attempt),
            _number(attempt.flips),
            _number(attempt.escape_flips),
            _decimals(attempt.max_score_error),
            _milliseconds(attempt.batch_ms),
            _milliseconds(attempt.single_ms),
            "–" if attempt.file_bytes is None else f"{attempt.file_bytes / 1e6:.1f}",
            _remark(attempt),
        )
    console().print(table)
    for line in (*_calibration_lines(manifest.calibration), _int8_slower(manifest.tried)):
        if line:
            console().print(line)


def _title(manifest: Manifest) -> str:
    """Say which device the trials ran on, or which they were for where it was not there."""
    facts = manifest.environment
    capability = f"compute capability {capabilities(facts)}"
    if any(attempt.pending for attempt in manifest.tried):
        return f"tried for {manifest.backend}, {capability}, without the card"
    if "compute_capability" in facts:
        # A plan for named cards has no GPU of its own, also where one of them is here.
        device = capability if facts["gpu"] == NONE else f"{facts['gpu']} ({capability})"
    else:
        device = facts.get("cpu", "a device without a name")
    return f"tried on {manifest.backend}, {device}"


def _gate(attempt: Attempt) -> str:
    if attempt.pending:
        return (
            "[yellow]waits for the device[/yellow]"
            if len(attempt.failures) == 1
            else "[red]graph failed[/red]"
        )
    return "[green]passed[/green]" if attempt.passed else "[red]failed[/red]"


def _remark(attempt: Attempt) -> str:
    kept = ("[bold]kept[/bold]",) if attempt.kept else ()
    return "; ".join((*kept, *_failures(attempt), *filter(None, [attempt.note])))


def _calibration_lines(calibration: Mapping[str, Any]) -> Iterator[str]:
    """Say what the calibration crops decided, and what speaks against them."""
    if calibration.get("forced"):
        yield (
            f"[bold red]the calibration set {calibration['set']} was forced[/bold red] although: "
            f"{'; '.join(calibration['forced'])}"
        )
    methods = calibration.get("range_methods", {})
    if methods:
        scored = ", ".join(
            f"{name} {score['flips']} flips, |Δscore| {score['score_error']:.4f}"
            for name, score in methods.items()
        )
        yield f"ranges by {calibration['ranges']}; on the crops kept out of them: {scored}"
    clipped = calibration.get("clipped", {})
    if clipped:
        name, share = next(iter(clipped.items()))
        yield f"clipped at most: {share:.3%} of the values of {name}"


def _failures(attempt: Attempt) -> tuple[str, ...]:
    # The last one of a pending attempt says that it is pending; the gate's column does so already.
    return attempt.failures[:-1] if attempt.pending else attempt.failures


def _int8_slower(tried: tuple[Attempt, ...]) -> str:
    times = {attempt.label: attempt.batch_ms for attempt in tried if attempt.batch_ms is not None}
    if "int8" in times and "fp32" in times and times["int8"] >= times["fp32"]:
        return (
            f"INT8 is not faster than FP32 on this CPU: {times['int8']:.1f} ms against {times['fp32']:.1f} ms"
        )
    return ""


def _number(value: int | None) -> str:
    return "–" if value is None else str(value)


def _decimals(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _milliseconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
