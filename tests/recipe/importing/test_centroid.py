import pytest

from sji_edge.recipe.importing.centroid import length_mm, read_centroids

KICAD = (
    "Ref,Val,Package,PosX,PosY,Rot,Side\n"
    '"C1","100n","C_0402",12.700000,-3.5,90.0,top\n'
    '"U1","MCU","SOT-23",4,5.25,-45,bottom\n'
)
ALTIUM = (
    "\ufeffAltium Designer Pick and Place Locations\r\n\r\n"
    '"Designator","Comment","Layer","Footprint","Center-X(mm)","Center-Y(mm)","Rotation","Description"\r\n'
    '"C1","100n","TopLayer","C_0402","12.7mm","-3.5mm","90","Capacitor, ceramic"\r\n'
    '"U1","MCU","BottomLayer","SOT-23","4","5.25","-45",""\r\n'
)
TABBED = "Designator\tMid X\tMid Y\tLayer\tRotation\tFootprint\nC1\t500mil\t-3.5\tT\t90\tC_0402\n"


def values(part):
    return part.refdes, part.package, part.x_mm, part.y_mm, part.rotation_deg, part.side


@pytest.mark.parametrize(("text", "lines"), [(KICAD, (2, 3)), (ALTIUM, (4, 5))])
def test_kicad_and_altium_say_the_same(text, lines):
    parts, findings = read_centroids(text.encode(), "board.csv")
    assert findings == []
    assert [values(part) for part in parts] == [
        ("C1", "C_0402", 12.7, -3.5, 90.0, "top"),
        ("U1", "SOT-23", 4.0, 5.25, -45.0, "bottom"),
    ]
    assert tuple(part.line for part in parts) == lines


def test_tabs_and_mils_are_read():
    parts, findings = read_centroids(TABBED.encode(), "board.csv")
    assert findings == []
    assert values(parts[0]) == ("C1", "C_0402", pytest.approx(12.7), -3.5, 90.0, "top")


def test_unit_of_the_header_counts_for_plain_numbers_only():
    text = "Designator,Layer,Footprint,Center-X(mil),Center-Y(mil),Rotation\nC1,Top,P,500,12.7mm,0\n"
    parts, _ = read_centroids(text.encode(), "board.csv")
    assert (parts[0].x_mm, parts[0].y_mm) == pytest.approx((12.7, 12.7))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("12.7", 12.7), ("12.7 mm", 12.7), ("-.5MM", -0.5), ("100mil", 2.54), ("1e1", 10.0),
     ("12,7", None), ("12.7in", None), ("", None), ("nan", None), ("1e999", None)],
)  # fmt: skip
def test_lengths(text, wanted):
    assert length_mm(text) == (None if wanted is None else pytest.approx(wanted))


def test_all_faults_are_told_with_their_lines():
    text = KICAD + "C2,1,P,x,1,0,top\nC3,1,P,1,1,left,inner\nC1,1,P,1,1,0,top\nC4,1\n,1,P,1,1,0,top\n\n"
    parts, findings = read_centroids(text.encode(), "board.csv")
    assert [part.refdes for part in parts] == ["C1", "U1"]
    told = "\n".join(finding.text for finding in findings)
    for wanted in ("line 4: x: 'x'", "line 5: rotation: 'left'", "line 5: side: 'inner'", "line 6: C1 stands on"
                   " line 2", "line 7: 2 cells", "line 8: refdes is empty"):  # fmt: skip
        assert wanted in told
    assert len(findings) == 6


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("a,b\n1,2\n", "no header"), (KICAD.splitlines()[0], "no part"), ("", "no header"),
     (KICAD.replace("Val", "Footprint"), "two columns for package")],
)  # fmt: skip
def test_a_table_that_is_none_is_refused(text, wanted):
    parts, findings = read_centroids(text.encode(), "board.csv")
    assert parts == []
    assert wanted in findings[0].text


def test_other_encodings_are_refused():
    assert read_centroids("Ref,µ".encode("utf-16"), "b.csv")[1][0].text == "b.csv: not UTF-8 text"
