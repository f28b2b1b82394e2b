"""Every error that a user can act on, with the exit code that the command ends with.

::

    SjiError                      1   a bug in sji-edge
    ├── UsageError                2   a wrong argument, setting or input file
    │   ├── DataError                 a dataset or an image
    │   └── RecipeError               a board description
    │       └── RoiOutsideFrameError
    ├── GateError                 3   a quality or parity gate failed, or a run judged nothing
    ├── LatencyGateError          4   a latency gate failed
    ├── EnvironmentMismatchError  5   this machine cannot do what was requested
    │   ├── MissingExtraError         an optional package is not installed
    │   ├── BundleError               an engine bundle is altered or incompatible
    │   └── EngineInputError          crops do not have the engine's shape or dtype
    ├── SourceError               6   a stream cannot be opened, or was lost
    └── OutputError               7   a sink or an output folder failed
    Interrupted               130 SIGINT or SIGTERM ended the command (an exit code, not an error class)

A command that succeeds ends with 0.
"""

EXIT_INTERRUPTED = 130


class SjiError(Exception):
    """An error in one line: the value found and the rule, with a hint at the next step.

    Args:
        message: the value found and the rule, on one line.
        hint: the next step; shown on its own line.
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
    """A dataset or an image cannot be used."""


class RecipeError(UsageError):
    """A board description cannot be used."""


class RoiOutsideFrameError(RecipeError):
    """A joint's box leaves the camera frame."""


class GateError(SjiError):
    """A quality or parity gate failed; what was measured is on disk."""

    exit_code = 3


class LatencyGateError(SjiError):
    """A latency gate failed; what was measured is on disk."""

    exit_code = 4


class EnvironmentMismatchError(SjiError):
    """This machine, or what is installed on it, cannot do what was requested."""

    exit_code = 5


class MissingExtraError(EnvironmentMismatchError):
    """A command needs an optional package that is not installed."""


class BundleError(EnvironmentMismatchError):
    """An engine bundle is altered, incomplete, or made for another machine."""


class EngineInputError(EnvironmentMismatchError):
    """Crops do not have the shape or dtype that the engine takes."""


class SourceError(SjiError):
    """A stream cannot be opened, or was lost."""

    exit_code = 6


class OutputError(SjiError):
    """A sink or an output folder failed."""

    exit_code = 7
