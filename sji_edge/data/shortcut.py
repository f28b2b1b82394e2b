"""Test whether labels are predictable from image size, mean colour or file type alone.

A published solder dataset can be separated that way; a model trained on it learns the camera, not the solder.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.extras import load
from sji_edge.core.preprocess import Image, to_channels

FOLDS = 5
WARN_AUC = 0.9

Features = NDArray[np.float64]


def shortcut_features(images: Sequence[Image], paths: Sequence[Path]) -> dict[str, Features]:
    """Return features that say nothing about the solder, by name, each float64 ``(n, k)``.

    ``size``: log of height and width, and of their ratio. ``mean colour``: of blue, green and red, in grey levels.
    ``file type``: one column for each suffix.
    """
    sizes = np.array([image.shape[:2] for image in images], np.float64)
    colours = [to_channels(image, 3).reshape(-1, 3).astype(np.float64) for image in images]
    suffixes = sorted({path.suffix.lower() for path in paths})
    return {
        "size": np.column_stack([np.log(sizes), np.log(sizes[:, 0] / sizes[:, 1])]),
        "mean colour": np.array([one.mean(axis=0) for one in colours]),
        "file type": np.array(
            [[path.suffix.lower() == suffix for suffix in suffixes] for path in paths], np.float64
        ),
    }


def shortcut_auc(
    features: Features, is_defect: NDArray[np.bool_], groups: Sequence[str], seed: int = 0
) -> float | None:
    """Return the cross-validated AUC of a logistic regression on such features; whole groups are held out.

    Args:
        features: float64 ``(n, k)``.
        is_defect: bool ``(n,)``.
        groups: group of each joint; all different when no groups are known.
        seed: seed of the folds.

    Returns:
        In [0, 1]; None with fewer than ``FOLDS`` good joints, defective joints or groups, or when one class lies in
        so few groups that a fold cannot learn it.
    """
    fewest = min(int(is_defect.sum()), int((~is_defect).sum()), len(set(groups)))
    if fewest < FOLDS:
        return None
    selection = load("sklearn.model_selection", purpose="the shortcut test")
    linear = load("sklearn.linear_model", purpose="the shortcut test")
    preprocessing = load("sklearn.preprocessing", purpose="the shortcut test")
    pipeline = load("sklearn.pipeline", purpose="the shortcut test")
    metrics = load("sklearn.metrics", purpose="the shortcut test")
    model = pipeline.make_pipeline(
        preprocessing.StandardScaler(), linear.LogisticRegression(class_weight="balanced", max_iter=1000)
    )
    folds = selection.StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    splits = list(folds.split(features, is_defect, np.array(groups)))
    if any(is_defect[learnt].all() or not is_defect[learnt].any() for learnt, _ in splits):
        return None
    scores = selection.cross_val_predict(model, features, is_defect, cv=splits, method="decision_function")
    return float(metrics.roc_auc_score(is_defect, scores))
