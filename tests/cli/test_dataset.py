import json

from support.labelled_pool import label, labelled_pool, verify
from typer.testing import CliRunner

from sji_edge.cli.app import application
from sji_edge.core.decisions import Answer


def run(*words):
    done = CliRunner().invoke(application(), ["dataset", *(str(word) for word in words)])
    assert done.exit_code == 0, done.output
    return done.output


def test_build_says_what_it_made_and_what_it_left_out_and_diff_what_changed(tmp_path):
    pool = labelled_pool(tmp_path / "pool")
    records = verify(tmp_path / "inspections.db", {("LOST", "J1"): (Answer.CONFIRMED, "bridge")})
    said = run("build", pool, "--records", records, "--output", tmp_path / "one")
    assert "left out, no picture: 1 joint, 1 of them called a defect" in said
    assert "run-LOST J1: bridge" in said
    assert "next: sji-edge train" in said
    label(pool, {("SN1", "J1"): "cold"})
    run("build", pool, "--output", tmp_path / "two", "--like", tmp_path / "one")
    assert "relabelled: amplifier SN1 J1: normal → cold" in run("diff", tmp_path / "one", tmp_path / "two")
    found = json.loads(run("diff", tmp_path / "one", tmp_path / "two", "--json"))
    assert [change["after"]["state"] for change in found["relabelled"]] == ["cold"]
    assert found["added"] == found["moved"] == []
    assert "the same dataset" in run("diff", tmp_path / "one", tmp_path / "one")
