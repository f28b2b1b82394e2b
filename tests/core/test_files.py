import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sji_edge.core.errors import DataError, OutputError, UsageError
from sji_edge.core.files import (
    check_new_folder,
    check_writable_file,
    check_writable_folder,
    fresh_name,
    new_folder,
    newest_folder,
    parse_json,
    read_bounded,
    read_json,
    read_toml,
    remove_stale,
    sha256_of,
    write_atomic,
    write_json,
)


def test_a_folder_appears_whole_and_readable(tmp_path):
    target = tmp_path / "runs" / "one"
    with new_folder(target) as partial:
        (partial / "a").write_text("1")
        assert not target.exists()
    assert (target / "a").read_text() == "1"
    assert target.stat().st_mode & 0o777 == 0o755
    assert [entry.name for entry in target.parent.iterdir()] == ["one"]


@pytest.mark.parametrize("failure", [OSError("disk full"), KeyboardInterrupt(), SystemExit(1)])
def test_nothing_is_left_after_any_failure(tmp_path, failure):
    def fill() -> None:
        with new_folder(tmp_path / "one") as partial:
            (partial / "a").write_text("1")
            raise failure

    with pytest.raises(type(failure)):
        fill()
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_refused_and_left_alone(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "a").write_text("old")
    with pytest.raises(OutputError, match="already exists"), new_folder(tmp_path / "one"):
        raise AssertionError("the block must not run")
    assert (tmp_path / "one" / "a").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_someone_filled_meanwhile_is_left_alone(tmp_path):
    target = tmp_path / "one"

    def fill() -> None:
        with new_folder(target) as partial:
            (partial / "a").write_text("mine")
            target.mkdir()
            (target / "a").write_text("theirs")

    with pytest.raises(OSError):
        fill()
    assert (target / "a").read_text() == "theirs"
    assert [entry.name for entry in tmp_path.iterdir()] == ["one"]


def test_a_failed_write_keeps_the_old_content_and_no_temporary(tmp_path):
    path = tmp_path / "card.json"
    write_atomic(path, "old")
    with pytest.raises(ValueError):
        write_json(path, {"score": float("nan")})
    with pytest.raises(TypeError):
        write_atomic(path, 5)  # type: ignore[arg-type]
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["card.json"]


def test_a_write_replaces_bytes_and_text_and_is_readable_by_all(tmp_path):
    path = tmp_path / "x"
    write_atomic(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    write_atomic(path, "Δ")
    assert path.read_text(encoding="utf-8") == "Δ"
    assert path.stat().st_mode & 0o777 == 0o644


def test_the_hash_is_sha256(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"solder" * 100_000)
    assert sha256_of(path) == hashlib.sha256(b"solder" * 100_000).hexdigest()


def test_fresh_names_count_up(tmp_path):
    assert fresh_name(tmp_path, "run") == "run"
    (tmp_path / "run").mkdir()
    (tmp_path / "run-2").mkdir()
    assert fresh_name(tmp_path, "run") == "run-3"


def test_the_newest_folder_is_the_one_whose_marker_is_newest_and_not_hidden(tmp_path):
    assert newest_folder(tmp_path, "card.json") is None
    now = time.time()
    for age, name in ((30, "old"), (10, "new"), (0, ".partial")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "card.json").write_text("{}")
        os.utime(tmp_path / name / "card.json", (now - age, now - age))
    (tmp_path / "unmarked").mkdir()
    assert newest_folder(tmp_path, "card.json") == tmp_path / "new"


def test_json_is_read_as_it_was_written(tmp_path):
    write_json(tmp_path / "a.json", {"score": [0.5, "Δ", None]})
    assert read_json(tmp_path / "a.json") == {"score": [0.5, "Δ", None]}
    (tmp_path / "b.json").write_bytes(b"\xef\xbb\xbf[1]")
    assert read_json(tmp_path / "b.json") == [1]


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b"\xff\xfe", "is not UTF-8 text"),
        (b'{\n"a": }', "line 2: not JSON"),
        (b'{"a": NaN}', "NaN is not a JSON number"),
        (b"[" * 200_000, "nested too deeply"),
        (b"1" * 10_000, "not valid JSON: a number has 10000 digits$"),
        (b'{"b": {"a": 1, "a": 2}}', "not valid JSON: duplicate key a$"),
        (b"", "line 1: not JSON"),
    ],
)
def test_invalid_json_is_refused_in_one_line(tmp_path, content, wanted):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(DataError, match=wanted) as caught:
        read_json(tmp_path / "a.json", error=DataError)
    assert "\n" not in caught.value.message
    with pytest.raises(UsageError, match=wanted):
        parse_json(content, "a.json")


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b"a = \xff", "not UTF-8"),
        (b"a = ", "not valid TOML"),
        (b"a = " + b"[" * 100_000, "too deeply|not valid"),
        (b"a = " + b"1" * 10_000, "a number is too long$"),
    ],
)
def test_invalid_toml_is_refused_in_one_line(tmp_path, content, wanted):
    (tmp_path / "a.toml").write_bytes(content)
    with pytest.raises(UsageError, match=wanted):
        read_toml(tmp_path / "a.toml")


def test_only_regular_files_of_bounded_size_are_read(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    assert read_bounded(tmp_path / "a", 5) == b"12345"
    with pytest.raises(UsageError, match="larger than 4 bytes"):
        read_bounded(tmp_path / "a", 4)
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, "/dev/zero"):
        with pytest.raises(UsageError, match="not a regular file"):
            read_bounded(path if path != "/dev/zero" else type(tmp_path)(path))
    with pytest.raises(UsageError, match="No such file"):
        read_bounded(tmp_path / "gone")
    with pytest.raises(UsageError, match="cannot read"):
        read_bounded(tmp_path / "nul\0")


def test_an_unwritable_place_is_an_output_error_before_any_work(tmp_path):
    blocked = tmp_path / "file.txt"
    blocked.write_text("mine")
    with pytest.raises(OutputError, match="cannot create"), new_folder(blocked / "run"):
        raise AssertionError("the block must not run")
    with pytest.raises(OutputError, match="cannot write to"):
        check_writable_folder(blocked)
    with pytest.raises(OutputError, match="cannot write"):
        check_writable_file(blocked / "report.json")
    with pytest.raises(OutputError, match="it is a folder"):
        check_writable_file(tmp_path)
    assert blocked.read_text() == "mine"


def test_the_check_creates_the_folder_and_leaves_nothing_in_it(tmp_path):
    (tmp_path / "old.json").write_text("old")
    check_writable_file(tmp_path / "old.json")
    check_writable_file(tmp_path / "new" / "report.json")
    check_writable_folder(tmp_path / "pictures")
    assert (tmp_path / "old.json").read_text() == "old"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["new", "old.json", "pictures"]


def test_a_partial_folder_of_a_killed_process_is_removed_and_one_in_use_is_kept(tmp_path):
    script = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom sji_edge.core.files import new_folder\n"
        "with new_folder(Path(sys.argv[1]) / 'dead') as folder:\n"
        "    (folder / 'half').write_text('x')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    [left] = tmp_path.glob(".dead.partial-*")
    assert remove_stale(tmp_path) == []  # too young
    with new_folder(tmp_path / "alive") as busy:
        assert remove_stale(tmp_path, min_age_s=0) == [left.name]
        assert busy.is_dir()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alive"]


def test_the_next_folder_made_removes_what_was_left_behind(tmp_path):
    stale = tmp_path / ".old.partial-abc"
    stale.mkdir()
    (stale / "half").write_text("x")
    os.utime(stale, (0, 0))
    with new_folder(tmp_path / "new"):
        assert not stale.exists()


def test_a_new_folder_that_cannot_be_made_is_found_before_the_work(tmp_path):
    (tmp_path / "there").mkdir()
    with pytest.raises(OutputError, match="already exists"):
        check_new_folder(tmp_path / "there")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        check_new_folder(tmp_path / "file" / "new")
    check_new_folder(tmp_path / "deep" / "new")
    assert not (tmp_path / "deep" / "new").exists()


def test_a_folder_that_could_be_created_is_checked_without_creating_it(tmp_path):
    check_writable_folder(tmp_path / "new" / "deeper", create=False)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    for place in ("file", "file/below"):
        with pytest.raises(OutputError, match=f"cannot write to .*{place}: Not a directory"):
            check_writable_folder(tmp_path / place, create=False)


def test_a_pipe_or_a_device_is_never_replaced_by_a_file(tmp_path):
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    for path in (pipe, link, Path(os.devnull)):
        with pytest.raises(OutputError, match=f"cannot write {path}: it is not a regular file"):
            check_writable_file(path)
    for path in (pipe, link):
        with pytest.raises(FileExistsError, match="not a regular file"):
            write_atomic(path, "text")
    assert pipe.is_fifo()
    assert link.is_symlink()
    assert sorted(tmp_path.iterdir()) == [link, pipe]
