"""Run tasks in several processes, each with its own threads and, where there are GPUs, its own GPU."""

import os
import signal
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import Queue, get_context
from typing import Any, Self, TypeVar

import torch

Task = TypeVar("Task")
Answer = TypeVar("Answer")


class Pool:
    """Worker processes; one worker is this process itself.

    Args:
        workers: number of processes.
        threads: PyTorch's threads in each process.
    """

    def __init__(self, workers: int, threads: int) -> None:
        self._threads = threads
        self._before = torch.get_num_threads()
        self._executor = _executor(workers, threads) if workers > 1 else None

    def __enter__(self) -> Self:
        torch.set_num_threads(self._threads)
        return self

    def __exit__(self, *_: object) -> None:
        torch.set_num_threads(self._before)
        if self._executor:
            self._executor.shutdown(cancel_futures=True)

    def each(self, function: Callable[[Task], Answer], tasks: Sequence[Task]) -> Iterator[Answer]:
        """Call a function with every task; yield the answers as they come, in any order."""
        if self._executor is None:
            yield from map(function, tasks)
            return
        futures = [self._executor.submit(function, task) for task in tasks]
        for future in as_completed(futures):
            yield future.result()

    def in_order(self, function: Callable[[Task], Answer], tasks: Sequence[Task]) -> Iterator[Answer]:
        """Call a function with every task; yield the answers in the order of the tasks."""
        return map(function, tasks) if self._executor is None else self._executor.map(function, tasks)


def _executor(workers: int, threads: int) -> ProcessPoolExecutor:
    # Processes are spawned because CUDA and OpenMP do not survive a fork.
    context = get_context("spawn")
    numbers = context.Queue()
    for number in range(workers):
        numbers.put(number)
    return ProcessPoolExecutor(workers, context, initializer=_start, initargs=(numbers, threads))


def _start(numbers: "Queue[int]", threads: int) -> None:
    """Set up a worker process."""
    # Warnings of other libraries do not belong in the log.
    warnings.simplefilter("ignore")
    # Ctrl-C reaches every process: a worker ends silently, and its parent reports it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    number = numbers.get()
    torch.set_num_threads(threads)
    gpus: Any = torch.cuda.device_count()
    if gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = str(number % gpus)
