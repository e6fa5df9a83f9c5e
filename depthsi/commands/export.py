"""`depthsi export`."""

from pathlib import Path

from depthsi.commands.export_request import ExportRequest
from depthsi.predictor import export as write
from depthsi.predictor import load


def export(request: ExportRequest) -> None:
    """Writes the network that is asked for, and says where.

    Raises:
      DepthsiError: options that do not go together, or no such network.
      OSError: the file cannot be written.
    """
    request.check()
    predictor = load(request.model, checkpoint=request.checkpoint, output=request.output)
    path = Path(request.out)
    path.parent.mkdir(parents=True, exist_ok=True)
    write(predictor, path, dtype=request.dtype)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
