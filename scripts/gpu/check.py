"""The one check of a GPU machine; ``scripts/gpu_check.sh --help`` describes it. Needs no network and trains nothing."""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SKIPPED, FAILED, NO_GPU = 77, 3, 5
SJI = (sys.executable, "-c", "from sji_edge.cli.main import run; run()")
PRECISIONS = ("fp32", "fp16", "int8")
TAIL_LINES = 30


@dataclass(frozen=True)
class Step:
    """One command with its time limit; skipped with this reason if there is one, or if a path it needs is missing."""

    name: str
    limit_s: int
    command: tuple[str, ...]
    needs: tuple[Path, ...] = ()
    skip: str = ""


@dataclass(frozen=True)
class Result:
    name: str
    result: str
    seconds: float = 0.0
    limit_s: int = 0
    exit_code: int | None = None
    facts: dict[str, object] = field(default_factory=dict)
    tail: tuple[str, ...] = ()


def steps(given: argparse.Namespace) -> Iterator[Step]:
    """Yield the steps in order: what needs least comes first."""
    recipe, out = given.data / "boards", given.out
    own = [sys.executable, str(HERE / "steps.py")]
    engines = {precision: out / "engines" / f"{given.backend}-{precision}" for precision in PRECISIONS}
    reference = out / "engines" / "onnxruntime-fp32"
    sanitizer = shutil.which("compute-sanitizer")

    def python(name: str, limit_s: int, *words: object, needs: Sequence[Path] = (), skip: str = "") -> Step:
        return Step(name, limit_s, (*own, name, *map(str, words)), tuple(needs), skip)

    def sji(name: str, limit_s: int, *words: object, needs: Sequence[Path] = ()) -> Step:
        return Step(name, limit_s, (*SJI, *map(str, words)), tuple(needs))

    def built(name: str, limit_s: int, folder: Path, *words: object) -> Step:
        common = ("build-engine", given.run, "--engines", folder.parent, "--calibration", given.calibration)
        step = sji(name, limit_s, *common, "--name", folder.name, *words)
        return replace(step, skip="it was built before") if folder.is_dir() else step

    yield Step("driver", 60, (sys.executable, str(HERE / "driver.py")))
    yield sji("doctor", 30, "doctor", "--json")
    yield Step(
        "mig", 20, ("nvidia-smi", "-L"), skip="" if shutil.which("nvidia-smi") else "there is no nvidia-smi"
    )
    yield python("kernel-cubin", 30, "--recipe", recipe)
    yield python("kernel-ptx", 30, "--recipe", recipe)
    checked = python("kernel-cubin", 90)
    sanitized = (sanitizer or "", "--error-exitcode", "1", *checked.command)
    yield Step("kernel-sanitizer", 90, sanitized, skip="" if sanitizer else "there is no compute-sanitizer")
    yield python("host-side", 30)
    yield python("illegal-access", 30)
    yield python("broken-capture", 30)
    for precision, folder in engines.items():
        words = ("--backend", given.backend, "--precision", precision)
        level = ("--optimization-level", given.optimization_level)
        yield built(f"build-{precision}", 160 if precision == "int8" else 120, folder, *words, *level)
    for precision, folder in engines.items():
        words = ("--data", given.data / "solder-joints", "--split", "test", "--json-file")
        report = out / f"parity-{precision}.json"
        yield sji(f"parity-{precision}", 40, "parity", folder, *words, report, needs=[folder])
    there = [folder for folder in engines.values() if folder.is_dir()]
    yield python("engines", 60, *there, "--recipe", recipe, needs=there or [engines["fp32"]])
    first = (there or [engines["fp32"]])[:1]
    yield python("pytorch", 60, *first, needs=first)
    yield python("open-close", 60, *first, needs=first)
    loop = [sys.executable, str(ROOT / "benchmarks" / "gpu_loop.py"), "--recipe", str(recipe)]
    loop += ["--frames", str(given.frames), "--json", str(out / "loop.json"), *map(str, there)]
    if given.no_time_limits:
        loop.append("--no-time-limits")
    yield Step("loop", 120, tuple(loop), tuple(first))
    yield built("build-reference", 60, reference, "--backend", "onnxruntime", "--precision", "fp32")
    inspected = []
    for folder in (reference, *engines.values()):
        inspected.append(out / "inspections" / folder.name)
        words = ("--recipe", recipe, "--engine", folder, "--output", inspected[-1])
        yield sji(
            f"infer-{folder.name}", 40, "infer", "--stream", recipe / "board0?.png", *words, needs=[folder]
        )
    found = [folder for folder in inspected if folder.is_dir()]
    yield python("verdicts", 20, *found, needs=found if len(found) > 1 else inspected)


def run(step: Step, out: Path) -> Result:
    """Run a step within its limit; its output goes to ``OUT/NAME.log``."""
    missing = [str(path) for path in step.needs if not path.exists()]
    if step.skip or missing:
        return Result(step.name, "skipped", tail=(step.skip or f"needs {', '.join(missing)}",))
    started, log = time.monotonic(), out / f"{step.name}.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(step.command, stdout=sink, stderr=sink, start_new_session=True)
        try:
            code: int | None = process.wait(timeout=step.limit_s)
        except subprocess.TimeoutExpired:
            # Its children, too: a builder may have some.
            os.killpg(process.pid, 9)
            process.wait()
            code = None
    lines = log.read_text(errors="replace").splitlines()
    kinds = {0: "passed", SKIPPED: "skipped", None: "timed out"}
    done = Result(step.name, kinds.get(code, "failed"), exit_code=code, limit_s=step.limit_s)
    seconds = round(time.monotonic() - started, 2)
    return replace(done, seconds=seconds, facts=_facts(lines), tail=tuple(lines[-TAIL_LINES:]))


def _facts(lines: list[str]) -> dict[str, object]:
    try:
        found = json.loads(lines[-1])
    except (ValueError, IndexError):
        return {}
    return found if isinstance(found, dict) else {}


def write_report(out: Path, started: str, results: list[Result]) -> None:
    """Write the report so far, so that a machine that goes away leaves what is known."""
    content = {
        "started_utc": started,
        "passed": all(one.result in ("passed", "skipped") for one in results),
        "steps": [asdict(one) for one in results],
        "loop": json.loads((out / "loop.json").read_text()) if (out / "loop.json").is_file() else [],
    }
    partial = out / "report.json.new"
    partial.write_text(json.dumps(content, indent=1) + "\n")
    partial.replace(out / "report.json")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--calibration", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--backend", choices=("tensorrt", "tensorrt-rtx"), default="tensorrt")
    parser.add_argument("--frames", type=int, default=3000)
    parser.add_argument("--optimization-level", type=int, default=2)
    parser.add_argument("--no-time-limits", action="store_true")
    parser.add_argument("--only", nargs="+", default=[], help="names of steps")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    started, results = datetime.now(UTC).isoformat(timespec="seconds"), list[Result]()
    # Steps are yielded one after the other: later ones depend on the engines that were built.
    for step in steps(given):
        if given.only and step.name not in given.only:
            continue
        results.append(run(step, given.out))
        last = results[-1]
        print(f"{last.result:9} {last.seconds:6.1f} of {last.limit_s:3} s  {last.name}", flush=True)
        if last.result != "passed":
            print("\n".join(f"    {line}" for line in last.tail[-8:]), flush=True)
        write_report(given.out, started, results)
        if step.name == "driver" and last.result != "passed":
            sys.exit(NO_GPU)
    wrong = [one.name for one in results if one.result not in ("passed", "skipped")]
    print(f"not passed: {', '.join(wrong)}" if wrong else "all passed", f"({given.out / 'report.json'})")
    sys.exit(FAILED if wrong else 0)


if __name__ == "__main__":
    main()
