"""Lightning's trainer, with its failures mapped to our errors."""

import errno
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback

from sji_edge.core.errors import EXIT_INTERRUPTED, OutputError, SjiError, UsageError
from sji_edge.core.text import one_line
from sji_edge.training.settings import TrainSettings


class TrainingInterruptedError(SjiError):
    """Training was interrupted from the keyboard; the last complete epoch is kept."""

    exit_code = EXIT_INTERRUPTED


class TrainingDivergedError(UsageError):
    """The trained model's logits are not finite: the settings do not suit the data."""


def make_trainer(settings: TrainSettings, callbacks: Sequence[Callback]) -> lightning.Trainer:
    """Return a deterministic trainer for these settings.

    Raises:
        UsageError: this machine lacks the accelerator, the number of devices or the strategy.
    """
    try:
        return lightning.Trainer(
            accelerator=settings.accelerator,
            devices=settings.devices if settings.devices == "auto" else int(settings.devices),
            num_nodes=settings.nodes,
            strategy=settings.strategy,
            precision="16-mixed" if _on_gpu(settings) else "32-true",
            max_epochs=settings.epochs,
            callbacks=list(callbacks),
            deterministic=True,
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )
    except (ValueError, RuntimeError, MisconfigurationException) as error:
        raise UsageError(
            f"cannot train on accelerator {settings.accelerator}, devices {settings.devices}, "
            f"strategy {settings.strategy}: {one_line(error)}",
            hint="leave these settings out, or name what this machine has",
        ) from error


def run_trainer(
    trainer: lightning.Trainer,
    module: lightning.LightningModule,
    train: Any,
    validation: Any,
    resume_from: Path | None,
) -> None:
    """Run the training loop.

    Raises:
        TrainingInterruptedError: the user pressed Ctrl-C.
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
        saved = getattr(trainer.checkpoint_callback, "last_model_path", "")
        can_resume = resume_from is not None or (saved and Path(saved).is_file())
        raise TrainingInterruptedError(
            "training was interrupted",
            hint="resume continues it after its last complete epoch"
            if can_resume
            else "no epoch was saved yet: start the run again",
        ) from None
    except RuntimeError as error:
        # PyTorch's writer hides the system's error.
        if "PytorchStreamWriter" not in str(error) and "iostream error" not in str(error):
            raise
        raise OutputError("cannot write a checkpoint", hint="free some space") from OSError(errno.ENOSPC)


def _on_gpu(settings: TrainSettings) -> bool:
    return settings.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
