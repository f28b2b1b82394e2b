from support.greys_on_boards import write_boards
from typer.testing import CliRunner

from sji_edge.cli.app import application


def test_collect_names_each_frame_and_says_what_the_pool_holds(tmp_path):
    boards = write_boards(tmp_path / "amplifier", {}, {"J1": 70})
    (boards / "board2.png").write_text("no image")
    words = ["collect", "--stream", boards, "--recipe", boards, "--output", tmp_path / "pool"]
    done = CliRunner().invoke(application(), [str(word) for word in words])
    assert done.exit_code == 0
    lines = done.output.splitlines()
    assert lines[0] == "board0.png  5 kept so far"
    assert any(line.startswith("board2.png  ERROR unreadable") for line in lines)
    assert "near duplicates of the same place, dropped" in done.output
    assert "ERROR unreadable: 1 board" in done.output
    assert any(line.startswith("5 crops added; ") for line in lines)
    assert "next: sji-edge review --pool" in done.output
    assert "holds 5 crops" in " ".join(done.output.split())
