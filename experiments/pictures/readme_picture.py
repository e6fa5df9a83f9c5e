"""The image at the top of the README: rooms not trained on, and their depth.

Question:  what does the pretrained network that was only trained on rooms predict for unseen ones?
Command:   python -m experiments.pictures.readme_picture
Time:      10 seconds.
Result:    docs/_static/rooms.png; the first rooms of the split test, none left out.
"""

import dataclasses
from pathlib import Path

import depthsi
from depthsi.config import Rooms
from depthsi.viz.depth_maps import save_contact_sheet
from experiments.script import run_script

OUT = Path(__file__).parents[2] / "docs" / "_static" / "rooms.png"


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Draws the image."""

    model: str = "unet_rooms"
    """A network as `depthsi.load` takes it."""
    rooms: int = 3
    """Number of rooms."""
    out: str = str(OUT.relative_to(OUT.parents[2]))
    """The PNG file."""


def main(arguments: Arguments) -> None:
    """Writes the image."""
    predictor = depthsi.load(arguments.model)
    source = Rooms(test=arguments.rooms).open("test")
    samples = [source[i] for i in range(arguments.rooms)]
    rows = [(sample.image, predictor(sample.image), sample.depth) for sample in samples]
    save_contact_sheet(
        arguments.out, rows, columns=("image", "depth predicted from it", "true depth")
    )
    print(arguments.out)


if __name__ == "__main__":
    run_script(main, Arguments, __doc__)
