"""The same folder of pairs with the split `val` added to `train`, for a last training."""

import csv
import io
import os
from pathlib import Path

from depthsi.data.folder.index import read_index
from depthsi.errors import DepthsiError
from depthsi.files import contents, write_text


def with_val_for_training(root: Path, made: Path) -> Path:
    """Makes the folder `made`, whose index has the pairs of `root` but no split `val`.

    Its pictures are links to those of `root`; done again, it is as before.

    Args:
      root: folder with index.csv.
      made: folder to make.

    Returns:
      `made`.

    Raises:
      DepthsiError: the index cannot be used, or has no split `val`.
    """
    rows = read_index(root / "index.csv")
    if not any(row.split == "val" for row in rows):
        raise DepthsiError(f"{root} has no split 'val' that could be added to 'train'.")
    reader = csv.DictReader(io.StringIO(contents(root / "index.csv").decode(), newline=""))
    names = [name.strip() for name in reader.fieldnames or ()]
    reader.fieldnames = names
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, names, lineterminator="\n")
    writer.writeheader()
    for row in reader:
        split = row["split"].strip()
        writer.writerow(row | {"split": "train" if split == "val" else split})
    made.mkdir(parents=True, exist_ok=True)
    for name in {Path(path).parts[0] for row in rows for path in (row.rgb, row.depth)}:
        link = made / name
        if not link.is_symlink():
            os.symlink((root / name).resolve(), link)
    write_text(made / "index.csv", buffer.getvalue())
    return made
