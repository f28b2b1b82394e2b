"""One page about one unit, from records whose names are hostile and whose pictures are partly gone."""

import re
from contextlib import closing
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest
from support.board_records import record

from sji_edge.cli.main import run
from sji_edge.core.decisions import Answer, Decision, Role
from sji_edge.core.errors import OutputError, UsageError
from sji_edge.core.protocols import JointRecord
from sji_edge.core.verdict import Verdict
from sji_edge.decisions.log import DecisionLog
from sji_edge.records.picture_names import PictureKind, crop_picture, painted_picture
from sji_edge.records.write.sqlite import SqliteSink
from sji_edge.workflows.trace.trace import trace, write_trace

EVIL = "<script>alert(1)</script>'\"&"
JOINTS = (
    JointRecord("J1", Verdict.PASS, 0.1, 0.4, 0.6, "normal"),
    JointRecord(EVIL, Verdict.FAIL, 0.9, 0.4, 0.6, EVIL),
)


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.sources, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.sources += [value for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "inspections.db"
    painted, crops = tmp_path / "painted", tmp_path / "crops"
    painted.mkdir()
    with closing(SqliteSink(path)) as sink:
        sink.keep_picture_folders("run", {PictureKind.PAINTED: painted, PictureKind.CROP: crops})
        sink.write(record(0, JOINTS, serial="SN1", verdict=Verdict.FAIL, frame_name=EVIL, product=EVIL))
        sink.write(record(1, JOINTS, serial="SN2"))
        sink.write(record(2, JOINTS[:1], serial="SN1", verdict=Verdict.PASS, cause="", retest=1))
    grey = cv2.imencode(".jpg", np.full((8, 8), 90, np.uint8))[1].tobytes()
    (painted / painted_picture("run-000000", EVIL)).write_bytes(grey)
    crop = crops / crop_picture("FAIL", "run-000000", EVIL)
    crop.parent.mkdir(parents=True)
    crop.write_bytes(cv2.imencode(".png", np.zeros((4, 4), np.uint8))[1].tobytes())
    with closing(DecisionLog(path)) as log:
        log.append([Decision(EVIL, Role.OPERATOR, "run-000000", EVIL, Answer.REJECTED)])
        log.append([Decision("eve", Role.OPERATOR, "run-000001", "J1", Answer.REJECTED)])
    return path


def test_a_trace_holds_every_test_of_the_unit_and_nothing_of_others(database):
    found = trace(database, "SN1")
    assert [test.board["board"] for test in found.tests] == ["run-000000", "run-000002"]
    assert [len(test.joints) for test in found.tests] == [2, 1]
    assert [one.who for one in found.tests[0].decisions] == [EVIL]
    assert found.tests[1].decisions == ()
    pictures = {picture.title: picture for picture in found.tests[0].pictures}
    assert pictures["board with its verdicts"].data_uri.startswith("data:image/jpeg;base64,")
    assert pictures[f"joint {EVIL}"].data_uri.startswith("data:image/png;base64,")
    assert "was not kept, or was deleted" in found.tests[1].pictures[0].missing


def test_the_page_needs_nothing_else_and_runs_nothing(database, tmp_path):
    file = tmp_path / "unit.html"
    write_trace(database, "SN1", file)
    page = file.read_text()
    tags = Tags()
    tags.feed(page)
    assert not {"script", "link", "iframe", "object"} & set(tags.tags)
    assert all(source.startswith(("data:image/", "#")) for source in tags.sources)
    assert tags.tags.count("img") == 2
    assert EVIL in "".join(tags.text)
    assert "DefectRejected" in page
    assert re.search("default-src 'none'", page)


def test_an_unknown_serial_number_and_a_taken_name_are_errors(database, tmp_path):
    with pytest.raises(UsageError, match="no board on record has the serial number SN9"):
        trace(database, "SN9")
    (tmp_path / "there.html").touch()
    with pytest.raises(OutputError, match="never overwritten"):
        write_trace(database, "SN1", tmp_path / "there.html")


def test_the_commands(database, tmp_path, capsys):
    def command(*words):
        with pytest.raises(SystemExit) as stop:
            run(["inspections", *map(str, words), "--database", str(database)])
        return stop.value.code or 0

    assert command("trace", "SN1", "--output", tmp_path / "out.html") == 0
    assert "2 tests" in capsys.readouterr().out
    assert command("yield", "--json") == 0
    assert '"first_pass_yield": 0.0' in capsys.readouterr().out
    assert command("boards", "--serial", "SN2", "--json") == 0
    assert '"run-000001"' in capsys.readouterr().out
