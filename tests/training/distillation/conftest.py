import pytest
from support.tiny_dataset import ALPHA_JS

from sji_edge.training.settings import TrainSettings
from sji_edge.training.train import train


@pytest.fixture(scope="session")
def teacher(tmp_path_factory, joints):
    """A finished run that teaches; tests do not change it."""
    return train(teacher_settings(joints, tmp_path_factory.mktemp("teacher")), joints).folder


@pytest.fixture(scope="session")
def second_teacher(tmp_path_factory, joints):
    return train(teacher_settings(joints, tmp_path_factory.mktemp("second"), seed=1), joints).folder


def teacher_settings(joints, folder, **changes) -> TrainSettings:
    values = {
        "data": joints.root,
        "runs": folder,
        "name": "teacher",
        "model": "squeezenet1_1",
        "image_size": 32,
        "loss": ALPHA_JS,
        "epochs": 1,
        "batch_size": 8,
        "accelerator": "cpu",
        "guard": False,
    }
    return TrainSettings(**{**values, **changes})
