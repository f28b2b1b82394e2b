"""Measures latency and throughput of engines, and of PyTorch for comparison."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from sji_edge.benchmark.alternate import BlockSettings
from sji_edge.benchmark.condition import Condition, failures
from sji_edge.benchmark.engines import busy, conditions, engine_subject, names_of
from sji_edge.benchmark.footprint import peak_rss_of
from sji_edge.benchmark.report import BATCHES, BenchReport, Plan, Subject, SubjectFacts
from sji_edge.benchmark.report import bench as measure
from sji_edge.core.clock import SystemClock
from sji_edge.core.errors import LatencyGateError, UsageError
from sji_edge.core.extras import require
from sji_edge.core.files import StrPath, check_writable_file, output_errors, sha256_of, write_json
from sji_edge.core.findings import parse_settings
from sji_edge.runtime.bundle.bundle import Bundle, open_bundle
from sji_edge.workflows.artifacts import released_engine

TORCH = "torch"
THREADS = (1, 2)
SECONDS, MIN_CALLS = 2.0, 20
SAME_CROPS, SAME_LOGITS = 8, 1e-3
NO_LIMIT = 1 << 20
"""Largest batch of PyTorch, which has no limit of its own."""


@dataclass(frozen=True)
class BenchResult:
    """What was measured.

    Attributes:
        report: the figures, and the conditions that they were measured under.
        disturbed: what else kept the machine busy, in words; empty if nothing did.
        failures: the conditions that were broken, in words.
    """

    report: BenchReport
    disturbed: str
    failures: tuple[str, ...]

    def require_pass(self) -> None:
        """Raise ``LatencyGateError`` when a condition was broken."""
        if self.failures:
            raise LatencyGateError(f"the latency gate failed: {'; '.join(self.failures)}")

    def __bool__(self) -> bool:
        return not self.failures


def bench(
    bundles: Sequence[StrPath] = (),
    *,
    against: str = "",
    run: StrPath | None = None,
    batches: Sequence[int] = BATCHES,
    threads: Sequence[int] = THREADS,
    seconds: float = SECONDS,
    min_calls: int = MIN_CALLS,
    memory: bool = True,
    fail_if: Sequence[str] = (),
    json_file: Path | None = None,
    plot: Path | None = None,
    runs: StrPath = "runs",
    engines: StrPath = "engines",
    progress: Callable[[str], None] | None = None,
) -> BenchResult:
    """Measure engines in alternating blocks in one process; every call counts.

    Args:
        bundles: engine folders; empty: the newest released engine that can run here.
        against: ``torch``: also measure PyTorch FP32 of the same run, as the baseline.
        run: the run for ``against``; None: the run in ``runs`` that has the model's name.
        batches: batch sizes.
        threads: CPU thread counts; 0 leaves the choice to the backend.
        seconds: minimum time in timed calls for each point.
        min_calls: minimum number of timed calls for each point.
        memory: also measure peak memory, each subject in its own process.
        fail_if: conditions such as ``p99_ms@1>8`` that must not hold.
        json_file: file for the report; replaced if it exists.
        plot: picture of the report (png, svg or pdf).
        runs: folder of all runs.
        engines: folder of all engines.
        progress: receives each step in words.

    Raises:
        UsageError: a wrong setting, or no engine takes any of the batch sizes.
        BundleError: an engine cannot be opened here.
        OutputError: a file cannot be written; found before anything is measured.
        MissingExtraError: PyTorch or matplotlib is needed and not installed.
    """
    sizes, counts = _checked(batches, "batch sizes", 1), _checked(threads, "thread counts", 0)
    gates = _gates(fail_if, sizes)
    settings = parse_settings(BlockSettings, {"seconds": seconds, "min_calls": min_calls})
    if against not in ("", TORCH):
        raise UsageError(
            f"engines can only be compared with torch (got {against!r})",
            hint="name several engines to compare them with each other",
        )
    if plot is not None:
        require("matplotlib", purpose="drawing the report")
    for path in (json_file, plot):
        if path is not None:
            check_writable_file(path)
    folders = [Path(folder) for folder in bundles] or [released_engine(None, Path(engines)).folder]
    opened = [open_bundle(folder, require_released=False) for folder in folders]
    memory_at = (max(sizes), max(counts)) if memory else (0, 0)
    subjects = _engine_subjects(opened, memory_at)
    if against:
        own = Path(runs) / opened[0].card.name if run is None else Path(run)
        subjects.append(_torch_subject(opened[0], own, memory_at))
    baseline = subjects[-1 if against else 0].facts.name if len(subjects) > 1 else ""
    environment = conditions(opened)
    plan = Plan(counts, sizes, settings, progress or (lambda _: None))
    report = measure(subjects, plan, clock=SystemClock(), environment=environment, baseline=baseline)
    if json_file is not None:
        with output_errors(json_file):
            write_json(json_file, report.model_dump(mode="json"))
    if plot is not None:
        from sji_edge.benchmark.plot import save_plot

        save_plot(report, plot)
    return BenchResult(report, busy(environment), tuple(failures(gates, report, exempt=TORCH)))


def _checked(values: Sequence[int], what: str, least: int) -> list[int]:
    if not values or min(values) < least:
        raise UsageError(f"{what} must be whole numbers of at least {least} (got {list(values)})")
    return sorted(set(values))


def _gates(texts: Sequence[str], sizes: Sequence[int]) -> list[Condition]:
    gates = [Condition.parse(text) for text in texts]
    for gate in gates:
        if gate.batch is not None and gate.batch not in sizes:
            raise UsageError(
                f"{gate.text}: batch {gate.batch} is not measured", hint="add it to the batch sizes"
            )
    return gates


def _engine_subjects(bundles: Sequence[Bundle], memory_at: tuple[int, int]) -> list[Subject]:
    names = names_of([bundle.folder for bundle in bundles])
    batch, threads = memory_at
    return [
        engine_subject(bundle, name, memory_batch=batch, memory_threads=threads)
        for bundle, name in zip(bundles, names, strict=True)
    ]


def _torch_subject(bundle: Bundle, run: Path, memory_at: tuple[int, int]) -> Subject:
    """PyTorch FP32 of the run that the bundle was made from; refuses another run."""
    require("torch", "safetensors", purpose="measuring PyTorch")
    from sji_edge.models.checkpoint import WEIGHTS_FILE, card_of_run
    from sji_edge.models.timed import torch_predictor

    golden = bundle.golden()
    with torch_predictor(run, 0) as predict:
        fits = bundle.preprocess == card_of_run(run).preprocess and np.allclose(
            predict(golden.crops[:SAME_CROPS]), golden.logits[:SAME_CROPS], rtol=SAME_LOGITS, atol=SAME_LOGITS
        )
    if not fits:
        raise UsageError(
            f"{bundle.folder} was not made from {run}: the golden logits differ",
            hint="name the run that the engine was built from",
        )
    batch, threads = memory_at
    words = (str(run), str(batch), str(threads))
    facts = SubjectFacts(
        name=TORCH,
        backend="PyTorch eager",
        precision="fp32",
        file_bytes=(run / WEIGHTS_FILE).stat().st_size,
        sha256=sha256_of(run / WEIGHTS_FILE),
        released=True,
        peak_rss_bytes=peak_rss_of("sji_edge.models.timed:judge_once", *words) if batch else None,
    )
    predictor = partial(torch_predictor, run)
    return Subject(facts, NO_LIMIT, golden.crops, lambda count, _batches: predictor(count))
