import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def kill_nine(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """``benchmarks/kill_nine.py``, whose commands and checks the tests use as well."""
    if not BENCHMARKS.is_dir():
        pytest.skip("benchmarks/ is not part of this distribution")
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
    import kill_nine

    return kill_nine
