import json
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from support.tiny_bundle import make_bundle

from sji_edge.core.errors import BundleError, OutputError, SjiError, UsageError
from sji_edge.runtime.bundle.archive import pack, unpack
from sji_edge.runtime.bundle.bundle import open_bundle
from sji_edge.runtime.bundle.signature import make_keys, sign


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("engines")).folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "tiny"))


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    private = tmp_path / "line.pem"
    return private, make_keys(private)[0]


def _refused(folder: Path, public: Path, says: str, kind: type[SjiError] = BundleError) -> None:
    with pytest.raises(kind) as caught:
        open_bundle(folder, require_signature=public)
    assert caught.type is kind
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_signed_bundle_opens_with_its_key_and_without_any(folder: Path, keys: tuple[Path, Path]) -> None:
    name = sign(folder, (folder / "manifest.json").read_bytes(), keys[0])
    assert name.startswith("SHA256:")
    assert open_bundle(folder, require_signature=keys[1]).manifest.released
    assert open_bundle(folder).manifest.released
    assert sign(folder, (folder / "manifest.json").read_bytes(), keys[0]) == name


def test_openssl_agrees(folder: Path, keys: tuple[Path, Path]) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here")
    sign(folder, (folder / "manifest.json").read_bytes(), keys[0])
    words = ["pkeyutl", "-verify", "-pubin", "-inkey", keys[1], "-rawin", "-in", folder / "manifest.json"]
    command = ["openssl", *map(str, words), "-sigfile", str(folder / "manifest.sig")]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    (folder / "manifest.json").write_bytes((folder / "manifest.json").read_bytes() + b" ")
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0


def test_keys_are_private_and_never_overwritten(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    assert stat.S_IMODE(keys[0].stat().st_mode) == 0o600
    assert keys[1] == tmp_path / "line.pub.pem"
    before = keys[0].read_bytes(), keys[1].read_bytes()
    with pytest.raises(OutputError, match="already exists"):
        make_keys(keys[0])
    assert (keys[0].read_bytes(), keys[1].read_bytes()) == before
    assert b"PRIVATE" not in keys[1].read_bytes()


def test_an_unsigned_bundle_is_refused(folder: Path, keys: tuple[Path, Path]) -> None:
    _refused(folder, keys[1], "is not signed")


def test_another_key_is_refused(folder: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    sign(folder, (folder / "manifest.json").read_bytes(), keys[0])
    _refused(folder, make_keys(tmp_path / "other.pem")[0], "was not signed with the key")


def test_a_manifest_altered_after_signing_is_refused(folder: Path, keys: tuple[Path, Path]) -> None:
    sign(folder, (folder / "manifest.json").read_bytes(), keys[0])
    content = json.loads((folder / "manifest.json").read_text())
    content["thresholds"] = {"lower": 1.0, "upper": 1.0}
    (folder / "manifest.json").write_text(json.dumps(content))
    _refused(folder, keys[1], "was not signed with the key")


def test_the_signature_pins_every_other_file(folder: Path, keys: tuple[Path, Path]) -> None:
    sign(folder, (folder / "manifest.json").read_bytes(), keys[0])
    data = bytearray((folder / "engine.onnx").read_bytes())
    data[100] ^= 1
    (folder / "engine.onnx").write_bytes(data)
    _refused(folder, keys[1], "engine.onnx was altered")


@pytest.mark.parametrize("data", [b"", bytes(64), bytes(63), bytes(65), b"x" * 100_000])
def test_a_forged_signature_is_refused(data: bytes, folder: Path, keys: tuple[Path, Path]) -> None:
    (folder / "manifest.sig").write_bytes(data)
    with pytest.raises(BundleError):
        open_bundle(folder, require_signature=keys[1])


def test_a_link_for_a_signature_is_refused(folder: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    sign(folder, (folder / "manifest.json").read_bytes(), keys[0])
    (folder / "manifest.sig").rename(tmp_path / "sig")
    (folder / "manifest.sig").symlink_to(tmp_path / "sig")
    _refused(folder, keys[1], "not a plain file")


def test_a_manifest_cannot_list_its_own_signature(folder: Path) -> None:
    content = json.loads((folder / "manifest.json").read_text())
    content["files"]["manifest.sig"] = {"sha256": "0" * 64, "size": 64}
    (folder / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(BundleError, match="a bundle cannot hold a file called"):
        open_bundle(folder)


def test_a_key_of_another_kind_is_refused(folder: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    sign(folder, (folder / "manifest.json").read_bytes(), keys[0])
    _refused(folder, keys[0], "is not a readable key", UsageError)
    _refused(folder, tmp_path / "none.pem", "cannot read", UsageError)
    other = tmp_path / "x.pem"
    for data in (b"", b"text", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", b"x" * 99999):
        other.write_bytes(data)
        with pytest.raises(UsageError):
            open_bundle(folder, require_signature=other)
    form = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    other.write_bytes(ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(*form))
    _refused(folder, other, "not an Ed25519 public key", UsageError)
    rsa_key = rsa.generate_private_key(65537, 2048)
    other.write_bytes(
        rsa_key.private_bytes(form[0], serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    with pytest.raises(UsageError, match="not an Ed25519 private key"):
        sign(folder, (folder / "manifest.json").read_bytes(), other)


def test_an_encrypted_key_needs_its_passphrase(folder: Path, tmp_path: Path) -> None:
    public, _ = make_keys(tmp_path / "k.pem", b"secret")
    for wrong in (None, b"other"):
        with pytest.raises(UsageError):
            sign(folder, (folder / "manifest.json").read_bytes(), tmp_path / "k.pem", wrong)
    sign(folder, (folder / "manifest.json").read_bytes(), tmp_path / "k.pem", b"secret")
    assert open_bundle(folder, require_signature=public)


@pytest.mark.parametrize("suffix", [".zip", ".tar.zst"])
def test_a_signature_travels_and_can_be_required(
    suffix: str, folder: Path, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    file = tmp_path / f"x{suffix}"
    with pytest.raises(BundleError, match="is not signed"):
        pack(folder, file, require_signature=keys[1])
    pack(folder, tmp_path / f"bare{suffix}")
    with pytest.raises(BundleError, match="refused: bare is not signed"):
        unpack(tmp_path / f"bare{suffix}", tmp_path / "engines", require_signature=keys[1])
    assert list((tmp_path / "engines").iterdir()) == []
    sign(folder, (folder / "manifest.json").read_bytes(), keys[0])
    pack(folder, file, require_signature=keys[1])
    bundle = unpack(file, tmp_path / "engines", require_signature=keys[1])
    assert open_bundle(bundle.folder, require_signature=keys[1]).manifest.released
