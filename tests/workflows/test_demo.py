"""The demo shows the commands that it runs, with every option that differs from its default."""

import shlex
from dataclasses import fields
from pathlib import Path

import pytest
import typer
from support.study_parts import COUNTS
from support.tiny_dataset import write_dataset

from sji_edge.cli.app import application
from sji_edge.cli.main import run
from sji_edge.workflows.demo import DemoListener, DemoPlan, demo, plan_demo

RENAMED = {"calibration": "calibrations"}


def parsed(command: str) -> tuple[dict[str, object], dict[str, object]]:
    """Return a command line's parameters as the command line reads them, and the defaults of all of them."""
    program, name, *words = shlex.split(command)
    assert program == "sji-edge"
    known = typer.main.get_command(application()).commands[name]
    with known.make_context(name, words) as context:
        given = dict(context.params)
    with known.make_context(name, [], resilient_parsing=True) as context:
        return given, dict(context.params)


def steps(plan: DemoPlan):
    return [getattr(plan, field.name) for field in fields(plan)]


@pytest.mark.parametrize("boards", [Path("my boards"), None])
def test_each_command_gives_its_workflow_the_values_that_the_demo_gives_it(boards):
    plan = plan_demo(Path("out"), Path("da ta"), boards, good_class="ok", epochs=3, seed=7)
    assert [step.title for step in steps(plan)] == ["train", "export", "calibrate", "build-engine", "infer"]
    for step in steps(plan):
        given, defaults = parsed(step.command)
        shown = {
            (RENAMED[key] if step.title == "calibrate" and key in RENAMED else key): value
            for key, value in step.values.items()
        }
        for key, value in shown.items():
            assert str(given[key]) == str(value), f"{step.title}: {key}"
        for key in set(given) - set(shown):
            assert given[key] == defaults[key], f"{step.title}: {key} is shown and not given"


def test_the_training_command_names_what_differs_and_nothing_else():
    plan = plan_demo(Path("demo"), Path("demo/data"), None, good_class="normal", epochs=12, seed=0)
    assert plan.train.command == "sji-edge train demo/data --runs demo/runs --name demo --batch-size 16"
    assert plan.export.command == "sji-edge export demo/runs/demo"


def test_a_folder_that_cannot_be_written_is_exit_7_at_once(tmp_path, capsys):
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit) as stop:
        run(["demo", "--output", str(tmp_path / "file" / "demo")])
    assert stop.value.code == 7
    assert "cannot write" in capsys.readouterr().err


@pytest.mark.slow
def test_a_demo_on_own_data_goes_all_the_way(tmp_path):
    class Heard(DemoListener):
        def __init__(self):
            self.commands: list[str] = []

        def began(self, step):
            self.commands.append(step.command)

    heard = Heard()
    data = write_dataset(tmp_path / "data", COUNTS)
    made = demo(tmp_path / "demo", data=data, epochs=1, listener=heard)
    assert [command.split()[1] for command in heard.commands] == [
        "train",
        "export",
        "calibrate",
        "build-engine",
        "infer",
    ]
    assert made.built.released
    assert made.inference.summary.judged == COUNTS["test"]["normal"]
    assert {name.name for name in made.folder.iterdir()} == {"runs", "calibration", "engines", "inspections"}
    assert (made.rates["test split"].goods, made.rates["test split"].defects) == (9, 5)
