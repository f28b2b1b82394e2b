"""Choosing a method's settings on validation, with Optuna; its storage lets several machines share the work."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import FloatDistribution
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from sji_edge.core.errors import UsageError
from sji_edge.metrics.calibration import calibrated_cross_entropy
from sji_edge.studies.methods import LEARNING_RATE, Method, Span, method
from sji_edge.studies.settings import StudySettings
from sji_edge.studies.trials import StudyTrial, TrialSpec
from sji_edge.training.trainer import TrainingDivergedError

JOURNAL = "optuna.journal"
SEARCH_SEED = 0
"""Seed of the trials that a search compares; the other seeds are trained for the chosen settings only."""

ENDED = (TrialState.COMPLETE, TrialState.FAIL)


def search(
    settings: StudySettings,
    spec: TrialSpec,
    labels: NDArray[np.int64],
    train: Callable[[TrialSpec], StudyTrial],
) -> TrialSpec:
    """Try settings of one method on one backbone, and return the spec with the best ones.

    The best has the lowest cross-entropy on validation after temperature scaling, which ranks joints finely and does
    not prefer a method for the scale of its logits. A usual, a low and a high strength come first; further tries
    are Optuna's (TPE). Only the first ``tries`` count, so that no method gets more.

    Args:
        settings: of the study.
        spec: the method with its usual settings, at the search's seed.
        labels: of the validation split.
        train: makes, or reads, the trial of a spec.

    Raises:
        UsageError: the storage cannot be opened, or every try diverged.
    """
    spans = spans_of(settings, method(spec.method))
    study = _open(settings, spec)
    _enqueue(study, _first_points(spans, settings.tries))
    space: dict[str, optuna.distributions.BaseDistribution] = {
        span.option: FloatDistribution(span.low, span.high, log=True) for span in spans
    }
    while len(tried := _tried(study)) < settings.tries:
        asked = study.ask(space)
        try:
            trial = train(with_params(spec, asked.params))
        except TrainingDivergedError:
            study.tell(asked, state=TrialState.FAIL)
            continue
        study.tell(asked, calibrated_cross_entropy(trial.logits_of("validation"), labels))
    return with_params(spec, _best(spec, tried[: settings.tries]).params)


def spans_of(settings: StudySettings, wanted: Method) -> list[Span]:
    """Settings that a study searches for a method, the most telling first."""
    rate = settings.budget.learning_rate
    rates = Span(LEARNING_RATE, rate / 3, rate, rate * 3)
    own = [span for span in (wanted.strength, wanted.second) if span is not None]
    return [*own, rates] if settings.search_learning_rate or not own else own


def with_params(spec: TrialSpec, params: dict[str, float]) -> TrialSpec:
    """Return a spec with other settings; ``learning_rate`` is the optimiser's, the rest the loss's."""
    changed = {name: float(f"{value:.6g}") for name, value in params.items()}
    rate = changed.pop(LEARNING_RATE, spec.learning_rate)
    return spec.model_copy(update={"learning_rate": rate, "options": spec.options | changed})


def open_storage(settings: StudySettings) -> BaseStorage:
    """Return the storage that ``--storage`` names: a database's URL, a journal file, or the study's own journal.

    Raises:
        UsageError: it cannot be opened.
    """
    try:
        if "://" in settings.storage:
            return RDBStorage(settings.storage)
        path = Path(settings.storage) if settings.storage else settings.out / JOURNAL
        path.parent.mkdir(parents=True, exist_ok=True)
        return JournalStorage(JournalFileBackend(str(path)))
    except Exception as error:  # SQLAlchemy and its drivers raise what they like
        raise UsageError(
            f"--storage {settings.storage!r} cannot be opened: {str(error).splitlines()[0]}",
            hint="give a journal file on a shared folder, or a URL such as sqlite:///study.db",
        ) from error


def _open(settings: StudySettings, spec: TrialSpec) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=open_storage(settings),
        study_name=f"{spec.method} on {spec.backbone} {spec.name.rpartition('~')[2]}",
        load_if_exists=True,
    )
    # Seeded by what is known, or a search that goes on would draw what it drew before.
    study.sampler = optuna.samplers.TPESampler(seed=SEARCH_SEED + len(study.trials))
    return study


def _tried(study: optuna.Study) -> list[FrozenTrial]:
    """Ended trials in order; two machines may have tried the same settings, which counts once."""
    distinct: dict[tuple[tuple[str, float], ...], FrozenTrial] = {}
    for trial in sorted(study.get_trials(deepcopy=False, states=ENDED), key=lambda trial: trial.number):
        distinct.setdefault(tuple(sorted(trial.params.items())), trial)
    return list(distinct.values())


def _enqueue(study: optuna.Study, points: list[dict[str, float]]) -> None:
    """Put points that have not ended in front; one that a stopped process left running is tried again."""
    ended = [trial.params for trial in _tried(study)]
    waiting = [
        trial.system_attrs.get("fixed_params")
        for trial in study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
    ]
    for point in points:
        if point not in ended and point not in waiting:
            study.enqueue_trial(point)


def _first_points(spans: list[Span], tries: int) -> list[dict[str, float]]:
    """The usual point, and the low and the high end of each setting with the others as usual."""
    usual = {span.option: span.usual for span in spans}
    others = [usual | {span.option: value} for span in spans for value in (span.low, span.high)]
    return [usual, *others][:tries]


def _best(spec: TrialSpec, trials: list[FrozenTrial]) -> FrozenTrial:
    finished = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    if not finished:
        raise UsageError(
            f"every try of {spec.method} on {spec.backbone} diverged", hint="try a smaller --learning-rate"
        )
    return min(finished, key=lambda trial: trial.value if trial.value is not None else np.inf)
