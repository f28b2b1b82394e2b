import json
from pathlib import Path

import pytest

from sji_edge.cli.main import run as sji_edge
from sji_edge.runtime import BACKENDS
from sji_edge.runtime.cuda.gpu_state import FIELDS, driver_release, gpu_states, jetson_facts


def command(*words: object) -> int:
    with pytest.raises(SystemExit) as stop:
        sji_edge([str(word) for word in words])
    return int(stop.value.code or 0)


def test_json_names_every_backend_with_its_version_or_what_is_missing(capsys, tmp_path) -> None:
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


def test_the_table_is_for_people_and_a_wrong_folder_is_a_usage_error(capsys, tmp_path) -> None:
    assert command("doctor") == 0
    assert "this machine" in capsys.readouterr().out
    assert command("doctor", "--output", tmp_path / "nowhere") == 2


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
