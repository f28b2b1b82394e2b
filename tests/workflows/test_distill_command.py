"""What ``sji-edge distill`` and ``sji-edge train --student`` print and refuse, as a shell runs them."""

import pytest
from support.tiny_dataset import write_dataset

from sji_edge.cli.main import run
from sji_edge.core.card import ModelCard
from sji_edge.training.trainer import TrainingInterruptedError
from sji_edge.workflows.build.build_engine import build_engine
from sji_edge.workflows.calibrate import calibrate
from sji_edge.workflows.distill import distill
from sji_edge.workflows.export import export
from sji_edge.workflows.train import train

TINY = ("--batch-size", "8", "--accelerator", "cpu", "--no-test", "--no-guard")
TEACHER = ("--model", "squeezenet1_1", "--image-size", "32", "--epochs", 1)


def exit_code(*words: object) -> int:
    with pytest.raises(SystemExit) as stop:
        run([str(word) for word in words])
    return int(stop.value.code or 0)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("distill") / "data")


@pytest.fixture(scope="module")
def runs(tmp_path_factory, data):
    """A folder with one teacher."""
    folder = tmp_path_factory.mktemp("teachers") / "runs"
    assert exit_code("train", data, "--name", "big", "--runs", folder, *TEACHER, *TINY) == 0
    return folder


def test_a_run_teaches_a_small_one_named_after_it(data, runs, tmp_path, capsys):
    words = ("--epochs", 2, "--teacher-views", 1, "--runs", tmp_path)
    assert exit_code("distill", runs / "big", data, *words, *TINY) == 0
    printed = capsys.readouterr().out
    assert "teachers judged 24 of 24 views" in printed
    assert "epoch 2 of 2: " in printed
    assert "taught by: big; initial weights: none" in printed
    assert f"next: sji-edge export {tmp_path / 'big-student'}" in printed.replace("\n", "")


def test_a_dataset_that_was_left_out_is_named(data, runs, capsys):
    assert exit_code("distill", runs / "big", *TINY) == 2
    assert "at least one teacher is required" in capsys.readouterr().err
    assert exit_code("distill", *TINY) == 2


def test_an_option_that_is_wrong_is_named_as_typed(data, runs, capsys):
    assert exit_code("distill", runs / "big", data, "--temperature", 0, "--runs", runs) == 2
    assert "--temperature must be more than 0" in capsys.readouterr().err


def test_train_with_a_student_writes_both_runs_and_goes_on_with_the_student(
    data, tmp_path, capsys, monkeypatch
):
    from sji_edge.training.distillation import settings

    monkeypatch.setitem(settings.DEFAULTS, "epochs", 1)
    monkeypatch.setitem(settings.DEFAULTS, "teacher_views", 1)
    words = ("--runs", tmp_path, "--name", "big", "--student", "joint_net_s", "--seed", 3)
    assert exit_code("train", data, *words, *TEACHER, *TINY) == 0
    teacher, student = (ModelCard.read(tmp_path / name / "card.json") for name in ("big", "big-student"))
    assert (teacher.architecture, student.architecture) == ("squeezenet1_1", "joint_net_s")
    assert [one.name for one in student.teachers] == ["big"]
    assert student.seed == 3
    printed = capsys.readouterr().out
    assert "big: PASS below" in printed
    assert "big-student: PASS below" in printed
    assert f"next: sji-edge export {tmp_path / 'big-student'}" in printed.replace("\n", "")


def test_the_student_of_a_training_has_the_guard_and_the_review_budget(data, tmp_path, monkeypatch):
    from sji_edge.training.distillation import settings

    monkeypatch.setitem(settings.DEFAULTS, "epochs", 1)
    monkeypatch.setitem(settings.DEFAULTS, "teacher_views", 1)
    options = {"model": "squeezenet1_1", "image_size": 32, "epochs": 1, "batch_size": 8, "accelerator": "cpu"}
    run = train(
        data, runs=tmp_path, student="joint_net_s", review_budget=0.05, guard=True, no_test=True, **options
    )
    assert run.teacher is not None
    assert (run.folder / "guard.safetensors").is_file()
    assert not (run.teacher.folder / "guard.safetensors").exists()
    assert run.card.review_budget is not None
    assert run.card.review_budget.budget == 0.05


def test_a_resumed_teacher_goes_on_to_teach(data, tmp_path, monkeypatch):
    from sji_edge.training.distillation import settings

    monkeypatch.setitem(settings.DEFAULTS, "epochs", 1)
    monkeypatch.setitem(settings.DEFAULTS, "teacher_views", 1)
    options = {"model": "squeezenet1_1", "image_size": 32, "epochs": 2, "batch_size": 8, "accelerator": "cpu"}

    def stop(line: str) -> None:
        if line.startswith("epoch 2 "):
            raise KeyboardInterrupt

    with pytest.raises(TrainingInterruptedError):
        train(data, runs=tmp_path, name="big", student="joint_net_s", no_test=True, progress=stop, **options)
    student = train(runs=tmp_path, resume=True)
    assert student.folder == tmp_path / "big-student"
    assert student.teacher is not None
    assert student.teacher.folder == tmp_path / "big"
    assert [one.name for one in student.card.teachers] == ["big"]


@pytest.mark.parametrize(
    ("student", "code", "said"), [("joint_net", 2, "unknown model 'joint_net'"), ("joint_net_s", 7, "exists")]
)
def test_a_student_that_cannot_be_is_refused_before_its_teacher_is_trained(
    data, tmp_path, capsys, student, code, said
):
    (tmp_path / "big-student").mkdir()
    words = ("--runs", tmp_path, "--name", "big", "--student", student)
    assert exit_code("train", data, *words, *TEACHER, *TINY) == code
    assert said in capsys.readouterr().err
    assert not (tmp_path / "big").exists()


@pytest.mark.slow
def test_a_student_passes_the_int8_gate_of_both_cpu_backends(data, runs, tmp_path):
    student = distill(
        runs / "big",
        data,
        runs=tmp_path,
        epochs=25,
        batch_size=8,
        teacher_views=2,
        teacher_share=0.2,
        no_test=True,
        accelerator="cpu",
    )
    export(student)
    chosen = calibrate(data, run=student, calibration=tmp_path / "sets", count=16)
    for backend in ("openvino", "onnxruntime"):
        built = build_engine(
            student,
            calibration=chosen,
            precision="int8",
            method="minmax",
            backend=backend,
            engines=tmp_path / "engines",
            threads=1,
        )
        assert built.released
        assert built.bundle.card.teachers == student.card.teachers
        assert built.bundle.manifest.precision == "int8"
