"""Errors that a user can act on, and the exit code each one ends the command with.

::

    SjiError                      1   a fault of ours
    ├── UsageError                2   an argument or a setting
    │   ├── DataError                 a dataset, an image
    │   └── RecipeError               a board description
    │       └── RoiOutsideFrameError
    ├── GateError                 3   a quality or parity gate failed, or a run judged nothing
    ├── LatencyGateError          4   a latency gate failed
    ├── EnvironmentMismatchError  5   this machine cannot do that
    │   ├── MissingExtraError         a package of an extra is not installed
    │   ├── BundleError               an engine bundle is altered or incompatible
    │   └── EngineInputError          crops of another shape or dtype than the engine takes
    ├── SourceError               6   a stream cannot be opened, or is lost
    └── OutputError               7   a sink or an output folder failed
    Interrupted               130 SIGINT or SIGTERM ended the command; no error, but an exit code

A command that does what it was asked ends with 0.
"""

EXIT_INTERRUPTED = 130


class SjiError(Exception):
    """One line of what was found and what was wanted, and a hint at the next step.

    Args:
        message: what was found, and what was wanted.
        hint: what to do next; shown on a line of its own.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(SjiError):
    """An argument, a setting or an input file is wrong."""

    exit_code = 2


class DataError(UsageError):
    """A dataset or an image cannot be used as it is."""


class RecipeError(UsageError):
    """A board description cannot be used as it is."""


class RoiOutsideFrameError(RecipeError):
    """A joint's box leaves the camera frame."""


class GateError(SjiError):
    """A quality or parity gate failed; what was measured is on disk."""

    exit_code = 3


class LatencyGateError(SjiError):
    """A latency gate failed; what was measured is on disk."""

    exit_code = 4


class EnvironmentMismatchError(SjiError):
    """This machine, or what is installed on it, cannot do what was asked."""

    exit_code = 5


class MissingExtraError(EnvironmentMismatchError):
    """A command needs a package that an extra brings."""


class BundleError(EnvironmentMismatchError):
    """An engine bundle is altered, incomplete, or made for another machine."""


class EngineInputError(EnvironmentMismatchError):
    """Crops whose shape or dtype is not what the engine takes."""


class SourceError(SjiError):
    """A stream cannot be opened, or was lost."""

    exit_code = 6


class OutputError(SjiError):
    """A sink or an output folder failed."""

    exit_code = 7
