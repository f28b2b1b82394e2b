"""Lightning's trainer, with its failures told as ours."""

import errno
import logging
import signal
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, TQDMProgressBar

from sji_edge.core.errors import OutputError, SjiError, UsageError
from sji_edge.core.text import one_line
from sji_edge.training.settings import TrainSettings


class TrainingInterruptedError(SjiError):
    """Training was interrupted from the keyboard; its last whole epoch is kept."""

    exit_code = 130


class TrainingDivergedError(UsageError):
    """The logits of a trained model are not finite: its settings do not suit the data."""


def make_trainer(settings: TrainSettings, callbacks: Sequence[Callback]) -> lightning.Trainer:
    """Return a deterministic trainer for these settings.

    Raises:
        UsageError: an accelerator, a number of devices or a strategy that is not there.
    """
    _quieten()
    try:
        return lightning.Trainer(
            accelerator=settings.accelerator,
            devices=settings.devices if settings.devices == "auto" else int(settings.devices),
            num_nodes=settings.nodes,
            strategy=settings.strategy,
            precision="16-mixed" if _on_gpu(settings) else "32-true",
            max_epochs=settings.epochs,
            callbacks=[*callbacks, *([TQDMProgressBar()] if settings.progress else [])],
            deterministic=True,
            logger=False,
            enable_progress_bar=settings.progress,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )
    except (ValueError, RuntimeError, MisconfigurationException) as error:
        raise UsageError(
            f"cannot train on --accelerator {settings.accelerator} --devices {settings.devices} "
            f"--strategy {settings.strategy}: {one_line(error)}",
            hint="leave out these options, or name what this machine has",
        ) from error


def run_trainer(
    trainer: lightning.Trainer,
    module: lightning.LightningModule,
    train: Any,
    validation: Any,
    resume_from: Path | None,
) -> None:
    """Run the loop.

    Raises:
        TrainingInterruptedError: Ctrl-C.
        OutputError: a checkpoint cannot be written.
    """
    on_interrupt = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(module, train, validation, ckpt_path=resume_from, weights_only=True)
    except SystemExit:
        # Lightning turns Ctrl-C into exit code 1, and leaves SIGINT ignored.
        signal.signal(signal.SIGINT, on_interrupt)
        if not trainer.interrupted:
            raise
        raise TrainingInterruptedError(
            "training was interrupted",
            hint="once an epoch has ended, --resume with the same options goes on from it",
        ) from None
    except RuntimeError as error:
        # PyTorch's writer hides the system's error.
        if "PytorchStreamWriter" not in str(error) and "iostream error" not in str(error):
            raise
        raise OutputError("cannot write a checkpoint", hint="free some space") from OSError(errno.ENOSPC)


def _quieten() -> None:
    """Silence Lightning's banners and the warnings that do not concern the user's choices."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for message in (
        ".*does not have many workers.*",
        ".*number of training batches.*smaller than the logging interval.*",
        ".*isinstance.treespec, LeafSpec.*",
        ".*Checkpoint directory .* exists and is not empty.*",
    ):
        warnings.filterwarnings("ignore", message=message)


def _on_gpu(settings: TrainSettings) -> bool:
    return settings.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
