"""Frames of a folder whose joints have known grey levels, and an engine that scores them by these."""

from pathlib import Path

import cv2
import numpy as np
import onnx
from support import tiny_bundle
from support.bright_model import PLACES, SPEC, board_image, grey_patch, write_graph, write_recipe

from sji_edge.core.verdict import Thresholds
from sji_edge.parity.crops import Joints
from sji_edge.parity.run import check_parity, record_of
from sji_edge.runtime import BACKENDS
from sji_edge.runtime.bundle.bundle import write_bundle
from sji_edge.runtime.bundle.golden import Golden, write_golden
from sji_edge.runtime.bundle.manifest import BundleFacts


def write_frames(folder: Path, *greys: dict[str, int]) -> Path:
    """Write one frame for each entry; joints that it does not name have grey level 40."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, levels in enumerate(greys):
        cv2.imwrite(str(folder / f"board{number}.png"), board_image(dict.fromkeys(PLACES, 40) | levels))
    return folder


def write_boards(folder: Path, *greys: dict[str, int]) -> Path:
    """Write frames with their recipe in one folder, and a golden image whose joints have grey level 40."""
    write_recipe(folder)
    write_frames(folder, *greys)
    cv2.imwrite(str(folder / "golden.png"), board_image(dict.fromkeys(PLACES, 40)))
    return folder


def bright_bundle(folder: Path, name: str = "bright", knee: float = 60.0, *, guard: bool = False) -> Path:
    """Write a released engine of the bright model in ``folder/name``; its score is 0.5 at the grey level ``knee``."""
    limits = Thresholds(lower=0.4, upper=0.6, novelty=1.0 if guard else None)
    own = tiny_bundle.card(name=name, preprocess=SPEC, thresholds=limits)
    work = folder / f"work-{name}"
    work.mkdir(parents=True)
    graph = write_graph(work / "model.onnx", knee, guard=guard)
    model = onnx.load(graph)
    onnx.helper.set_model_props(model, {"sji_edge_card": own.model_dump_json()})
    onnx.save(model, graph)
    kind = BACKENDS.get("onnxruntime")()
    facts = kind.build(graph, work / "engine.onnx", precision="fp32", max_batch=16)
    engine = kind.open(work / "engine.onnx", precision="fp32", max_batch=16, threads=1)
    crops = np.stack([grey_patch(level, SPEC.height) for level in range(20, 100, 4)])[..., None]
    labels = (np.arange(len(crops)) >= len(crops) // 2).astype(np.int64)
    answers = [engine.infer(crops[start : start + 16]) for start in range(0, len(crops), 16)]
    novelty = np.concatenate([one.novelty for one in answers]) if guard else None
    golden = Golden(crops, np.concatenate([one.logits for one in answers]), labels, novelty)
    write_golden(work / "golden.npz", golden, own)
    report = check_parity(
        engine, engine, Joints.of(golden), own, thresholds=limits, reference_thresholds=limits
    )
    files = {"engine": work / "engine.onnx", "reference": graph, "golden": work / "golden.npz"}
    facts_of_bundle = BundleFacts(
        name=name,
        backend="onnxruntime",
        precision="fp32",
        max_batch=16,
        card=own,
        thresholds=limits,
        reference_thresholds=limits,
        environment=dict(kind.environment()),
        build=dict(facts),
    )
    return write_bundle(folder / name, facts_of_bundle, parity=record_of(report, **files), **files).folder
