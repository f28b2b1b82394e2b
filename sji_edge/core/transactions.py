"""Transactions of the databases that are written: all of a block's rows, or none."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Take the write lock, and commit what the block writes; whatever ends the block early takes it all back.

    Args:
        connection: in autocommit mode; it waits for the lock as long as its timeout says.

    Raises:
        sqlite3.Error: the lock could not be had, or a statement failed.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # The error that led here is the one to report.
        with suppress(sqlite3.Error):
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        raise


def is_locked(error: sqlite3.Error) -> bool:
    """Tell whether another process held the lock for too long."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
