import numpy as np
import pytest

from sji_edge.core.card import ModelCard
from sji_edge.core.errors import OutputError, UsageError
from sji_edge.core.files import sha256_of
from sji_edge.exporting.onnx import export_run
from sji_edge.models.checkpoint import load_guard, load_run
from sji_edge.models.predict import answers_of, logits_of
from sji_edge.runtime.bundle.golden import read_golden
from sji_edge.training.run_folder import work_folder
from sji_edge.training.trainer import TrainingInterruptedError
from sji_edge.workflows.distill import distill

TINY = {"epochs": 3, "batch_size": 8, "teacher_views": 2, "no_test": True, "accelerator": "cpu"}


@pytest.fixture
def data(joints):
    return joints.root


def test_the_card_names_the_teachers_and_what_they_taught(teacher, second_teacher, data, tmp_path):
    said: list[str] = []
    run = distill([teacher, second_teacher], data, runs=tmp_path, guard=True, progress=said.append, **TINY)
    assert run.folder == tmp_path / "joint_net_s-of-2-teachers"
    card = ModelCard.read(run.folder / "card.json")
    assert card.architecture == "joint_net_s"
    assert card.preprocess.shape == (32, 32, 1)
    hashes = [sha256_of(folder / "weights.safetensors") for folder in (teacher, second_teacher)]
    assert [one.weights_sha256 for one in card.teachers] == hashes
    assert card.training == {"teacher_views": "2", "temperature": "2.0", "teacher_share": "0.8"}
    assert "teachers judged 48 of 48 views" in said
    model, _ = load_run(run.folder)
    guarded = load_guard(run.folder, model)
    golden = read_golden(run.folder / "golden.npz", card)
    logits, novelty = answers_of(guarded, golden.crops)
    np.testing.assert_allclose(logits, golden.logits, atol=1e-5)
    assert np.isfinite(novelty).all()
    assert export_run(run.folder).is_file()


def test_a_student_follows_its_teacher_rather_than_the_labels(teacher, data, tmp_path):
    """With the labels left out, the student of a teacher learns the teacher's answers."""
    run = distill(teacher, data, runs=tmp_path, teacher_share=1.0, **{**TINY, "epochs": 12})
    golden = read_golden(run.folder / "golden.npz", run.card)
    model, _ = load_run(teacher)
    theirs = logits_of(model, golden.crops)
    margins = [logits[:, 1] - logits[:, 0] for logits in (theirs, golden.logits)]
    assert np.corrcoef(margins)[0, 1] > 0.8


def test_an_interrupted_student_resumes_without_its_teacher(teacher, data, tmp_path):
    def stop(line: str) -> None:
        if line.startswith("epoch 2 "):
            raise KeyboardInterrupt

    moved = tmp_path / "moved"
    moved.symlink_to(teacher)
    with pytest.raises(TrainingInterruptedError):
        distill(moved, data, runs=tmp_path, name="cut", progress=stop, **TINY)
    moved.unlink()
    assert (work_folder(tmp_path, "cut") / "teacher-logits.npy").is_file()
    with pytest.raises(UsageError, match=r"temperature is 3\.0, was 2\.0"):
        distill(runs=tmp_path, name="cut", resume=True, temperature=3.0)
    with pytest.raises(UsageError, match=f"teachers is {tmp_path}, was {moved}"):
        distill(tmp_path, runs=tmp_path, name="cut", resume=True)
    run = distill(runs=tmp_path, resume=True)
    assert run.folder.name == "cut"
    assert [one.weights_sha256 for one in run.card.teachers] == [sha256_of(teacher / "weights.safetensors")]
    assert len((run.folder / "metrics.csv").read_text().splitlines()) == 1 + 3


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"temperature": 0.0}, "temperature must be more than 0"),
        ({"teacher_share": 1.5}, "teacher share must be at most 1"),
        ({"teacher_views": 0}, "teacher views must be at least 1"),
        ({"model": "joint_net_x"}, "unknown model 'joint_net_x'"),
        ({"weights": "imagenet"}, "there are no ImageNet weights of joint_net_s"),
    ],
)
def test_settings_that_cannot_work_leave_nothing(teacher, data, tmp_path, changes, said):
    with pytest.raises(UsageError, match=said):
        distill(teacher, data, runs=tmp_path / "runs", **{**TINY, **changes})
    assert not (tmp_path / "runs").exists()


def test_a_student_cannot_replace_its_teacher(teacher, data):
    with pytest.raises(OutputError, match="is a teacher; its student cannot replace it"):
        distill(teacher, data, runs=teacher.parent, name="teacher", **TINY)


def test_a_folder_that_is_no_run_does_not_teach(data, tmp_path):
    with pytest.raises(UsageError, match="is not a run"):
        distill(data, data, runs=tmp_path, **TINY)
    with pytest.raises(UsageError, match="at least one teacher is required"):
        distill((), data, runs=tmp_path, **TINY)
