from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.tiny_bundle import (
    GUARDED_THRESHOLDS,
    HEAD,
    card,
    crops,
    formula,
    make_bundle,
    novelty_formula,
    write_graph,
)

from sji_edge.core.errors import BundleError, DataError, GateError, UsageError
from sji_edge.core.protocols import Engine
from sji_edge.parity import run
from sji_edge.parity.crops import Joints, folder_joints, golden_joints
from sji_edge.parity.run import check_parity, predict, run_parity
from sji_edge.runtime import BACKENDS
from sji_edge.runtime.bundle.bundle import Bundle, open_engine


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("engines"), backend="openvino")


def _dataset(root: Path, *names: str) -> Path:
    for name in names:
        (root / "test" / name).mkdir(parents=True)
        for index, crop in enumerate(crops(5, seed=len(name))):
            cv2.imwrite(str(root / "test" / name / f"{index}.png"), crop)
    return root


def test_any_number_of_crops_is_predicted_in_batches_the_engine_takes(bundle: Bundle) -> None:
    engine = open_engine(bundle, threads=1)
    for n in (1, 15, 16, 17, 40):
        np.testing.assert_allclose(predict(engine, crops(n)).logits, formula(crops(n)), atol=2e-5)


def test_on_golden_crops_the_engine_is_compared_with_pytorch(bundle: Bundle) -> None:
    report = run_parity(bundle, golden_joints(bundle), threads=1)
    assert report
    assert report.gated == "pytorch-engine"
    assert set(report.comparisons) == {"pytorch-reference", "pytorch-engine", "reference-engine"}
    assert report.comparison.joints == report.comparison.labelled == 40
    assert report.comparison.logits.max < 2e-5
    assert bundle.parity.comparisons["pytorch-engine"]["joints"] == 40


def test_an_engine_that_decides_differently_fails(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, engine_head=-HEAD)
    report = run_parity(bundle, golden_joints(bundle), threads=1)
    assert not report
    assert report.comparisons["pytorch-reference"].flips == 0
    assert report.comparison.flips > 0
    assert report.result.failures == bundle.parity.failures


def test_on_a_dataset_the_engine_is_compared_with_the_reference_graph(bundle: Bundle, tmp_path: Path) -> None:
    joints = folder_joints(_dataset(tmp_path, "defective", "normal"), "test", card())
    for label, name in enumerate(card().classes):
        np.testing.assert_array_equal(joints.crops[joints.labels == label], crops(5, seed=len(name)))
    report = run_parity(bundle, joints, threads=1)
    assert report
    assert report.gated == "reference-engine"


def test_classes_are_matched_by_name_not_by_order(tmp_path: Path) -> None:
    root = _dataset(tmp_path, "defective", "normal")
    wide = card(classes=("bridge", "defective", "normal"))
    joints = folder_joints(root, "test", wide)
    for label, name in [(1, "defective"), (2, "normal")]:
        np.testing.assert_array_equal(joints.crops[joints.labels == label], crops(5, seed=len(name)))


def test_a_class_the_model_does_not_know_and_an_unknown_split_are_refused(tmp_path: Path) -> None:
    root = _dataset(tmp_path, "normal", "tombstone")
    with pytest.raises(DataError, match="tombstone"):
        folder_joints(root, "test", card())
    with pytest.raises(UsageError, match="unknown split 'tset'"):
        folder_joints(root, "tset", card())


def test_no_crop_is_a_failed_gate(bundle: Bundle) -> None:
    with pytest.raises(GateError, match="without evidence"):
        run_parity(bundle, Joints(crops(0), np.empty(0, np.int64)), threads=1)


def test_the_engine_is_closed_when_the_reference_does_not_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = make_bundle(tmp_path)
    closed = []

    def opened(*arguments: object, **settings: object) -> Engine:
        engine = open_engine(*arguments, **settings)
        release = engine.close
        monkeypatch.setattr(engine, "close", lambda: (closed.append(engine), release()))
        return engine

    monkeypatch.setattr(run, "open_engine", opened)
    bundle.reference_path.write_bytes(b"no graph")
    with pytest.raises(BundleError):
        run_parity(bundle, golden_joints(bundle), threads=1)
    assert len(closed) == 1


def test_a_bundle_with_a_guard_is_compared_with_it(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, guard=True)
    joints = golden_joints(bundle)
    np.testing.assert_allclose(joints.pytorch_novelty, novelty_formula(crops(40)), atol=2e-5)
    report = run_parity(bundle, joints, threads=1)
    assert report
    for comparison in report.comparisons.values():
        assert comparison.novelty is not None
        assert comparison.novelty.max < 2e-5
        assert (comparison.reference_stopped, comparison.candidate_stopped) == (2, 2)
        assert comparison.thresholds.novelty == 0.3
    assert bundle.thresholds.novelty == bundle.manifest.reference_thresholds.novelty == 0.3


def test_an_engine_whose_guard_is_silent_fails_its_gate(tmp_path: Path) -> None:
    guarded = make_bundle(tmp_path, guard=True)
    kind = BACKENDS.get("onnxruntime")()
    with ExitStack() as opened:
        reference, engine = (
            kind.open(graph, precision="fp32", max_batch=16, threads=1)
            for graph in (guarded.reference_path, write_graph(tmp_path / "plain.onnx"))
        )
        opened.callback(reference.close)
        opened.callback(engine.close)
        report = check_parity(
            engine,
            reference,
            golden_joints(guarded),
            guarded.card,
            thresholds=GUARDED_THRESHOLDS.without_guard,
            reference_thresholds=GUARDED_THRESHOLDS,
        )
    assert not report
    assert report.comparison.silent_guard_flips == 2
    assert "in 2 of them the guard fell silent" in report.result.failures[0]
