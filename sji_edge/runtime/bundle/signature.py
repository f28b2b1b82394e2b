"""Signed bundles: a detached Ed25519 signature over the manifest, which pins the hash of every other file.

``manifest.sig`` holds the 64 bytes of RFC 8032, so that other tools can check it as well::

    openssl pkeyutl -verify -pubin -inkey key.pub.pem -rawin -in manifest.json -sigfile manifest.sig
"""

import hashlib
import os
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from sji_edge.core.errors import BundleError, OutputError, UsageError
from sji_edge.core.files import write_atomic
from sji_edge.core.text import one_line
from sji_edge.runtime.bundle.manifest import MANIFEST, MAX_JSON_BYTES, SIGNATURE
from sji_edge.runtime.bundle.verification import plain_file

SIGNATURE_BYTES = 64
MAX_KEY_BYTES = 16 << 10
KEYGEN = "make a pair with sji-edge engine keygen"


def make_keys(private: Path, passphrase: bytes | None = None) -> tuple[Path, str]:
    """Write a new pair of keys: ``private`` (PEM, readable by its owner only) and ``*.pub.pem`` beside it.

    Args:
        private: where the private key goes; nothing is overwritten.
        passphrase: encrypts the private key; None leaves it plain.

    Returns:
        The public key's file, and its fingerprint.

    Raises:
        OutputError: one of the files exists, or cannot be written.
    """
    public = private.with_name(f"{private.name.removesuffix('.pem')}.pub.pem")
    for path in (private, public):
        if path.exists():
            raise OutputError(f"{path} exists already, and no key is overwritten")
    key = Ed25519PrivateKey.generate()
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase:
        encryption = serialization.BestAvailableEncryption(passphrase)
    text = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    try:
        private.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(text)
        write_atomic(public, key.public_key().public_bytes(*_PUBLIC_PEM))
    except OSError as error:
        raise OutputError(f"cannot write the keys beside {private}: {error.strerror}") from error
    return public, fingerprint(key.public_key())


def sign(folder: Path, private: Path, passphrase: bytes | None = None) -> str:
    """Write a bundle's ``manifest.sig``; the caller has verified the bundle. Replaces an older signature.

    Args:
        folder: the bundle.
        private: an Ed25519 private key, PEM.
        passphrase: where the key is encrypted.

    Returns:
        Fingerprint of the key.

    Raises:
        UsageError: no such key, or not the passphrase.
        OutputError: the folder cannot be written.
    """
    key = _private_key(private, passphrase)
    signature = key.sign(_manifest_bytes(folder))
    plain_file(folder, SIGNATURE)
    try:
        write_atomic(folder / SIGNATURE, signature)
    except OSError as error:
        raise OutputError(f"cannot write {folder / SIGNATURE}: {error.strerror}") from error
    return fingerprint(key.public_key())


def check_signature(folder: Path, public: Path) -> None:
    """Hold a bundle's manifest to a public key.

    Raises:
        UsageError: ``public`` is no Ed25519 public key.
        BundleError: no signature, or one by another key or over another manifest.
    """
    key = read_public_key(public)
    path = plain_file(folder, SIGNATURE)
    if not path.exists():
        raise BundleError(
            f"{folder} is not signed, and a signature is required",
            hint="sji-edge engine sign ENGINE --key KEY",
        )
    signature = _read(path, SIGNATURE_BYTES, BundleError)
    try:
        key.verify(signature, _manifest_bytes(folder))
    except InvalidSignature as error:
        raise BundleError(
            f"{folder} is signed by another key than {public} ({fingerprint(key)}), or was altered since"
        ) from error


def read_public_key(path: Path) -> Ed25519PublicKey:
    """Read an Ed25519 public key, PEM; raises ``UsageError`` when it is none."""
    key = _parsed(path, serialization.load_pem_public_key)
    if not isinstance(key, Ed25519PublicKey):
        raise UsageError(f"{path} holds no Ed25519 public key", hint=KEYGEN)
    return key


def fingerprint(key: Ed25519PublicKey) -> str:
    """Return what names a key in a list: ``SHA256:`` and the first 16 hex digits of its raw bytes' hash."""
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return f"SHA256:{hashlib.sha256(raw).hexdigest()[:16]}"


_PUBLIC_PEM = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def _private_key(path: Path, passphrase: bytes | None) -> Ed25519PrivateKey:
    key = _parsed(path, lambda data: serialization.load_pem_private_key(data, passphrase or None))
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(f"{path} holds no Ed25519 private key", hint=KEYGEN)
    return key


def _parsed(path: Path, load: Any) -> Any:
    data = _read(path, MAX_KEY_BYTES, UsageError)
    try:
        return load(data)
    except TypeError as error:  # an encrypted key without a passphrase, or the other way round
        raise UsageError(f"{path}: {one_line(error)}", hint="see --passphrase") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UsageError(f"{path} holds no such key, or not with this passphrase", hint=KEYGEN) from error


def _manifest_bytes(folder: Path) -> bytes:
    return _read(plain_file(folder, MANIFEST), MAX_JSON_BYTES, BundleError)


def _read(path: Path, limit: int, kind: type[BundleError] | type[UsageError]) -> bytes:
    try:
        with path.open("rb") as stream:
            data = stream.read(limit + 1)
    except OSError as error:
        raise kind(f"cannot read {path}: {error.strerror}") from error
    if len(data) > limit:
        raise kind(f"{path} is larger than {limit} bytes")
    return data
