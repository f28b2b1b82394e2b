"""The manifest and the parity record of a bundle."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, Field, StringConstraints, ValidationError, model_validator

from sji_edge.core import run_files
from sji_edge.core.card import ModelCard, ParityGate, in_one_line
from sji_edge.core.errors import BundleError
from sji_edge.core.files import parse_json, read_bounded
from sji_edge.core.frozen import FrozenModel
from sji_edge.core.verdict import Thresholds

SCHEMA_VERSION = 1
MANIFEST = run_files.MANIFEST
REFERENCE = run_files.MODEL
GOLDEN = run_files.GOLDEN
PARITY = run_files.PARITY
GRAPH = "graph.onnx"
BUILD_LOG = "build.log"
LAYERS = "layers.json"
"""Optional, beside an engine that only one kind of device can run: the graph that it was built from (Q/DQ for INT8,
FP16 for FP16), the builder's log, and the table of its layers."""

SIGNATURE = "manifest.sig"
"""Optional; the only file that the manifest cannot list, because it is made from the manifest."""

MAX_JSON_BYTES = 16 << 20

FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""A bundle is flat: no name contains a separator, begins with a dot, or leaves the folder."""

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Model = TypeVar("Model", bound=BaseModel)


class FileEntry(FrozenModel):
    """One file's content."""

    sha256: Sha256
    size: int = Field(ge=0)


class Attempt(FrozenModel):
    """One precision that ``build-engine`` tried, with its parity and its times; None where not measured.

    ``pending``: the engine could not run where it was built, and the parity is that of its graph.
    """

    label: str
    precision: str
    passed: bool
    kept: bool = False
    pending: bool = False
    failures: tuple[str, ...] = ()
    agreement: float | None = None
    flips: int | None = None
    escape_flips: int | None = None
    silent_guard_flips: int | None = None
    max_score_error: float | None = None
    f1_change: float | None = None
    batch: int | None = None
    batch_ms: float | None = None
    single_ms: float | None = None
    file_bytes: int | None = None
    note: str = ""


class BlankKind(FrozenModel):
    """Crops of one kind that show no joint.

    Attributes:
        crops: how many were tried.
        passed: how many of them the engine by itself would PASS.
        missed: how many of those the loop's check of each joint does not find either; an engine that has any is not
            released.
    """

    crops: int = Field(ge=1)
    passed: int = Field(ge=0)
    missed: int = Field(ge=0)


class BlankCrops(FrozenModel):
    """How an engine judges crops without a joint, by kind: empty, flat, half covered."""

    kinds: dict[str, BlankKind]

    @property
    def failures(self) -> tuple[str, ...]:
        """Why the engine must not be released, in words; empty when nothing is missed."""
        return tuple(
            f"{kind.missed} of {kind.crops} {name} crops would PASS, and the check for hidden joints misses them"
            for name, kind in self.kinds.items()
            if kind.missed
        )


class BundleFacts(FrozenModel):
    """What the build knows about an engine; the manifest adds the files.

    ``thresholds`` are the deployed ones, chosen on the engine's own scores; ``reference_thresholds`` are those of
    the reference model. ``environment`` comes from the backend, ``build`` from its ``build``. ``blank_crops`` is
    None in bundles made before it was measured.
    """

    name: Name
    backend: Name
    precision: Name
    max_batch: int = Field(ge=1)
    card: ModelCard
    thresholds: Thresholds
    reference_thresholds: Thresholds
    environment: dict[str, str]
    build: dict[str, Any] = {}
    calibration: dict[str, Any] = {}
    tried: tuple[Attempt, ...] = ()
    blank_crops: BlankCrops | None = None


class Manifest(BundleFacts):
    """``manifest.json``: the facts, and every other file with its hash and size."""

    schema_version: Literal[1] = 1
    created_utc: str
    engine_file: Name
    files: dict[str, FileEntry]
    released: bool

    @property
    def waits_for_device(self) -> bool:
        """Whether the engine failed only because it could not run where it was built."""
        return not self.released and any(
            attempt.kept and attempt.pending and len(attempt.failures) == 1 for attempt in self.tried
        )

    @model_validator(mode="after")
    def _files_named(self) -> Self:
        for name in self.files:
            if not FILE_NAME.fullmatch(name) or name in (MANIFEST, SIGNATURE):
                raise ValueError(f"a bundle cannot hold a file called {name!r}")
        missing = {REFERENCE, GOLDEN, PARITY, self.engine_file} - set(self.files)
        if missing:
            raise ValueError(f"the manifest lists no {', '.join(sorted(missing))}")
        if self.engine_file in (REFERENCE, GOLDEN, PARITY, GRAPH, BUILD_LOG, LAYERS):
            raise ValueError(f"the engine cannot be {self.engine_file}")
        return self


class ParityRecord(FrozenModel):
    """``parity.json``: the gate's result, bound by hashes to the files that it belongs to.

    ``joints`` is the number of crops that were compared; ``comparisons`` holds the figures of each pair
    (``pytorch-engine``, …); ``gated`` names the pair that the gate judged.
    """

    schema_version: Literal[1] = 1
    created_utc: str
    engine_sha256: Sha256
    reference_sha256: Sha256
    golden_sha256: Sha256
    thresholds: Thresholds
    reference_thresholds: Thresholds
    gate: ParityGate
    passed: bool
    failures: tuple[str, ...]
    joints: int = Field(ge=1)
    gated: str
    comparisons: dict[str, Any]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.passed == bool(self.failures):
            raise ValueError("passed and failures contradict each other")
        if self.gated not in self.comparisons:
            raise ValueError(f"there is no comparison {self.gated!r}")
        return self


def read_model(path: Path, model: type[Model], what: str) -> Model:
    """Read a JSON file of a bundle and parse it; raises as ``parse_model``, or when it cannot be read."""
    return parse_model(read_bounded(path, MAX_JSON_BYTES, error=BundleError), path, model, what)


def parse_model(data: bytes, path: Path, model: type[Model], what: str) -> Model:
    """Parse a JSON file of a bundle.

    Args:
        data: the file's content.
        path: the file, for the error.
        model: the model to parse it as, with a ``schema_version``.
        what: what the file should hold, for the error (``"manifest"``).

    Raises:
        BundleError: not JSON, another schema version, or a field that is wrong.
    """
    content = parse_json(data, str(path), error=BundleError)
    if not isinstance(content, dict):
        raise BundleError(f"{path} is not a {what}: it holds a {type(content).__name__}, not an object")
    version = content.get("schema_version")
    if version != SCHEMA_VERSION:
        raise BundleError(
            f"{path} has schema version {str(version)[:40]}; this sji-edge reads {SCHEMA_VERSION}",
            hint="rebuild the engine, or install the sji-edge that built it",
        )
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise BundleError(f"{path} is not a valid {what}: {in_one_line(error)[:400]}") from error
