"""Run PyTorch as the baseline of a benchmark: FP32, eager mode, CPU."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from sji_edge.core.protocols import EngineOutput
from sji_edge.models.checkpoint import load_guard, load_run

CALLS = 3


@contextmanager
def torch_outputs(run: Path, threads: int) -> Iterator[Callable[[NDArray[np.uint8]], EngineOutput]]:
    """Yield a function from crops uint8 ``(n, h, w, c)`` to what the run's model, and its guard, say of them.

    A call runs the model on the whole batch and does nothing else. ``threads`` sets PyTorch's threads within the
    block; 0 leaves them unchanged.
    """
    model, _ = load_run(run)
    guarded = load_guard(run, model)
    before = torch.get_num_threads()
    if threads:
        torch.set_num_threads(threads)

    def predict(crops: NDArray[np.uint8]) -> EngineOutput:
        with torch.inference_mode():
            if guarded is None:
                return EngineOutput(model(torch.from_numpy(crops)).numpy())
            answers = guarded(torch.from_numpy(crops))
        return EngineOutput(*(answer.numpy() for answer in answers))

    try:
        yield predict
    finally:
        torch.set_num_threads(before)


@contextmanager
def torch_predictor(run: Path, threads: int) -> Iterator[Callable[[NDArray[np.uint8]], NDArray[np.float32]]]:
    """Yield ``torch_outputs`` reduced to the logits, float32 ``(n, classes)``."""
    with torch_outputs(run, threads) as predict:
        yield lambda crops: predict(crops).logits


def judge_once(run: str, batch: str, threads: str) -> None:
    """Run a few batches of black crops, to measure memory in a separate process."""
    with torch_predictor(Path(run), int(threads)) as predict:
        shape = load_run(Path(run))[1].preprocess.shape
        for _ in range(CALLS):
            predict(np.zeros((int(batch), *shape), np.uint8))
