"""Runs an inspection and records it: an inspector over a stream, its sinks and pictures, and its monitors."""

from collections.abc import Callable
from contextlib import ExitStack, closing

from sji_edge.core.clock import Clock
from sji_edge.core.protocols import Frame
from sji_edge.inspection.judging.frame_job import Judgement
from sji_edge.inspection.observe.shadow import Shadow, ShadowReport
from sji_edge.inspection.observe.status_formats import prometheus_text
from sji_edge.inspection.observe.tally import RunSummary
from sji_edge.runtime.bundle.bundle import open_reference
from sji_edge.workflows.inspect.inspector import Inspector
from sji_edge.workflows.inspect.outputs import (
    check_quota,
    free_space,
    make_folder,
    open_sinks,
    picture_keepers,
)
from sji_edge.workflows.inspect.request import EngineFacts, RunListener, RunPaths, RunRequest, RunResult
from sji_edge.workflows.inspect.stream import OpenStream, require_complete, run_name


def run_inference(
    request: RunRequest,
    clock: Clock,
    listener: RunListener | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> RunResult:
    """Judge a stream and record every board.

    The records are opened last, so that a wrong stream, recipe or engine leaves nothing behind.

    Args:
        request: what to judge, with what, and what to write.
        clock: for captures, latencies and records.
        listener: hears about the engine, every board and the end of the run.
        stop: polled throughout the run; once it returns True, the run ends when the frames in flight are on record.

    Raises:
        SjiError: of the kind that the command's exit codes stand for. What is on record stays there, and
            ``listener.ended`` has the counts.
    """
    heard = listener or RunListener()
    check_quota(request)
    paths = RunPaths(run_name(clock.utc()), request.output)
    with ExitStack() as stack:
        inspector = stack.enter_context(_inspector(request, clock))
        heard.engine_opened(inspector.engine)
        stream = stack.enter_context(
            inspector.open_stream(
                request.stream,
                request.settings,
                run=paths.run,
                ignore_existing=request.ignore_existing,
                serial_from=request.serial_from,
            )
        )
        heard.stream_opened(stream.left_out)
        if stream.recipe is not None:
            heard.places_learned(stream.recipe, stream.layout.places)
        for note in stream.judge.notes:
            heard.warned(note)
        if request.replay_golden:
            heard.golden_replayed(inspector.replay_golden(stream.judge))
        make_folder(request.output)
        keepers = picture_keepers(request, inspector.bundle, heard.warned)
        pool = rival = None
        if request.pool is not None or request.shadow_engine is not None:
            # Slow to import, and few runs need it.
            from sji_edge.workflows.inspect.pool import open_rival, pool_keeper

            pool = pool_keeper(stack, request, stream, inspector.bundle.preprocess)
            rival = open_rival(stack, request, inspector, stream, clock)
        keepers += [] if pool is None else [pool.keep]
        keepers += [] if rival is None else [rival.take]
        space = free_space(request)
        sinks = open_sinks(stack, request, paths, stream.recipe)
        shadow = _shadow(stack, inspector, stream, paths)
        inspection = stream.inspection(
            sinks,
            stop=stop,
            # The board is announced first: its picture may find the disk full.
            on_board=[_announce(heard), *keepers],
            on_work=None if shadow is None else shadow.take,
            space=space,
            database=paths.database,
        )

        def figures() -> tuple[RunSummary, ShadowReport | None]:
            return inspection.summary(), shadow.report() if shadow else None

        _serve_metrics(stack, request, inspector.engine, figures, heard)
        heard.begun(figures)
        try:
            inspection.run()
        finally:
            replayed = shadow.close() if shadow else None
            kept = None if pool is None else pool.counts
            compared = rival.close() if rival else None
            result = RunResult(
                inspection.summary(), replayed, inspector.engine, paths, stop(), kept, compared
            )
            heard.ended(result)
        require_complete(stream.source, request.settings.strict)
    return result


def _inspector(request: RunRequest, clock: Clock) -> Inspector:
    return Inspector(
        request.engine,
        recipe=request.recipe,
        engines=request.engines,
        threads=request.threads,
        require_signature=request.require_signature,
        clock=clock,
        bit_depth=request.bit_depth,
    )


def _announce(heard: RunListener) -> Callable[[Frame, Judgement], None]:
    return lambda _, judgement: heard.board(judgement.record)


def _shadow(stack: ExitStack, inspector: Inspector, stream: OpenStream, paths: RunPaths) -> Shadow | None:
    share = stream.settings.shadow
    if share is None:
        return None
    limits = inspector.reference_layout(stream.recipe).limits
    # The shadow closes it after its last call.
    reference = open_reference(inspector.bundle, threads=1)
    shadow = Shadow(reference, inspector.model(), stream.layout, limits, share, paths.shadow)
    stack.callback(shadow.close)
    return shadow


def _serve_metrics(
    stack: ExitStack,
    request: RunRequest,
    engine: EngineFacts,
    figures: Callable[[], tuple[RunSummary, ShadowReport | None]],
    heard: RunListener,
) -> None:
    if request.metrics_port is None:
        return
    # Its HTTP server is slow to import.
    from sji_edge.inspection.observe.metrics_server import MetricsServer

    info = {
        "engine": engine.name,
        "backend": engine.backend,
        "precision": engine.precision,
        "sha256": engine.sha256,
    }

    def text() -> str:
        summary, shadow = figures()
        return prometheus_text(summary, info, shadow)

    server = stack.enter_context(closing(MetricsServer(request.metrics_port, text)))
    heard.metrics_served(f"http://127.0.0.1:{server.port}/metrics")
