"""What several tests of a study make: groups, and finished trials."""

import csv
from pathlib import Path

import numpy as np

from sji_edge.studies.trials import StudyTrial, TrialSpec, rounded

COUNTS = {
    "train": {"normal": 16, "defective": 8},
    "validation": {"normal": 8, "defective": 4},
    "test": {"normal": 9, "defective": 5},
}


def write_groups(root: Path, joints_a_group: int = 4) -> None:
    """A labels.csv whose groups stay within their split."""
    with (root / "labels.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["file", "group"])
        for split in COUNTS:
            for number, path in enumerate(sorted((root / split).glob("*/*.png"))):
                writer.writerow([path.relative_to(root).as_posix(), f"{split}{number // joints_a_group}"])


def trial_of(spec: TrialSpec, validation: np.ndarray, test: np.ndarray) -> StudyTrial:
    """A finished trial with these logits."""
    logits = {"validation": rounded(validation), "test": rounded(test)}
    return StudyTrial(spec=spec, weights="imagenet", seconds=1.0, logits=logits)
