"""Weights files as other tools write them: read where that is safe, named where it is not."""

import os
import pickle

import lightning
import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import save_file
from support.small_graph import model as onnx_model
from torch import nn

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.errors import UsageError
from sji_edge.models.checkpoint import load_weights
from sji_edge.models.classifier import JointClassifier
from sji_edge.models.predict import logits_of
from sji_edge.models.weights_file import read_weights

SPEC = PreprocessSpec(height=32, width=32, channels=1)
CROPS = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 1), dtype=np.uint8)


def classifier(seed: int) -> JointClassifier:
    torch.manual_seed(seed)
    return JointClassifier("mnasnet0_5", 2, SPEC)


class Theirs(lightning.LightningModule):
    """Another project's module around a network."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.criterion = nn.CrossEntropyLoss(weight=torch.ones(2))

    def training_step(self, crops, _index):
        return self.model(crops).sum() * 0.0

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.0)


def lightning_file(path, model):
    from sji_edge.training.quiet import quiet

    with quiet():
        trainer = lightning.Trainer(
            max_epochs=1,
            accelerator="cpu",
            logger=False,
            enable_progress_bar=False,
            enable_checkpointing=False,
        )
        trainer.fit(Theirs(model), torch.utils.data.DataLoader(torch.from_numpy(CROPS), batch_size=3))
        trainer.save_checkpoint(path)


def ddp_file(path, model):
    torch.save({f"module.{name}": value for name, value in model.state_dict().items()}, path)


def compiled_ddp_file(path, model):
    torch.save({f"module._orig_mod.{name}": value for name, value in model.state_dict().items()}, path)


def script_file(path, model):
    torch.save({"epoch": 7, "model_state_dict": model.state_dict(), "optimizer": {"lr": 0.1}}, path)


@pytest.mark.parametrize(
    "write", [lightning_file, ddp_file, compiled_ddp_file, script_file], ids=lambda one: one.__name__
)
def test_weights_inside_a_checkpoint_or_under_a_prefix_are_read(tmp_path, write):
    source, target = classifier(0).eval(), classifier(1)
    write(tmp_path / "weights.ckpt", source)
    assert load_weights(target, tmp_path / "weights.ckpt") == []
    np.testing.assert_array_equal(logits_of(target, CROPS), logits_of(source.eval(), CROPS))


def test_safetensors_with_a_prefix_are_read(tmp_path):
    state = {f"module.{name}": value for name, value in classifier(0).state_dict().items()}
    save_file(state, tmp_path / "ddp.safetensors")
    assert load_weights(classifier(1), tmp_path / "ddp.safetensors") == []


def test_two_networks_in_one_file_are_not_chosen_from(tmp_path):
    state = classifier(0).state_dict()
    both = {f"{who}.{name}": value for who in ("student", "teacher") for name, value in state.items()}
    torch.save(both, tmp_path / "both.pt")
    with pytest.raises(
        UsageError, match=r"holds several networks that fit: student\.backbone, teacher\.backbone"
    ):
        load_weights(classifier(1), tmp_path / "both.pt")


class Config:
    """Objects that a training script stores beside its weights."""


def write_script(path):
    class Net(nn.Module):
        def forward(self, x):
            return x + 1

    torch.jit.trace(Net(), torch.zeros(1)).save(path)


@pytest.mark.parametrize(
    ("name", "write", "said"),
    [
        (
            "m.pt",
            lambda path: torch.save(nn.Linear(2, 2), path),
            "is a pickled torch.nn.modules.linear.Linear",
        ),
        (
            "c.ckpt",
            lambda path: torch.save({"state_dict": {}, "hyper_parameters": Config()}, path),
            r"is a checkpoint that holds Python objects \(.*test_weights_file.Config\) in addition to its weights",
        ),
        ("m.onnx", lambda path: onnx.save(onnx_model(), path), "is an ONNX model"),
        ("onnx.pt", lambda path: path.write_bytes(b"\x08\x08\x12\x07pytorch\x1a\x05"), "is an ONNX model"),
        (
            "lfs.safetensors",
            lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\n"),
            "Git LFS",
        ),
        ("keras.h5", lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(60)), "is an HDF5 file"),
        ("arrays.npz", lambda path: np.savez(path, a=np.zeros(2)), "is an archive without PyTorch weights"),
        ("empty.pt", lambda path: path.touch(), "is empty"),
        ("page.pth", lambda path: path.write_text("<!DOCTYPE html><title>404</title>"), "is an HTML page"),
        ("pipe.pth", os.mkfifo, "not a regular file"),
        (
            "bare.pkl",
            lambda path: path.write_bytes(pickle.dumps(Config())),
            r"is a pickled .*test_weights_file.Config; loading it would run code",
        ),
        (
            "noise.pth",
            lambda path: path.write_bytes(bytes(range(9, 200)) * 9),
            "not a file that torch.save writes",
        ),
        (
            "diverged.pt",
            lambda path: torch.save({"fc.weight": torch.tensor([1.0, float("nan")])}, path),
            "not finite numbers, in fc.weight",
        ),
        (
            "cut.safetensors",
            lambda path: path.write_bytes(b"\x40\0\0\0\0\0\0\0{"),
            "not a readable safetensors",
        ),
        (
            "tensor.pt",
            lambda path: torch.save(torch.zeros(3), path),
            "holds a Tensor, not a state dictionary",
        ),
        (
            "other.ckpt",
            lambda path: torch.save({"pytorch-lightning_version": "2.5", "loops": {}}, path),
            "is a Lightning checkpoint without a state dictionary",
        ),
    ],
)
def test_a_file_that_is_something_else_is_named_in_one_line(tmp_path, name, write, said):
    write(tmp_path / name)
    with pytest.raises(UsageError, match=said) as caught:
        read_weights(tmp_path / name)
    assert "\n" not in caught.value.message
    assert "\x1b" not in caught.value.message


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning", "ignore:.*torch.jit:FutureWarning")
def test_torchscript_is_named(tmp_path):
    write_script(tmp_path / "script.pt")
    with pytest.raises(UsageError, match="is a TorchScript archive"):
        read_weights(tmp_path / "script.pt")
