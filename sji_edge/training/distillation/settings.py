"""The settings of a student: what it takes over from its teachers, and a schedule for a network without pretraining."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sji_edge.core.card import LossCard
from sji_edge.core.findings import Spell, parse_settings, plain_name
from sji_edge.models.checkpoint import card_of_run
from sji_edge.training.run_folder import student_name
from sji_edge.training.settings import TrainSettings

DEFAULTS: dict[str, Any] = {
    "model": "joint_net_s",
    "weights": "none",
    "loss": LossCard(name="ce"),
    "epochs": 45,
    "learning_rate": 4e-3,
}

SHARED = (
    "data",
    "runs",
    "seed",
    "no_test",
    "guard",
    "review_budget",
    "workers",
    "accelerator",
    "devices",
    "nodes",
    "strategy",
)
"""Settings that a student takes from its teacher when one command trains both."""


def student_settings(
    teachers: Sequence[Path], given: Mapping[str, Any], spell: Spell = plain_name
) -> TrainSettings:
    """Return the settings of a student.

    Args:
        teachers: runs; the classes, crops and bit depth are those of the first.
        given: settings that the user gave.
        spell: how the caller's user knows a setting, given the field's name.

    Raises:
        UsageError: a teacher is not a run, or a setting is wrong.
    """
    card = card_of_run(teachers[0])
    own = {
        "teachers": tuple(teachers),
        "good_class": card.good_class,
        "image_size": card.preprocess.height,
        "channels": str(card.preprocess.channels),
    }
    if "bit_depth" in card.training:
        own["bit_depth"] = int(card.training["bit_depth"])
    values = DEFAULTS | own | dict(given)
    # The figures of a short network without pretraining rise late: its schedule always runs to its end.
    return parse_settings(TrainSettings, {"patience": values["epochs"], **values}, spell)


def student_of(teacher: Path, settings: TrainSettings) -> TrainSettings:
    """Return the settings of the student that ``settings.student`` asks for, once its teacher is trained.

    Args:
        teacher: the finished run.
        settings: those of the teacher.
    """
    given = {name: getattr(settings, name) for name in SHARED}
    return student_settings(
        (teacher,), given | {"name": student_name(teacher.name), "model": settings.student}
    )
