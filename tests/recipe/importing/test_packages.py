import pytest

from sji_edge.recipe.importing.packages import read_packages

GOOD = "package,width,height,pin,dx,dy\nC_0402,1.6,0.9,,,\nSOT,0.6,0.8,1,-0.95,-1\nSOT,0.6,0.8,2,0.95,-1\nHOLE,0,0,,,\n"


def test_a_package_has_one_box_or_one_per_pin_or_none():
    packages, findings = read_packages(GOOD.encode(), "p.csv")
    assert findings == []
    assert [(box.width, box.height, box.dx, box.dy) for box in packages["C_0402"]] == [(1.6, 0.9, 0, 0)]
    assert [(box.pin, box.dx, box.dy) for box in packages["SOT"]] == [("1", -0.95, -1), ("2", 0.95, -1)]
    assert [box.empty for box in packages["HOLE"]] == [True]


def test_optional_columns_may_be_missing():
    packages, findings = read_packages(b"package,width,height\nA,1,2\n", "p.csv")
    assert (findings, packages["A"][0].pin) == ([], "")


@pytest.mark.parametrize(
    ("line", "wanted"),
    [("SOT,0.6,0.8,2,0,0", "line 6: SOT: duplicate pin 2"),
     ("C_0402,1,1,,,", "line 6: C_0402: each of several lines needs a pin"),
     ("HOLE,1,1,3,,", "line 6: HOLE: one line says"),
     ("X,1,0,,,", "must both be 0, or neither"), ("X,-1,1,,,", "line 6: width"), ("X,nan,1,,,", "line 6: width"),
     (",1,1,,,", "line 6: package"), ("X,1", "line 6: 2 cells, but the header has 6")],
)  # fmt: skip
def test_contradictions_are_reported_with_their_line(line, wanted):
    packages, findings = read_packages(f"{GOOD}{line}\n".encode(), "p.csv")
    assert len(findings) == 1
    assert wanted in findings[0].text
    assert len(packages["SOT"]) == 2


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("", "no column 'package'"), ("package,width,hight\nA,1,1\n", "unknown column 'hight'"),
     ("package,width,height,height\nA,1,1,1\n", "duplicate column 'height'"), ("package,width,height\n", "no package")],
)  # fmt: skip
def test_a_file_that_is_not_such_a_table_is_refused(text, wanted):
    packages, findings = read_packages(text.encode(), "p.csv")
    assert packages == {}
    assert any(wanted in finding.text for finding in findings)
