"""What ``build-engine`` prints: the table of everything it tried, and remarks on the engine."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from sji_edge.cli.render.console import console
from sji_edge.cli.render.parity import print_parity
from sji_edge.cli.render.tensorrt import capabilities, say_build, say_pending
from sji_edge.runtime.bundle.manifest import Attempt, BlankCrops, Manifest
from sji_edge.runtime.tensorrt.compatibility import NONE

if TYPE_CHECKING:
    # Building needs packages that an edge box, which only shows the table, does not have.
    from sji_edge.workflows.build.write_bundle import Built


def print_built(built: "Built") -> None:
    """Print what was tried, the kept engine's parity, and whether it is released."""
    manifest = built.bundle.manifest
    print_tried(manifest)
    say_build(manifest.build)
    print_parity(built.report, manifest.name, pending=built.pending)
    if built.pending:
        say_pending(built.bundle, built.pending)
    elif built.released:
        console().print(f"released: {built.folder}", markup=False)
        console().print(f"next: sji-edge infer --stream camera0 --engine {built.folder}", markup=False)


def print_tried(manifest: Manifest) -> None:
    """Print one row for each attempt, then remarks on the calibration, INT8's speed and blank crops."""
    guarded = any(attempt.silent_guard_flips is not None for attempt in manifest.tried)
    batch = next((attempt.batch for attempt in manifest.tried if attempt.batch), None)
    table = Table(title=escape(_title(manifest)))
    for column in (
        "precision",
        "gate",
        "flips",
        "to PASS",
        *(["guard silent"] if guarded else []),
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
            *([_number(attempt.silent_guard_flips)] if guarded else []),
            _decimals(attempt.max_score_error),
            _milliseconds(attempt.batch_ms),
            _milliseconds(attempt.single_ms),
            "–" if attempt.file_bytes is None else f"{attempt.file_bytes / 1e6:.1f}",
            _remark(attempt),
        )
    console().print(table)
    for line in (
        *_calibration_lines(manifest.calibration),
        _int8_slower(manifest.tried),
        _blank_line(manifest.blank_crops),
    ):
        if line:
            console().print(line)


def _title(manifest: Manifest) -> str:
    """Say which device the trials ran on, or which one they are for if it is not in this machine."""
    facts = manifest.environment
    capability = f"compute capability {capabilities(facts)}"
    if any(attempt.pending for attempt in manifest.tried):
        return f"tried for {manifest.backend}, {capability}, without the card"
    if "compute_capability" in facts:
        # A plan for named cards has no GPU of its own, even if one of them is here.
        device = capability if facts["gpu"] == NONE else f"{facts['gpu']} ({capability})"
    else:
        device = facts.get("cpu", "a device without a name")
    return f"tried on {manifest.backend}, {device}"


def _gate(attempt: Attempt) -> str:
    if attempt.pending:
        return (
            "[yellow]waiting for its device[/yellow]"
            if len(attempt.failures) == 1
            else "[red]graph failed[/red]"
        )
    return "[green]passed[/green]" if attempt.passed else "[red]failed[/red]"


def _remark(attempt: Attempt) -> str:
    kept = ("[bold]kept[/bold]",) if attempt.kept else ()
    return "; ".join((*kept, *_failures(attempt), *filter(None, [attempt.note])))


def _calibration_lines(calibration: Mapping[str, Any]) -> Iterator[str]:
    """Say what the calibration crops decided, and what is wrong with them."""
    if calibration.get("forced"):
        yield (
            f"[bold red]the calibration set {escape(calibration['set'])} was forced[/bold red] despite: "
            f"{escape('; '.join(calibration['forced']))}"
        )
    if calibration.get("does_not_fit"):
        yield (
            f"[yellow]the calibration set {escape(calibration['set'])} does not fit the run: "
            f"{escape(calibration['does_not_fit'])}[/yellow]"
        )
    methods = calibration.get("range_methods", {})
    if methods:
        scored = ", ".join(
            f"{name} {score['flips']} flips, |Δscore| {score['score_error']:.4f}"
            for name, score in methods.items()
        )
        yield f"INT8 ranges by {calibration['ranges']}; on the crops held out to compare methods: {scored}"
    clipped = calibration.get("clipped", {})
    if clipped:
        name, share = next(iter(clipped.items()))
        yield f"most clipped tensor: {name}, {share:.3%} of its values"


def _blank_line(blank: BlankCrops | None) -> str:
    """Say how many crops without a joint the engine passes when nothing checks them first."""
    if blank is None:
        return ""
    passed = {name: kind for name, kind in blank.kinds.items() if kind.passed}
    if not passed:
        return "blank crops (empty, flat, half covered): the engine by itself passes none"
    shares = ", ".join(f"{kind.passed} of {kind.crops} {name}" for name, kind in passed.items())
    missed = sum(kind.missed for kind in blank.kinds.values())
    found = (
        f"[red]infer misses {missed} of them[/red]" if missed else "infer finds all of them (ERROR hidden)"
    )
    return f"blank crops that the engine by itself would PASS: {shares}; {found}"


def _failures(attempt: Attempt) -> tuple[str, ...]:
    # The last one of a pending attempt says that it is pending, as the gate's column does.
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
