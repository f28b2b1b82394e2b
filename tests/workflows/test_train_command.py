"""What ``sji-edge train`` prints and refuses, as a shell runs it."""

import re
import subprocess
import sys

import cv2
import pytest
from support.tiny_dataset import write_dataset

from sji_edge.cli.main import run
from sji_edge.training.settings import TrainSettings
from sji_edge.workflows.train import run_training

TINY = (
    "--model",
    "squeezenet1_1",
    "--image-size",
    "32",
    "--batch-size",
    "8",
    "--accelerator",
    "cpu",
    "--no-guard",
)


def exit_code(*words: object) -> int:
    with pytest.raises(SystemExit) as stop:
        run([str(word) for word in words])
    return int(stop.value.code or 0)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("train") / "data")


EPOCH = r"epoch {} of 2: loss \d+\.\d{{4}}, validation AP [01]\.\d{{4}}, \d+\.\d s"


def test_a_redirected_training_prints_one_line_an_epoch(data, tmp_path, capsys):
    words = ("--no-test", "--epochs", 2, "--name", "tiny", "--runs", tmp_path)
    assert exit_code("train", data, *words, *TINY) == 0
    printed = capsys.readouterr().out
    lines = printed.splitlines()
    epochs = [line for line in lines if line.startswith("epoch ")]
    assert len(epochs) == 2
    assert all(re.fullmatch(EPOCH.format(number), line) for number, line in enumerate(epochs, 1)), epochs
    own = ("epoch ", "small class: ", "initial weights: ", "next: sji-edge export ")
    table = [line for line in lines if not line.startswith(own)]
    assert re.fullmatch("tiny: PASS below .*, FAIL from .*", table[0].strip()), lines
    assert "\r" not in printed


@pytest.mark.slow
def test_no_librarys_tips_and_warnings_reach_a_log(data, tmp_path):
    words = ("train", str(data), "--no-test", "--epochs", "1", "--workers", "1", *TINY)
    done = subprocess.run(
        [sys.executable, "-W", "default", "-m", "sji_edge", *words],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert not re.search("lightning|torch|warn|tip", done.stdout, re.IGNORECASE)


def test_the_python_api_prints_nothing_by_default(data, tmp_path, capfd):
    settings = TrainSettings(
        data=data, runs=tmp_path, model="squeezenet1_1", image_size=32, epochs=1, batch_size=8, no_test=True
    )
    steps: list[tuple[int, int]] = []
    run_training(settings, steps=lambda *step: steps.append(step))
    assert capfd.readouterr() == ("", "")
    assert steps == [(1, 3), (2, 3), (3, 3)]


def test_a_resumed_run_refuses_an_option_that_was_typed_at_its_default(data, tmp_path, capsys):
    """Left out, the option is the run's own; typed, it must agree."""
    from sji_edge.training.resume import Started, write_started
    from sji_edge.training.run_folder import work_folder

    work = work_folder(tmp_path, "x")
    work.mkdir()
    (work / "last.ckpt").touch()
    own = TrainSettings(data=data, runs=tmp_path, name="x", epochs=20)
    write_started(work, Started(settings=own, classes=("a", "b"), dataset_sha256="", weights="none"))
    code = exit_code("train", "--resume", "--runs", tmp_path, "--name", "x", "--epochs", 12)
    assert code == 2
    assert "epochs is 12, was 20" in capsys.readouterr().err


def test_runs_that_cannot_be_written_are_exit_7_before_the_dataset_is_read(data, tmp_path, capsys):
    (tmp_path / "file").touch()
    assert exit_code("train", data, "--runs", tmp_path / "file" / "runs") == 7
    assert "cannot write to" in capsys.readouterr().err


def test_training_without_a_dataset_is_a_usage_error(capsys):
    assert exit_code("train") == 2
    assert "a dataset is required" in capsys.readouterr().err


def test_strict_refuses_a_dataset_with_a_leak_before_training(tmp_path, capsys):
    root = write_dataset(tmp_path / "leaky")
    image = next((root / "train" / "normal").iterdir())
    (root / "validation" / "normal" / "copy.png").write_bytes(image.read_bytes())
    assert exit_code("train", root, "--no-test", "--strict", "--runs", tmp_path / "runs") == 3
    assert "two splits" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_strict_refuses_grey_and_colour_images_in_one_training_split(tmp_path, capsys):
    root = write_dataset(tmp_path / "data")
    image = root / "train" / "normal" / "000.png"
    grey = cv2.imread(str(image), cv2.IMREAD_GRAYSCALE)
    cv2.imwrite(str(image), cv2.applyColorMap(grey, cv2.COLORMAP_JET))
    words = ("train", root, "--no-test", "--strict", "--runs", tmp_path / "runs", "--epochs", 1)
    assert exit_code(*words, *TINY) == 3
    assert "1 of 24 images are in colour (000.png)" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
    # A grey model does not see the difference.
    assert exit_code(*words, "--channels", 1, *TINY) == 0
