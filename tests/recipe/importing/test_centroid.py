import re

import numpy as np
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
POS = """### Footprint positions - created on 2024-05-01T10:00:00 ###
### Printed by KiCad version 8.0.2
## Unit = mm, Angle = deg.
## Side : All
# Ref     Val       Package                PosX       PosY       Rot  Side
C1        100n      C_0402              12.7000    -3.5000   90.0000  top
U1        MCU       SOT-23               4.0000     5.2500  -45.0000  bottom
H1                  Hole                 1.0000     2.0000    0.0000  top
## End
"""
REPORT = """Altium Designer Pick and Place Locations
Units used: mil

Designator Footprint      Mid X         Mid Y         Ref X         Ref Y TB      Rotation Comment
C1         CAP0402       200mil       -100mil        200mil       -100mil  T        90.00 100 nF 50V
U1         SOT-23       1000mil        500mil       1000mil        500mil  B        0.00 MCU
"""
WIDE_REPORT = """Altium Designer Pick and Place Locations
Units used: mil

Designator Comment     Layer       Footprint Center-X(mil) Center-Y(mil) Rotation Description
C1         100 nF 50V  TopLayer    CAP0402   200.000       -100.000      90       Capacitor, ceramic
U1         MCU         BottomLayer SOT-23    1000.000      500.000       0
"""
TABBED = "Designator\tMid X\tMid Y\tLayer\tRotation\tFootprint\nC1\t500mil\t-3.5\tT\t90\tC_0402\n"


def read(data, name, **settings):
    table = read_centroids(data, name, **settings)
    return table.parts, table.problems


def values(part):
    return part.refdes, part.package, part.x_mm, part.y_mm, part.rotation_deg, part.side


@pytest.mark.parametrize(("text", "lines", "bottom"), [(KICAD, (2, 3), -135.0), (ALTIUM, (4, 5), -45.0)])
def test_kicad_and_altium_say_the_same_but_for_rotations_of_the_bottom(text, lines, bottom):
    parts, findings = read(text.encode(), "board.csv")
    assert findings == ()
    assert [values(part) for part in parts] == [
        ("C1", "C_0402", 12.7, -3.5, 90.0, "top"),
        ("U1", "SOT-23", 4.0, 5.25, bottom, "bottom"),
    ]
    assert tuple(part.line for part in parts) == lines


def test_tabs_and_mils_are_read():
    parts, findings = read(TABBED.encode(), "board.csv")
    assert findings == ()
    assert values(parts[0]) == ("C1", "C_0402", pytest.approx(12.7), -3.5, 90.0, "top")


def test_unit_of_the_header_counts_for_plain_numbers_only():
    text = "Designator,Layer,Footprint,Center-X(mil),Center-Y(mil),Rotation\nC1,Top,P,500,12.7mm,0\n"
    parts, _ = read(text.encode(), "board.csv")
    assert (parts[0].x_mm, parts[0].y_mm) == pytest.approx((12.7, 12.7))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("12.7", 12.7), ("12.7 mm", 12.7), ("-.5MM", -0.5), ("100mil", 2.54), ("1e1", 10.0),
     ("12,7", None), ("0.5in", 12.7), ("0.5 inch", 12.7), ("12.7ft", None), ("", None), ("nan", None), ("1e999", None)],
)  # fmt: skip
def test_lengths(text, wanted):
    assert length_mm(text) == (None if wanted is None else pytest.approx(wanted))


def test_all_faults_are_reported_with_their_lines():
    text = KICAD + "C2,1,P,x,1,0,top\nC3,1,P,1,1,left,inner\nC1,1,P,1,1,0,top\nC4,1\n,1,P,1,1,0,top\n\n"
    parts, findings = read(text.encode(), "board.csv")
    assert [part.refdes for part in parts] == ["C1", "U1", "C1"]
    told = "\n".join(finding.text for finding in findings)
    for wanted in ("line 4: x: 'x'", "line 5: rotation: 'left'", "line 5: side: 'inner'", "line 7: 2 cells",
                   "line 8: refdes is empty"):  # fmt: skip
        assert wanted in told
    assert len(findings) == 5


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("a,b\n1,2\n", "names columns"), (KICAD.splitlines()[0], "lists no part"), ("", "names columns"),
     (KICAD.replace("Val", "Footprint"), "two columns for package")],
)  # fmt: skip
def test_a_file_that_is_not_such_a_table_is_refused(text, wanted):
    parts, findings = read(text.encode(), "board.csv")
    assert parts == ()
    assert wanted in findings[0].text


def test_kicads_ascii_file_is_read_as_its_csv(tmp_path):
    parts, findings = read(POS.encode(), "board.pos")
    assert findings == ()
    assert [values(part) for part in parts] == [
        ("C1", "C_0402", 12.7, -3.5, 90.0, "top"),
        ("U1", "SOT-23", 4.0, 5.25, -135.0, "bottom"),
        ("H1", "Hole", 1.0, 2.0, 0.0, "top"),
    ]
    assert read_centroids(POS.replace("Unit = mm", "Unit = inches").encode(), "b").parts[
        0
    ].x_mm == pytest.approx(322.58)


@pytest.mark.parametrize("text", [REPORT, WIDE_REPORT], ids=["old", "new"])
def test_altiums_text_report_is_read(text):
    table = read_centroids(text.encode(), "report.txt")
    assert table.problems == ()
    assert (table.program, table.unit, table.declared) == ("Altium", "mil", True)
    assert [values(part) for part in table.parts] == [
        ("C1", "CAP0402", pytest.approx(5.08), pytest.approx(-2.54), 90.0, "top"),
        ("U1", "SOT-23", pytest.approx(25.4), pytest.approx(12.7), 0.0, "bottom"),
    ]


def test_cells_with_blanks_are_kept_together_in_columns_of_fixed_width():
    parts, findings = read(WIDE_REPORT.replace("CAP0402", "CAP 402").encode(), "report.txt")
    assert findings == ()
    assert [part.package for part in parts] == ["CAP 402", "SOT-23"]


@pytest.mark.parametrize("coding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_unicode_codings_are_read(coding):
    text = KICAD.replace("MCU", "µC")
    assert len(read(text.encode(coding), "b.csv")[0]) == 2


def test_an_unsure_coding_matters_only_where_a_name_depends_on_it():
    assert len(read(KICAD.replace("MCU", "µC").encode("cp1252"), "b.csv")[0]) == 2
    parts, findings = read(KICAD.replace("U1", "Ü1").encode("cp1252"), "b.csv")
    assert [part.refdes for part in parts] == ["C1"]
    assert (
        findings[0].text
        == "b.csv line 3: refdes: 'Ü1' is not UTF-8 text (perhaps Windows-1252); save the table in UTF-8"
    )


def test_decimal_commas_are_read_where_they_cannot_be_separators():
    text = "Designator;Layer;Footprint;Mid X;Mid Y;Rotation\nC1;Top;P;1,5;-2,25;0\n"
    assert values(read(text.encode(), "b.csv")[0][0])[2:4] == (1.5, -2.25)
    mixed = text + "C2;Top;P;1.5;2,5;0\n"
    assert "x: '1,5' is not a length" in read(mixed.encode(), "b.csv")[1][0].text


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("Name,X,Y,Angle,Value,Package", "line 1 names x, y, rotation, package but has no column for refdes"),
        ("Designator,Mid X,Mid Y,Rotation,Layer", r"no column for package \(package/footprint/.*\)$"),
        ("# REFDES ! SYM_X ! SYM_Y", "line 1 names refdes, x, y but has no column for rotation"),
        ("R1 5.90 46.55 90 10k R_0603", "no column for the side; name the file NAME.mnt"),
    ],
)
def test_the_missing_columns_are_named(header, wanted):
    assert re.search(wanted, read(f"{header}\n".encode(), "b.csv")[1][0].text)


def test_units_are_those_of_the_table_or_of_the_setting():
    text = "Ref,Package,X,Y,Rot,Side\nC1,P,0.5,1,0,top\n"
    assert [read_centroids(text.encode(), "b", unit=unit).parts[0].x_mm for unit in (None, "mm", "inch")] == [
        0.5,
        0.5,
        12.7,
    ]
    declared = "Ref,Package,X (mil),Y (mil),Rot,Side\nC1,P,0.5,1,0,top\n"
    assert "it declares lengths in mil" in read(declared.encode(), "b", unit="mm")[1][0].text


@pytest.mark.parametrize(("rotation", "below"), [(0, 180), (90, 90), (180, 0), (45, 135), (-90, -90)])
def test_kicad_counts_the_bottom_from_above(rotation, below):
    text = f"Ref,Val,Package,PosX,PosY,Rot,Side\nU1,,P,1,1,{rotation},bottom\n".encode()
    for setting, wanted in (("auto", below), ("from-above", below), ("from-below", rotation)):
        table = read_centroids(text, "b.csv", bottom_rotation=setting)
        assert np.isclose((table.parts[0].rotation_deg - wanted) % 360, 0)
        assert table.turned_bottom == (setting != "from-below")


@pytest.mark.parametrize("name", ["R1\x1b[2J", "R1\u202e", "R\x071"])
def test_control_characters_in_names_are_refused(name):
    parts, findings = read(KICAD.replace("C1", name).encode(), "b.csv")
    assert [part.refdes for part in parts] == ["U1"]
    assert "holds a control character" in findings[0].text
    assert findings[0].text.isprintable()
