"""Images with depth: sources of samples, the settings that open them, batches of them.

`Sample` and `Source` define the interface of every source; `given_source` makes a source of your
own samples. The names below are loaded on first use; the settings need no array library.
"""

from typing import TYPE_CHECKING

from depthsi.lazy_names import lazy_names

if TYPE_CHECKING:
    from depthsi.data.fitting import fit_to
    from depthsi.data.folder.source import FolderSource
    from depthsi.data.formats.decoding import read_depth
    from depthsi.data.formats.images import read_image
    from depthsi.data.given import RandomAccess, given_source
    from depthsi.data.pipeline import InMemory, open_samples, ordered_batches, training_batches
    from depthsi.data.prepared.source import PreparedSource
    from depthsi.data.samples import Sample, Source
    from depthsi.data.settings import CustomData, Folder, Prepared

_MODULES = {
    "CustomData": "settings",
    "Folder": "settings",
    "FolderSource": "folder.source",
    "InMemory": "pipeline",
    "Prepared": "settings",
    "PreparedSource": "prepared.source",
    "RandomAccess": "given",
    "Sample": "samples",
    "Source": "samples",
    "fit_to": "fitting",
    "given_source": "given",
    "open_samples": "pipeline",
    "ordered_batches": "pipeline",
    "read_depth": "formats.decoding",
    "read_image": "formats.images",
    "training_batches": "pipeline",
}
__all__ = [
    "CustomData",
    "Folder",
    "FolderSource",
    "InMemory",
    "Prepared",
    "PreparedSource",
    "RandomAccess",
    "Sample",
    "Source",
    "fit_to",
    "given_source",
    "open_samples",
    "ordered_batches",
    "read_depth",
    "read_image",
    "training_batches",
]

__getattr__, __dir__ = lazy_names(__name__, _MODULES, __all__)
