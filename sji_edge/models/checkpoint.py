"""Runs on disk: the card and the weights."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from sji_edge.core import run_files
from sji_edge.core.card import ModelCard
from sji_edge.core.errors import UsageError
from sji_edge.core.files import write_atomic
from sji_edge.models.attention import attention_tensors
from sji_edge.models.classifier import JointClassifier

CARD_FILE = run_files.CARD
WEIGHTS_FILE = run_files.WEIGHTS
OWN_PREFIX = "backbone."


def save_run(folder: Path, model: JointClassifier, card: ModelCard) -> None:
    """Write ``weights.safetensors`` and ``card.json`` into a folder."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    # Not save_file: on a full disk it raises an error of its own kind instead of OSError.
    write_atomic(folder / WEIGHTS_FILE, save(state))
    write_atomic(folder / CARD_FILE, card.model_dump_json(indent=2) + "\n")


def card_of_run(folder: Path) -> ModelCard:
    """Read a run's card; raises ``UsageError`` where there is none."""
    path = folder / CARD_FILE
    if not path.is_file():
        raise UsageError(
            f"{folder} is not a run: it holds no {CARD_FILE}", hint="make one with sji-edge train"
        )
    return ModelCard.parse(path.read_text(), path)


def load_run(folder: Path) -> tuple[JointClassifier, ModelCard]:
    """Return a run's model, in evaluation mode on the CPU, and its card.

    Raises:
        UsageError: no run, or its weights do not fit its card.
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
    """Start a model from a file of weights, leaving out a last layer of another width, and attention.

    Weights of a bare backbone are taken as torchvision's, whose stem takes RGB: it is reordered to BGR. A
    stem for another number of colours is summed, or spread.

    Args:
        model: the model to fill, in place.
        path: a ``.safetensors`` file, a run's folder, or a PyTorch state dictionary.

    Returns:
        Names of the model's tensors that the file did not fill.

    Raises:
        UsageError: the file cannot be read, or a tensor other than the last layer's and those of attention
            modules is missing or of another shape.
    """
    source = path / WEIGHTS_FILE if path.is_dir() else path
    state = _read_state(source)
    own = model.state_dict()
    stem = next(name for name, tensor in own.items() if tensor.ndim == 4)
    head = list(own)[-1].rpartition(".")[0]
    optional = attention_tensors(model)
    fitting: dict[str, torch.Tensor] = {}
    for name, tensor in own.items():
        given = state.get(name)
        if given is None and (given := state.get(name.removeprefix(OWN_PREFIX))) is not None and name == stem:
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
            found = "missing" if given is None else f"of shape {tuple(given.shape)}"
            raise UsageError(
                f"{source} does not fit this model: {name} is {found}, {tuple(tensor.shape)} was wanted",
                hint="choose the --model that these weights belong to",
            )
    _fill(model, own | fitting)
    return sorted(set(own) - set(fitting))


def _fill(model: JointClassifier, tensors: Mapping[str, torch.Tensor]) -> None:
    """Load every tensor of a model, and no other."""
    # The model's own dictionary carries the layers' versions, without which MNASNet refuses to load.
    state = model.state_dict()
    if state.keys() != tensors.keys():
        raise RuntimeError(f"other tensors: {', '.join(sorted(state.keys() ^ tensors.keys())[:3])}")
    state.update(tensors)
    model.load_state_dict(state)


def _with_colours(stem: torch.Tensor, channels: int) -> torch.Tensor:
    """Make a stem's kernel answer a grey image as before with another number of channels."""
    if stem.ndim == 4 and (stem.shape[1], channels) == (3, 1):
        return stem.sum(dim=1, keepdim=True)
    if stem.ndim == 4 and (stem.shape[1], channels) == (1, 3):
        return stem.repeat(1, 3, 1, 1) / 3
    return stem


def _read_state(source: Path) -> dict[str, torch.Tensor]:
    try:
        if source.suffix == ".safetensors":
            return load_file(source)
        state: object = torch.load(source, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises whatever the file provokes
        raise UsageError(f"{source} holds no readable weights: {_first_line(error)}") from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise UsageError(f"{source} is not a state dictionary of tensors")
    return state


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
