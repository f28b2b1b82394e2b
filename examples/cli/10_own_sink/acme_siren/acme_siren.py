"""A sink of your own for ``sji-edge infer --sink siren``: one line for each board that did not pass."""

from pathlib import Path

from sji_edge.core.errors import OutputError
from sji_edge.core.protocols import BoardRecord
from sji_edge.core.verdict import Verdict


class Siren:
    """Writes to a file; a real one would switch on the lamp.

    Args:
        path: the file that ``infer`` suggests for this run.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("x", encoding="utf-8")

    def write(self, record: BoardRecord) -> None:
        """Report a board that did not pass."""
        if record.verdict is Verdict.PASS:
            return
        try:
            print(record.frame_name, record.verdict, file=self._file, flush=True)
        except OSError as error:
            raise OutputError(f"the siren does not answer: {error.strerror}") from error

    def close(self) -> None:
        """Release the file."""
        self._file.close()
