"""Save and load a run: its card and its weights."""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save

from sji_edge.core import run_files
from sji_edge.core.card import ModelCard
from sji_edge.core.errors import UsageError
from sji_edge.core.files import write_atomic
from sji_edge.core.text import amount, listing, readable
from sji_edge.models.attention import attention_tensors
from sji_edge.models.classifier import JointClassifier
from sji_edge.models.guard import Guard, GuardedClassifier, Regressor
from sji_edge.models.weights_file import naming_of, read_weights

CARD_FILE = run_files.CARD
WEIGHTS_FILE = run_files.WEIGHTS
OWN_PREFIX = "backbone."


def save_run(folder: Path, model: JointClassifier, card: ModelCard) -> None:
    """Write ``weights.safetensors`` and ``card.json`` into a folder."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    # Not save_file: on a full disk it raises its own kind of error instead of OSError.
    write_atomic(folder / WEIGHTS_FILE, save(state))
    write_atomic(folder / CARD_FILE, card.model_dump_json(indent=2) + "\n")


def save_guard(folder: Path, guarded: GuardedClassifier) -> None:
    """Write ``guard.safetensors``: the guard's tensors, and in the metadata which modules it looks at."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in guarded.guard.state_dict().items()}
    facts = {
        "layers": json.dumps(guarded.layers),
        "channels": json.dumps(guarded.guard.channels),
        "prototypes": str(len(guarded.guard.prototypes)),
    }
    if guarded.guard.regressor is not None:
        facts["regressor_inputs"] = str(guarded.guard.regressor.inputs)
    write_atomic(folder / run_files.GUARD, save(state, metadata=facts))


def load_guard(folder: Path, model: JointClassifier) -> GuardedClassifier | None:
    """Return a run's model with its guard, in evaluation mode; None for a run without one.

    Args:
        folder: the run.
        model: its model, as of ``load_run``.

    Raises:
        UsageError: the file holds no guard that fits the model.
    """
    path = folder / run_files.GUARD
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as stored:
            facts = stored.metadata() or {}
            state = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 - it is no dict
        fine, coarse = json.loads(facts["channels"])
        channels = (int(fine), int(coarse))
        inputs = facts.get("regressor_inputs")
        regressor = None if inputs is None else Regressor(int(inputs), channels)
        guard = Guard(channels, int(facts["prototypes"]), regressor)
        guard.load_state_dict(state)
        layers = tuple(str(name) for name in json.loads(facts["layers"]))
    except (OSError, SafetensorError, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{path} does not hold a guard: {_first_line(error)}", hint="train the run again"
        ) from error
    known = dict(model.named_modules())
    if missing := [name for name in layers if name not in known]:
        raise UsageError(
            f"{path} looks at {', '.join(missing)}, which {model.architecture} does not have",
            hint="train the run again",
        )
    return GuardedClassifier(model, guard, layers).eval()


def card_of_run(folder: Path) -> ModelCard:
    """Read a run's card; raises ``UsageError`` where there is none."""
    path = folder / CARD_FILE
    if not path.is_file():
        raise UsageError(
            f"{folder} is not a run: it holds no {CARD_FILE}", hint="train one with sji-edge train"
        )
    return ModelCard.read(path)


def load_run(folder: Path) -> tuple[JointClassifier, ModelCard]:
    """Return a run's model, in evaluation mode on the CPU, and its card.

    Raises:
        UsageError: the folder is not a run, or its weights do not fit its card.
    """
    card = card_of_run(folder)
    model = JointClassifier(card.architecture, len(card.classes), card.preprocess)
    path = folder / WEIGHTS_FILE
    try:
        _fill(model, load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise UsageError(
            f"{path} does not hold the weights that its card describes: {_first_line(error)}"
        ) from error
    return model.eval(), card


def load_weights(model: JointClassifier, path: Path) -> list[str]:
    """Fill a model from a weights file; a last layer of another width, and attention, keep their own values.

    Weights of a bare backbone are taken for torchvision's, whose stem expects RGB: it is reordered to BGR. A stem
    for another number of channels is summed, or spread. Names may have a prefix, as in a Lightning checkpoint.

    Args:
        model: the model to fill, in place.
        path: a run's folder, or a file that ``models.weights_file.read_weights`` takes.

    Returns:
        Names of the model's tensors that the file did not fill.

    Raises:
        UsageError: the file cannot be read or is no weights file, or a tensor other than the last layer's and those
            of attention modules is missing or has another shape.
    """
    source = path / WEIGHTS_FILE if path.is_dir() else path
    state = read_weights(source)
    own = model.state_dict()
    stem = next(name for name, tensor in own.items() if tensor.ndim == 4)
    head = list(own)[-1].rpartition(".")[0]
    optional = attention_tensors(model)
    naming = naming_of(state.keys(), list(own), stem, OWN_PREFIX, source)
    fitting: dict[str, torch.Tensor] = {}
    for name, tensor in own.items():
        given = state.get(naming + name.removeprefix(OWN_PREFIX))
        if given is not None and name == stem and not naming.endswith(OWN_PREFIX):
            given = given.flip(1)
        if given is not None and name == stem:
            given = _with_colours(given, tensor.shape[1])
        if given is not None and given.shape == tensor.shape:
            fitting[name] = given
        elif not (
            name.rpartition(".")[0] == head
            or name.endswith("num_batches_tracked")
            or (given is None and name in optional)
        ):
            found = "is missing" if given is None else f"has the shape {tuple(given.shape)}"
            raise UsageError(
                f"{source} holds {_architecture_of(source, state)}, which does not fit {model.architecture}: "
                f"{name} {found}, must be {tuple(tensor.shape)}",
                hint="choose the model that these weights belong to",
            )
    _fill(model, own | fitting)
    return sorted(set(own) - set(fitting))


def _architecture_of(source: Path, state: Mapping[str, torch.Tensor]) -> str:
    """Say whose weights a file holds: by the card beside it, or by its first tensors."""
    card = source.parent / CARD_FILE
    if source.name == WEIGHTS_FILE and card.is_file():
        return f"weights of {card_of_run(source.parent).architecture}"
    return f"{amount(len(state), 'tensor')} ({readable(listing(list(state), 2))})"


def _fill(model: JointClassifier, tensors: Mapping[str, torch.Tensor]) -> None:
    """Load a model's tensors; all of them must be given, and no others."""
    # The model's own dictionary carries the layers' versions, without which MNASNet refuses to load.
    state = model.state_dict()
    if state.keys() != tensors.keys():
        raise RuntimeError(f"other tensors: {', '.join(sorted(state.keys() ^ tensors.keys())[:3])}")
    state.update(tensors)
    model.load_state_dict(state)


def _with_colours(stem: torch.Tensor, channels: int) -> torch.Tensor:
    """Adapt a stem's kernel to another number of channels so that a grey image gives the same answer."""
    if stem.ndim == 4 and (stem.shape[1], channels) == (3, 1):
        return stem.sum(dim=1, keepdim=True)
    if stem.ndim == 4 and (stem.shape[1], channels) == (1, 3):
        return stem.repeat(1, 3, 1, 1) / 3
    return stem


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
