"""Keep the output of PyTorch, Lightning and Optuna out of a log."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

LOGGERS = ("lightning", "lightning.pytorch", "lightning.fabric", "torch", "optuna")


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress other libraries' tips, banners and warnings within the block; errors still show.

    Only our own progress, given to callbacks, is then left for a log. Also usable as a decorator.
    """
    loggers = [logging.getLogger(name) for name in LOGGERS]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
