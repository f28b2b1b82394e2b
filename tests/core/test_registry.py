import pytest

from sji_edge.core.errors import EnvironmentMismatchError, MissingExtraError, UsageError
from sji_edge.core.extras import EXTRA_OF, load, require
from sji_edge.core.registry import Registry, nearest
from sji_edge.losses import LOSSES
from sji_edge.records import SINKS
from sji_edge.runtime import BACKENDS
from sji_edge.streams import SOURCES


def test_a_name_is_imported_only_on_use():
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


def test_an_unknown_name_without_a_near_match_lists_all():
    assert nearest("zzz", ["beta", "alpha"]) == "known: alpha, beta"


def test_a_missing_extra_names_the_command_that_installs_it(monkeypatch):
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


def install(folder, group, entry, package="acme-parts"):
    """Lay a package's metadata into a folder of the search path, as pip would."""
    metadata = folder / f"{package.replace('-', '_')}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[{group}]\n{entry}\n")


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_an_installed_package_adds_a_name(site):
    registry = Registry("thing", {"good": "collections:OrderedDict"}, group="acme.things")
    assert "acme" not in registry
    install(site, "acme.things", "acme = collections:Counter")
    assert registry.names() == ["acme", "good"]
    assert "acme" in registry
    assert registry.get("acme").__name__ == "Counter"


def test_an_installed_package_cannot_replace_a_built_in_name(site):
    install(site, "acme.things", "good = collections:Counter")
    registry = Registry("thing", {"good": "collections:OrderedDict"}, group="acme.things")
    assert registry.get("good").__name__ == "OrderedDict"


def test_a_package_that_fails_to_import_is_named_with_its_reason(site):
    install(site, "acme.things", "acme = acme_parts:Thing")
    (site / "acme_parts.py").write_text("raise RuntimeError('no licence\\nfound')")
    with pytest.raises(EnvironmentMismatchError) as caught:
        Registry("thing", {}, group="acme.things").get("acme")
    assert caught.value.message == (
        "cannot import thing 'acme' (acme_parts:Thing of acme-parts): RuntimeError: no licence found"
    )
    assert caught.value.hint == "reinstall or uninstall acme-parts"


def test_a_name_that_two_packages_offer_is_refused(site):
    install(site, "acme.things", "acme = collections:Counter")
    install(site, "acme.things", "acme = collections:deque", "other-parts")
    with pytest.raises(
        EnvironmentMismatchError, match="thing 'acme' is offered by acme-parts and other-parts"
    ):
        Registry("thing", {}, group="acme.things").get("acme")


def test_a_misspelt_name_is_answered_with_an_installed_one(site):
    install(site, "acme.things", "acme = collections:Counter")
    with pytest.raises(UsageError) as caught:
        Registry("thing", {}, group="acme.things").get("acne")
    assert caught.value.hint == "did you mean 'acme'?"


def test_a_script_registers_an_implementation_under_a_free_name():
    registry = Registry("thing", {"good": "collections:OrderedDict"})
    thing = object()
    registry.add("mine", thing)
    assert registry.get("mine") is thing
    with pytest.raises(UsageError, match="thing 'good' already exists"):
        registry.add("good", thing)


@pytest.mark.parametrize(
    ("registry", "group"),
    [
        (SOURCES, "sji_edge.sources"),
        (SINKS, "sji_edge.sinks"),
        (LOSSES, "sji_edge.losses"),
        (BACKENDS, "sji_edge.backends"),
    ],
)
def test_each_public_registry_takes_entry_points(site, registry, group):
    install(site, group, "acme = collections:Counter")
    assert registry.get("acme").__name__ == "Counter"
