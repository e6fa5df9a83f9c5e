"""`depthsi export`."""

from pathlib import Path

from depthsi.commands.export_request import ExportRequest
from depthsi.predictor import export as write
from depthsi.predictor import load


def export(request: ExportRequest) -> None:
    """Exports the requested network, and prints the path and size of the file.

    Raises:
      DepthsiError: the options do not fit together, or there is no such network.
      OSError: the file cannot be written.
    """
    request.check()
    predictor = load(request.model, checkpoint=request.checkpoint, output=request.output)
    path = Path(request.out)
    path.parent.mkdir(parents=True, exist_ok=True)
    write(predictor, path, dtype=request.dtype)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
