"""Plot a run: its epochs, and its scores with the thresholds."""

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from sji_edge.core.verdict import Thresholds
from sji_edge.metrics.summary import ScoredSplit

GOOD, DEFECT, LIMIT = "#2a7f62", "#b3352b", "#444444"


def plot_epochs(table: Path, picture: Path) -> None:
    """Draw loss and validation average precision over the epochs of a ``metrics.csv``."""
    with table.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    epochs = [int(row["epoch"]) + 1 for row in rows]
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    losses, precision = figure.subplots(1, 2)
    losses.plot(epochs, [float(row["train_loss"]) for row in rows], label="criterion, train", color=LIMIT)
    losses.plot(
        epochs, [float(row["val_ce"]) for row in rows], label="cross-entropy, validation", color=DEFECT
    )
    losses.set(xlabel="epoch", ylabel="nats", title="Loss", ylim=(0, None))
    losses.legend()
    precision.plot(epochs, [float(row["val_ap"]) for row in rows], color=GOOD, marker=".")
    precision.set(xlabel="epoch", title="Average precision of defect, validation", ylim=(None, 1.005))
    figure.savefig(picture, dpi=120)


def plot_scores(splits: Mapping[str, ScoredSplit], thresholds: Thresholds, picture: Path) -> None:
    """Draw the histogram of each split's scores, good against defective, with the thresholds."""
    figure = Figure(figsize=(9, 2.6 * len(splits)), layout="constrained")
    panels = figure.subplots(len(splits), 1, squeeze=False)[:, 0]
    bins = np.linspace(0.0, 1.0, 51)
    for panel, (name, split) in zip(panels, splits.items(), strict=True):
        panel.hist(split.scores[~split.is_defect], bins, color=GOOD, alpha=0.7, label="good")
        panel.hist(split.scores[split.is_defect], bins, color=DEFECT, alpha=0.7, label="defective")
        panel.axvline(
            thresholds.lower, color=LIMIT, linestyle="--", label=f"PASS below {thresholds.lower:.3f}"
        )
        panel.axvline(thresholds.upper, color=LIMIT, label=f"FAIL from {thresholds.upper:.3f}")
        panel.set(yscale="log", ylabel="joints", title=name, ylim=(0.5, None))
        panel.legend(loc="upper center")
    panels[-1].set_xlabel("score = 1 − p(good)")
    figure.savefig(picture, dpi=120)
