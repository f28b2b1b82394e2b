"""``parity --json``: every comparison of one call, and what exactly was compared."""

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from sji_edge.core.clock import Clock, SystemClock
from sji_edge.core.errors import OutputError
from sji_edge.core.files import write_json
from sji_edge.core.frozen import FrozenModel
from sji_edge.parity.bisect import Bisection
from sji_edge.parity.run import ParityReport
from sji_edge.runtime.host_cpu import cpu_facts


class Compared(FrozenModel):
    """One predictor; ``kind`` is engine, ONNX or PyTorch, ``sha256`` that of its file or weights."""

    name: str
    kind: str
    precision: str
    path: str
    sha256: str


class Proof(FrozenModel):
    """A candidate against its reference on some crops; ``report.gated`` names the pair that was judged."""

    candidate: Compared
    reference: Compared
    crops: str
    report: ParityReport
    bisection: Bisection | None = None
    picture: str | None = None

    @property
    def passed(self) -> bool:
        """Whether the gate passed."""
        return bool(self.report)


class ParityDocument(FrozenModel):
    """All proofs of one call; ``environment`` is the machine that they hold for."""

    schema_version: Literal[1] = 1
    created_utc: str
    environment: dict[str, str]
    passed: bool
    proofs: tuple[Proof, ...]


def write_document(path: Path, proofs: Sequence[Proof], clock: Clock | None = None) -> ParityDocument:
    """Write all proofs of one call as JSON, in one step; raises ``OutputError`` where it cannot be written."""
    document = ParityDocument(
        created_utc=(clock or SystemClock()).utc(),
        environment={"sji-edge": version("sji-edge"), **cpu_facts()},
        passed=all(proof.passed for proof in proofs),
        proofs=tuple(proofs),
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, document.model_dump(mode="json"))
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}", hint="choose another --json") from error
    return document
