"""Where a signature is required, a recipe may only tighten the limits that were signed."""

import shutil
from pathlib import Path

import pytest
from support.bright_model import PLACES, board_image, write_recipe
from support.tiny_bundle import THRESHOLDS, make_bundle

from sji_edge.core.errors import RecipeError
from sji_edge.recipe.board import Recipe
from sji_edge.runtime.bundle.signature import make_keys
from sji_edge.workflows.engines.manage import sign_engine
from sji_edge.workflows.engines.open import choose_bundle
from sji_edge.workflows.inspect.inspector import Inspector

NAME = next(iter(PLACES))


def _with_limits(folder: Path, target: Path, lower: float, upper: float) -> Path:
    shutil.copytree(folder, target)
    lines = (target / "joints.csv").read_text().splitlines()
    columns = lines[0].split(",")
    rows = [dict(zip(columns, line.split(","), strict=True)) for line in lines[1:]]
    rows[0] |= {"lower": str(lower), "upper": str(upper)}
    names = [*columns, *(name for name in ("lower", "upper") if name not in columns)]
    text = [",".join(names), *(",".join(row.get(name, "") for name in names) for row in rows)]
    (target / "joints.csv").write_text("\n".join(text) + "\n")
    return target


@pytest.fixture
def signed(tmp_path: Path) -> tuple[Path, Path]:
    folder = make_bundle(tmp_path).folder
    public, _ = make_keys(tmp_path / "line.pem")
    sign_engine(folder, tmp_path / "line.pem")
    return folder, public


@pytest.mark.parametrize(("lower", "upper"), [(1.0, 1.0), (0.4, 0.61), (0.41, 0.6)])
def test_a_recipe_that_loosens_a_signed_limit_is_refused(tmp_path, signed, lower, upper) -> None:
    folder, public = signed
    write_recipe(tmp_path / "plain")
    loose = _with_limits(tmp_path / "plain", tmp_path / "loose", lower, upper)
    frame = board_image(dict.fromkeys(PLACES, 120))
    with (
        Inspector(folder, recipe=loose, require_signature=public) as inspector,
        pytest.raises(RecipeError, match=rf"looser than the signed engine's \(0\.4, 0\.6\): {NAME}"),
    ):
        inspector.judge(frame)
    # Without a required signature nobody promised that the limits are the signed ones.
    with Inspector(folder, recipe=loose) as inspector:
        inspector.judge(frame)


@pytest.mark.parametrize(("lower", "upper"), [(0.2, 0.3), (0.4, 0.6), (0.1, 0.6)])
def test_a_recipe_may_tighten_signed_limits(tmp_path, signed, lower, upper) -> None:
    folder, public = signed
    write_recipe(tmp_path / "plain")
    tight = Recipe.load(_with_limits(tmp_path / "plain", tmp_path / "tight", lower, upper))
    chosen = choose_bundle(folder, require_signature=public)
    chosen.check_recipe(tight)
    assert (THRESHOLDS.lower, THRESHOLDS.upper) == (0.4, 0.6)
