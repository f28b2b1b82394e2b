import sqlite3
from contextlib import nullcontext

import pytest

from sji_edge.core.transactions import is_locked, transaction


@pytest.fixture
def path(tmp_path):
    with sqlite3.connect(tmp_path / "a.db") as connection:
        connection.execute("CREATE TABLE rows (value)")
    connection.close()
    return tmp_path / "a.db"


def connected(path):
    return sqlite3.connect(path, timeout=0.01, isolation_level=None)


@pytest.mark.parametrize("ends", [ValueError, KeyboardInterrupt, None])
def test_all_of_a_block_is_written_or_nothing(path, ends):
    connection = connected(path)
    with pytest.raises(ends) if ends else nullcontext(), transaction(connection):
        connection.execute("INSERT INTO rows VALUES (1), (2)")
        if ends:
            raise ends
    assert not connection.in_transaction
    assert connection.execute("SELECT count(*) FROM rows").fetchone()[0] == (0 if ends else 2)
    connection.close()


def test_a_lock_that_another_process_holds_is_told_from_other_faults(path):
    first, second = connected(path), connected(path)
    with transaction(first):
        with pytest.raises(sqlite3.OperationalError) as locked, transaction(second):
            pass
        assert is_locked(locked.value)
    with pytest.raises(sqlite3.OperationalError) as missing, transaction(second):
        second.execute("INSERT INTO nothing VALUES (1)")
    assert not is_locked(missing.value)
    assert not second.in_transaction
    first.close()
    second.close()
