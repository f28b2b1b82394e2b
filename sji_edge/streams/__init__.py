"""Floor 1: one file per source; each kind is one line here."""

from sji_edge.core.registry import Registry

SOURCES = Registry(
    "source",
    {
        "folder": "sji_edge.streams.folder:FolderSource",
        "watch": "sji_edge.streams.watched:WatchedFolderSource",
        "video": "sji_edge.streams.video:VideoSource",
        "camera": "sji_edge.streams.camera:CameraSource",
        "rtsp": "sji_edge.streams.network:NetworkSource",
        "http": "sji_edge.streams.network:NetworkSource",
        "https": "sji_edge.streams.network:NetworkSource",
        "genicam": "sji_edge.streams.genicam:GenicamSource",
        "aravis": "sji_edge.streams.aravis:AravisSource",
        # Made by the room beside; a name is no import.
        "synthetic": "sji_edge.data.synthetic_stream:SyntheticStream",
    },
)
