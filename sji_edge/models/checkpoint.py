"""Runs on disk: the card and the weights."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from sji_edge.core.card import ModelCard
from sji_edge.core.errors import UsageError
from sji_edge.core.files import write_atomic
from sji_edge.models.classifier import JointClassifier

CARD_FILE = "card.json"
WEIGHTS_FILE = "weights.safetensors"


def save_run(folder: Path, model: JointClassifier, card: ModelCard) -> None:
    """Write ``weights.safetensors`` and ``card.json`` into a folder."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    save_file(state, folder / WEIGHTS_FILE)
    write_atomic(folder / CARD_FILE, card.model_dump_json(indent=2) + "\n")


def read_card(folder: Path) -> ModelCard:
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
    card = read_card(folder)
    model = JointClassifier(card.architecture, len(card.classes), card.preprocess)
    path = folder / WEIGHTS_FILE
    try:
        model.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise UsageError(
            f"{path} does not hold the weights that its card describes: {_first_line(error)}"
        ) from error
    return model.eval(), card


def load_weights(model: nn.Module, path: Path) -> list[str]:
    """Start a model from a file of weights, leaving out tensors of another shape (the last layer, say).

    Args:
        model: the model to fill, in place.
        path: a ``.safetensors`` file, a run's folder, or a PyTorch state dictionary.

    Returns:
        Names of the model's tensors that the file did not fill.

    Raises:
        UsageError: the file cannot be read, or fits less than half of the model's tensors.
    """
    source = path / WEIGHTS_FILE if path.is_dir() else path
    state = _read_state(source)
    own = model.state_dict()
    fitting: dict[str, torch.Tensor] = {}
    for name, tensor in own.items():
        given = state.get(name, state.get(name.removeprefix("backbone.")))
        if given is not None and given.shape == tensor.shape:
            fitting[name] = given
    if len(fitting) * 2 < len(own):
        raise UsageError(
            f"{source} fits {len(fitting)} of the model's {len(own)} tensors",
            hint="choose the --model that these weights belong to",
        )
    model.load_state_dict(fitting, strict=False)
    return sorted(set(own) - set(fitting))


def _read_state(source: Path) -> dict[str, torch.Tensor]:
    try:
        if source.suffix == ".safetensors":
            return load_file(source)
        state: dict[str, torch.Tensor] = torch.load(source, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises whatever the file provokes
        raise UsageError(f"{source} holds no readable weights: {_first_line(error)}") from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise UsageError(f"{source} is not a state dictionary of tensors")
    return state


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
