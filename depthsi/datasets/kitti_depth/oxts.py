"""Records of the car's inertial and satellite navigation, and whether it stood still."""

import dataclasses
import math

from depthsi.datasets.kitti_depth.text import numbers, read_lines
from depthsi.errors import DepthsiError
from depthsi.files import PathLike

FIELDS = 30
VELOCITY, ACCELERATION = slice(8, 10), slice(14, 16)  # forward and leftward, level with the ground

SLOW = 0.2  # m/s: 2 cm from one image to the next
STEADY = 0.5  # m/s^2: above the noise of a waiting car with its engine running


@dataclasses.dataclass(frozen=True)
class Motion:
    """How the car moved over the ground.

    Attributes:
      speed: m/s.
      acceleration: m/s^2, gravity left out.
    """

    speed: float
    acceleration: float

    @property
    def stationary(self) -> bool:
        """Whether images like this one would only repeat each other.

        The paper leaves out stationary images by a threshold of the acceleration, whose value
        it does not give. Alone, such a threshold would leave out even driving as well, so the
        speed must be small too: below 0.2 m/s, and 0.5 m/s^2.
        """
        return self.speed < SLOW and self.acceleration < STEADY


def read_motion(path: PathLike) -> Motion:
    """Reads one file of `oxts/data`: 30 numbers on one line.

    Raises:
      DepthsiError: it is missing or unreadable, or does not hold 30 finite numbers.
    """
    text = " ".join(read_lines(path))
    values = numbers(text)
    if values is None or not all(map(math.isfinite, values)):
        raise DepthsiError(f"{path} does not consist of finite numbers; replace it.")
    if len(values) != FIELDS:
        raise DepthsiError(f"{path} has {len(values)} numbers instead of {FIELDS}; replace it.")
    return Motion(math.hypot(*values[VELOCITY]), math.hypot(*values[ACCELERATION]))
