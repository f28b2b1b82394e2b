import io
import os
import shutil
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from support.tiny_bundle import HEAD, make_bundle

from sji_edge.core.errors import BundleError, GateError, OutputError, SjiError, UsageError
from sji_edge.runtime.bundle import archive as archive_module
from sji_edge.runtime.bundle.archive import pack, unpack

SUFFIXES = (".tar.zst", ".zip")
Entry = tuple[str, bytes]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("engines")).folder


def _content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _zst(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


def _tar(entries: list[tuple[tarfile.TarInfo, bytes]], form: int = tarfile.USTAR_FORMAT) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as packed:
        for info, data in entries:
            info.size = len(data)
            packed.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def _plain_tar(entries: list[Entry]) -> bytes:
    return _zst(_tar([(tarfile.TarInfo(name), data) for name, data in entries]))


def _plain_zip(entries: list[Entry]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in entries:
            packed.writestr(name, data)
    return stream.getvalue()


MAKERS: dict[str, Callable[[list[Entry]], bytes]] = {".tar.zst": _plain_tar, ".zip": _plain_zip}


def _refused(tmp_path: Path, suffix: str, data: bytes, says: str, kind: type[SjiError] = BundleError) -> None:
    """Unpack in a new folder, and check that a refusal is one line and leaves nothing behind."""
    box = tmp_path / "box"
    (box / "in").mkdir(parents=True)
    source = box / "in" / f"x{suffix}"
    source.write_bytes(data)
    with pytest.raises(kind) as caught:
        unpack(source, box / "engines")
    assert caught.type is kind
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(source) in str(caught.value)
    assert sorted(path.name for path in box.rglob("*")) == ["engines", "in", source.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_bundle_returns_byte_for_byte(suffix: str, made: Path, tmp_path: Path) -> None:
    file = tmp_path / f"line-3{suffix}"
    pack(made, file)
    bundle = unpack(file, tmp_path / "engines")
    assert bundle.folder == tmp_path / "engines" / "line-3"
    assert _content(bundle.folder) == _content(made)
    assert bundle.golden().crops.shape[0] == 40
    assert unpack(file, tmp_path / "engines", "other").folder.name == "other"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_same_bundle_gives_the_same_bytes(suffix: str, made: Path, tmp_path: Path) -> None:
    again = Path(shutil.copytree(made, tmp_path / "copy"))
    for path in again.iterdir():
        os.utime(path, (1, 1))
    pack(made, tmp_path / f"one{suffix}")
    pack(again, tmp_path / f"two{suffix}")
    assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"two{suffix}").read_bytes()


def test_other_tools_read_the_archives(made: Path, tmp_path: Path) -> None:
    pack(made, tmp_path / "x.zip")
    pack(made, tmp_path / "x.tar.zst")
    with zipfile.ZipFile(tmp_path / "x.zip") as packed:
        assert packed.testzip() is None
        assert {name: packed.read(name) for name in packed.namelist()} == _content(made)
    with (tmp_path / "x.tar.zst").open("rb") as raw:
        data = zstandard.ZstdDecompressor().stream_reader(raw).read()
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert {m.name: tar.extractfile(m).read() for m in tar.getmembers()} == _content(made)  # type: ignore[union-attr]


def test_an_unreleased_bundle_stays_unreleased(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path, engine_head=-HEAD).folder
    pack(folder, tmp_path / "x.zip")
    assert not unpack(tmp_path / "x.zip", tmp_path / "engines").manifest.released


@pytest.mark.parametrize("name", ["x.tar.gz", "x.tar", "x", ".zip", "x.zip.exe"])
def test_another_suffix_is_refused(name: str, made: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="suffix"):
        pack(made, tmp_path / name)
    with pytest.raises(UsageError, match="suffix"):
        unpack(tmp_path / name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(made: Path, tmp_path: Path) -> None:
    pack(made, tmp_path / "x.zip")
    with pytest.raises(OutputError, match="already exists"):
        pack(made, tmp_path / "x.zip")
    unpack(tmp_path / "x.zip", tmp_path)
    with pytest.raises(OutputError, match="already exists"):
        unpack(tmp_path / "x.zip", tmp_path)


@pytest.mark.parametrize("name", ["../x", "a/b", "..", ".x", "/x", "x\n"])
def test_a_name_that_leaves_the_folder_is_refused(name: str, made: Path, tmp_path: Path) -> None:
    pack(made, tmp_path / "x.zip")
    with pytest.raises(UsageError, match="folder cannot be called"):
        unpack(tmp_path / "x.zip", tmp_path / "engines", name)
    assert not (tmp_path / "engines").exists()


def test_an_altered_bundle_is_not_packed(made: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(made, tmp_path / "tiny"))
    (folder / "engine.onnx").write_bytes(b"")
    with pytest.raises(BundleError, match="altered"):
        pack(folder, tmp_path / "x.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "name",
    ["../evil", "/etc/evil", "a/evil", "..", ".", ".hidden", "a\\evil", "C:evil", "-x", "e\u00e9", " x"],
)
def test_a_name_that_is_not_flat_is_refused(name: str, suffix: str, made: Path, tmp_path: Path) -> None:
    entries = [*_content(made).items(), (name, b"evil")]
    _refused(tmp_path, suffix, MAKERS[suffix](entries), "refused")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("second", ["engine.onnx", "ENGINE.onnx"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_duplicate_file_is_refused(second: str, suffix: str, made: Path, tmp_path: Path) -> None:
    entries = [*_content(made).items(), (second, b"evil")]
    _refused(tmp_path, suffix, MAKERS[suffix](entries), "twice")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_too_many_or_too_few_is_refused(suffix: str, made: Path, tmp_path: Path) -> None:
    content = _content(made)
    _refused(tmp_path / "a", suffix, MAKERS[suffix]([*content.items(), ("plugin.so", b"")]), "plugin.so")
    content.pop("golden.npz")
    _refused(tmp_path / "b", suffix, MAKERS[suffix]([*content.items()]), "lacks golden.npz")
    content.pop("manifest.json")
    _refused(tmp_path / "c", suffix, MAKERS[suffix]([*content.items()]), "manifest.json")
    many = [(f"f{number}", b"") for number in range(33)]
    _refused(tmp_path / "d", suffix, MAKERS[suffix](many), "more than 32 files")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_bundle_without_a_parity_record_is_not_released(suffix: str, made: Path, tmp_path: Path) -> None:
    content = _content(made)
    content.pop("parity.json")
    _refused(tmp_path, suffix, MAKERS[suffix]([*content.items()]), "no parity record", GateError)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.6, 0.9, 0.99])
def test_a_truncated_archive_is_refused(share: float, suffix: str, made: Path, tmp_path: Path) -> None:
    pack(made, tmp_path / f"whole{suffix}")
    data = (tmp_path / f"whole{suffix}").read_bytes()
    _refused(tmp_path / "t", suffix, data[: int(share * len(data))], "refused")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_archive_of_the_other_kind_is_refused(suffix: str, made: Path, tmp_path: Path) -> None:
    other = SUFFIXES[1 - SUFFIXES.index(suffix)]
    pack(made, tmp_path / f"x{other}")
    _refused(tmp_path / "o", suffix, (tmp_path / f"x{other}").read_bytes(), "refused")


TAR_KINDS = {
    "symbolic link": tarfile.SYMTYPE,
    "hard link": tarfile.LNKTYPE,
    "character device": tarfile.CHRTYPE,
    "block device": tarfile.BLKTYPE,
    "pipe": tarfile.FIFOTYPE,
    "folder": tarfile.DIRTYPE,
    "sparse": tarfile.GNUTYPE_SPARSE,
    "unknown": b"Z",
}


@pytest.mark.parametrize("kind", TAR_KINDS)
def test_a_tar_entry_that_is_no_plain_file_is_refused(kind: str, tmp_path: Path) -> None:
    info = tarfile.TarInfo("engine.onnx")
    info.type = TAR_KINDS[kind]
    info.linkname = "/etc/passwd"
    _refused(tmp_path, ".tar.zst", _zst(info.tobuf(tarfile.USTAR_FORMAT) + bytes(1024)), "not a plain file")


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_extended_tar_headers_are_refused_unread(form: int, tmp_path: Path) -> None:
    data = _tar([(tarfile.TarInfo("x" * 300), b"")], form)
    _refused(tmp_path, ".tar.zst", _zst(data), "not a plain file")


@pytest.mark.parametrize("size", [1 << 40, -1])
def test_a_tar_entry_of_an_absurd_size_is_refused(size: int, tmp_path: Path) -> None:
    info = tarfile.TarInfo("engine.onnx")
    info.size = size
    data = info.tobuf(tarfile.GNU_FORMAT) + bytes(1024)
    _refused(tmp_path, ".tar.zst", _zst(data), f"claims {size} bytes")


def test_a_zstd_bomb_stops_at_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_module, "MAX_BYTES", 1 << 20)
    data = _plain_tar([("model.onnx", bytes(1 << 19)), ("engine.onnx", bytes(1 << 20))])
    assert len(data) < 2000
    _refused(tmp_path, ".tar.zst", data, "claims 1048576 bytes, limit 524288")


def test_a_zip_bomb_stops_at_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_module, "MAX_BYTES", 1 << 20)
    data = _plain_zip([("model.onnx", bytes(1 << 19)), ("engine.onnx", bytes(1 << 20))])
    _refused(tmp_path, ".zip", data, "claim more than 1048576 bytes")


def test_a_zip_that_unpacks_to_more_than_it_claims_is_refused(tmp_path: Path) -> None:
    data = bytearray(_plain_zip([("model.onnx", bytes(1 << 16))]))
    directory = data.rfind(b"PK\x01\x02")
    for place in (22, directory + 24):
        data[place : place + 4] = struct.pack("<L", 10)
    _refused(tmp_path, ".zip", bytes(data), "refused")


def test_a_window_that_needs_too_much_memory_is_refused(tmp_path: Path) -> None:
    # Magic, a descriptor without content size, and a window of 2 ** 31 bytes; RFC 8878, 3.1.1.1.
    header = b"\x28\xb5\x2f\xfd" + b"\x00" + bytes([21 << 3])
    block = struct.pack("<L", (0 << 3) | 1)[:3]
    _refused(tmp_path, ".tar.zst", header + block, "not a readable zstd file")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFDIR, stat.S_IFCHR, stat.S_IFIFO, stat.S_IFSOCK])
def test_a_zip_entry_that_is_no_plain_file_is_refused(kind: int, tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as packed:
        info = zipfile.ZipInfo("engine.onnx")
        info.external_attr = (kind | 0o777) << 16
        packed.writestr(info, "/etc/passwd")
    _refused(tmp_path, ".zip", stream.getvalue(), "not a plain file")


def test_zip_folders_comments_and_other_compressions_are_refused(tmp_path: Path) -> None:
    _refused(tmp_path / "folder", ".zip", _plain_zip([("sub/", b"")]), "not a plain file")
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_BZIP2) as packed:
        packed.writestr("manifest.json", b"{}" * 50)
    _refused(tmp_path / "bzip", ".zip", stream.getvalue(), "compression method that is not supported")
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as packed:
        packed.writestr("manifest.json", b"{}")
        packed.comment = b"hello"
    _refused(tmp_path / "comment", ".zip", stream.getvalue(), "does not end as a zip file")
    data = bytearray(_plain_zip([("manifest.json", b"{}")]))
    data[6] |= 1
    data[data.rfind(b"PK\x01\x02") + 8] |= 1
    _refused(tmp_path / "encrypted", ".zip", bytes(data), "is encrypted")


def test_a_zip_directory_of_many_entries_is_not_even_read(tmp_path: Path) -> None:
    many = _plain_zip([(f"f{number}", b"") for number in range(5000)])
    _refused(tmp_path / "many", ".zip", many, "directory lists more than 32 files")
    lying = bytearray(many)
    lying[-14:-10] = struct.pack("<2H", 1, 1)
    _refused(tmp_path / "lying", ".zip", bytes(lying), "directory lists more than 32 files")
    locator = b"PK\x06\x07" + bytes(16)
    _refused(tmp_path / "zip64", ".zip", many[:-22] + locator + many[-22:], "zip64")


def test_a_missing_archive_and_an_unwritable_folder_are_refused(made: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="there is no archive"):
        unpack(tmp_path / "x.zip", tmp_path)
    pack(made, tmp_path / "x.zip")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot create"):
        unpack(tmp_path / "x.zip", tmp_path / "file")


def test_a_flipped_bit_in_the_manifest_is_caught_by_the_checksum(made: Path, tmp_path: Path) -> None:
    # Stored, so that the flip reaches the manifest's text and nothing but the checksum notices.
    content = _content(made)
    data = _tar([(tarfile.TarInfo(name), part) for name, part in content.items()])
    whole = bytearray(_stored_zst(data))
    whole[whole.index(b'"name": "tiny"') + 10] ^= 2
    _refused(tmp_path, ".tar.zst", bytes(whole), "not a readable zstd file")
    _refused(tmp_path / "more", ".tar.zst", _zst(data + b"more"), "data after the end")


def _stored_zst(data: bytes) -> bytes:
    """A zstd frame of raw blocks with a checksum, RFC 8878: level -131072 compresses as good as nothing."""
    parameters = zstandard.ZstdCompressionParameters(compression_level=-131072, write_checksum=1)
    return zstandard.ZstdCompressor(compression_params=parameters).compress(data)
