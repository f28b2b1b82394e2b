"""Engines under trial: every one that was opened is closed, and few are open at the same time."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from support.tiny_bundle import GUARDED_THRESHOLDS, HEAD, card, crops, formula, novelty_formula, write_graph

from sji_edge.core.errors import BundleError, GateError
from sji_edge.core.verdict import defect_scores
from sji_edge.quantization.ladder import Candidate
from sji_edge.runtime.bundle.bundle import open_bundle
from sji_edge.runtime.bundle.golden import Golden, write_golden
from sji_edge.runtime.bundle.manifest import BlankCrops, BlankKind
from sji_edge.runtime.onnxruntime import OnnxRuntimeBackend, OnnxRuntimeEngine
from sji_edge.testing import FakeClock
from sji_edge.workflows.build.blank_crops import blank_crops
from sji_edge.workflows.build.pipeline import _judged
from sji_edge.workflows.build.trial import Workbench
from sji_edge.workflows.build.write_bundle import release


class CountedEngine(OnnxRuntimeEngine):
    """A real engine that counts how many of its kind are open."""

    open_now = 0
    most = 0

    def __init__(self, session, spec) -> None:
        super().__init__(session, spec)
        CountedEngine.open_now += 1
        CountedEngine.most = max(CountedEngine.most, CountedEngine.open_now)
        self._counted = True

    def close(self) -> None:
        if self._counted:
            CountedEngine.open_now -= 1
            self._counted = False
        super().close()


class CountedBackend(OnnxRuntimeBackend):
    def open(self, engine_file: Path, **how) -> CountedEngine:
        plain = super().open(engine_file, **how)
        return CountedEngine(plain._session, plain.spec)


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    CountedEngine.open_now = CountedEngine.most = 0
    batch = crops(40)
    golden = Golden(batch, formula(batch).astype(np.float32), (np.arange(40) % 2).astype(np.int64))
    return Workbench(
        model=write_graph(tmp_path / "model.onnx"),
        backend=CountedBackend(),
        card=card(),
        golden=golden,
        folder=tmp_path,
        step=lambda _: None,
        max_batch=8,
        threads=1,
    )


def _candidate(bench: Workbench, name: str, head: np.ndarray = HEAD) -> Candidate:
    return Candidate(name, "fp32", write_graph(bench.folder / f"{name}.onnx", head=head))


def test_an_engine_is_closed_when_the_reference_does_not_open(bench: Workbench) -> None:
    trial = bench.judge(_candidate(bench, "a"))
    bench.model.write_bytes(b"not a graph")
    with pytest.raises(BundleError):
        bench.compare(trial.candidate, trial.engine_file, {})
    assert CountedEngine.open_now == 0


def test_engines_are_closed_when_one_of_those_to_time_does_not_open(bench: Workbench) -> None:
    trials = [bench.judge(_candidate(bench, name)) for name in "abc"]
    trials[2].engine_file.unlink()
    with pytest.raises(BundleError):
        bench.timed(trials)
    assert CountedEngine.open_now == 0


def test_no_more_than_two_engines_are_open_together(bench: Workbench) -> None:
    heads = [HEAD, -HEAD, -HEAD, HEAD, HEAD, HEAD]
    trials = [bench.judge(_candidate(bench, f"t{number}", head)) for number, head in enumerate(heads)]
    assert [trial.serves for trial in trials] == [True, False, False, True, True, True]
    CountedEngine.most = 0
    timed = bench.timed(trials)
    assert (CountedEngine.most, CountedEngine.open_now) == (2, 0)
    assert [replace(trial, times_ms=(0, 0)) for trial in timed] == [
        replace(trial, times_ms=(0, 0)) for trial in trials
    ]
    assert all(0 < trial.times_ms[1] < float("inf") for trial in timed)


def test_engines_are_compared_with_the_first_whatever_the_machine_does_meanwhile(bench: Workbench) -> None:
    clock, costs_ms = FakeClock(), {"a": 2.0, "b": 3.0, "c": 1.0}

    class Slow(CountedEngine):
        calls = 0

        def infer(self, crops):
            Slow.calls += 1
            # The machine gets slower and slower.
            clock.advance(costs_ms[self.name] * (1 + Slow.calls / 1000) / 1e3)
            return super().infer(crops)

    class SlowBackend(CountedBackend):
        def open(self, engine_file: Path, **how) -> Slow:
            plain = super().open(engine_file, **how)
            engine = Slow(plain._session, plain.spec)
            engine.name = engine_file.stem.removeprefix("engine-")
            return engine

    bench = replace(bench, backend=SlowBackend())
    timed = bench.timed([bench.judge(_candidate(bench, name)) for name in costs_ms], clock)
    full = [trial.times_ms[0] for trial in timed]
    assert np.divide(full, full[0]) == pytest.approx([1, 1.5, 0.5], rel=0.01)


def test_a_candidate_that_cannot_be_built_is_left_out_if_it_is_optional(bench: Workbench) -> None:
    said: list[str] = []
    bench = replace(bench, step=said.append)
    graph = bench.folder / "broken.onnx"
    graph.write_bytes(b"not a graph")
    broken = Candidate("int8, rest fp16", "fp32", graph, optional=True)
    assert _judged(broken, bench) is None
    assert said[-1].startswith("int8, rest fp16: left out, ")
    with pytest.raises(BundleError):
        _judged(replace(broken, optional=False), bench)


def test_a_guards_limit_is_carried_over_to_the_engines_own_values(tmp_path: Path) -> None:
    batch = crops(40)
    own = novelty_formula(batch).astype(np.float32)
    # What PyTorch said lies a little higher, so that the engine's guard would fall silent at the same limit.
    golden = Golden(batch, formula(batch).astype(np.float32), np.full(40, -1), own * np.float32(1.3))
    limits = GUARDED_THRESHOLDS
    bench = Workbench(
        model=write_graph(tmp_path / "model.onnx", guard=True),
        backend=OnnxRuntimeBackend(),
        card=card(thresholds=limits),
        golden=golden,
        folder=tmp_path,
        step=lambda _: None,
        max_batch=8,
        threads=1,
    )
    trial = bench.judge(Candidate("a", "fp32", bench.model))
    scores = defect_scores(golden.logits, 0)
    stopped = (golden.novelty >= limits.novelty) & (scores < limits.lower)
    assert stopped.sum() > 2
    assert trial.thresholds.novelty <= own[stopped].min() < limits.novelty
    assert trial.report.comparisons["pytorch-engine"].silent_guard_flips == 0
    assert trial.report.comparisons["pytorch-engine"].escape_flips == 0


def test_blank_crops_show_no_joint_in_half_of_them_or_in_all(bench: Workbench) -> None:
    kinds = blank_crops(bench.golden)
    assert {len(np.unique(crop)) for kind in ("empty", "flat") for crop in kinds[kind]} == {1}
    assert sorted(int(crop.max()) for crop in kinds["empty"]) == [0, 255]
    covered, side = kinds["half covered"], kinds["half covered"].shape[1]
    assert len(covered) == 40 * 12
    halves = [
        [crop[: side // 2], crop[side // 2 :], crop[:, : side // 2], crop[:, side // 2 :]] for crop in covered
    ]
    assert all(any(half.min() == half.max() for half in parts) for parts in halves)


def test_an_engine_whose_blank_crops_nobody_finds_is_not_released(bench: Workbench) -> None:
    write_golden(bench.folder / "golden.npz", bench.golden, bench.card)
    [trial] = bench.timed([bench.judge(_candidate(bench, "a"))])
    assert trial.report

    class Blind(Workbench):
        def blank_crops(self, trial) -> BlankCrops:
            return BlankCrops(kinds={"flat": BlankKind(crops=16, passed=9, missed=2)})

    how = {"engines": bench.folder / "engines", "calibration": {}, "weight_bits": 8}
    good = release(bench, [trial], trial, name="good", **how)
    assert good.released
    assert good
    assert good.bundle.manifest.blank_crops.failures == ()
    blind = Blind(**{field.name: getattr(bench, field.name) for field in fields(bench)})
    poor = release(blind, [trial], trial, name="poor", **how)
    assert not poor
    assert not poor.bundle.manifest.released
    with pytest.raises(
        GateError, match="2 of 16 flat crops would PASS, and the check for hidden joints misses"
    ):
        poor.require_release()
    with pytest.raises(GateError, match="2 of 16 flat crops"):
        open_bundle(poor.folder)


def test_the_engines_own_answer_to_blank_crops_is_counted(bench: Workbench) -> None:
    trial = bench.judge(_candidate(bench, "a"))
    counted = bench.blank_crops(trial)
    for name, made in blank_crops(bench.golden).items():
        scores = defect_scores(formula(made).astype(np.float32), 0)
        assert counted.kinds[name].passed == int((scores < trial.thresholds.lower).sum())
        assert (counted.kinds[name].crops, counted.kinds[name].missed) == (len(made), 0)
