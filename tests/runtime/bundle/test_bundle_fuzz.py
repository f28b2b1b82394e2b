"""Random damage to manifests and archives: only SjiErrors escape, and nothing outside the folder changes."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.tiny_bundle import make_bundle

from sji_edge.core.errors import SjiError
from sji_edge.runtime.bundle.archive import pack, unpack
from sji_edge.runtime.bundle.bundle import open_bundle

FAST, SLOW = 150, 10_000
KINDS = ("manifest.json", "parity.json", ".zip", ".tar.zst", "raw.tar.zst")
JUNK = (None, True, -1, 0, 1e308, 2**70, "", "../../x", "\x00", [], {}, [[[]]], {"a": {}}, "engine.onnx", "é")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("engines")).folder


def _damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """Flip, cut, repeat, insert or exchange bytes, one to four times."""
    content = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        start, stop = sorted(rng.integers(0, len(content) + 1, 2))
        stop = min(stop, start + int(rng.choice([1, 4, 64, len(content)])))
        match rng.integers(0, 6):
            case 0 if content:
                content[rng.integers(0, len(content))] ^= 1 << rng.integers(0, 8)
            case 1:
                del content[start:stop]
            case 2:
                content[start:start] = content[start:stop]
            case 3:
                content[start:stop] = rng.bytes(stop - start)
            case 4:
                content[start : start + 4] = bytes(rng.choice([0, 255, 127, 128]) for _ in range(4))
            case _:
                content[stop:] = b""
    return bytes(content)


def _damaged_json(data: bytes, rng: np.random.Generator) -> bytes:
    """Put junk in place of some value of the document, or damage its bytes."""
    if rng.random() < 0.3:
        return _damaged(data, rng)
    content = json.loads(data)
    place = content
    while True:
        key = list(place)[rng.integers(0, len(place))] if isinstance(place, dict) else 0
        child = place[key]
        if isinstance(child, dict) and child and rng.random() < 0.7:
            place = child
            continue
        place[key] = JUNK[rng.integers(0, len(JUNK))]
        if rng.random() < 0.2:
            place[str(JUNK[rng.integers(0, len(JUNK))])] = child
        return json.dumps(content).encode()


def _tree(root: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() else None for path in root.rglob("*")
    }


def _cases(kind: str, count: int) -> Iterator[np.random.Generator]:
    for number in range(count):
        yield np.random.default_rng([KINDS.index(kind), number])


def _fuzz_archive(kind: str, count: int, made: Path, box: Path) -> None:
    suffix = kind.removeprefix("raw")
    (box / "in").mkdir(parents=True)
    source = box / "in" / f"x{suffix}"
    pack(made, source)
    whole = source.read_bytes()
    if kind.startswith("raw"):
        import zstandard

        # Damage under the compression, so that it reaches the tar reader.
        whole = zstandard.ZstdDecompressor().stream_reader(whole).read()
    opened, said = 0, []
    for rng in _cases(kind, count):
        data = _damaged(whole, rng)
        source.write_bytes(
            zstandard.ZstdCompressor(level=1).compress(data) if kind.startswith("raw") else data
        )
        before = {"in": None, f"in/x{suffix}": source.read_bytes()}
        try:
            bundle = unpack(source, box / "engines")
        except SjiError as error:
            said.append(error.message)
        else:
            opened += 1
            # Under the compression nothing but a signature protects the manifest itself.
            free = {"manifest.json"} if kind.startswith("raw") else set()
            assert _tree(bundle.folder).keys() == _tree(made).keys()
            assert all(
                (bundle.folder / n).read_bytes() == data for n, data in _tree(made).items() if n not in free
            )
            shutil.rmtree(bundle.folder)
        after = _tree(box)
        after.pop("engines", None)
        assert after == before
    assert opened < count / 4
    assert not any("\n" in line for line in said)


def _fuzz_json(file: str, count: int, made: Path, box: Path) -> None:
    folder = Path(shutil.copytree(made, box / "tiny"))
    whole = (folder / file).read_bytes()
    said: list[str] = []
    for rng in _cases(file, count):
        (folder / file).write_bytes(_damaged_json(whole, rng))
        before = _tree(box)
        try:
            open_bundle(folder).golden()
        except SjiError as error:
            said.append(error.message)
        assert _tree(box) == before
    assert len(said) > count / 4
    assert not any("\n" in line for line in said)


def _fuzz(kind: str, count: int, made: Path, box: Path) -> None:
    (_fuzz_json if kind.endswith(".json") else _fuzz_archive)(kind, count, made, box)


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_refused_in_one_line_and_stays_inside(kind: str, made: Path, tmp_path: Path) -> None:
    _fuzz(kind, FAST, made, tmp_path / "box")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_ten_thousand_cases(kind: str, made: Path, tmp_path: Path) -> None:
    _fuzz(kind, SLOW // len(KINDS), made, tmp_path / "box")
