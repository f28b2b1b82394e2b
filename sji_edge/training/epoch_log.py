"""Report a training: ``metrics.csv``, one line for each epoch, and the count of batches."""

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback

from sji_edge.core.clock import Clock, SystemClock
from sji_edge.core.files import write_atomic

COLUMNS = ("epoch", "train_loss", "val_ap", "val_ce", "learning_rate")

Say = Callable[[str], None]
Steps = Callable[[int, int], None]
"""Given the batches done so far and their number over all epochs."""


def nothing(*_: object) -> None:
    """Report nothing."""


class EpochReport(Callback):
    """Reports each epoch in one line, and counts batches.

    Args:
        progress: given ``epoch 3 of 12: loss 0.2310, validation AP 0.9812, 4.2 s``.
        steps: given the batches done and their number over all epochs.
        clock: measures the seconds of an epoch.
    """

    def __init__(self, progress: Say, steps: Steps, clock: Clock | None = None) -> None:
        self._progress = progress
        self._steps = steps
        self._clock = clock or SystemClock()
        self._started_ns = 0

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Start timing the epoch."""
        del trainer, pl_module
        self._started_ns = self._clock.monotonic_ns()

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Count the batch."""
        del pl_module, outputs, batch, batch_idx
        if trainer.is_global_zero:
            self._steps(trainer.global_step, int(trainer.estimated_stepping_batches))

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Report the epoch that has ended."""
        del pl_module
        if not trainer.is_global_zero:
            return
        measured = trainer.callback_metrics
        seconds = (self._clock.monotonic_ns() - self._started_ns) / 1e9
        self._progress(
            f"epoch {trainer.current_epoch + 1} of {trainer.max_epochs}: "
            f"loss {float(measured['train_loss']):.4f}, validation AP {float(measured['val_ap']):.4f}, "
            f"{seconds:.1f} s"
        )


class EpochTable(Callback):
    """Rewrites ``metrics.csv`` after each epoch; a resumed run continues it.

    Args:
        path: the CSV file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: list[dict[str, str]] = []

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Keep the epochs before the first one of this session, which is known only now."""
        del pl_module
        if self._path.is_file():
            with self._path.open(newline="") as stream:
                self._rows = [
                    row for row in csv.DictReader(stream) if int(row["epoch"]) < trainer.current_epoch
                ]

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Add the epoch that has ended."""
        del pl_module
        measured = trainer.callback_metrics
        row = {"epoch": str(trainer.current_epoch)}
        row |= {name: f"{float(measured[name]):.6g}" for name in COLUMNS[1:-1] if name in measured}
        row["learning_rate"] = f"{trainer.optimizers[0].param_groups[0]['lr']:.4g}"
        self._rows.append(row)
        if trainer.is_global_zero:
            self._write()

    def _write(self) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self._rows)
        write_atomic(self._path, text.getvalue())
