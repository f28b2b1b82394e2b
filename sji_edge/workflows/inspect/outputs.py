"""What a run writes: its folder, its sinks, its pictures, and the check of the disks they are on."""

from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

from sji_edge.core.errors import OutputError, UsageError
from sji_edge.core.protocols import Sink
from sji_edge.inspection.outputs.disk_space import FreeSpace
from sji_edge.inspection.outputs.joint_crops import JointCrops
from sji_edge.inspection.outputs.painted_board import save_picture
from sji_edge.inspection.outputs.quota_folder import PictureFolder
from sji_edge.inspection.outputs.recorder import OnBoard
from sji_edge.inspection.outputs.station_boards import StationBoards
from sji_edge.recipe.board import Recipe
from sji_edge.records import SINKS
from sji_edge.records.picture_names import PictureKind
from sji_edge.records.write.sqlite import SqliteSink
from sji_edge.runtime.bundle.bundle import Bundle
from sji_edge.workflows.inspect.request import RunPaths, RunRequest


def check_quota(request: RunRequest) -> None:
    """Refuse a quota where no pictures are kept."""
    if request.quota_mb is not None and not picture_folders(request) and request.pool is None:
        raise UsageError(
            f"a picture quota of {request.quota_mb:g} MB is set, but this run keeps no pictures",
            hint="name a folder for images, boards, crops or a pool, or remove the quota",
        )


def make_folder(folder: Path) -> None:
    """Create the folder of the records, or raise ``OutputError``."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot create the folder {folder}: {error.strerror}",
            hint="choose another folder for the records",
        ) from error


def free_space(request: RunRequest) -> FreeSpace:
    """Return the check of all disks that are written to; raises ``OutputError`` if one is nearly full already."""
    folders = [request.output, *picture_folders(request).values(), *([request.pool] if request.pool else [])]
    space = FreeSpace(folders, int(request.reserve_mb * 1e6))
    if (shortage := space.shortage()) is not None:
        raise shortage
    return space


def open_sinks(stack: ExitStack, request: RunRequest, paths: RunPaths, recipe: Recipe | None) -> list[Sink]:
    """Open the sinks, the durable one first: whatever a JSONL line shows is in the database already."""
    database: SqliteSink = stack.enter_context(closing(SINKS.get("sqlite")(paths.database)))
    if recipe is not None:
        database.keep_packages(recipe.sha256, {joint.refdes: joint.package for joint in recipe.joints})
    database.keep_picture_folders(paths.run, picture_folders(request))
    opened: list[Sink] = [
        database,
        stack.enter_context(closing(SINKS.get("jsonl")(paths.lines, int(request.rotate_mb * 1e6)))),
    ]
    if request.csv:
        opened.append(stack.enter_context(closing(SINKS.get("csv")(paths.table))))
    for name in request.sinks:
        opened.append(stack.enter_context(closing(SINKS.get(name)(paths.output / f"{paths.run}.{name}"))))
    return opened


def picture_folders(request: RunRequest) -> dict[PictureKind, Path]:
    """Return where a run keeps each kind of picture."""
    folders = {
        PictureKind.BOARD: request.save_boards,
        PictureKind.PAINTED: request.save_images,
        PictureKind.CROP: request.save_crops,
    }
    return {kind: folder for kind, folder in folders.items() if folder is not None}


def picture_keepers(request: RunRequest, bundle: Bundle, warn: Callable[[str], object]) -> list[OnBoard]:
    """Return what keeps pictures of a board: as it is and painted, and the crops that a person should look at."""
    quota = None if request.quota_mb is None else int(request.quota_mb * 1e6)
    keepers: list[OnBoard] = []
    if request.save_images is not None:
        store = PictureFolder(request.save_images, quota, warn=warn)
        keepers.append(lambda frame, judgement: save_picture(store, frame, judgement, bundle.preprocess))
    if request.save_boards is not None:
        keepers.append(StationBoards(PictureFolder(request.save_boards, quota, warn=warn)).keep)
    if request.save_crops is not None:
        crops = PictureFolder(request.save_crops, quota, warn=warn)
        keepers.append(JointCrops(crops, bundle.preprocess).keep)
    return keepers
