"""Messages about an engine that was built ahead of time and waits for its device."""

from pathlib import Path

import pytest
from cv2 import imwrite
from support.tiny_bundle import crops, make_bundle

from sji_edge.cli.main import run as sji_edge
from sji_edge.core.errors import UsageError
from sji_edge.runtime import BACKENDS
from sji_edge.runtime.bundle.bundle import Bundle, write_bundle
from sji_edge.runtime.bundle.manifest import Attempt, BundleFacts
from sji_edge.runtime.bundle.selection import choose_engine
from sji_edge.runtime.onnxruntime import OnnxRuntimeBackend

REASON = "the engine has not run yet (no card): its parity check is waiting for the device"


class CardBound(OnnxRuntimeBackend):
    """An engine that runs where its card is; it computes on this CPU."""

    name = "card-bound"

    def incompatibility(self, precision: str, recorded) -> str:
        return "the card is not here" if recorded.get("card") == "away" else ""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKENDS._entries, "card-bound", f"{__name__}:CardBound")
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.chdir(tmp_path)
    Path("frames").mkdir()
    imwrite("frames/a.png", crops(1)[0])


def waiting(name: str, card: str = "away", *, failures: tuple[str, ...] = (REASON,)) -> Path:
    """Write ``engines/NAME`` as a build without its card does."""
    made = make_bundle(Path("made"), name=name)
    facts = BundleFacts(**{field: getattr(made.manifest, field) for field in BundleFacts.model_fields})
    tried = Attempt(label="fp32", precision="fp32", passed=False, kept=True, pending=True, failures=failures)
    written: Bundle = write_bundle(
        Path("engines") / name,
        facts.model_copy(update={"backend": "card-bound", "environment": {"card": card}, "tried": (tried,)}),
        reference=made.reference_path,
        engine=made.engine_path,
        golden=made.folder / "golden.npz",
        parity=made.parity.model_copy(update={"passed": False, "failures": failures}),
    )
    return written.folder


def said(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    with pytest.raises(SystemExit) as stop:
        sji_edge([str(word) for word in words])
    captured = capsys.readouterr()
    return int(stop.value.code or 0), captured.out + captured.err


@pytest.mark.parametrize(
    ("words", "code"),
    [(("infer", "--stream", "frames", "--engine"), 3), (("engine", "verify"), 5), (("bench",), 5)],
)
def test_the_next_step_is_its_release_on_the_device(words, code, capsys) -> None:
    folder = waiting("ahead")
    found, text = said(capsys, *words, folder)
    assert found == code
    assert f"hint: run sji-edge engine release {folder} on the device that the engine is for" in text
    assert "build-engine" not in text


def test_a_folder_of_waiting_engines_says_how_many(capsys) -> None:
    folder = waiting("first")
    found, text = said(capsys, "infer", "--stream", "frames")
    assert found == 2
    assert "no released engine in engines; 1 is waiting for its device: first" in text
    assert f"sji-edge engine release {folder}" in text
    newest = waiting("second")
    with pytest.raises(UsageError, match="2 are waiting for their devices: second, first") as caught:
        choose_engine(Path("engines"))
    assert f"sji-edge engine release {newest}" in caught.value.hint


def test_on_the_device_verify_leads_to_release(capsys) -> None:
    folder = waiting("arrived", card="here")
    found, text = said(capsys, "engine", "verify", folder)
    assert found == 3
    assert f"release it here: sji-edge engine release {folder}" in text


def test_show_says_that_it_waits_and_not_that_it_failed(capsys) -> None:
    _, text = said(capsys, "engine", "show", waiting("ahead"))
    assert "waiting for its device; the engine's graph passed on the CPU" in text
    assert "failed" not in text
    _, text = said(capsys, "engine", "show", waiting("wrong", failures=("12 flips", REASON)))
    assert "not released: it failed its parity gate" in text
    assert "failed: 12 flips" in text
