"""The front door: what ``import sji_edge`` offers, what it loads, and that the reference page says the same."""

import enum
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import sji_edge as sji

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "python-api.md"
HEAVY = ("torch", "cv2", "numpy", "openvino", "onnxruntime", "onnx", "pydantic", "typer", "rich", "lightning")
NEEDS_PYTORCH = {"train", "export", "study"}
PLAIN = {"__version__", "errors"}
"""Public names that are neither a function nor a class."""


def loaded_by(code):
    """Top-level modules that a fresh interpreter has loaded after running some code."""
    script = f"{code}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_package_loads_no_library():
    assert loaded_by("import sji_edge; dir(sji_edge)").isdisjoint(HEAVY)


def test_an_error_class_is_resolved_without_loading_a_library():
    assert loaded_by("import sji_edge; sji_edge.SjiError, sji_edge.errors").isdisjoint(HEAVY)


def test_the_names_of_the_edge_are_resolved_without_pytorch():
    names = [name for name in sji.__all__ if name not in NEEDS_PYTORCH]
    loaded = loaded_by(f"import sji_edge\nfor name in {names!r}: getattr(sji_edge, name)")
    assert loaded.isdisjoint({"torch", "lightning", "openvino", "typer", "rich"})


@pytest.mark.parametrize("name", sji.__all__)
def test_each_public_name_is_the_object_of_its_home(name):
    value = getattr(sji, name)
    if name in PLAIN:
        return
    assert value.__name__ == name
    assert inspect.getdoc(value)
    assert value.__module__ == f"sji_edge.{sji._HOME[name]}"


def test_the_list_and_the_lazy_table_agree():
    assert sorted(sji.__all__) == sji.__all__
    assert set(sji.__all__) == set(sji._HOME) | PLAIN
    assert set(sji.__all__) <= set(dir(sji))


def test_type_checkers_see_every_public_name():
    source = inspect.getsource(sji)
    seen = set(re.findall(r"^    from \S+ import \w+ as (\w+)$", source, re.MULTILINE))
    assert seen | {"__version__"} == set(sji.__all__)


def test_no_public_name_hides_behind_a_subpackage():
    """``import sji_edge.NAME`` sets the attribute NAME of the package, so a package must not share a name."""
    parts = {path.stem for path in (ROOT / "sji_edge").iterdir()}
    assert parts.isdisjoint(sji.__all__)


def test_a_star_import_gives_the_list():
    names = {}
    exec("from sji_edge import *", names)
    assert set(sji.__all__) <= set(names)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'sji_edge' has no attribute 'trian'"):
        sji.trian  # noqa: B018


def test_the_error_tree_is_reachable_from_the_package():
    assert issubclass(sji.errors.BundleError, sji.SjiError)


def test_the_version_is_that_of_the_project(tmp_path):
    wanted = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[1]
    assert sji.__version__ == wanted
    # -I -S: no site-packages, hence no metadata; only the source tree itself.
    script = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import sji_edge; print(sji_edge.__version__)"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.strip() == wanted


def test_the_package_runs_as_a_module():
    done = subprocess.run([sys.executable, "-m", "sji_edge", "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout.split()[-1]) == (0, sji.__version__)


def sections():
    """The reference page's text under each heading of a name."""
    parts = re.split(r"^### `([\w.]+)`$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_the_reference_page_documents_each_public_name_and_no_other():
    documented = {name.partition(".")[0] for name in sections() if not name.startswith("testing")}
    assert documented == set(sji.__all__)


def words_to_document(value):
    """Parameters of a function or a class, members of an enumeration, methods of a protocol."""
    if isinstance(value, enum.EnumMeta):
        return set(value.__members__)
    if getattr(value, "_is_protocol", False):
        return {name for name in vars(value) if not name.startswith("_")}
    return set(inspect.signature(value).parameters)


@pytest.mark.parametrize("name", [name for name in sji.__all__ if name not in PLAIN])
def test_the_reference_page_shows_every_parameter(name):
    text = sections()[name]
    for word in words_to_document(getattr(sji, name)):
        assert re.search(rf"\b{word}\b", text), f"{name}: {word} is not on the page"
    assert "```python" in text, f"{name} has no example"


def test_the_reference_page_documents_the_fakes():
    testing = importlib.import_module("sji_edge.testing")
    for name in ("FakeClock", "FakeEngine", "FakeInspector", "FakeSource"):
        text = sections()[f"testing.{name}"]
        for parameter in inspect.signature(getattr(testing, name)).parameters:
            assert re.search(rf"\b{parameter}\b", text), f"{name}: {parameter} is not on the page"
