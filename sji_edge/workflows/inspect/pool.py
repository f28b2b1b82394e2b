"""What a run keeps in a pool."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.clock import Clock
from sji_edge.core.errors import UsageError
from sji_edge.inspection.observe.rival import Rival
from sji_edge.inspection.outputs.pool.keep_rules import KeepRules
from sji_edge.inspection.outputs.pool.keeper import PoolKeeper, PoolSettings, Product
from sji_edge.pool.write import PoolWriter
from sji_edge.recipe.board import Recipe
from sji_edge.streams.redaction import redact
from sji_edge.streams.spec import is_stored
from sji_edge.workflows.inspect.inspector import Inspector
from sji_edge.workflows.inspect.request import RunRequest
from sji_edge.workflows.inspect.stream import OpenStream


def no_recipe() -> UsageError:
    """Return the error of a run that should cut joints and does not know where they are."""
    return UsageError(
        "cutting joints out of frames needs a recipe (got none)", hint="name the board's recipe"
    )


def product_of(recipe: Recipe | None, stream: str) -> Product:
    """Return what a pool is told of a recipe's board and of the stream; raises ``UsageError`` without a recipe."""
    if recipe is None:
        raise no_recipe()
    return Product(
        board=recipe.board.name or recipe.folder.resolve().name,
        recipe_sha256=recipe.sha256,
        packages={joint.refdes: joint.package for joint in recipe.joints},
        source=redact(stream),
    )


def check_guard(rules: KeepRules, stream: OpenStream) -> None:
    """Raise ``UsageError`` if novel joints are to be kept and the engine has no guard to find them."""
    if rules.novel is not None and stream.layout.limits.novelty is None:
        raise UsageError(
            "this engine has no guard, so it cannot tell which joints are novel",
            hint="train with a guard, or leave out the rule novel",
        )


def pool_settings(request: RunRequest) -> PoolSettings:
    """Return how a run of ``infer`` keeps joints."""
    quota = None if request.quota_mb is None else int(request.quota_mb * 1e6)
    return PoolSettings(KeepRules.parse(request.keep), quota=quota)


def pool_keeper(
    stack: ExitStack, request: RunRequest, stream: OpenStream, spec: PreprocessSpec
) -> PoolKeeper | None:
    """Open the pool of a run of ``infer``; None where it has none."""
    if request.pool is None:
        return None
    settings = pool_settings(request)
    check_guard(settings.rules, stream)
    product = product_of(stream.recipe, request.stream)
    writer = stack.enter_context(PoolWriter(Path(request.pool)))
    return PoolKeeper(writer, product, spec, settings, stored=is_stored(stream.source), recorded=True)


def open_rival(
    stack: ExitStack, request: RunRequest, inspector: Inspector, stream: OpenStream, clock: Clock
) -> Rival | None:
    """Open the second engine of a run of ``infer``; None where it has none.

    Raises:
        UsageError: there is no pool or no recipe, or the second engine is the deployed one.
        BundleError: it cannot run here.
    """
    if request.shadow_engine is None:
        return None
    if request.pool is None:
        raise UsageError(
            "a shadow engine needs a pool for the joints on which the two engines disagree (got none)",
            hint="name a pool, or leave the shadow engine out",
        )
    pool, product = request.pool, product_of(stream.recipe, request.stream)
    other = stack.enter_context(
        Inspector(
            request.shadow_engine,
            recipe=stream.recipe,
            threads=1,
            require_signature=request.require_signature,
            clock=clock,
            bit_depth=request.bit_depth,
        )
    )
    if other.bundle.engine_sha256 == inspector.bundle.engine_sha256:
        raise UsageError(
            f"{request.shadow_engine} is already the engine that decides", hint="name another shadow engine"
        )
    judge = other.beside(stream.recipe)
    spec, stored, settings = inspector.bundle.preprocess, is_stored(stream.source), pool_settings(request)

    @contextmanager
    def keeper() -> Iterator[PoolKeeper]:
        # SQLite wants each connection to stay in its thread.
        with PoolWriter(pool) as writer:
            yield PoolKeeper(writer, product, spec, settings, stored=stored, recorded=True)

    rival = Rival(other.engine.name, judge.judge, keeper, waits=stored)
    stack.callback(rival.close)
    return rival
