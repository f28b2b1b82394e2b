"""Resuming an interrupted run: it continues with its own settings, or names what differs."""

import shutil

import cv2
import numpy as np
import pytest
from support.tiny_dataset import write_dataset

from sji_edge.core.card import LossCard
from sji_edge.core.errors import UsageError
from sji_edge.data.folder import FolderDataset
from sji_edge.training.resume import RECORD, resumed
from sji_edge.training.run_folder import work_folder
from sji_edge.training.settings import TrainSettings
from sji_edge.training.train import train
from sji_edge.training.trainer import TrainingInterruptedError
from sji_edge.workflows.train import run_training
from sji_edge.workflows.train import train as train_from_python

FOCAL = LossCard(name="focal", settings={"gamma": 3.0})


def started_settings(data, tmp_path, **changes) -> TrainSettings:
    values = {
        "data": data,
        "runs": tmp_path / "runs",
        "name": "tiny",
        "model": "squeezenet1_1",
        "image_size": 32,
        "epochs": 3,
        "batch_size": 8,
        "loss": FOCAL,
        "no_test": True,
        "accelerator": "cpu",
        "guard": False,
    }
    return TrainSettings(**{**values, **changes})


def stop_in_second(line: str) -> None:
    """Press Ctrl-C when the second epoch is reported; the first one's checkpoint is then complete."""
    if line.startswith("epoch 2 "):
        raise KeyboardInterrupt


@pytest.fixture(scope="module")
def stopped_once(tmp_path_factory):
    """A folder with a dataset and a run with options of its own, interrupted in its second epoch."""
    root = tmp_path_factory.mktemp("stopped")
    settings = started_settings(write_dataset(root / "data"), root)
    with pytest.raises(TrainingInterruptedError) as caught:
        run_training(settings, progress=stop_in_second)
    assert caught.value.hint.startswith("resume continues it")
    assert (work_folder(settings.runs, "tiny") / "last.ckpt").is_file()
    return root


def test_an_interruption_before_the_first_checkpoint_does_not_promise_a_resume(tmp_path):
    def stop_in_first(line: str) -> None:
        if line.startswith("epoch 1 "):
            raise KeyboardInterrupt

    settings = started_settings(write_dataset(tmp_path / "data"), tmp_path)
    with pytest.raises(TrainingInterruptedError) as caught:
        run_training(settings, progress=stop_in_first)
    assert not work_folder(settings.runs, "tiny").exists()
    assert caught.value.hint == "no epoch was saved yet: start the run again"


@pytest.fixture
def interrupted(stopped_once, tmp_path):
    """The settings of the interrupted run, in a copy that a test may change."""
    shutil.copytree(stopped_once, tmp_path, dirs_exist_ok=True)
    path = work_folder(tmp_path / "runs", "tiny") / RECORD
    path.write_text(path.read_text().replace(str(stopped_once), str(tmp_path)))
    return started_settings(tmp_path / "data", tmp_path)


def test_a_resumed_run_without_options_takes_its_own(interrupted):
    run = run_training(TrainSettings(runs=interrupted.runs, name="tiny", resume=True))
    assert run.card.architecture == "squeezenet1_1"
    assert run.card.preprocess.shape == (32, 32, 1)
    assert run.card.loss == FOCAL
    assert len((run.folder / "metrics.csv").read_text().splitlines()) == 1 + 3
    assert not work_folder(interrupted.runs, "tiny").exists()


def test_the_only_interrupted_run_needs_no_name_and_several_are_listed(interrupted, tmp_path):
    work = work_folder(interrupted.runs, "other")
    work.mkdir()
    (work / "last.ckpt").touch()
    with pytest.raises(UsageError, match="holds 2 interrupted runs: other, tiny"):
        run_training(TrainSettings(runs=interrupted.runs, resume=True))
    (work / "last.ckpt").unlink()
    assert train_from_python(runs=interrupted.runs, resume=True).folder.name == "tiny"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": "resnet18"}, "model is 'resnet18', was 'squeezenet1_1'"),
        ({"image_size": 48}, "image size is 48, was 32"),
        ({"good_class": "defective"}, "good class is 'defective', was 'normal'"),
        ({"loss": LossCard(name="ce")}, r"loss is ce, was focal \(gamma 3.0\)"),
        ({"seed": 5, "epochs": 12}, "epochs is 12, was 3; seed is 5, was 0"),
    ],
)
def test_an_option_that_differs_is_refused_by_name(interrupted, changes, said):
    wanted = TrainSettings(runs=interrupted.runs, name="tiny", resume=True, data=interrupted.data, **changes)
    with pytest.raises(UsageError, match=said):
        run_training(wanted)
    assert (work_folder(interrupted.runs, "tiny") / "last.ckpt").is_file()


def test_equal_options_and_other_hardware_are_accepted(interrupted):
    wanted = interrupted.model_copy(update={"resume": True, "workers": 2, "devices": "1"})
    going_on = resumed(wanted, work_folder(interrupted.runs, "tiny"))
    assert (going_on.workers, going_on.devices, going_on.loss) == (2, "1", FOCAL)


def test_a_dataset_that_changed_is_refused(interrupted):
    path = next((interrupted.data / "train" / "normal").iterdir())
    cv2.imwrite(str(path), np.zeros((40, 40), np.uint8))
    wanted = TrainSettings(runs=interrupted.runs, name="tiny", resume=True)
    with pytest.raises(UsageError, match="is not the one that the interrupted run was started with"):
        run_training(wanted)
    (interrupted.data / "train" / "defective").rename(interrupted.data / "train" / "void")
    (interrupted.data / "validation" / "defective").rename(interrupted.data / "validation" / "void")
    with pytest.raises(UsageError, match=r"has the classes normal, void; .* started with normal, defective"):
        run_training(wanted)


def test_a_moved_dataset_is_the_same_dataset(interrupted, tmp_path):
    interrupted.data.rename(tmp_path / "moved")
    wanted = TrainSettings(runs=interrupted.runs, name="tiny", resume=True, data=tmp_path / "moved")
    assert run_training(wanted).folder.name == "tiny"


@pytest.mark.parametrize("record", [None, "{}"])
def test_a_checkpoint_without_a_record_is_not_guessed_at(interrupted, record):
    path = work_folder(interrupted.runs, "tiny") / RECORD
    path.unlink()
    if record:
        path.write_text(record)
    with pytest.raises(UsageError, match="the run cannot be resumed: "):
        run_training(TrainSettings(runs=interrupted.runs, name="tiny", resume=True))


def test_initial_weights_that_are_gone_do_not_stop_a_resumed_run(tmp_path):
    data = FolderDataset.open(write_dataset(tmp_path / "data"), splits=("train", "validation"))
    first = train(started_settings(data.root, tmp_path, name="first", epochs=1), data)
    settings = started_settings(data.root, tmp_path, weights=str(first.folder))

    with pytest.raises(TrainingInterruptedError):
        train(settings, data, progress=stop_in_second)
    first.folder.rename(tmp_path / "elsewhere")
    run = train(settings.model_copy(update={"resume": True}), data)
    assert run.card.weights == "first"


@pytest.mark.parametrize("cut", [True, False])
def test_a_damaged_checkpoint_is_refused_by_name(interrupted, cut):
    path = work_folder(interrupted.runs, "tiny") / "last.ckpt"
    content = bytearray(path.read_bytes())
    if cut:
        del content[1000:]
    else:
        content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"the run cannot be resumed: .*last\.ckpt is damaged"):
        run_training(TrainSettings(runs=interrupted.runs, name="tiny", resume=True))
