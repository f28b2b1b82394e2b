"""Floor 1: one file per source; each kind is one line here."""

from sji_edge.core.registry import Registry

SOURCES = Registry(
    "source",
    {
        "folder": "sji_edge.streams.folder:FolderSource",
        "video": "sji_edge.streams.video:VideoSource",
        "camera": "sji_edge.streams.camera:CameraSource",
    },
)
