import csv
from pathlib import Path

import numpy as np
import pytest
from tiny_dataset import write_dataset

from sji_edge.study.settings import Budget, StudySettings
from sji_edge.study.trials import Trial, TrialSpec, rounded

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


@pytest.fixture(scope="session")
def joints_folder(tmp_path_factory) -> Path:
    root = write_dataset(tmp_path_factory.mktemp("study") / "data", COUNTS)
    write_groups(root)
    return root


@pytest.fixture
def settings(tmp_path, joints_folder):
    """Settings of a study of seconds; keyword arguments replace them."""

    def make(**changes: object) -> StudySettings:
        values: dict[str, object] = {
            "data": joints_folder,
            "out": tmp_path / "study",
            "budget": Budget(image_size=32, epochs=1, batch_size=8, trained_blocks=1, cached_views=2),
            "methods": ("ce", "focal"),
            "backbones": ("efficientnet_lite0",),
            "seeds": 2,
            "tries": 2,
            "replicates": 100,
        }
        return StudySettings(**{**values, **changes})

    return make


@pytest.fixture
def spec():
    """A trial's spec; keyword arguments replace its values."""

    def make(**changes: object) -> TrialSpec:
        values: dict[str, object] = {
            "method": "focal",
            "backbone": "efficientnet_lite0",
            "loss": "focal",
            "options": {"gamma": 2.0},
            "views": "none",
            "learning_rate": 1e-3,
            "seed": 0,
            "budget": Budget(trained_blocks=1),
            "dataset_sha256": "ab",
        }
        return TrialSpec(**{**values, **changes})

    return make


def trial_of(spec: TrialSpec, validation: np.ndarray, test: np.ndarray) -> Trial:
    """A finished trial with these logits."""
    logits = {"validation": rounded(validation), "test": rounded(test)}
    return Trial(spec=spec, weights="imagenet", seconds=1.0, logits=logits)
