"""An exported run of the small graph, its golden crops, and a dataset, as train and export leave them."""

from pathlib import Path

import cv2
import numpy as np
import onnx
from support.small_graph import crops, model
from support.tiny_bundle import card

from sji_edge.core.verdict import Thresholds, defect_scores
from sji_edge.data.folder import FolderDataset
from sji_edge.quantization.tensor_values import tensors_on
from sji_edge.runtime.bundle.golden import Golden, write_golden

N = 400
"""Golden crops."""


def write_workshop(folder: Path) -> Path:
    """Write ``runs/small`` and ``data/``; returns the folder."""
    batch = crops(N, seed=8)
    logits = np.concatenate([values["logits"] for values in tensors_on(model(), ["logits"], batch)])
    scores = np.sort(defect_scores(logits, 0))
    # Limits in the widest gaps of the upper scores, as training looks for them.
    gaps = np.diff(scores[N // 2 : -5])
    widest = N // 2 + int(np.argmax(gaps))
    limit = float(scores[widest] + scores[widest + 1]) / 2
    for split, seed in (("train", 0), ("validation", 1), ("test", 2)):
        for label in ("normal", "defective"):
            place = folder / "data" / split / label
            place.mkdir(parents=True)
            for number, crop in enumerate(crops(20, seed * 10 + len(label))):
                cv2.imwrite(str(place / f"{number}.png"), crop[:, :, 0])
    trained_on = FolderDataset.open(folder / "data").sha256()
    own = card(thresholds=Thresholds(lower=limit, upper=limit), dataset_sha256=trained_on, created_utc="then")
    run = folder / "runs" / "small"
    run.mkdir(parents=True)
    proto = model()
    onnx.helper.set_model_props(proto, {"sji_edge_card": own.model_dump_json()})
    onnx.save(proto, run / "model.onnx")
    (run / "card.json").write_text(own.model_dump_json())
    labels = (defect_scores(logits, 0) >= limit).astype(np.int64)
    write_golden(run / "golden.npz", Golden(batch, logits, labels), own)
    return folder
