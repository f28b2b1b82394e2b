import pytest

from sji_edge.core.errors import MissingExtraError, UsageError
from sji_edge.core.extras import EXTRA_OF, load, require
from sji_edge.core.registry import Registry, nearest


def test_a_name_is_imported_only_when_asked_for():
    registry = Registry("thing", {"good": "collections:OrderedDict", "broken": "no_such_module:thing"})
    assert registry.names() == ["broken", "good"]
    assert "good" in registry
    assert "bad" not in registry
    assert registry.get("good").__name__ == "OrderedDict"
    with pytest.raises(ModuleNotFoundError):
        registry.get("broken")


def test_a_misspelt_name_is_answered_with_the_nearest():
    registry = Registry("backend", {"openvino": "x:y", "onnxruntime": "x:y"})
    with pytest.raises(UsageError, match="unknown backend 'openvin'") as caught:
        registry.get("openvin")
    assert caught.value.hint == "did you mean 'openvino'?"
    assert caught.value.exit_code == 2


def test_a_name_like_no_other_lists_them_all():
    assert nearest("zzz", ["beta", "alpha"]) == "known: alpha, beta"


def test_a_missing_extra_names_the_line_that_installs_it(monkeypatch):
    monkeypatch.setitem(EXTRA_OF, "sji_no_such_package", "train")
    monkeypatch.setitem(EXTRA_OF, "sji_no_such_driver", "tensorrt")
    with pytest.raises(MissingExtraError, match="sji-edge train needs sji_no_such_package") as caught:
        require("json", "sji_no_such_package", purpose="sji-edge train")
    assert caught.value.hint == "pip install 'sji-edge[train]'"
    assert caught.value.exit_code == 5
    with pytest.raises(MissingExtraError) as both:
        require("sji_no_such_package", "sji_no_such_driver", purpose="all of it")
    assert both.value.hint == "pip install 'sji-edge[tensorrt,train]'"
    with pytest.raises(MissingExtraError):
        load("sji_no_such_package.inner", purpose="a test")


def test_what_is_installed_is_loaded():
    require("json", purpose="a test")
    assert load("json.decoder", purpose="a test").JSONDecoder
