from pathlib import Path

import pytest
from support.tiny_dataset import ALPHA_JS, write_dataset

from sji_edge.data.folder import FolderDataset
from sji_edge.training.settings import TrainSettings


@pytest.fixture(scope="session")
def joints(tmp_path_factory) -> FolderDataset:
    root = write_dataset(tmp_path_factory.mktemp("joints") / "data")
    return FolderDataset.open(root, splits=("train", "validation"))


@pytest.fixture
def settings(tmp_path, joints):
    """Settings of a run of a second; keyword arguments replace them."""

    def make(**changes: object) -> TrainSettings:
        values: dict[str, object] = {
            "data": joints.root,
            "runs": Path(tmp_path) / "runs",
            "name": "tiny",
            "model": "squeezenet1_1",
            "image_size": 32,
            "loss": ALPHA_JS,
            "epochs": 1,
            "batch_size": 8,
            "accelerator": "cpu",
            "guard": False,
        }
        return TrainSettings(**{**values, **changes})

    return make
