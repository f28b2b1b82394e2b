"""Keeps the kernels that TensorRT for RTX compiles on this machine, so that the next start does not compile them again.

TensorRT for RTX compiles kernels for each new shape, for seconds. It can give what it compiled, and takes it back only
if version, card and driver still fit. The file lies in the user's own cache folder, not in the bundle: a bundle holds
no code, and its files are signed.
"""

import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from sji_edge.core.files import write_atomic

MAX_BYTES = 1 << 30


def cache_file(plan: bytes, backend: str, environment: Mapping[str, str] = os.environ) -> Path:
    """Return the file for a plan's kernels, which need not exist.

    Args:
        plan: the plan's bytes.
        backend: the backend's name.
        environment: gives ``XDG_CACHE_HOME`` and ``HOME``.
    """
    home = environment.get("XDG_CACHE_HOME") or Path(environment.get("HOME", "/tmp")) / ".cache"  # noqa: S108
    return Path(home) / "sji-edge" / backend / f"{hashlib.sha256(plan).hexdigest()}.kernels"


class RuntimeCache:
    """The kernels of one plan; a file that does not fit, or that cannot be read or written, only costs time.

    Args:
        file: where they are kept.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._cache: Any = None
        self._known = b""

    def attach(self, config: Any) -> None:
        """Make a runtime configuration use the kernels, those of the file included."""
        if self._cache is None:
            self._cache = config.create_runtime_cache()
            with suppress(OSError):
                if self._file.stat().st_size <= MAX_BYTES:
                    known = self._file.read_bytes()
                    if self._cache.deserialize(known):
                        self._known = known
        config.set_runtime_cache(self._cache)

    def keep(self) -> None:
        """Write the kernels into the file, if there are new ones."""
        if self._cache is None:
            return
        content = bytes(self._cache.serialize())
        if content == self._known:
            return
        with suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_atomic(self._file, content)
            self._known = content

    def free(self) -> None:
        """Drop TensorRT's object; it belongs to the plan."""
        self._cache = None
