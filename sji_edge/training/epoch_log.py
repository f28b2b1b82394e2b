"""``metrics.csv``: one line an epoch."""

import csv
import io
from pathlib import Path

import lightning
from lightning.pytorch.callbacks import Callback

from sji_edge.core.files import write_atomic

COLUMNS = ("epoch", "train_loss", "val_ap", "val_ce", "learning_rate")


class EpochTable(Callback):
    """Rewrites the table after each epoch; a resumed run continues it.

    Args:
        path: the CSV file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: list[dict[str, str]] = []

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Keep the epochs before the one that a resumed run starts with, which is known only here."""
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
