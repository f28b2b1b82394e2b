import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.tiny_bundle import HEAD, make_bundle
from typer.testing import CliRunner, Result

from sji_edge.cli.commands.engine import engine
from sji_edge.core.errors import BundleError, GateError, UsageError


def _run(*words: object, typed: str | None = None) -> Result:
    return CliRunner().invoke(engine, [str(word) for word in words], env={"COLUMNS": "240"}, input=typed)


def test_the_list_shows_good_bad_and_unreleased_bundles(tmp_path: Path) -> None:
    make_bundle(tmp_path / "engines", name="good")
    make_bundle(tmp_path / "engines", name="poor", engine_head=-HEAD)
    broken = make_bundle(tmp_path / "engines", name="broken").folder
    (broken / "engine.onnx").write_bytes(b"")
    result = _run("list", "--engines", tmp_path / "engines")
    assert result.exit_code == 0
    lines = {
        name: line
        for line in result.stdout.splitlines()
        for name in ("good", "poor", "broken")
        if f" {name} " in line
    }
    assert "released" in lines["good"]
    assert "not released" in lines["poor"]
    assert "was altered" in lines["broken"]
    assert isinstance(_run("list", "--engines", tmp_path / "none").exception, UsageError)


def test_show_says_what_the_bundle_says(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path)
    result = _run("show", bundle.folder)
    for text in ("onnxruntime fp32", "0.4000", "16 x 16 x 1", "normal, defective", bundle.engine_sha256[:32]):
        assert text in result.stdout


def test_verify_judges_the_golden_crops_again(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path).folder
    result = _run("verify", folder, "--threads", 1)
    assert result.exit_code == 0
    for text in ("4 unaltered", "the one where the engine was validated", "40 joints", "passed"):
        assert text in result.stdout
    poor = make_bundle(tmp_path, name="poor", engine_head=-HEAD).folder
    result = _run("verify", poor)
    assert isinstance(result.exception, GateError)
    assert "never released" in str(result.exception)


def test_an_engine_goes_from_key_to_edge(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path).folder
    private, public = tmp_path / "line.pem", tmp_path / "line.pub.pem"
    assert _run("keygen", private).exit_code == 0
    assert isinstance(_run("verify", folder, "--require-signature", public).exception, BundleError)
    assert "SHA256:" in _run("sign", folder, "--key", private).stdout
    assert _run("pack", folder, tmp_path / "x.tar.zst", "--require-signature", public).exit_code == 0
    edge = tmp_path / "edge"
    words = ("unpack", tmp_path / "x.tar.zst", "--engines", edge, "--require-signature", public)
    result = _run(*words, "--name", "line-3")
    assert result.exit_code == 0, result.exception
    assert "line-3 (released)" in result.stdout
    assert _run("verify", "--engines", edge, "--require-signature", public).exit_code == 0


def test_an_unreleased_engine_is_not_signed(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path, engine_head=-HEAD).folder
    _run("keygen", tmp_path / "k.pem")
    assert isinstance(_run("sign", folder, "--key", tmp_path / "k.pem").exception, GateError)
    assert not (folder / "manifest.sig").exists()


def test_the_command_prompts_for_a_passphrase(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path).folder
    assert _run("keygen", tmp_path / "k.pem", "--passphrase", typed="word\nword\n").exit_code == 0
    assert "ENCRYPTED" in (tmp_path / "k.pem").read_text()
    assert isinstance(_run("sign", folder, "--key", tmp_path / "k.pem").exception, UsageError)
    assert _run("sign", folder, "--key", tmp_path / "k.pem", "--passphrase", typed="word\n").exit_code == 0


def test_infer_refuses_an_engine_that_the_key_did_not_sign(tmp_path: Path) -> None:
    import cv2
    import typer
    from support.tiny_dataset import draw_joint

    from sji_edge.cli.commands.infer import infer

    app = typer.Typer()
    app.command()(infer)
    folder = make_bundle(tmp_path).folder
    (tmp_path / "images").mkdir()
    image = draw_joint(True, np.random.default_rng(0))
    cv2.imwrite(str(tmp_path / "images" / "a.png"), image)
    _run("keygen", tmp_path / "k.pem")
    words = ["--stream", str(tmp_path / "images"), "--engine", str(folder), "--output", str(tmp_path / "out")]
    words += ["--require-signature", str(tmp_path / "k.pub.pem")]
    result = CliRunner().invoke(app, words)
    assert isinstance(result.exception, BundleError)
    assert not (tmp_path / "out").exists()
    _run("sign", folder, "--key", tmp_path / "k.pem")
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.exception


def test_the_commands_work_without_torch_and_onnx(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path).folder
    program = (
        "import sys\nfor name in ('torch', 'torchvision', 'lightning', 'onnx', 'matplotlib'):\n"
        "    sys.modules[name] = None\n"
        "from sji_edge.cli.commands.engine import engine\nengine()\n"
    )
    for command in ("verify", "show"):
        words = [sys.executable, "-W", "error", "-c", program, command, str(folder)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", ["list", "show", "verify", "pack", "unpack", "sign", "keygen"])
def test_help_shows_an_example(command: str) -> None:
    assert f"sji-edge engine {command}" in _run(command, "--help").stdout
