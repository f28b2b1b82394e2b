"""Quantization-aware training: fine-tunes an INT8 graph towards the float model and tries it beside the plain one."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from pydantic import Field

from sji_edge.core.card import ModelCard
from sji_edge.core.clock import Clock, SystemClock
from sji_edge.core.extras import require
from sji_edge.core.frozen import FrozenModel
from sji_edge.data.folder import FolderDataset
from sji_edge.quantization.guard import split_guard, with_guard
from sji_edge.quantization.int8.quantizer import Quantizer, Scheme
from sji_edge.quantization.ladder import Candidate, Ladder

LABEL = "int8, QAT"
Step = Callable[[str], None]


class QatSettings(FrozenModel):
    """The dataset whose training split is used, and the number of passes over it."""

    data: Path
    epochs: int = Field(ge=1)


@dataclass(frozen=True)
class QatJob:
    """The inputs of the fine-tuning; the first ranges are computed from ``crops``, the calibration crops.

    ``bit_depth`` is that of the calibration crops; None if nobody declared it.
    """

    settings: QatSettings
    model: Path
    card: ModelCard
    crops: NDArray[np.uint8]
    scheme: Scheme
    folder: Path
    step: Step
    bit_depth: int | None = None


def with_fine_tuning(job: QatJob, ladder: Ladder) -> Ladder:
    """Yield the ladder's plain INT8 graph, its fine-tuned form, then the rest of the ladder.

    Args:
        job: the fine-tuning.
        ladder: a ladder that begins with INT8.
    """
    plain = next(ladder)
    passed = yield plain
    answer = (yield fine_tuned(job, plain)) or passed
    while True:
        try:
            candidate = ladder.send(answer)
        except StopIteration:
            return
        answer = yield candidate


def fine_tuned(job: QatJob, plain: Candidate, clock: Clock | None = None) -> Candidate:
    """Quantize as for the plain candidate, on all calibration crops, fine-tune, and write the graph.

    Raises:
        MissingExtraError: PyTorch is not installed.
        DataError: the dataset has no training split, or an image cannot be read.
        UsageError: the graph has an operator that fine-tuning does not support.
        GateError: the fine-tuning diverged.
    """
    require("torch", "torchvision", purpose="fine-tuning INT8")
    from sji_edge.training.qat.fine_tune import FineTuneSettings, fine_tune

    timer = clock or SystemClock()
    job.step(f"{LABEL}: reading the training split, equalizing channels, computing ranges")
    dataset = FolderDataset.open(
        job.settings.data, job.card.good_class, splits=["train"], bit_depth=job.bit_depth
    )
    images = dataset.read("train", colour=job.card.preprocess.channels == 3)
    model = onnx.load(job.model)
    settings = FineTuneSettings(epochs=job.settings.epochs)
    quantizer = Quantizer(model, job.crops, job.scheme, str(plain.measured["ranges"]))
    start = timer.monotonic_ns()
    try:
        # The guard is not trained; it reads the features of the fine-tuned graph.
        plain_graph, guard = split_guard(quantizer.quantize())
        tuned = fine_tune(
            plain_graph,
            split_guard(quantizer.model)[0],
            split_guard(model)[0],
            images,
            job.card.preprocess,
            settings,
            progress=lambda done, total, rms: job.step(
                f"{LABEL}: batch {done} of {total}, RMS Δlogit {rms:.3f}"
            ),
        )
    finally:
        quantizer.close()
    nearer = min(tuned.rms_by_epoch) < tuned.rms_before
    facts: dict[str, Any] = {
        **settings.model_dump(),
        "dataset_sha256": dataset.sha256(),
        "images": len(images),
        "held_out_rms_before": round(tuned.rms_before, 5),
        "held_out_rms_by_epoch": [round(value, 5) for value in tuned.rms_by_epoch],
        "best_epoch": int(np.argmin(tuned.rms_by_epoch)) + 1 if nearer else None,
        "seconds": round((timer.monotonic_ns() - start) / 1e9, 1),
        "torch": tuned.torch_version,
    }
    graph = job.folder / "int8-qat.onnx"
    onnx.save(with_guard(tuned.graph, guard), graph)
    note = "" if nearer else "no epoch came closer to the float model, so the graph is unchanged"
    return Candidate(LABEL, "int8", graph, {**plain.facts, "qat": facts}, note=note)
