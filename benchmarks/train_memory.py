"""Measures the peak memory of training's reader: one pass over generated crops, jittered as in training.

    python benchmarks/train_memory.py --crops 10000,100000

Each number of crops is read in a process of its own: the dataset is opened, every image decoded once, and one epoch of
views is taken through the loader, without a network. ``--train`` runs a whole ``sji-edge train`` of one epoch instead,
without a guard. Up to a limit, decoded images stay in memory; beyond it they are decoded again in each epoch.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

VALIDATION, DISTINCT, SIDE_PX = 200, 500, (60, 140)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--crops", default="10000,100000", help="numbers of training crops")
    parser.add_argument("--train", action="store_true", help="a whole training of one epoch")
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.read is not None:
        read(given.read)
        return
    print(f"{'crops':>8}{'decoded MB':>12}{'peak MB':>9}{'CPU s':>8}")
    for count in map(int, given.crops.split(",")):
        with tempfile.TemporaryDirectory(prefix="sji-crops-") as place:
            decoded = write_crops(Path(place) / "joints", count)
            peak_mb, cpu_s = measured(Path(place), train=given.train)
        print(f"{count:>8}{decoded / 1e6:>12.0f}{peak_mb:>9.0f}{cpu_s:>8.0f}", flush=True)


def write_crops(root: Path, count: int) -> int:
    """Write noise of some brightness, a tenth of it brighter; returns the bytes of all decoded training crops."""
    rng = np.random.default_rng(0)
    encoded: dict[str, list[bytes]] = {"normal": [], "defective": []}
    sizes: dict[str, list[int]] = {"normal": [], "defective": []}
    for label, level in (("normal", 90), ("defective", 150)):
        for _ in range(DISTINCT):
            height, width = rng.integers(*SIDE_PX, 2)
            image = (level + 20 * rng.standard_normal((height, width))).clip(0, 255).astype(np.uint8)
            encoded[label].append(cv2.imencode(".bmp", image)[1].tobytes())
            sizes[label].append(image.nbytes)
    decoded = 0
    for split, number in (("train", count), ("validation", VALIDATION)):
        for label in encoded:
            (root / split / label).mkdir(parents=True)
        for index in range(number):
            label = "defective" if index % 10 == 0 else "normal"
            # No two files are alike: the last pixel numbers them.
            content = encoded[label][index % DISTINCT][:-4] + (index % 2**31).to_bytes(4, "little")
            (root / split / label / f"{index:06d}.bmp").write_bytes(content)
            decoded += sizes[label][index % DISTINCT] if split == "train" else 0
    return decoded


def measured(place: Path, *, train: bool) -> tuple[float, float]:
    """Peak resident MB and CPU seconds of a process that reads, or trains on, the crops in a folder."""
    command = [sys.executable, __file__, "--read", str(place / "joints")]
    if train:
        command = [
            sys.executable,
            "-m",
            "sji_edge",
            "train",
            str(place / "joints"),
            "--runs",
            str(place / "runs"),
        ]
        command += ["--epochs", "1", "--no-guard", "--no-test", "--image-size", "32", "--weights", "none"]
        command += ["--model", "joint_net_s", "--student", "none"]
    done = subprocess.Popen(command, cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    _, status, used = os.wait4(done.pid, 0)
    if status:
        assert done.stderr is not None
        raise SystemExit(done.stderr.read().decode())
    return used.ru_maxrss / 1e3, used.ru_utime + used.ru_stime


def read(root: Path) -> None:
    """Take one epoch of jittered views, as a training does."""
    from sji_edge.core.card import PreprocessSpec
    from sji_edge.data.folder import FolderDataset, channels_of
    from sji_edge.training.loaders import make_loaders
    from sji_edge.training.settings import TrainSettings

    started = time.perf_counter()
    dataset = FolderDataset.open(root, splits=("train", "validation"))
    images = {split: dataset.read(split) for split in dataset.splits}
    spec = PreprocessSpec(height=84, width=84, channels=channels_of(images["train"]))
    seen = sum(len(labels) for _, labels in make_loaders(TrainSettings(), dataset, images, spec)["train"])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(f"{seen} views in {time.perf_counter() - started:.0f} s, peak {peak:.0f} MB")


if __name__ == "__main__":
    main()
