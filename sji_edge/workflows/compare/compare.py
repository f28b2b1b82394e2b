"""How ``parity`` puts the floor below together: the two sides, the crops, the comparison, its pictures."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sji_edge.core.card import ModelCard
from sji_edge.core.errors import UsageError
from sji_edge.core.files import sha256_of
from sji_edge.core.frozen import FrozenModel
from sji_edge.parity.bisect import Bisection, bisect, tolerance_of
from sji_edge.parity.crops import Joints, folder_joints, recorded_joints
from sji_edge.parity.flip_sheet import save_worst
from sji_edge.parity.json_report import Compared, Proof
from sji_edge.parity.pair import Side, coarser, compare_pair
from sji_edge.parity.run import ParityReport, predict, run_parity
from sji_edge.runtime.bundle.bundle import Bundle, open_bundle, open_engine
from sji_edge.runtime.bundle.manifest import GOLDEN, REFERENCE
from sji_edge.workflows.compare.subjects import OpenSide, is_bundle, open_side

RECORDED = "PyTorch, recorded"


class ProvingSettings(FrozenModel):
    """Every option of ``parity`` that is not about its output."""

    against: Path | None
    data: Path | None
    split: str
    golden: bool
    threads: int
    worst: Path | None
    bisect: bool
    tolerance: float | None


@dataclass(frozen=True)
class _Case:
    """Two sides, and how they are compared and bisected."""

    candidate: Compared
    reference: Callable[[Joints], Compared]
    card: ModelCard
    golden: Path
    judge: Callable[[Joints], ParityReport]
    part: Callable[[Joints], Bisection]


def prove(subject: Path, settings: ProvingSettings) -> Iterator[Proof]:
    """Compare one predictor on the golden crops, on a dataset, or on both.

    An engine bundle without ``against`` is held against PyTorch's recorded logits on the golden crops and
    against its reference graph on a dataset; a run or an ONNX graph against the recorded logits.

    Args:
        subject: an engine bundle, a run or an ONNX graph.
        settings: the command's options.

    Raises:
        UsageError: two that cannot be compared, or nothing to compare with.
        GateError: no crop to compare.
    """
    with _case(subject, settings) as case:
        crops: dict[str, Joints] = {}
        if settings.golden or settings.data is None:
            crops["golden crops"] = recorded_joints(case.golden, case.card)
        if settings.data is not None:
            crops[f"{settings.data} {settings.split}"] = folder_joints(
                settings.data, settings.split, case.card
            )
        for name, joints in crops.items():
            report = case.judge(joints)
            picture = None
            if settings.worst is not None:
                what = f"{case.candidate.name}-{name}"
                picture = str(
                    save_worst(settings.worst, what, report.comparison, joints.crops, case.card.classes)
                )
            yield Proof(
                candidate=case.candidate,
                reference=case.reference(joints),
                crops=name,
                report=report,
                bisection=case.part(joints) if settings.bisect else None,
                picture=picture,
            )


@contextmanager
def _case(subject: Path, settings: ProvingSettings) -> Iterator[_Case]:
    if is_bundle(subject) and settings.against is None:
        # An engine that was refused may be looked at; only infer must not use it.
        yield _bundle_case(open_bundle(subject, require_released=False), settings)
        return
    with ExitStack() as stack:
        candidate = stack.enter_context(open_side(subject, settings.threads))
        if settings.against is None:
            yield _recorded_case(candidate, settings)
        else:
            reference = stack.enter_context(open_side(settings.against, settings.threads))
            _check_alike(reference, candidate)
            yield _pair_case(reference, candidate, settings)


def _bundle_case(bundle: Bundle, settings: ProvingSettings) -> _Case:
    card = bundle.card

    def reference(joints: Joints) -> Compared:
        recorded = joints.pytorch is not None
        file = GOLDEN if recorded else REFERENCE
        return Compared(
            name=f"{card.name} {RECORDED if recorded else 'ONNX'}",
            kind="PyTorch" if recorded else "ONNX",
            precision="fp32",
            path=str(bundle.folder / file),
            sha256=bundle.manifest.files[file].sha256,
        )

    def part(joints: Joints) -> Bisection:
        with closing(open_engine(bundle, settings.threads)) as engine:
            paths = bundle.reference_path, bundle.engine_path
            return bisect(*paths, joints.crops, engine=engine, tolerance=settings.tolerance)

    return _Case(
        candidate=Compared(
            name=bundle.manifest.name,
            kind="engine",
            precision=bundle.manifest.precision,
            path=str(bundle.folder),
            sha256=bundle.engine_sha256,
        ),
        reference=reference,
        card=card,
        golden=bundle.folder / GOLDEN,
        judge=lambda joints: run_parity(bundle, joints, settings.threads),
        part=part,
    )


def _recorded_case(candidate: OpenSide, settings: ProvingSettings) -> _Case:
    """Hold a run or an ONNX graph against the logits that training recorded."""
    if settings.data is not None:
        raise UsageError(
            f"{candidate.path} on {settings.data}: nothing is named to compare it with",
            hint="name a run, an ONNX graph or an engine with --against",
        )

    def judge(joints: Joints) -> ParityReport:
        if joints.pytorch is None:
            raise UsageError(f"{candidate.golden} holds no logits of PyTorch")
        recorded = Side(joints.pytorch, candidate.card.thresholds, "fp32")
        return compare_pair(recorded, _judged(candidate, joints), joints, candidate.card)

    def part(_joints: Joints) -> Bisection:
        raise UsageError(
            "recorded logits have no layers to bisect", hint="name a graph or a run with --against"
        )

    def reference(_joints: Joints) -> Compared:
        return Compared(
            name=f"{candidate.card.name} {RECORDED}",
            kind="PyTorch",
            precision="fp32",
            path=str(candidate.golden),
            sha256=sha256_of(candidate.golden),
        )

    return _Case(_compared(candidate), reference, candidate.card, candidate.golden, judge, part)


def _pair_case(reference: OpenSide, candidate: OpenSide, settings: ProvingSettings) -> _Case:
    precision = coarser(reference.engine.spec.precision, candidate.engine.spec.precision)

    def judge(joints: Joints) -> ParityReport:
        return compare_pair(_judged(reference, joints), _judged(candidate, joints), joints, candidate.card)

    def part(joints: Joints) -> Bisection:
        limit = tolerance_of(precision) if settings.tolerance is None else settings.tolerance
        graphs = _graph(reference), _graph(candidate)
        return bisect(*graphs, joints.crops, engine=candidate.engine, tolerance=limit)

    golden = candidate.golden if candidate.golden.is_file() else reference.golden
    named = _compared(reference)
    return _Case(_compared(candidate), lambda _joints: named, candidate.card, golden, judge, part)


def _judged(side: OpenSide, joints: Joints) -> Side:
    return Side(predict(side.engine, joints.crops), side.thresholds, side.engine.spec.precision)


def _compared(side: OpenSide) -> Compared:
    return Compared(
        name=side.name,
        kind=side.kind,
        precision=side.engine.spec.precision,
        path=str(side.path),
        sha256=side.sha256,
    )


def _graph(side: OpenSide) -> Path:
    if side.graph is None:
        raise UsageError(
            f"{side.path} holds no ONNX graph to bisect", hint=f"make one with sji-edge export {side.path}"
        )
    return side.graph


def _check_alike(reference: OpenSide, candidate: OpenSide) -> None:
    """Refuse two that do not take the same crops and give the same classes."""
    said = [
        f"{side.name} takes {'x'.join(map(str, side.card.preprocess.shape))} crops and tells "
        f"{', '.join(side.card.classes)} apart, good is {side.card.good_class}"
        for side in (reference, candidate)
    ]
    cards = [
        (side.card.preprocess, side.card.classes, side.card.good_class) for side in (reference, candidate)
    ]
    if cards[0] != cards[1]:
        raise UsageError(f"these two cannot be compared: {said[0]}; {said[1]}")
