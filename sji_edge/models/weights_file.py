"""Read the weights in a file without running any code in it, or say what kind of file it really is."""

import pickletools
import zipfile
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from sji_edge.core import run_files
from sji_edge.core.errors import UsageError
from sji_edge.core.text import one_line, readable

WANTED = "give a run's folder, a .safetensors file, or a PyTorch state dictionary"
LIGHTNING = "pytorch-lightning_version"
NESTED = ("state_dict", "model_state_dict", "model", "net", "weights", "params")
"""Keys under which training scripts store the state dictionary, along with optimizer and epoch."""

WRAPPERS = ("module.", "_orig_mod.")
"""What ``DistributedDataParallel`` and ``torch.compile`` put before every name."""

PLAIN_MODULES = (
    "torch",
    "torch._utils",
    "torch._tensor",
    "torch.serialization",
    "torch.storage",
    "collections",
)
"""Modules whose objects make up tensors and dictionaries; a pickle of anything else needs code to be loaded."""

MAX_PICKLE_BYTES = 1 << 20
"""How much of a bare pickle is looked at to name what it holds."""

HEADS = (
    (
        b"version https://git-lfs",
        "a Git LFS pointer instead of the file itself",
        "fetch it with: git lfs pull",
    ),
    (b"\x89HDF\r\n", "an HDF5 file, as Keras writes it", WANTED),
    (b"<?xml", "an XML file, as OpenVINO writes it", "give the run that it was exported from"),
    (b"\x93NUMPY", "a NumPy array", WANTED),
    (b"<!DOCTYPE html", "an HTML page, as a failed download leaves it", "download the file again"),
    (b"<html", "an HTML page, as a failed download leaves it", "download the file again"),
)


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Read a state dictionary.

    Lightning checkpoints, checkpoints of training scripts and state dictionaries of wrapped models are read as well,
    with ``torch.load(weights_only=True)``: nothing in the file is executed.

    Args:
        path: a ``.safetensors`` file, a run's folder, or a file written by ``torch.save``.

    Returns:
        Tensors by name, without the prefixes of ``DistributedDataParallel`` and ``torch.compile``.

    Raises:
        UsageError: the file cannot be read, or is something else; says what it is.
    """
    source = path / run_files.WEIGHTS if path.is_dir() else path
    head = _head(source)
    _refuse_other_files(source, head)
    if source.suffix == ".safetensors" or head[8:9] == b"{":
        try:
            state = load_file(source)
        except (SafetensorError, OSError) as error:
            raise UsageError(f"{source} is not a readable safetensors file: {one_line(error)}") from error
    else:
        state = _state_in(_load(source), source)
    for name, tensor in state.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise UsageError(
                f"{source} holds values that are not finite numbers, in {readable(name)}",
                hint="take the weights of an earlier epoch",
            )
    return _unwrapped(state)


def _head(source: Path) -> bytes:
    """Return the first bytes of a regular file."""
    if source.exists() and not source.is_file():
        # Opening a named pipe waits for its writer.
        raise UsageError(f"cannot read the weights {source}: not a regular file", hint=WANTED)
    try:
        with source.open("rb") as stream:
            return stream.read(64)
    except OSError as error:
        raise UsageError(f"cannot read the weights {source}: {error.strerror}", hint=WANTED) from error


def _refuse_other_files(source: Path, head: bytes) -> None:
    """Raise for a file that is recognized as something else than weights."""
    if not head:
        raise UsageError(f"{source} is empty (0 bytes)", hint="copy it again")
    for magic, kind, hint in HEADS:
        if head.startswith(magic):
            raise UsageError(f"{source} is {kind}", hint=hint)
    # The first field of an ONNX file is its version, the second its producer.
    if source.suffix == ".onnx" or (head[0] == 0x08 and head[2:3] == b"\x12"):
        raise UsageError(
            f"{source} is an ONNX model, whose layers may be fused",
            hint="give the run that it was exported from",
        )
    if not zipfile.is_zipfile(source):
        return
    with zipfile.ZipFile(source) as archive:
        names = archive.namelist()
    if any(name.endswith("/constants.pkl") for name in names):
        raise UsageError(
            f"{source} is a TorchScript archive",
            hint="save the state dictionary of the model instead: torch.save(model.state_dict(), …)",
        )
    if not any(name.endswith("data.pkl") for name in names):
        raise UsageError(f"{source} is an archive without PyTorch weights", hint=WANTED)


def _load(source: Path) -> object:
    try:
        loaded: object = torch.load(source, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises whatever the file provokes
        foreign = _foreign_classes(source)
        if not foreign:
            # What torch says of other files is advice to run their code.
            why = one_line(error) if zipfile.is_zipfile(source) else "it is not a file that torch.save writes"
            raise UsageError(f"{source} holds no readable weights: {why}", hint=WANTED) from error
        whole, first = foreign
        what = (
            f"a pickled {first}"
            if whole
            else f"a checkpoint that holds Python objects ({first}) in addition to its weights"
        )
        raise UsageError(
            f"{source} is {what}; loading it would run code from whoever wrote it",
            hint="if you trust it, save only its weights: torch.save(model.state_dict(), …)",
        ) from error
    return loaded


def _state_in(loaded: object, source: Path) -> dict[str, torch.Tensor]:
    """Find the state dictionary in what ``torch.load`` gave."""
    if not isinstance(loaded, dict):
        raise UsageError(f"{source} holds a {type(loaded).__name__}, not a state dictionary", hint=WANTED)
    inner = next((loaded[key] for key in NESTED if isinstance(loaded.get(key), dict)), None)
    state = loaded if inner is None else inner
    tensors = {str(name): value for name, value in state.items() if isinstance(value, torch.Tensor)}
    if not tensors or (inner is None and len(tensors) < len(state)):
        kind = "a Lightning checkpoint" if LIGHTNING in loaded else "a dictionary"
        keys = ", ".join(map(str, list(loaded)[:5]))
        raise UsageError(
            f"{source} is {kind} without a state dictionary of tensors; it holds: {keys}", hint=WANTED
        )
    return tensors


def _unwrapped(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Remove the wrappers' prefixes, if every name has them."""
    while prefix := next(
        (one for one in WRAPPERS if state and all(name.startswith(one) for name in state)), ""
    ):
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


def naming_of(names: Collection[str], own: Sequence[str], stem: str, backbone: str, source: Path) -> str:
    """Return what a file's names have instead of the model's ``backbone`` prefix.

    A state dictionary of ours has the same prefix, one of torchvision none, a Lightning checkpoint of ours
    ``model.backbone.``, one of another project perhaps ``model.``.

    Args:
        names: names in the file.
        own: the model's names, all of which start with ``backbone``.
        stem: the model's name of its first kernel.
        backbone: the model's own prefix.
        source: the file, for the message.

    Raises:
        UsageError: the file holds several networks that would fit.
    """
    bare = stem.removeprefix(backbone)
    prefixes = {name.removesuffix(bare) for name in names if name == bare or name.endswith(f".{bare}")}
    fits = {prefix: sum(prefix + name.removeprefix(backbone) in names for name in own) for prefix in prefixes}
    best = sorted(prefix for prefix, count in fits.items() if count == max(fits.values()))
    if backbone in best or not best:
        return backbone
    if "" not in best and len(best) > 1:
        listed = ", ".join(prefix.rstrip(".") for prefix in best)
        raise UsageError(
            f"{source} holds several networks that fit: {listed}",
            hint="save only the weights of the network to load",
        )
    return "" if "" in best else best[0]


def _foreign_classes(source: Path) -> tuple[bool, str] | None:
    """Return whether a pickle as a whole is such an object, and the first class that is no tensor or container."""
    try:
        if zipfile.is_zipfile(source):
            with zipfile.ZipFile(source) as archive:
                name = next(one for one in archive.namelist() if one.endswith("data.pkl"))
                content = archive.read(name)
        else:
            with source.open("rb") as stream:
                content = stream.read(MAX_PICKLE_BYTES)
        classes = list(_classes_in(content))
    except (OSError, ValueError, zipfile.BadZipFile, StopIteration):
        return None
    own = [(place, name) for place, name in classes if name.rpartition(".")[0] not in PLAIN_MODULES]
    return (own[0][0] <= 1, own[0][1]) if own else None


def _classes_in(pickled: bytes) -> Iterator[tuple[int, str]]:
    """Yield the position and the name of every class that a pickle refers to, without unpickling it."""
    strings: list[str] = []
    for place, (operation, argument, _) in enumerate(pickletools.genops(pickled)):
        if isinstance(argument, str) and operation.name != "GLOBAL":
            strings.append(argument)
        elif operation.name == "GLOBAL":
            yield place, str(argument).replace(" ", ".")
        elif operation.name == "STACK_GLOBAL" and len(strings) > 1:
            # The two names before it; a whole object starts with them.
            yield max(0, place - 5), ".".join(strings[-2:])
