"""Compares engines, graphs and runs with their origin, and applies the parity gate."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from pydantic import Field

from sji_edge.core.card import ModelCard
from sji_edge.core.errors import UsageError
from sji_edge.core.files import StrPath, check_writable_file, check_writable_folder, sha256_of
from sji_edge.core.findings import parse_settings
from sji_edge.core.frozen import FrozenModel
from sji_edge.data.folder import check_split_name
from sji_edge.parity.bisect import Bisection, tolerance_of
from sji_edge.parity.bisect import bisect as bisect_graphs
from sji_edge.parity.crops import Joints, folder_joints, recorded_joints
from sji_edge.parity.flip_sheet import save_worst
from sji_edge.parity.json_report import ParityResult, Predictor, Proof
from sji_edge.parity.pair import Side, coarser, compare_pair
from sji_edge.parity.run import ParityReport, predict, run_parity
from sji_edge.runtime.bundle.bundle import Bundle, open_bundle, open_engine
from sji_edge.runtime.bundle.manifest import GOLDEN, REFERENCE
from sji_edge.workflows.artifacts import released_engine
from sji_edge.workflows.compare.subjects import OpenSide, is_bundle, open_side

RECORDED = "PyTorch, recorded"
GOLDEN_CROPS = "golden crops"


class CompareSettings(FrozenModel):
    """The settings of a comparison; see ``compare``."""

    against: Path | None
    data: Path | None
    split: str
    bit_depth: int | None = Field(ge=9, le=16)
    golden: bool
    threads: int = Field(ge=0)
    worst: Path | None
    bisect: bool
    tolerance: float | None = Field(gt=0.0)


@dataclass(frozen=True)
class _Case:
    """A candidate and its reference, with the functions that compare and bisect them."""

    candidate: Predictor
    reference: Callable[[Joints], Predictor]
    card: ModelCard
    golden: Path
    judge: Callable[[Joints], ParityReport]
    part: Callable[[Joints], Bisection]


def compare(
    subject: StrPath | Sequence[StrPath] | None = None,
    model: StrPath | None = None,
    *,
    data: StrPath | None = None,
    split: str = "test",
    bit_depth: int | None = None,
    golden: bool = False,
    engines: StrPath = "engines",
    threads: int = 0,
    worst: StrPath | None = None,
    bisect: bool = False,
    tolerance: float | None = None,
    json_file: StrPath | None = None,
    progress: Callable[[str], None] | None = None,
    found: Callable[[Proof], None] | None = None,
) -> ParityResult:
    """Check whether an engine decides like the trained model, on this machine.

    The gate is the model card's for the coarser of the two precisions: no verdict may change to PASS, and few may
    change at all. Without ``model``, an engine is compared with PyTorch's recorded logits on the golden crops and
    with its own reference graph on a dataset; a run or a graph with the recorded logits.

    Args:
        subject: an engine bundle, a run or a ``model.onnx``, or several of them; None: the newest released engine
            that can run here.
        model: the run, ``model.onnx`` or engine to compare with.
        data: dataset folder ``DATA/SPLIT/CLASS/IMAGE``; None compares on the golden crops.
        split: ``train``, ``validation`` or ``test``.
        bit_depth: bits that the samples of 16-bit images use, 9 to 16; None where nobody declared it.
        golden: compare on the golden crops as well as on the dataset.
        engines: folder of all engines.
        threads: CPU threads; 0 lets the backend choose.
        worst: folder for a picture of the crops that differ most.
        bisect: find the first and the worst layer at which the two graphs differ.
        tolerance: relative RMS error above which two tensors count as different; None: by precision.
        json_file: file for the result as JSON; replaced if it exists.
        progress: called with a short text at each step.
        found: called with each comparison as soon as it is finished.

    Returns:
        Every comparison. It is true when all gates passed.

    Raises:
        UsageError: a setting is wrong, the two cannot be compared, or there is nothing to compare with.
        BundleError: a bundle or a graph cannot be opened.
        GateError: there is no crop to compare.
        OutputError: an output cannot be written; raised before anything is compared.
    """
    settings = parse_settings(
        CompareSettings,
        {
            "against": model,
            "data": data,
            "split": split,
            "bit_depth": bit_depth,
            "golden": golden,
            "threads": threads,
            "worst": worst,
            "bisect": bisect,
            "tolerance": tolerance,
        },
    )
    check_split_name(settings.split)
    if settings.worst is not None:
        check_writable_folder(settings.worst)
    if json_file is not None:
        check_writable_file(Path(json_file))
    proofs: list[Proof] = []
    for path in _subjects(subject, Path(engines)):
        for proof in _prove(path, settings, progress or (lambda _step: None)):
            proofs.append(proof)
            if found is not None:
                found(proof)
    result = ParityResult.of(tuple(proofs))
    if json_file is not None:
        result.write(Path(json_file))
    return result


def _subjects(subject: StrPath | Sequence[StrPath] | None, engines: Path) -> list[Path]:
    named: Sequence[StrPath] = [subject] if isinstance(subject, str | PathLike) else subject or []
    return [Path(path) for path in named] or [released_engine(None, engines).folder]


def _prove(subject: Path, settings: CompareSettings, progress: Callable[[str], None]) -> Iterator[Proof]:
    with _case(subject, settings) as case:
        crops: dict[str, Joints] = {}
        if settings.golden or settings.data is None:
            crops[GOLDEN_CROPS] = recorded_joints(case.golden, case.card)
        if settings.data is not None:
            progress(f"reading {settings.data}")
            crops[f"{settings.data} {settings.split}"] = folder_joints(
                settings.data, settings.split, case.card, settings.bit_depth
            )
        for name, joints in crops.items():
            progress(f"comparing {case.candidate.name} on {name}")
            report = case.judge(joints)
            picture = None
            if settings.worst is not None:
                what = f"{case.candidate.name}-{name}"
                picture = str(
                    save_worst(settings.worst, what, report.comparison, joints.crops, case.card.classes)
                )
            if settings.bisect:
                progress(f"bisecting {case.candidate.name} on {name}")
            yield Proof(
                candidate=case.candidate,
                reference=case.reference(joints),
                crops=name,
                report=report,
                bisection=case.part(joints) if settings.bisect else None,
                picture=picture,
                left_out=joints.left_out,
            )


@contextmanager
def _case(subject: Path, settings: CompareSettings) -> Iterator[_Case]:
    if is_bundle(subject) and settings.against is None:
        # An engine that failed its gate may still be examined; only infer refuses it.
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


def _bundle_case(bundle: Bundle, settings: CompareSettings) -> _Case:
    card = bundle.card

    def reference(joints: Joints) -> Predictor:
        recorded = joints.pytorch is not None
        file = GOLDEN if recorded else REFERENCE
        return Predictor(
            name=f"{card.name} {RECORDED if recorded else 'ONNX'}",
            kind="PyTorch" if recorded else "ONNX",
            precision="fp32",
            path=str(bundle.folder / file),
            sha256=bundle.manifest.files[file].sha256,
        )

    def part(joints: Joints) -> Bisection:
        with closing(open_engine(bundle, settings.threads)) as engine:
            paths = bundle.reference_path, bundle.engine_path
            return bisect_graphs(*paths, joints.crops, engine=engine, tolerance=settings.tolerance)

    return _Case(
        candidate=Predictor(
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


def _recorded_case(candidate: OpenSide, settings: CompareSettings) -> _Case:
    """Compare a run or an ONNX graph with the logits that training recorded."""
    if settings.data is not None:
        raise UsageError(
            f"{candidate.path} has nothing to compare with on {settings.data}",
            hint="name a run, an ONNX graph or an engine to compare with",
        )

    def judge(joints: Joints) -> ParityReport:
        if joints.recorded is None:
            raise UsageError(f"{candidate.golden} has no recorded logits of PyTorch")
        recorded = Side(joints.recorded, candidate.card.thresholds, "fp32")
        return compare_pair(recorded, _judged(candidate, joints), joints, candidate.card)

    def part(_joints: Joints) -> Bisection:
        raise UsageError(
            "recorded logits have no layers to bisect",
            hint="name a graph or a run to compare with",
        )

    def reference(_joints: Joints) -> Predictor:
        return Predictor(
            name=f"{candidate.card.name} {RECORDED}",
            kind="PyTorch",
            precision="fp32",
            path=str(candidate.golden),
            sha256=sha256_of(candidate.golden),
        )

    return _Case(_predictor(candidate), reference, candidate.card, candidate.golden, judge, part)


def _pair_case(reference: OpenSide, candidate: OpenSide, settings: CompareSettings) -> _Case:
    precision = coarser(reference.engine.spec.precision, candidate.engine.spec.precision)

    def judge(joints: Joints) -> ParityReport:
        return compare_pair(_judged(reference, joints), _judged(candidate, joints), joints, candidate.card)

    def part(joints: Joints) -> Bisection:
        limit = tolerance_of(precision) if settings.tolerance is None else settings.tolerance
        graphs = _graph(reference), _graph(candidate)
        return bisect_graphs(*graphs, joints.crops, engine=candidate.engine, tolerance=limit)

    golden = candidate.golden if candidate.golden.is_file() else reference.golden
    named = _predictor(reference)
    return _Case(_predictor(candidate), lambda _joints: named, candidate.card, golden, judge, part)


def _judged(side: OpenSide, joints: Joints) -> Side:
    return Side(predict(side.engine, joints.crops), side.thresholds, side.engine.spec.precision)


def _predictor(side: OpenSide) -> Predictor:
    return Predictor(
        name=side.name,
        kind=side.kind,
        precision=side.engine.spec.precision,
        path=str(side.path),
        sha256=side.sha256,
    )


def _graph(side: OpenSide) -> Path:
    if side.graph is None:
        raise UsageError(
            f"{side.path} has no ONNX graph to bisect", hint=f"make one with sji-edge export {side.path}"
        )
    return side.graph


def _check_alike(reference: OpenSide, candidate: OpenSide) -> None:
    """Refuse two models that do not take the same crops or do not have the same classes."""
    said = [
        f"{side.name} takes {'x'.join(map(str, side.card.preprocess.shape))} crops and has the classes "
        f"{', '.join(side.card.classes)} (good: {side.card.good_class})"
        for side in (reference, candidate)
    ]
    cards = [
        (side.card.preprocess, side.card.classes, side.card.good_class) for side in (reference, candidate)
    ]
    if cards[0] != cards[1]:
        raise UsageError(f"these two cannot be compared: {said[0]}; {said[1]}")
