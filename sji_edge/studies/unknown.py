"""What a study's guarded models pass that is like nothing learned; see ``evaluation.unknown``."""

from pathlib import Path

import numpy as np

from sji_edge.core.verdict import Verdict, defect_scores
from sji_edge.data.folder import FolderDataset
from sji_edge.evaluation.unknown.counts import outcomes_of_scores
from sji_edge.evaluation.unknown.crops import pictures_of
from sji_edge.evaluation.unknown.kinds import KINDS
from sji_edge.models.checkpoint import load_guard, load_run
from sji_edge.models.predict import answers_of

JOINTS = 80
"""At most this many good test joints are changed into every kind, to keep the cost of a trial at a few seconds."""
SEED = 0


def unknown_shares(run: Path, dataset: FolderDataset) -> dict[str, tuple[float, float]] | None:
    """Return, for each kind that good joints of the test split can show, the shares that are given PASS.

    Args:
        run: a trained run.
        dataset: its dataset; all trials of a study see the same pictures.

    Returns:
        By kind, what the score alone passes and what the guard leaves of it, at the run's own limits; None for a run
        without a guard.
    """
    model, card = load_run(run)
    guarded = load_guard(run, model)
    if guarded is None:
        return None
    images = dataset.read("test", colour=card.preprocess.channels == 3)
    good = np.flatnonzero(dataset.labels("test") == card.good_index)
    joints = [images[index] for index in np.random.default_rng(SEED).permutation(good)[:JOINTS].tolist()]
    shares = {}
    for kind in KINDS:
        if kind.need == "joint":
            crops = pictures_of(kind, joints, [""] * len(joints), card.preprocess, SEED)
            logits, novelty = answers_of(guarded, crops)
            outcomes = outcomes_of_scores(defect_scores(logits, card.good_index), card.thresholds, novelty)
            passed = [outcome.verdict is Verdict.PASS for outcome in outcomes]
            shares[kind.name] = (float(np.mean([one.alone for one in outcomes])), float(np.mean(passed)))
    return shares
