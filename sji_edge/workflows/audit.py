"""Audits a dataset for faults that spoil training or its evaluation."""

from pathlib import Path

from sji_edge.core.errors import GateError
from sji_edge.core.extras import require
from sji_edge.core.files import StrPath, check_writable_file, write_json
from sji_edge.data.audit import Audit
from sji_edge.data.audit import audit as look
from sji_edge.data.folder import FolderDataset
from sji_edge.data.listing import splits_present


def audit(
    data: StrPath,
    *,
    good_class: str = "normal",
    bit_depth: int | None = None,
    json_file: StrPath | None = None,
) -> Audit:
    """Look at every image of a dataset.

    Args:
        data: dataset folder, ``DATA/{train,validation,test}/CLASS/IMAGE``; the splits that exist are looked at.
        good_class: class that means *no defect*.
        bit_depth: bits that the samples of 16-bit images use, 9 to 16; None: all 16.
        json_file: file to write the findings to; replaced if it exists.

    Returns:
        Counts, shortcuts and findings; true when no finding is serious.

    Raises:
        DataError: the dataset has no split or no classes, or ``labels.csv`` cannot be read.
        OutputError: ``json_file`` cannot be written; checked before the images are looked at.
        MissingExtraError: scikit-learn is not installed.
    """
    require("sklearn", purpose="an audit")
    root = Path(data)
    if json_file is not None:
        check_writable_file(Path(json_file))
    dataset = FolderDataset.open(root, good_class, splits_present(root) or ("train",), bit_depth=bit_depth)
    found = look(dataset)
    if json_file is not None:
        write_json(Path(json_file), found.model_dump(mode="json"))
    return found


def require_sound(found: Audit, data: StrPath) -> None:
    """Raise ``GateError`` when an audit holds a serious finding; names all of them."""
    if not found:
        serious = [finding.text for finding in found.findings if finding.serious]
        raise GateError(f"the audit of {data} failed: {'; '.join(serious)}")
