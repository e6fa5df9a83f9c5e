"""A small folder of pairs with index.csv, as the labelled NYU pairs are laid out."""

from pictures import counts, saved, smooth_picture, write_index

SPLITS = {"train": 4, "val": 2, "test": 2}


def write_labelled_pairs(root):
    """Makes the folder `root`, whose index has a column of its own and quoted values."""
    (root / "rgb").mkdir(parents=True)
    (root / "depth").mkdir()
    rows = []
    for split, count in SPLITS.items():
        for i in range(count):
            name = f"{split}{i}"
            saved(root / "rgb" / f"{name}.jpg", smooth_picture(240, 320), quality=90 - i)
            saved(root / "depth" / f"{name}.png", counts(240, 320, seed=i) // 2000 * 1000 + 1000)
            rows.append([name, f"rgb/{name}.jpg", f"depth/{name}.png", split, f"a, {split}", 1000])
    return write_index(
        root, rows, ("id", "rgb", "depth", "split", "scene", "depth_units_per_metre")
    )
