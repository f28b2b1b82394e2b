"""Choose a method's settings on validation, with Optuna; its storage lets several machines share the work."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import FloatDistribution
from optuna.exceptions import OptunaError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from sji_edge.core.errors import UsageError
from sji_edge.metrics.calibration import calibrated_cross_entropy
from sji_edge.streams.redaction import redact
from sji_edge.studies.methods import LEARNING_RATE, Method, Span, method
from sji_edge.studies.settings import StudySettings
from sji_edge.studies.trials import StudyTrial, TrialSpec
from sji_edge.training.trainer import TrainingDivergedError

JOURNAL = "optuna.journal"
SEARCH_SEED = 0
"""Seed of the trials that a search compares; other seeds are trained for the chosen settings only."""

ENDED = (TrialState.COMPLETE, TrialState.FAIL)


def search(
    settings: StudySettings,
    spec: TrialSpec,
    labels: NDArray[np.int64],
    train: Callable[[TrialSpec], StudyTrial],
) -> TrialSpec:
    """Try settings of one method on one backbone, and return the spec with the best ones.

    The best have the lowest cross-entropy on validation after temperature scaling, which is a fine measure and does
    not favour a method for the scale of its logits. A usual, a low and a high strength are tried first; further tries
    come from Optuna's TPE sampler. Only the first ``tries`` count, so that no method gets more.

    Args:
        settings: settings of the study.
        spec: the method with its usual settings, with the search's seed.
        labels: labels of the validation split, int64 ``(n,)``.
        train: trains, or reads, the trial of a spec.

    Raises:
        UsageError: the storage cannot be opened or used, or every try diverged.
    """
    with _storage_errors(settings, SQLAlchemyError, OptunaError):
        return _search(settings, spec, labels, train)


def _search(
    settings: StudySettings,
    spec: TrialSpec,
    labels: NDArray[np.int64],
    train: Callable[[TrialSpec], StudyTrial],
) -> TrialSpec:
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
    """Return the settings that a study searches for a method, the most influential first."""
    rate = settings.budget.learning_rate
    rates = Span(LEARNING_RATE, rate / 3, rate, rate * 3)
    own = [span for span in (wanted.strength, wanted.second) if span is not None]
    return [*own, rates] if settings.search_learning_rate or not own else own


def with_params(spec: TrialSpec, params: dict[str, float]) -> TrialSpec:
    """Return a spec with other settings; ``learning_rate`` is the optimizer's, the rest the loss's."""
    changed = {name: float(f"{value:.6g}") for name, value in params.items()}
    rate = changed.pop(LEARNING_RATE, spec.learning_rate)
    return spec.model_copy(update={"learning_rate": rate, "options": spec.options | changed})


def open_storage(settings: StudySettings) -> BaseStorage:
    """Return the storage of a study: a database, a journal file, or the study's own journal.

    Raises:
        UsageError: it cannot be opened; says so without the URL's user, password and query.
    """
    with _storage_errors(settings, SQLAlchemyError, OptunaError, OSError, ImportError, ValueError):
        if "://" in settings.storage:
            return RDBStorage(settings.storage)
        path = Path(settings.storage) if settings.storage else settings.out / JOURNAL
        path.parent.mkdir(parents=True, exist_ok=True)
        return JournalStorage(JournalFileBackend(str(path)))


@contextmanager
def _storage_errors(settings: StudySettings, *kinds: type[Exception]) -> Iterator[None]:
    """Turn the storage's kinds of error into a line of ours.

    The text of SQLAlchemy and of database drivers may hold the URL, with its password: it is neither shown nor kept
    as the error's cause.
    """
    try:
        yield
    except kinds as error:
        name = redact(settings.storage) if settings.storage else str(settings.out / JOURNAL)
        reason = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
        failure = UsageError(
            f"the study's storage {name} cannot be used ({reason})",
            hint="give a journal file in a shared folder, or a URL such as sqlite:///study.db",
        )
    else:
        return
    raise failure


def _open(settings: StudySettings, spec: TrialSpec) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=open_storage(settings),
        study_name=f"{spec.method} on {spec.backbone} {spec.name.rpartition('~')[2]}",
        load_if_exists=True,
    )
    # The seed depends on what is known: a search that continues would otherwise repeat its draws.
    study.sampler = optuna.samplers.TPESampler(seed=SEARCH_SEED + len(study.trials))
    return study


def _tried(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials that ended, in order; settings that two machines tried count once."""
    distinct: dict[tuple[tuple[str, float], ...], FrozenTrial] = {}
    for trial in sorted(study.get_trials(deepcopy=False, states=ENDED), key=lambda trial: trial.number):
        distinct.setdefault(tuple(sorted(trial.params.items())), trial)
    return list(distinct.values())


def _enqueue(study: optuna.Study, points: list[dict[str, float]]) -> None:
    """Enqueue the points that have not ended, among them one that a killed process left running."""
    ended = [trial.params for trial in _tried(study)]
    waiting = [
        trial.system_attrs.get("fixed_params")
        for trial in study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
    ]
    for point in points:
        if point not in ended and point not in waiting:
            study.enqueue_trial(point)


def _first_points(spans: list[Span], tries: int) -> list[dict[str, float]]:
    """Return the usual point, then the low and the high end of each setting with the others as usual."""
    usual = {span.option: span.usual for span in spans}
    others = [usual | {span.option: value} for span in spans for value in (span.low, span.high)]
    return [usual, *others][:tries]


def _best(spec: TrialSpec, trials: list[FrozenTrial]) -> FrozenTrial:
    finished = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    if not finished:
        raise UsageError(
            f"every try of {spec.method} on {spec.backbone} diverged",
            hint="leave the method out, or report it",
        )
    return min(finished, key=lambda trial: trial.value if trial.value is not None else np.inf)
