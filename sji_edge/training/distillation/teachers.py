"""Open the teachers of a student, and check that they can teach it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sji_edge.core import run_files
from sji_edge.core.card import ModelCard, PreprocessSpec, TeacherCard
from sji_edge.core.errors import UsageError
from sji_edge.core.files import sha256_of
from sji_edge.data.folder import FolderDataset
from sji_edge.models.checkpoint import load_run
from sji_edge.models.classifier import JointClassifier


@dataclass(frozen=True)
class Teacher:
    """A finished run that teaches.

    Attributes:
        folder: the run.
        model: its classifier, in evaluation mode on the CPU.
        card: its card.
        weights_sha256: hash of its weights file.
    """

    folder: Path
    model: JointClassifier
    card: ModelCard
    weights_sha256: str

    def named(self) -> TeacherCard:
        """Return what the student's card says of this teacher."""
        return TeacherCard(
            name=self.card.name, architecture=self.card.architecture, weights_sha256=self.weights_sha256
        )


def open_teachers(folders: Sequence[Path]) -> list[Teacher]:
    """Load the runs that teach, in the given order.

    Raises:
        UsageError: a folder is not a run, its weights do not fit its card, or two runs hold the same weights.
    """
    teachers: list[Teacher] = []
    for folder in folders:
        model, card = load_run(folder)
        sha256 = sha256_of(folder / run_files.WEIGHTS)
        if twin := next((one for one in teachers if one.weights_sha256 == sha256), None):
            raise UsageError(
                f"the teachers {twin.folder} and {folder} hold the same weights",
                hint="name each teacher once; train more of them with other seeds",
            )
        teachers.append(Teacher(folder, model, card, sha256))
    return teachers


def check_teachers(teachers: Sequence[Teacher], dataset: FolderDataset, spec: PreprocessSpec) -> None:
    """Check that all teachers answer the student's question: the same classes, for the same crops.

    Args:
        teachers: at least one.
        dataset: the data of the student.
        spec: the student's crop.

    Raises:
        UsageError: names the first teacher that does not fit, and how it differs.
    """
    for teacher in teachers:
        card = teacher.card
        if card.classes != dataset.classes:
            raise UsageError(
                f"the teacher {teacher.folder} knows the classes {', '.join(card.classes)} (good one first); "
                f"the dataset {dataset.root} has {', '.join(dataset.classes)}",
                hint="teach with the classes that the teacher was trained on, or train another teacher",
            )
        if card.preprocess != spec:
            raise UsageError(
                f"the teacher {teacher.folder} takes {_size(card.preprocess)} crops, the student {_size(spec)}",
                hint="choose teachers that take the same crops",
            )


def taught_elsewhere(teachers: Sequence[Teacher], dataset_sha256: str) -> str:
    """Say which teachers were trained on other data, which may hold the student's held-out joints; empty if none."""
    others = [str(teacher.folder) for teacher in teachers if teacher.card.dataset_sha256 != dataset_sha256]
    if not others:
        return ""
    return (
        f"trained on other data than the student: {', '.join(others)}; make sure that no joint of its validation or "
        "test split was among them, or the student's figures are too good"
    )


def _size(spec: PreprocessSpec) -> str:
    return f"{spec.width}x{spec.height} {'grey' if spec.channels == 1 else 'colour'}"
