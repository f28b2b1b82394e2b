"""``sji-edge review`` and ``sji-edge users`` as commands: what they refuse, in one line each."""

import subprocess
import sys

import pytest
from support.station_material import small_material

from sji_edge.pool.write import PoolWriter

pytest.importorskip("starlette", reason="the station needs its extra")
pytest.importorskip("argon2", reason="the station needs its extra")


def sji_edge(*words, cwd, text=""):
    command = [sys.executable, "-m", "sji_edge", *map(str, words)]
    return subprocess.run(command, cwd=cwd, input=text, capture_output=True, text=True, timeout=120)


def test_a_user_is_added_listed_and_removed(tmp_path):
    added = sji_edge(
        "users", "add", "ada", "--role", "engineer", "--password-stdin", cwd=tmp_path, text="long enough 1\n"
    )
    assert (added.returncode, added.stdout) == (0, "ada may log in as engineer\n")
    assert sji_edge("users", "list", cwd=tmp_path).stdout == "ada\tengineer\n"
    again = sji_edge("users", "add", "ada", "--password-stdin", cwd=tmp_path, text="long enough 2\n")
    assert again.stdout == "ada may log in as engineer\n"  # a new password changes no role
    assert sji_edge("users", "remove", "ada", cwd=tmp_path).returncode == 0
    assert sji_edge("users", "remove", "ada", cwd=tmp_path).returncode == 2


def test_without_a_terminal_the_password_must_come_from_standard_input(tmp_path):
    asked = sji_edge("users", "add", "ada", cwd=tmp_path)
    assert asked.returncode == 2
    assert "--password-stdin" in asked.stderr
    assert not (tmp_path / "users.json").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "there are no records and no pools"),
        (("absent.db",), "no records in absent.db"),
        (("text.db",), "not a database"),
        (("pool",), "it is a pool; pass it as --pool pool"),
        (("--pool", "."), "is no pool"),
        (("--pool", "pool/pool.db"), "name its folder, pool"),
        (("line/inspections.db", "--host", "0.0.0.0", "--name", "a"), "without logging in"),
        (("line/inspections.db", "--recipe", "absent"), "recipe folder absent does not exist"),
        (("line/inspections.db", "--since", "yesterday"), "is not a UTC time"),
        (
            ("line/inspections.db", "--host", "203.0.113.7", "--users", "users.json", "--name", "a"),
            "cannot serve",
        ),
    ],
)
def test_what_cannot_be_served_is_refused_in_one_line(tmp_path, words, said):
    small_material(tmp_path / "line")
    (tmp_path / "text.db").write_text("no database, but long enough to be looked at. " * 40)
    PoolWriter(tmp_path / "pool").close()
    if "--users" in words:
        sji_edge("users", "add", "ada", "--password-stdin", cwd=tmp_path, text="long enough 1\n")
    done = sji_edge("review", *words, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") <= 2
    assert "Traceback" not in done.stderr
