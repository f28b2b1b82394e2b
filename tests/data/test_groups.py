from pathlib import Path

import pytest

from sji_edge.core.errors import DataError
from sji_edge.data.folder import Sample
from sji_edge.data.groups import groups_of, read_groups


def table(root: Path, text: str) -> Path:
    (root / "labels.csv").write_text(text)
    return root


def test_groups_are_read_by_relative_path(tmp_path):
    table(tmp_path, "file,state,group\ntrain/normal/a.png,ok,one\ntrain/normal/b.png,ok,two\n")
    samples = [Sample(tmp_path / "train" / "normal" / name, 0) for name in ("b.png", "a.png", "c.png")]
    assert groups_of(tmp_path, samples) == ["two", "one", ""]


@pytest.mark.parametrize("text", [None, "file,state\na.png,ok\n", ""])
def test_without_a_table_or_column_nothing_is_known(tmp_path, text):
    if text is not None:
        table(tmp_path, text)
    assert read_groups(tmp_path) == {}


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("name,group\na.png,one\n", "none called file"),
        ("file,group\na.png,one\na.png,two\n", r"line 3: a\.png is in group two, and before in one"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused(tmp_path, text, match):
    with pytest.raises(DataError, match=match):
        read_groups(table(tmp_path, text))


def test_a_table_in_another_coding_is_refused(tmp_path):
    (tmp_path / "labels.csv").write_bytes(b"file,group\n\xff\xfe,one\n")
    with pytest.raises(DataError, match="cannot read"):
        read_groups(tmp_path)


def test_a_line_that_is_cut_short_has_no_group(tmp_path):
    assert read_groups(table(tmp_path, "file,group\na.png\nb.png,one\n")) == {"b.png": "one"}
