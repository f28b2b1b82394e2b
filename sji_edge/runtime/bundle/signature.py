"""Signs bundles: a detached Ed25519 signature of the manifest, which holds the hash of every other file.

``manifest.sig`` holds the 64 bytes of RFC 8032, so other tools can check it too::

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
from sji_edge.core.files import read_bounded, write_atomic
from sji_edge.core.text import one_line
from sji_edge.runtime.bundle.manifest import SIGNATURE
from sji_edge.runtime.bundle.verification import plain_file

SIGNATURE_BYTES = 64
MAX_KEY_BYTES = 16 << 10
KEYGEN = "make a key pair with sji-edge engine keygen"


def make_keys(private: Path, passphrase: bytes | None = None) -> tuple[Path, str]:
    """Write a new pair of keys: ``private`` (PEM, readable by its owner only) and ``*.pub.pem`` beside it.

    Args:
        private: file for the private key; nothing is overwritten.
        passphrase: encrypts the private key; None leaves it plain.

    Returns:
        The public key's file, and its fingerprint.

    Raises:
        OutputError: one of the files exists, or cannot be written.
    """
    public = private.with_name(f"{private.name.removesuffix('.pem')}.pub.pem")
    for path in (private, public):
        if path.exists():
            raise OutputError(f"{path} already exists; keys are never overwritten")
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
        raise OutputError(f"cannot write the keys {private} and *.pub.pem: {error.strerror}") from error
    return public, fingerprint(key.public_key())


def sign(folder: Path, manifest: bytes, private: Path, passphrase: bytes | None = None) -> str:
    """Write a bundle's ``manifest.sig``; replaces an older signature.

    Args:
        folder: the bundle.
        manifest: the bytes of its manifest, as they were verified (``Bundle.manifest_bytes``): these are signed,
            whatever the file holds by now.
        private: an Ed25519 private key, PEM.
        passphrase: for an encrypted key.

    Returns:
        Fingerprint of the key.

    Raises:
        UsageError: not an Ed25519 private key, or a wrong passphrase.
        OutputError: the folder cannot be written.
    """
    key = _private_key(private, passphrase)
    signature = key.sign(manifest)
    plain_file(folder, SIGNATURE)
    try:
        write_atomic(folder / SIGNATURE, signature)
    except OSError as error:
        raise OutputError(f"cannot write {folder / SIGNATURE}: {error.strerror}") from error
    return fingerprint(key.public_key())


def check_signature(folder: Path, manifest: bytes, public: Path) -> None:
    """Check that a key signed a bundle's manifest.

    Args:
        folder: the bundle, where its signature is.
        manifest: the bytes of its manifest; the caller parses these and does not read the file again.
        public: the public key.

    Raises:
        UsageError: ``public`` is not an Ed25519 public key.
        BundleError: there is no signature, or it was made with another key or for another manifest.
    """
    key = read_public_key(public)
    path = plain_file(folder, SIGNATURE)
    if not path.exists():
        raise BundleError(
            f"{folder} is not signed, but a signature is required",
            hint="sign it with sji-edge engine sign ENGINE --key KEY",
        )
    signature = read_bounded(path, SIGNATURE_BYTES, error=BundleError)
    try:
        key.verify(signature, manifest)
    except InvalidSignature as error:
        raise BundleError(
            f"{folder} was not signed with the key {public} ({fingerprint(key)}), or was altered since"
        ) from error


def read_public_key(path: Path) -> Ed25519PublicKey:
    """Read an Ed25519 public key, PEM; raises ``UsageError`` if it is not one."""
    key = _parsed(path, serialization.load_pem_public_key)
    if not isinstance(key, Ed25519PublicKey):
        raise UsageError(f"{path} is not an Ed25519 public key", hint=KEYGEN)
    return key


def fingerprint(key: Ed25519PublicKey) -> str:
    """Return a short name for a key: ``SHA256:`` and the first 16 hex digits of the hash of its raw bytes."""
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return f"SHA256:{hashlib.sha256(raw).hexdigest()[:16]}"


_PUBLIC_PEM = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def _private_key(path: Path, passphrase: bytes | None) -> Ed25519PrivateKey:
    key = _parsed(path, lambda data: serialization.load_pem_private_key(data, passphrase or None))
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(f"{path} is not an Ed25519 private key", hint=KEYGEN)
    return key


def _parsed(path: Path, load: Any) -> Any:
    data = read_bounded(path, MAX_KEY_BYTES, error=UsageError)
    try:
        return load(data)
    except TypeError as error:  # either the key is encrypted and no passphrase was given, or the reverse
        raise UsageError(
            f"{path}: {one_line(error)}",
            hint="give the passphrase if the key is encrypted, and none if it is not",
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UsageError(f"{path} is not a readable key, or the passphrase is wrong", hint=KEYGEN) from error
