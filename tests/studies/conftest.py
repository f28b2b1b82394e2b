from pathlib import Path

import pytest
from support.study_parts import COUNTS, write_groups
from support.tiny_dataset import write_dataset

from sji_edge.studies.settings import Budget, StudySettings
from sji_edge.studies.trials import TrialSpec


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
