"""Keeps compiled models for the next start: compiling takes most of it, and gives the same each time.

A kept model is used only for the same graph (by its hash), batch size and settings, on the same CPU, with the same
OpenVINO, from a file that only this user can write. It must then give exactly the answers, bit for bit, that the
compiled one gave on this machine; otherwise the graph is compiled again. The bundle's own files are verified at each
start all the same.
"""

import hashlib
import io
import json
import math
import struct
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.cache_folder import cache_folder, is_private, keep_newest, make_private
from sji_edge.core.files import atomic_file

LAYOUT = 1
MAX_KEPT = 32
MAX_BYTES = 1 << 30
DIGEST_BYTES = 32
GOLDEN_TURN, NOISE_SHIFT = 0x9E3779B97F4A7C15, 40
HEAD = struct.Struct(f"<{DIGEST_BYTES}s{DIGEST_BYTES}s")
"""Hash of the model that follows, and hash of its answers."""


@dataclass(frozen=True)
class CompiledModels:
    """The kept models of one graph.

    Attributes:
        folder: where they lie.
        graph_sha256: hash of the graph's bytes.
        environment: version of OpenVINO, CPU and instruction sets.
        outputs: names of the outputs.
    """

    folder: Path
    graph_sha256: str
    environment: Mapping[str, str]
    outputs: Sequence[str]

    @classmethod
    def of(
        cls, content: bytes, environment: Mapping[str, str], outputs: Sequence[str]
    ) -> "CompiledModels | None":
        """Return those of a graph; None where this user has no cache."""
        folder = cache_folder("compiled")
        if folder is None:
            return None
        return cls(folder, hashlib.sha256(content).hexdigest(), environment, outputs)

    def load(
        self,
        core: Any,
        device: str,
        settings: Mapping[str, Any],
        key: Mapping[str, Any],
        crops: tuple[int, ...],
    ) -> Any:
        """Return a kept model, or None if there is none that answers as the compiled one did.

        Args:
            core: OpenVINO's.
            device: such as ``CPU``.
            settings: to import it with.
            key: all that the model depends on beside the graph and the machine.
            crops: shape of the crops on which it proves itself.
        """
        path = self._path(key, crops)
        try:
            if not is_private(path) or path.stat().st_size > MAX_BYTES:
                return None
            content = path.read_bytes()
            model, answers = HEAD.unpack_from(content)
            if hashlib.sha256(content[HEAD.size :]).digest() != model:
                return None
            compiled = core.import_model(io.BytesIO(content[HEAD.size :]), device, dict(settings))
            return compiled if self._answers(compiled, crops) == answers else None
        # OpenVINO raises RuntimeError for whatever it cannot import.
        except (OSError, RuntimeError, struct.error):
            return None

    def keep(self, compiled: Any, key: Mapping[str, Any], crops: tuple[int, ...]) -> None:
        """Keep a compiled model; where that fails, the next start compiles again."""
        path = self._path(key, crops)
        with suppress(OSError, RuntimeError):
            stream = io.BytesIO()
            compiled.export_model(stream)
            content = stream.getvalue()
            head = HEAD.pack(hashlib.sha256(content).digest(), self._answers(compiled, crops))
            make_private(self.folder)
            with atomic_file(path, sync=False) as file:
                file.write(head + content)
            keep_newest(self.folder, "*.blob", MAX_KEPT)

    def _path(self, key: Mapping[str, Any], crops: tuple[int, ...]) -> Path:
        facts = [LAYOUT, self.graph_sha256, dict(self.environment), dict(key), list(crops)]
        return (
            self.folder
            / f"{hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]}.blob"
        )

    def _answers(self, compiled: Any, crops: tuple[int, ...]) -> bytes:
        """Return the hash of a model's answers to noise."""
        # A multiplicative hash of the pixels' numbers: importing numpy.random would take longer than the rest.
        numbers = np.arange(math.prod(crops), dtype=np.uint64) * np.uint64(GOLDEN_TURN)
        noise: NDArray[np.uint8] = (numbers >> np.uint64(NOISE_SHIFT)).astype(np.uint8).reshape(crops)
        request = compiled.create_infer_request()
        request.infer({0: noise})
        digest = hashlib.sha256()
        for name in self.outputs:
            digest.update(np.ascontiguousarray(request.get_tensor(name).data).tobytes())
        return digest.digest()
