"""The JSON document of a parity check: every comparison, and exactly what was compared."""

from importlib.metadata import version
from pathlib import Path
from typing import Literal, Self

from sji_edge.core.clock import Clock, SystemClock
from sji_edge.core.files import output_errors, write_json
from sji_edge.core.frozen import FrozenModel
from sji_edge.core.left_out import LeftOut
from sji_edge.parity.bisect import Bisection
from sji_edge.parity.run import ParityReport
from sji_edge.runtime.host_cpu import cpu_facts


class Predictor(FrozenModel):
    """What was compared.

    Attributes:
        name: its name.
        kind: ``engine``, ``ONNX`` or ``PyTorch``.
        precision: ``fp32``, ``fp16``, ``bf16`` or ``int8``.
        path: file or folder.
        sha256: hash of the engine file, the graph, the weights, or the recorded logits.
    """

    name: str
    kind: str
    precision: str
    path: str
    sha256: str


class Proof(FrozenModel):
    """One candidate compared with its reference on one set of crops; true when the gate passed.

    Attributes:
        candidate: the predictor that was judged.
        reference: the predictor that is taken as correct.
        crops: which crops: ``golden crops``, or the dataset and its split.
        report: every comparison, and the gate's answer.
        bisection: where the two graphs differ; None if no bisection was requested.
        picture: the picture of the worst crops; None where none was written.
        left_out: what lies in the dataset folder and was not compared on.
    """

    candidate: Predictor
    reference: Predictor
    crops: str
    report: ParityReport
    bisection: Bisection | None = None
    picture: str | None = None
    left_out: tuple[LeftOut, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.report)

    @property
    def failure(self) -> str:
        """What broke the gate, in one sentence; empty when it passed."""
        if self:
            return ""
        return f"{self.candidate.path} fails its parity gate on {self.crops}: {'; '.join(self.report.result.failures)}"


class ParityResult(FrozenModel):
    """All comparisons of one call; true when there is at least one and every gate passed.

    Attributes:
        created_utc: time of creation, ISO 8601.
        environment: the machine that the result holds for.
        passed: whether every gate passed.
        proofs: one entry for each candidate and set of crops.
    """

    schema_version: Literal[1] = 1
    created_utc: str
    environment: dict[str, str]
    passed: bool
    proofs: tuple[Proof, ...]

    @classmethod
    def of(cls, proofs: tuple[Proof, ...], clock: Clock | None = None) -> Self:
        """Collect comparisons made on this machine."""
        return cls(
            created_utc=(clock or SystemClock()).utc(),
            environment={"sji-edge": version("sji-edge"), **cpu_facts()},
            passed=bool(proofs) and all(proofs),
            proofs=proofs,
        )

    def __bool__(self) -> bool:
        return self.passed

    @property
    def failures(self) -> tuple[str, ...]:
        """One sentence for each gate that failed."""
        return tuple(proof.failure for proof in self.proofs if not proof)

    def write(self, path: Path) -> None:
        """Write everything as JSON, in one step; raises ``OutputError`` if that is not possible."""
        with output_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, self.model_dump(mode="json"))
