"""Every example runs as its README says: in one folder, in order, offline.

The fast tier runs those that judge, with a tiny engine; the slow tier runs all of them, training included.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.tiny_bundle import make_bundle

EXAMPLES = Path(__file__).parents[1] / "examples"
API = sorted((EXAMPLES / "api").iterdir())
CLI = sorted((EXAMPLES / "cli").iterdir())
JUDGING = ("api/07", "api/08", "api/09", "api/10", "cli/07", "cli/09")
"""Examples of the fast tier: they need an engine and boards, but no training."""


def label(folder):
    return f"{folder.parent.name}/{folder.name}"


def run_example(folder, workspace):
    """Run an example in a workspace and return what it printed; its own error text is the test's message."""
    bash = shutil.which("bash")
    if (folder / "main.py").exists():
        command = [sys.executable, str(folder / "main.py")]
    else:
        command = [bash, str(folder / "run.sh")]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    roots = [str(EXAMPLES.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PATH": path, "PYTHONPATH": os.pathsep.join(roots)}
    done = subprocess.run(command, cwd=workspace, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{folder.name}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


def make_data(folder):
    folder.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLES.parent)}
    subprocess.run([sys.executable, EXAMPLES / "make_data.py"], cwd=folder, env=environment, check=True)
    return folder


@pytest.fixture(scope="session")
def judging_workspace(tmp_path_factory):
    """The generated data and a tiny released engine."""
    folder = make_data(tmp_path_factory.mktemp("examples") / "work")
    make_bundle(folder / "engines")
    shutil.rmtree(folder / "engines" / "work-tiny")
    return folder


@pytest.mark.parametrize(
    "folder",
    [folder for folder in API + CLI if label(folder).startswith(JUDGING)],
    ids=label,
)
def test_an_example_that_judges_runs(folder, judging_workspace):
    printed = run_example(folder, judging_workspace)
    assert re.search(r"PASS|REVIEW|FAIL", printed)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["api", "cli"])
def test_all_examples_run_in_order_in_one_folder(kind, tmp_path):
    workspace = make_data(tmp_path / "work")
    for folder in sorted((EXAMPLES / kind).iterdir()):
        run_example(folder, workspace)
    assert list((workspace / "engines").glob("*/manifest.json"))


def test_each_example_has_a_readme_and_its_counterpart():
    assert [folder.name for folder in API] == [folder.name for folder in CLI]
    for folder in API + CLI:
        text = (folder / "README.md").read_text(encoding="utf-8")
        script = "main.py" if folder in API else "run.sh"
        assert f"examples/{folder.parent.name}/{folder.name}/{script}" in text
        for heading in ("## Run it", "## What it prints"):
            assert heading in text, folder


def test_training_building_and_judging_takes_ten_lines():
    """The promise of the first example: statements after the imports, however they are wrapped."""
    lines = (EXAMPLES / "api" / "01_train_build_judge" / "main.py").read_text(encoding="utf-8").splitlines()
    code = [line for line in lines if line and not line.startswith(('"""', "#"))]
    assert len(code) <= 10
