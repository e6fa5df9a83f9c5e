"""The pixels of an image that a protocol compares."""

from depthsi.errors import DepthsiError
from depthsi.geometry import Crop, Geometry, Size, crop
from depthsi.metrics.protocols import Protocol


def cropped_region(protocol: Protocol, size: Size) -> Crop:
    """The protocol's crop of images of `size`.

    Args:
      protocol: protocol whose crop to use.
      size: (H, W) of the images, pixels.

    Raises:
      DepthsiError: the crop is not defined for such images, exceeds them, or has no pixel.

    Example:
      >>> from depthsi.metrics.regions import cropped_region
      >>> from depthsi.metrics.protocols import protocol
      >>> cropped_region(protocol("eigen2014_nyu"), (480, 640))
      Crop(top=20, bottom=460, left=24, right=616)
    """
    box = crop(protocol.crop, size)
    inside = 0 <= box.top < box.bottom <= size[0] and 0 <= box.left < box.right <= size[1]
    if not inside:
        raise DepthsiError(
            f"The crop {protocol.crop!r} takes rows {box.top}..{box.bottom} and columns "
            f"{box.left}..{box.right}, which images of {size[0]}x{size[1]} do not have: use "
            "another crop or larger images."
        )
    return box


def evaluated_region(protocol: Protocol, sizes: Geometry, size: Size) -> Crop:
    """The pixels compared in images of `size`: the part of the crop that the network covers.

    Args:
      protocol: protocol whose crop to use.
      sizes: geometry of the network.
      size: (H, W) of the images, pixels.

    Raises:
      DepthsiError: nothing is left, or the images are not of the geometry's image size.

    Example:
      >>> from depthsi.geometry import nyu
      >>> from depthsi.metrics.regions import evaluated_region
      >>> from depthsi.metrics.protocols import protocol
      >>> evaluated_region(protocol("nyu_bts"), nyu(), (240, 320))
      Crop(top=22, bottom=230, left=20, right=300)
    """
    if size != sizes.image:
        raise DepthsiError(
            f"The evaluation of {sizes.name} needs images of {sizes.image}, not {size}."
        )
    wanted, covered = cropped_region(protocol, size), sizes.region
    box = Crop(
        max(wanted.top, covered.top),
        min(wanted.bottom, covered.bottom),
        max(wanted.left, covered.left),
        min(wanted.right, covered.right),
    )
    if box.top >= box.bottom or box.left >= box.right:
        raise DepthsiError(f"The crop {protocol.crop!r} lies outside what the network covers.")
    return box


def describe(protocol: Protocol, box: Crop, size: Size) -> str:
    """Notes for tables: the protocol, the compared pixels, and differences from the protocol.

    Args:
      protocol: protocol of the comparison.
      box: the compared pixels.
      size: (H, W) of the images, pixels.

    Raises:
      DepthsiError: the protocol's crop is not defined for such images.

    Example:
      >>> from depthsi.metrics.regions import cropped_region, describe
      >>> from depthsi.metrics.protocols import protocol
      >>> rules = protocol("garg_kitti").with_changes(crop="none")
      >>> describe(rules, cropped_region(rules, (4, 5)), (4, 5)).splitlines()[0][:60]
      'Protocol garg_kitti with crop none: crop none (rows 0..4, co'
    """
    wanted = cropped_region(protocol, size)
    place = f"rows {box.top}..{box.bottom}, columns {box.left}..{box.right} of {size[0]}x{size[1]}"
    lines = [f"Protocol {protocol.name}: crop {protocol.crop} ({place}); {protocol.rules()}."]
    if box != wanted:
        share = _area(box) / _area(wanted)
        lines.append(f"Only where there are predictions, {share:.1%} of the crop.")
    if protocol.pictures and protocol.pictures != size:
        height, width = protocol.pictures
        lines.append(f"Images are {size[0]}x{size[1]}, the protocol's {height}x{width}.")
    return "\n".join(lines)


def _area(box: Crop) -> int:
    return (box.bottom - box.top) * (box.right - box.left)
