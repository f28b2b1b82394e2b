"""A database of records as the station uses it: many threads read, one log takes the decisions."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from sji_edge.core.clock import Clock
from sji_edge.core.errors import OutputError, UsageError
from sji_edge.core.files import StrPath
from sji_edge.decisions.log import DecisionLog
from sji_edge.pool.schema import DATABASE
from sji_edge.records.picture_names import PictureKind
from sji_edge.records.write.sqlite import SqliteSink

BUSY_TIMEOUT_S = 5.0


class Records:
    """One ``inspections.db``, also while a line writes it.

    An older database is migrated to the current schema. Each thread reads through a connection of its own, so that a
    long query does not delay an answer.

    Args:
        path: the database.
        clock: for the time of each decision.

    Raises:
        UsageError: it does not exist, or is not a database of records.
        OutputError: it cannot be opened for writing.
    """

    def __init__(self, path: StrPath, clock: Clock | None = None) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            hint = "record some with sji-edge infer, or name its inspections.db"
            if (self.path / DATABASE).is_file():
                hint = f"it is a pool; pass it as --pool {path}"
            raise UsageError(f"no records in {path}", hint=hint)
        try:
            SqliteSink(self.path).close()
        except OutputError as error:
            raise UsageError(error.message, hint="name the inspections.db of a run") from error
        self.log = DecisionLog(self.path, clock)
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._lock = threading.Lock()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give one unchanging view of the database; raises ``OutputError`` where it cannot be read."""
        try:
            connection = self._connection()
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise OutputError(
                f"cannot read {self.path}: {error}", hint="try again, or check the disk"
            ) from error

    def _connection(self) -> sqlite3.Connection:
        known: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if known is None:
            known = sqlite3.connect(
                f"file:{quote(str(self.path.resolve()))}?mode=rw",
                uri=True,
                timeout=BUSY_TIMEOUT_S,
                isolation_level=None,
                check_same_thread=False,
            )
            known.execute("PRAGMA query_only = ON")
            self._local.connection = known
            with self._lock:
                self._opened.append(known)
        return known

    def picture_folder(self, board: str, kind: PictureKind) -> Path | None:
        """Return where the run of a board keeps a kind of picture; None if it keeps none."""
        run = board.rpartition("-")[0]
        with (
            self.reading() as connection,
            closing(
                connection.execute(
                    "SELECT folder FROM picture_folders WHERE run = ? AND kind = ?", (run, kind.value)
                )
            ) as found,
        ):
            row = found.fetchone()
        return None if row is None else self.path.resolve().parent / row[0]

    def close(self) -> None:
        """Close all connections."""
        self.log.close()
        with self._lock:
            for connection in self._opened:
                connection.close()
            self._opened.clear()
