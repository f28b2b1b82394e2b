"""How many labels a model needs, chosen at random, by uncertainty, and by novelty and uncertainty.

    python benchmarks/labels_against_precision.py --pool round/pool [--repeats 10]

Needs a pool of ``training-boards`` and SJI_DATA, as benchmarks/label_round_trip.py leaves them. Each joint is described
once by a network with frozen ImageNet weights; a logistic regression learns on the labels so far. It begins with the
same 20 random joints for all three ways, then asks for 20 more at a time: truth.csv answers. After each round the
average precision is measured on the 800 joints of ``boards``, cut by the recipe too, none of which is in the pool.

- *random*: joints at random.
- *uncertainty*: those whose score is nearest to 0.5.
- *novelty + uncertainty*: half by uncertainty; the other half are farthest from all labelled joints (greedy k-centre,
  Sener and Savarese 2018, arXiv 1708.00489).
"""

import argparse
import csv
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

import sji_edge as sji
from sji_edge.core.card import PreprocessSpec
from sji_edge.core.images.read import read_image
from sji_edge.core.preprocess import crop_of_image
from sji_edge.metrics.ranking import average_precision
from sji_edge.models.classifier import JointClassifier
from sji_edge.models.features import FeatureTap
from sji_edge.pool.cutting import box_of
from sji_edge.pool.read import PoolReader

GOOD = "normal"
FIRST, STEP, LABELS = 20, 20, 300
SHOWN = (20, 40, 60, 100, 140, 200, 300)
SPEC = PreprocessSpec()
Floats = NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pool", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=10)
    given = parser.parse_args()
    data = Path(os.environ["SJI_DATA"])
    with tempfile.TemporaryDirectory() as folder:
        held_out = Path(folder) / "pool"
        sji.collect(data / "boards", data / "boards", held_out, keep_duplicates=True)
        train = described(given.pool, data / "training-boards")
        test = described(held_out, data / "boards")
    print(
        f"{len(train[1])} joints to choose from, {int(train[1].sum())} of them defects; "
        f"{len(test[1])} to measure on, {int(test[1].sum())} defects"
    )
    print("| labels | " + " | ".join(WAYS) + " |\n| ---: |" + " ---: |" * len(WAYS))
    courses = {
        name: [course(way, train, test, seed) for seed in range(given.repeats)] for name, way in WAYS.items()
    }
    for count in SHOWN:
        cells = []
        for runs in courses.values():
            values = [run[count] for run in runs]
            cells.append(f"{np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})")
        print(f"| {count} | " + " | ".join(cells) + " |")
    full = precision(*train, *test)
    print(f"all {len(train[1])} labels: {full:.3f}")


def described(pool: Path, source: Path) -> tuple[Floats, NDArray[np.bool_]]:
    """Return frozen features of every joint of a pool, and whether it is a defect."""
    with (source / "truth.csv").open(newline="") as stream:
        truth = {(row["frame"], row["refdes"]): row["state"] for row in csv.DictReader(stream)}
    crops, states = [], []
    with PoolReader(pool) as reader:
        for crop in reader.every():
            crops.append(crop_of_image(box_of(read_image(reader.picture(crop)), crop.box), SPEC))
            states.append(truth[crop.origin.frame_name, crop.refdes] != GOOD)
    return frozen_features(np.stack(crops)), np.array(states)


def frozen_features(crops: NDArray[np.uint8], batch: int = 64) -> Floats:
    """Return the globally pooled features of a network that nobody trained on joints, float64 ``(n, 1280)``."""
    model = JointClassifier("efficientnet_lite0", 2, SPEC, imagenet=True).eval()
    tap, parts = FeatureTap(model, "efficientnet_lite0"), []
    with torch.inference_mode():
        for start in range(0, len(crops), batch):
            model(torch.from_numpy(crops[start : start + batch]))
            parts.append(tap.take().mean(dim=(2, 3)).double().numpy())
    return np.concatenate(parts)


Choose = Callable[[Floats, Floats, NDArray[np.bool_], np.random.Generator], Sequence[int]]
"""Features, scores, which are labelled, randomness → the joints to label next."""


def at_random(
    _x: Floats, _scores: Floats, known: NDArray[np.bool_], rng: np.random.Generator
) -> Sequence[int]:
    return rng.permutation(np.flatnonzero(~known))[:STEP].tolist()


def by_uncertainty(
    _x: Floats, scores: Floats, known: NDArray[np.bool_], _rng: np.random.Generator
) -> Sequence[int]:
    doubt = np.where(known, np.inf, np.abs(scores - 0.5))
    return np.argsort(doubt, kind="stable")[:STEP].tolist()


def by_both(x: Floats, scores: Floats, known: NDArray[np.bool_], rng: np.random.Generator) -> Sequence[int]:
    chosen = list(by_uncertainty(x, scores, known, rng))[: STEP // 2]
    taken = known.copy()
    taken[chosen] = True
    away = nearest_distance(x, x[taken])
    while len(chosen) < STEP:
        farthest = int(np.where(taken, -1.0, away).argmax())
        chosen.append(farthest)
        taken[farthest] = True
        away = np.minimum(away, np.linalg.norm(x - x[farthest], axis=1))
    return chosen


WAYS: dict[str, Choose] = {
    "random": at_random,
    "uncertainty": by_uncertainty,
    "novelty + uncertainty": by_both,
}


def nearest_distance(x: Floats, others: Floats) -> Floats:
    squares = (x**2).sum(1)[:, None] + (others**2).sum(1)[None] - 2 * x @ others.T
    return np.sqrt(np.maximum(squares, 0.0).min(axis=1))


def course(
    choose: Choose,
    train: tuple[Floats, NDArray[np.bool_]],
    test: tuple[Floats, NDArray[np.bool_]],
    seed: int,
) -> dict[int, float]:
    """Return the average precision by number of labels."""
    rng = np.random.default_rng(seed)
    scale = StandardScaler().fit(train[0])
    x, y, x_test = scale.transform(train[0]), train[1], scale.transform(test[0])
    known = np.zeros(len(y), np.bool_)
    known[rng.permutation(len(y))[:FIRST]] = True
    found: dict[int, float] = {}
    while (count := int(known.sum())) <= LABELS:
        if y[known].any() and not y[known].all():
            model = LogisticRegression(C=0.01, class_weight="balanced", max_iter=500).fit(x[known], y[known])
            scores = model.predict_proba(x)[:, 1]
            found[count] = average_precision(model.predict_proba(x_test)[:, 1], test[1])
        else:
            # Without a defect among the first joints, nothing can be learned yet: ask at random.
            scores = rng.random(len(y))
            found[count] = float(test[1].mean())
        known[list(choose(x, scores, known, rng))] = True
    return found


def precision(x: Floats, y: NDArray[np.bool_], x_test: Floats, y_test: NDArray[np.bool_]) -> float:
    scale = StandardScaler().fit(x)
    model = LogisticRegression(C=0.01, class_weight="balanced", max_iter=500).fit(scale.transform(x), y)
    return average_precision(model.predict_proba(scale.transform(x_test))[:, 1], y_test)


if __name__ == "__main__":
    main()
