"""The people who may use a station: names, roles, and hashes of their passwords (argon2id, RFC 9106)."""

import re
import threading
from pathlib import Path
from typing import Annotated

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from pydantic import Field, StringConstraints, ValidationError

from sji_edge.core.decisions import Role
from sji_edge.core.errors import UsageError
from sji_edge.core.files import atomic_file, read_json
from sji_edge.core.findings import in_words
from sji_edge.core.frozen import FrozenModel
from sji_edge.review.shown import Person

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
MIN_PASSWORD, MAX_PASSWORD = 10, 200

_HASHER = PasswordHasher()
_AT_ONCE = threading.BoundedSemaphore(2)
"""Each check takes 64 MB and a core for a moment."""
_NOBODY = _HASHER.hash("nobody has this password")
"""Checked where the name is unknown, so that the answer takes as long."""


class User(FrozenModel):
    """One person."""

    role: Role
    hash: Annotated[str, StringConstraints(pattern=r"^\$argon2id\$")]


class UserFile(FrozenModel):
    """The content of the file: people by name."""

    users: Annotated[dict[str, User], Field(default_factory=dict)]


def read_users(path: Path) -> dict[str, User]:
    """Read the people of a file; none where it does not exist.

    Raises:
        UsageError: it cannot be read or is wrong; says where, and shows no hash.
    """
    if not path.exists():
        return {}
    try:
        return UserFile.model_validate(read_json(path)).users
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, found['loc'][:2]))}: {in_words(found['msg'])}"
            for found in error.errors(include_input=False, include_url=False)
        )
    raise UsageError(f"{path}: {faults}", hint="write it with sji-edge users add NAME")


def add_user(path: Path, name: str, role: Role | None, password: str) -> Role:
    """Add a person, or change a person's password and role.

    Args:
        path: file of the users; created if it does not exist.
        name: the person.
        role: None keeps the role of a person who is there, and makes a new one an operator.
        password: in clear; only its hash is kept.

    Returns:
        The role that the person has now.

    Raises:
        UsageError: the name or the password does not fit, or the file is wrong.
        OSError: the file cannot be written.
    """
    if not NAME.fullmatch(name):
        raise UsageError(
            f"a user's name has 1 to 40 letters, digits, dots, dashes and underscores (got {name[:50]!r})"
        )
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise UsageError(
            f"a password must have {MIN_PASSWORD} to {MAX_PASSWORD} characters (got {len(password)})"
        )
    users = read_users(path)
    if role is None:
        role = users[name].role if name in users else Role.OPERATOR
    _write(path, {**users, name: User(role=role, hash=_HASHER.hash(password))})
    return role


def remove_user(path: Path, name: str) -> None:
    """Remove a person; raises ``UsageError`` if there is none of that name."""
    users = read_users(path)
    if name not in users:
        raise UsageError(f"{path} has no user {name!r}")
    _write(path, {other: user for other, user in users.items() if other != name})


def _write(path: Path, users: dict[str, User]) -> None:
    with atomic_file(path) as stream:
        # Before the hashes are in it.
        Path(stream.name).chmod(0o600)
        stream.write(UserFile(users=users).model_dump_json(indent=2).encode() + b"\n")
    path.chmod(0o600)


def check_password(users: dict[str, User], name: str, password: str) -> Person | None:
    """Return the person whose password this is; None for a wrong name or password, after the same time."""
    user = users.get(name)
    with _AT_ONCE:
        try:
            _HASHER.verify(user.hash if user else _NOBODY, password[: MAX_PASSWORD + 1])
        except (VerificationError, InvalidHashError):
            return None
    return Person(name, user.role) if user else None
