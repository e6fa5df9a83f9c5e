"""`depthsi models`."""

import json

from depthsi.weights.network_file import SUFFIX, TrainedNetwork
from depthsi.weights.shipped import DEFAULT, FOLDER, shipped_names, shipped_network

METRICS = {"d1": "d<1.25", "abs_rel": "abs rel", "rmse": "RMSE [m]", "rmse_log": "RMSE log"}


def show_models(name: str) -> None:
    """Prints the pretrained networks as a table, or the metadata of one.

    Raises:
      DepthsiError: there is no network of that name.
    """
    if name:
        print(describe(name, shipped_network(name)))
        return
    rows = [_row(name, shipped_network(name)) for name in shipped_names()]
    head = ("name", "network", "trained on", *METRICS.values(), "MB")
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    for row in [head, *rows]:
        cells = [
            cell.ljust(width) if column < 3 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())
    print(f"\nMetrics are on NYU Depth v2; see depthsi models NAME. The default is {DEFAULT}.")
    print("Next: depthsi predict PHOTO")


def describe(name: str, network: TrainedNetwork) -> str:
    """The metadata of a network, one line per entry."""
    about = {
        "outputs": ", ".join(network.outputs),
        "settings": repr(network.settings),
        **network.about,
    }
    lines = [name]
    for what, value in about.items():
        if isinstance(value, dict):
            text = ", ".join(f"{key} {_plain(one)}" for key, one in value.items())
        else:
            text = _plain(value)
        lines.append(f"  {what.replace('_', ' '):<12} {text}")
    return "\n".join(lines)


def _row(name: str, network: TrainedNetwork) -> tuple[str, ...]:
    about = network.about
    metrics = about.get("metrics", {})
    size = (FOLDER / f"{name}{SUFFIX}").stat().st_size / 1e6
    return (
        name,
        network.settings.kind,
        str(about.get("trained_on", "")),
        *(f"{metrics[key]:.3f}" if key in metrics else "-" for key in METRICS),
        f"{size:.1f}",
    )


def _plain(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return value if isinstance(value, str) else json.dumps(value)
