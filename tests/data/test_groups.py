from pathlib import Path

import pytest

from sji_edge.core.errors import DataError
from sji_edge.data.folder import Sample
from sji_edge.data.groups import groups_of, read_groups, read_packages, rows_left_out


def table(root: Path, text: str) -> Path:
    (root / "labels.csv").write_text(text)
    return root


def test_groups_are_read_by_relative_path(tmp_path):
    table(tmp_path, "file,state,group\ntrain/normal/a.png,ok,one\ntrain/normal/b.png,ok,two\n")
    samples = [Sample(tmp_path / "train" / "normal" / name, 0) for name in ("b.png", "a.png", "c.png")]
    assert groups_of(tmp_path, samples) == ["two", "one", ""]


SPELLINGS = {
    "semicolons": b"file;group\na/1.png;one\n",
    "tabs": b"file\tgroup\na/1.png\tone\n",
    "a capital": b"File,Group\na/1.png,one\n",
    "other names": b"filename,group_id\na/1.png,one\n",
    "backslashes": b"file,group\na\\1.png,one\n",
    "a dot": b"file,group\n./a/1.png,one\n",
    "blanks": b"file, group\na/1.png , one\n",
    "a byte order mark": b"\xef\xbb\xbffile,group\na/1.png,one\n",
    "UTF-16": "file\tgroup\r\na/1.png\tone\r\n".encode("utf-16"),
}


@pytest.mark.parametrize("content", SPELLINGS.values(), ids=SPELLINGS)
def test_what_spreadsheets_write_is_read(tmp_path, content):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.png").touch()
    (tmp_path / "labels.csv").write_bytes(content)
    assert read_groups(tmp_path) == {"a/1.png": "one"}
    assert rows_left_out(tmp_path) == ()


def test_rows_that_name_no_file_are_counted(tmp_path):
    (tmp_path / "b.png").touch()
    table(tmp_path, "file,group\na.png,one\nb.png,one\n,two\n\n")
    assert [str(one) for one in rows_left_out(tmp_path)] == [
        "2 rows of labels.csv that name no file (line 2: a.png, line 4: no file)"
    ]


def test_a_table_without_groups_is_reported_with_the_nearest_column(tmp_path):
    said = str(rows_left_out(table(tmp_path, "file,grup\na.png,1\n"))[0])
    assert said == "1 labels.csv without a column group (did you mean 'grup'?)"


@pytest.mark.parametrize("text", [None, "file,state\na.png,ok\n", ""])
def test_without_a_table_or_column_nothing_is_known(tmp_path, text):
    if text is not None:
        table(tmp_path, text)
    assert read_groups(tmp_path) == {}


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("name,group\na.png,one\n", "none called file"),
        (
            "file,group\na.png,one\na.png,two\n",
            r"line 3: a\.png is in group two, but an earlier row says one",
        ),
    ],
)
def test_a_contradictory_table_is_refused(tmp_path, text, match):
    with pytest.raises(DataError, match=match):
        read_groups(table(tmp_path, text))


def test_a_table_in_another_coding_is_refused(tmp_path):
    (tmp_path / "labels.csv").write_bytes(b"file,group\n\xff\xfe,one\n")
    with pytest.raises(DataError, match="cannot read"):
        read_groups(tmp_path)


def test_a_row_that_is_cut_short_has_no_group(tmp_path):
    assert read_groups(table(tmp_path, "file,group\na.png\nb.png,one\n")) == {"b.png": "one"}


def test_a_table_that_is_a_folder_or_a_dead_link_is_refused(tmp_path):
    (tmp_path / "labels.csv").mkdir()
    with pytest.raises(DataError, match="not a regular file"):
        read_groups(tmp_path)
    (tmp_path / "labels.csv").rmdir()
    (tmp_path / "labels.csv").symlink_to("nowhere")
    with pytest.raises(DataError, match="No such file"):
        read_groups(tmp_path)


@pytest.mark.parametrize("name", ["Labels.csv", "labels.xlsx", "LABELS.CSV"])
def test_a_table_of_another_name_is_reported(tmp_path, name):
    (tmp_path / name).write_text("file,group\n")
    (left,) = rows_left_out(tmp_path)
    assert str(left) == f"1 table of groups that is not named labels.csv ({name})"


@pytest.mark.parametrize("column", ["package", "Pad"])
def test_packages_are_read_beside_groups(tmp_path, column):
    table(tmp_path, f"file,group,{column}\na.png,one,0402\nb.png,one,sot23\nc.png,two,\n")
    assert read_packages(tmp_path) == {"a.png": "0402", "b.png": "sot23"}
    assert read_groups(tmp_path) == {"a.png": "one", "b.png": "one", "c.png": "two"}


def test_without_a_column_or_a_table_no_package_is_known(tmp_path):
    assert read_packages(tmp_path) == {}
    assert read_packages(table(tmp_path, "file,group\na.png,one\n")) == {}


def test_a_file_with_two_packages_is_refused(tmp_path):
    table(tmp_path, "file,pad\na.png,bar\na.png,rect\n")
    with pytest.raises(DataError, match=r"a\.png is in pad rect, but an earlier row says bar"):
        read_packages(tmp_path)
