import importlib.metadata
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sji_edge.cli.main import run as sji_edge
from sji_edge.runtime import BACKENDS
from sji_edge.runtime.cuda.gpu_state import FIELDS, driver_release, gpu_states, jetson_facts
from sji_edge.workflows import diagnose
from sji_edge.workflows.diagnose import Check


def command(*words: object) -> int:
    with pytest.raises(SystemExit) as stop:
        sji_edge([str(word) for word in words])
    return int(stop.value.code or 0)


def test_json_lists_every_backend_with_its_version_or_what_is_missing(capsys, tmp_path) -> None:
    before = sorted(tmp_path.iterdir())
    assert command("doctor", "--json", "--output", tmp_path) == 0
    found = json.loads(capsys.readouterr().out)
    names = {finding["name"]: finding for finding in found if finding["area"] == "backends"}
    assert set(BACKENDS.names()) <= set(names)
    assert names["openvino"]["state"] == "ok"
    for finding in found:
        assert finding["state"] in ("ok", "note", "missing")
        assert finding["value"]
    assert {finding["area"] for finding in found} == {
        "system",
        "CPU",
        "GPU",
        "backends",
        "cameras",
        "disk",
        "clock",
    }
    assert all(names[name]["hint"] for name in names if names[name]["value"] == "not installed")
    assert sorted(tmp_path.iterdir()) == before


def found(capsys, *words: object) -> dict[str, dict[str, str]]:
    assert command("doctor", "--json", *words) == 0
    return {check["name"]: check for check in json.loads(capsys.readouterr().out)}


def test_without_json_it_prints_a_table(capsys) -> None:
    assert command("doctor") == 0
    assert "this machine" in capsys.readouterr().out


def test_a_folder_that_does_not_exist_is_a_line(capsys, tmp_path) -> None:
    nowhere = str(tmp_path / "nowhere")
    assert found(capsys, "--output", nowhere)[nowhere]["value"] == "no such folder"
    (tmp_path / "file").write_text("")
    assert "not a folder" in found(capsys, "--output", tmp_path / "file")[str(tmp_path / "file")]["value"]


def test_a_package_without_metadata_is_a_line(capsys, monkeypatch) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    checks = found(capsys)
    assert checks["sji-edge"]["state"] == "note"
    assert checks["torch"]["value"] == "not installed"


def test_a_probe_that_raises_gives_a_line_and_the_others_continue(capsys, monkeypatch) -> None:
    def broken(*_arguments: object) -> Iterator[Check]:
        yield Check(area="CPU", name="first", state="ok", value="seen")
        raise RuntimeError("[red]cannot\nread")

    monkeypatch.setattr(diagnose, "_cpu_model", broken)
    monkeypatch.setattr(diagnose, "_disk", broken)
    monkeypatch.setattr(BACKENDS, "names", lambda: 1 / 0)
    checks = found(capsys)
    assert checks["first"]["value"] == "seen"
    assert checks["model"]["value"] == "cannot be examined: RuntimeError: [red]cannot read"
    assert "ZeroDivisionError" in checks["list of backends"]["value"]
    assert checks["for latencies"]["state"] in ("ok", "note")
    assert command("doctor") == 0
    assert "[red]cannot read" in capsys.readouterr().out


@pytest.mark.parametrize("module", ["openvino", "onnxruntime", "cv2"])
def test_without_an_engine_runtime_it_still_answers(module: str) -> None:
    script = f"import sys; sys.modules[{module!r}] = None\nfrom sji_edge.cli.main import run\nrun(['doctor', '--json'])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    checks = {check["name"]: check for check in json.loads(done.stdout)}
    assert checks["for latencies"]["state"] in ("ok", "note")
    if module in BACKENDS:
        assert checks[module]["state"] == "missing"


def test_nvidia_smi_is_read_field_by_field() -> None:
    asked: list[list[str]] = []

    def run(command):
        asked.append(list(command))
        return "NVIDIA RTX A2000, 580.65.06, P0, 1200 MHz, 2100 MHz, 40.00 W, 70.00 W, Enabled, 51, 0x0\n\n"

    [state] = gpu_states(run)
    assert set(state) == set(FIELDS)
    assert state["clocks.max.sm"] == "2100 MHz"
    assert asked[0][0] == "nvidia-smi"
    assert gpu_states(lambda command: "") == []
    assert gpu_states(lambda command: "Failed to initialize NVML\n") == []


def test_a_jetson_says_its_release_and_power_mode(tmp_path: Path) -> None:
    release = tmp_path / "nv_tegra_release"
    assert jetson_facts(lambda command: "", release) == {}
    release.write_text("# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64\n")
    facts = jetson_facts(lambda command: "NV Power Mode: MAXN_SUPER\n2\n", release)
    assert facts == {"release": "L4T 36.4.3", "power_mode": "MAXN_SUPER"}
    assert "unknown" in jetson_facts(lambda command: "", release)["power_mode"]


def test_the_kernel_modules_version_is_the_drivers(tmp_path: Path) -> None:
    path = tmp_path / "version"
    assert driver_release(path) == ""
    path.write_text(
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build\nGCC version: gcc 12.2.0\n"
    )
    assert driver_release(path) == "580.65.06"
