"""Run the trials of a study: search each method's settings, then repeat the best over seeds."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

from sji_edge.core.errors import UsageError
from sji_edge.core.files import write_json
from sji_edge.data.folder import FolderDataset
from sji_edge.losses.build import build_loss
from sji_edge.models.backbones import is_known
from sji_edge.models.features import NoFeatureMapError
from sji_edge.streams.redaction import redact
from sji_edge.studies.dataset import open_dataset
from sji_edge.studies.full_training import Trained, discard_weights, train_whole
from sji_edge.studies.last_blocks import Activations, prepare_activations, read_activations, train_tail
from sji_edge.studies.methods import method
from sji_edge.studies.search import SEARCH_SEED, search
from sji_edge.studies.settings import StudySettings
from sji_edge.studies.trials import StudyTrial, TrialSpec, read_trial, rounded, write_trial
from sji_edge.studies.workers import Pool
from sji_edge.training.quiet import quiet

CHOSEN = "chosen.json"
RECORDED_PACKAGES = ("sji-edge", "torch", "torchvision", "numpy", "optuna")
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Cell:
    """One method on one backbone, with the chosen settings, and a finished trial for each seed."""

    method: str
    backbone: str
    trials: tuple[StudyTrial, ...]


@quiet()
def run_study(settings: StudySettings, tell: Tell) -> list[Cell]:
    """Search every method on every backbone, and train the best settings with every seed.

    Each finished trial is a file in ``OUT/trials``, and is not trained again: an interrupted study continues, and
    machines that share ``OUT`` share the work.

    Args:
        settings: settings of the study.
        tell: given one line of progress at a time.

    Raises:
        UsageError: an unknown method or backbone, or every try of a method diverged.
        DataError: see ``open_dataset``.
    """
    _check_names(settings)
    dataset = open_dataset(settings.data, settings.good_class)
    sha256 = dataset.sha256()
    settings.out.mkdir(parents=True, exist_ok=True)
    with Pool(settings.workers, settings.threads) as pool:
        if settings.budget.trained_blocks is not None:
            for backbone in pool.each(_prepare, [(settings, sha256, name) for name in settings.backbones]):
                tell(f"activations of {backbone} are ready")
        cells = [(settings, sha256, name, way) for name in settings.backbones for way in settings.methods]
        chosen = []
        for number, (spec, obstacle) in enumerate(pool.each(_search, cells), 1):
            if obstacle:
                tell(f"left out: {spec.method} on {spec.backbone}; {obstacle}")
                continue
            chosen.append(spec)
            tell(f"{number} of {len(cells)} searched: {spec.method} on {spec.backbone}, {_said(spec)}")
        seeds = [
            (settings, spec.model_copy(update={"seed": seed, "guard": settings.guard}))
            for spec in chosen
            for seed in range(settings.seeds)
        ]
        finished = []
        for number, trial in enumerate(pool.each(_train, seeds), 1):
            finished.append(trial)
            if number % len(settings.methods) == 0 or number == len(seeds):
                tell(f"{number} of {len(seeds)} seeds trained")
    _record(settings, sha256, chosen)
    return _cells(settings, finished)


def _check_names(settings: StudySettings) -> None:
    for name in settings.methods:
        wanted = method(name)
        build_loss(wanted.loss, wanted.options)
    for name in settings.backbones:
        if not is_known(name):
            raise UsageError(f"unknown backbone {name!r}", hint="see sji-edge train --help for models")


def _prepare(task: tuple[StudySettings, str, str]) -> str:
    settings, sha256, backbone = task
    prepare_activations(settings.out, _dataset(settings), sha256, backbone, settings.budget)
    return backbone


def _search(task: tuple[StudySettings, str, str, str]) -> tuple[TrialSpec, str]:
    """Return the best spec, and why the backbone cannot be trained with the method, or an empty text."""
    settings, sha256, backbone, name = task
    wanted = method(name)
    usual = {wanted.strength.option: wanted.strength.usual} if wanted.strength else {}
    if wanted.second:
        usual[wanted.second.option] = wanted.second.usual
    spec = TrialSpec(
        method=name,
        backbone=backbone,
        loss=wanted.loss,
        options=wanted.options | usual,
        views=wanted.views,
        learning_rate=settings.budget.learning_rate,
        seed=SEARCH_SEED,
        budget=settings.budget,
        dataset_sha256=sha256,
    )
    labels = _dataset(settings).labels("validation")
    try:
        return search(settings, spec, labels, lambda tried: _train((settings, tried))), ""
    except NoFeatureMapError as error:
        return spec, error.message


def _train(task: tuple[StudySettings, TrialSpec]) -> StudyTrial:
    """Return a finished trial, or train and write it."""
    settings, spec = task
    known = read_trial(settings.out, spec)
    if known is not None:
        return known
    started = time.perf_counter()
    dataset = _dataset(settings)
    if spec.budget.trained_blocks is None:
        result = train_whole(spec, dataset, settings.out)
    else:
        result = Trained(train_tail(spec, dataset, _activations(settings, spec)), "imagenet", None)
    trial = StudyTrial(
        spec=spec,
        weights=result.weights,
        seconds=round(time.perf_counter() - started, 2),
        logits={split: rounded(values) for split, values in result.logits.items()},
        unknown=result.unknown,
    )
    write_trial(settings.out, trial)
    discard_weights(spec, settings.out)
    return trial


def _activations(settings: StudySettings, spec: TrialSpec) -> Activations:
    folder = prepare_activations(
        settings.out, _dataset(settings), spec.dataset_sha256, spec.backbone, spec.budget
    )
    return read_activations(folder)


def _dataset(settings: StudySettings) -> FolderDataset:
    return _opened(settings.data, settings.good_class)


@lru_cache(maxsize=1)
def _opened(data: Path, good_class: str) -> FolderDataset:
    return open_dataset(data, good_class)


def _said(spec: TrialSpec) -> str:
    changed = [f"{name}={value:g}" for name, value in spec.options.items() if not isinstance(value, str)]
    return ", ".join([*changed, f"learning rate {spec.learning_rate:g}"])


def _record(settings: StudySettings, sha256: str, chosen: list[TrialSpec]) -> None:
    record = {
        # The storage may hold a password.
        "settings": json.loads(settings.model_dump_json()) | {"storage": redact(settings.storage)},
        "dataset_sha256": sha256,
        "versions": {package: version(package) for package in RECORDED_PACKAGES},
        "chosen": [
            json.loads(spec.model_dump_json())
            for spec in sorted(chosen, key=lambda spec: (spec.backbone, spec.method))
        ],
    }
    write_json(settings.out / CHOSEN, record)


def _cells(settings: StudySettings, trials: list[StudyTrial]) -> list[Cell]:
    """Group finished trials by method and backbone, in the order of the settings."""
    cells = [
        Cell(
            way,
            backbone,
            tuple(
                sorted(
                    (t for t in trials if (t.spec.method, t.spec.backbone) == (way, backbone)),
                    key=lambda trial: trial.spec.seed,
                )
            ),
        )
        for backbone in settings.backbones
        for way in settings.methods
    ]
    return [cell for cell in cells if cell.trials]
