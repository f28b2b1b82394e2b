"""Floor 1: one file per source; each kind is one line here."""

from sji_edge.core.registry import Registry

SOURCES = Registry(
    "source",
    {
        "folder": "sji_edge.streams.files.folder:FolderSource",
        "watch": "sji_edge.streams.files.watched:WatchedFolderSource",
        "video": "sji_edge.streams.files.video:VideoSource",
        "camera": "sji_edge.streams.cameras.local:CameraSource",
        "rtsp": "sji_edge.streams.cameras.network:NetworkSource",
        "http": "sji_edge.streams.cameras.network:NetworkSource",
        "https": "sji_edge.streams.cameras.network:NetworkSource",
        "genicam": "sji_edge.streams.genicam.gentl:GenicamSource",
        "aravis": "sji_edge.streams.genicam.aravis:AravisSource",
        # Defined in another package on this floor; a registered name is not an import.
        "synthetic": "sji_edge.data.synthetic.stream:SyntheticStream",
    },
    group="sji_edge.sources",
)
