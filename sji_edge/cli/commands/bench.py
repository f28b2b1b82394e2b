"""``sji-edge bench``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sji_edge.benchmark.report import Subject
    from sji_edge.runtime.bundle.bundle import Bundle

TORCH = "torch"
SAME_CROPS = 8
SAME = 1e-3


def bench(
    bundles: Annotated[
        list[Path] | None, typer.Argument(help="Engine bundles; default: the newest released one.")
    ] = None,
    against: Annotated[
        str, typer.Option(help="torch: measure PyTorch FP32 of the same run beside them, as the baseline.")
    ] = "",
    run: Annotated[
        Path | None,
        typer.Option(help="The run, with --against torch; default: the model's name under runs/."),
    ] = None,
    batches: Annotated[str, typer.Option(help="Batch sizes.")] = "1,8,32,64,100",
    threads: Annotated[str, typer.Option(help="CPU thread counts; 0: the backend chooses.")] = "1,2",
    seconds: Annotated[float, typer.Option(min=0.01, help="Least time in timed calls, each point.")] = 2.0,
    min_calls: Annotated[int, typer.Option(min=1, help="Least number of timed calls, each point.")] = 20,
    memory: Annotated[bool, typer.Option(help="Measure peak memory, each in its own process.")] = True,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the report here.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the report here (png, svg or pdf).")] = None,
    fail_if: Annotated[
        list[str] | None, typer.Option(help="Condition that ends with exit 4, as p99_ms@1>8; repeatable.")
    ] = None,
    runs: Annotated[Path, typer.Option(help="Folder of all runs.")] = Path("runs"),
    engines: Annotated[Path, typer.Option(help="Folder of all engines.")] = Path("engines"),
) -> None:
    """Measure latency and throughput, several engines and PyTorch alternating in one process.

    No call is left out. A row without a batch size in --fail-if must hold for every one.

    Example: `sji-edge bench engines/demo --against torch --fail-if "p99_ms@1>8"`
    """
    from sji_edge.benchmark.alternate import BlockSettings
    from sji_edge.benchmark.condition import Condition, failures
    from sji_edge.benchmark.engines import busy, conditions
    from sji_edge.benchmark.report import Plan
    from sji_edge.benchmark.report import bench as measure
    from sji_edge.cli.render.bench import print_bench
    from sji_edge.cli.render.console import console
    from sji_edge.core.clock import SystemClock
    from sji_edge.core.errors import LatencyGateError, UsageError
    from sji_edge.core.files import write_json
    from sji_edge.runtime.bundle.bundle import open_bundle
    from sji_edge.workflows.artifacts import released_engine

    sizes, counts = _numbers(batches, "--batches", 1), _numbers(threads, "--threads", 0)
    gates = [Condition.parse(text) for text in fail_if or []]
    for gate in gates:
        if gate.batch is not None and gate.batch not in sizes:
            raise UsageError(f"{gate.text}: batch {gate.batch} is not measured", hint="add it to --batches")
    if against not in ("", TORCH):
        raise UsageError(f"unknown --against {against!r}", hint="torch; engines are compared by naming them")
    opened = [
        open_bundle(folder, require_released=False)
        for folder in bundles or [released_engine(None, engines).folder]
    ]
    memory_at = (max(sizes), max(counts)) if memory else (0, 0)
    subjects = _engine_subjects(opened, memory_at)
    if against:
        subjects.append(_torch_subject(opened[0], run or runs / opened[0].card.name, memory_at))
    baseline = subjects[-1 if against else 0].facts.name if len(subjects) > 1 else ""
    environment = conditions(opened)
    with console().status("measuring") as status:
        settings = BlockSettings(seconds=seconds, min_calls=min_calls)
        plan = Plan(counts, sizes, settings, lambda step: status.update(f"measuring: {step}"))
        report = measure(subjects, plan, clock=SystemClock(), environment=environment, baseline=baseline)
    print_bench(report, busy(environment))
    if json_file is not None:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        write_json(json_file, report.model_dump(mode="json"))
    if plot is not None:
        from sji_edge.benchmark.plot import save_plot

        save_plot(report, plot)
    failed = failures(gates, report, exempt=TORCH)
    if failed:
        raise LatencyGateError(f"the latency gate failed: {'; '.join(failed)}")


def _engine_subjects(bundles: list["Bundle"], memory_at: tuple[int, int]) -> list["Subject"]:
    from sji_edge.benchmark.engines import engine_subject, names_of

    names = names_of([bundle.folder for bundle in bundles])
    batch, threads = memory_at
    return [
        engine_subject(bundle, name, memory_batch=batch, memory_threads=threads)
        for bundle, name in zip(bundles, names, strict=True)
    ]


def _torch_subject(bundle: "Bundle", run: Path, memory_at: tuple[int, int]) -> "Subject":
    """PyTorch FP32 of the run that the bundle was made from; refuses another run."""
    from functools import partial

    import numpy as np

    from sji_edge.benchmark.footprint import peak_rss_of
    from sji_edge.benchmark.report import Subject, SubjectFacts
    from sji_edge.core.errors import UsageError
    from sji_edge.core.extras import require
    from sji_edge.core.files import sha256_of

    require("torch", "safetensors", purpose="--against torch")
    from sji_edge.models.checkpoint import WEIGHTS_FILE, card_of_run
    from sji_edge.models.timed import torch_predictor

    golden = bundle.golden()
    with torch_predictor(run, 0) as predict:
        fits = bundle.preprocess == card_of_run(run).preprocess and np.allclose(
            predict(golden.crops[:SAME_CROPS]), golden.logits[:SAME_CROPS], rtol=SAME, atol=SAME
        )
    if not fits:
        raise UsageError(f"{bundle.folder} was not made from {run}: other golden logits", hint="see --run")
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
    return Subject(facts, 1 << 20, golden.crops, lambda count, _batches: predictor(count))


def _numbers(text: str, option: str, least: int) -> list[int]:
    from sji_edge.core.errors import UsageError

    words = [word.strip() for word in text.split(",")]
    if not all(word.isascii() and word.isdigit() and len(word) < 7 and int(word) >= least for word in words):
        raise UsageError(
            f"{option} is {text!r}; whole numbers from {least} on, with commas between, were wanted"
        )
    return sorted({int(word) for word in words})
