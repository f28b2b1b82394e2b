import os
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
sys.path.insert(0, str(TESTS))
sys.path.insert(0, str(TESTS / "recipe"))


@pytest.fixture(scope="session")
def real_boards() -> Path:
    root = os.environ.get("SJI_DATA")
    if not root:
        pytest.skip("SJI_DATA is not set")
    return Path(root) / "boards"
