"""Handles samples that cannot be used: stops at once, or leaves them out and counts them."""

import functools
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np
from jaxtyping import Float32, UInt8

from depthsi.data.samples import Sample, Source, size_text, validate_sample
from depthsi.errors import DepthsiError, DepthsiWarning

OnBad = Literal["strict", "skip"]
LARGEST_SHARE = 0.01  # of bad samples; beyond it the fault is more likely the whole data's
NAMED = 3  # bad samples that a message quotes
READERS = 8  # threads: decoders release the interpreter, and a disk serves several requests


class BadSamples:
    """Decides about samples that cannot be used, and records those left out.

    Attributes:
      messages: the error of each sample left out, by its name, in the order of `tolerate`.
    """

    def __init__(self, on_bad: OnBad, total: int) -> None:
        """Starts with none.

        Args:
          on_bad: "strict" stops at the first bad sample, "skip" leaves bad ones out until more than
            1 % of `total` are bad. Of less than a hundred samples, that is the first.
          total: number of samples, good and bad.
        """
        self.on_bad, self.total = on_bad, total
        self.messages: dict[str, str] = {}

    def tolerate(self, error: DepthsiError, name: str) -> None:
        """Records `error` about the sample `name`, or raises.

        Raises:
          DepthsiError: `error` itself if the policy is strict; one with counts and the first few
            samples if more than 1 % are bad.
        """
        if self.on_bad == "strict":
            raise error
        self.messages[name] = str(error)
        if len(self.messages) > LARGEST_SHARE * self.total:
            raise DepthsiError(
                f"{self.summary()} At most {LARGEST_SHARE:.0%} may be skipped: repair the data."
            ) from error

    def summary(self) -> str:
        """A line with the number of bad samples and the errors of the first few."""
        first = "; ".join(list(self.messages.values())[:NAMED])
        more = len(self.messages) - NAMED
        others = f"; and {more} more" if more > 0 else ""
        count = len(self.messages)
        return f"{count} of {self.total} samples cannot be used: {first}{others}"


Report = Callable[[BadSamples], object]


class GoodSamples:
    """A source without its bad samples, otherwise in the same order.

    Which samples are good is found by reading each once: while `arrays` decodes them anyway, or
    else when length or sample is first asked for. It depends on the data alone, so that the batches
    of a resumed run are those of an uninterrupted one.

    Attributes:
      source: with the bad ones.
      bad: those left out, complete after the first reading.
    """

    def __init__(self, source: Source, on_bad: OnBad, report: Report) -> None:
        """Reads nothing yet.

        Args:
          source: any.
          on_bad: as of `BadSamples`.
          report: called once after the first reading, if any sample was left out. To send the
            source to worker processes it must be a plain function, or a `partial` of one.
        """
        self.source, self.bad, self._report = source, BadSamples(on_bad, len(source)), report

    @functools.cached_property
    def indices(self) -> tuple[int, ...]:
        """Positions in `source` of the good samples.

        Raises:
          DepthsiError: as `BadSamples.tolerate`.
        """
        return self._finish([index for index, _ in self._read(None)])

    @property
    def names(self) -> tuple[str, ...]:
        """Of the good samples, if the source names them."""
        return self._chosen("names")

    @property
    def scenes(self) -> tuple[str, ...]:
        """Of the good samples, if the source knows them."""
        return self._chosen("scenes")

    def _chosen(self, attribute: str) -> tuple[str, ...]:
        values = getattr(self.source, attribute, ())
        return tuple(values[index] for index in self.indices) if values else ()

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Sample:
        return self.source[self.indices[index]]

    def arrays(
        self, progress: Callable[[int], object] | None = None
    ) -> tuple[UInt8[np.ndarray, "n h w 3"], Float32[np.ndarray, "n h w"]]:
        """All good images and depths (metres), in order, each file read once.

        Raises:
          DepthsiError: as `BadSamples.tolerate`, or samples of different size.
        """
        indices: list[int] = []
        images = depths = np.empty(0)
        for index, sample in self._read(progress):
            if not indices:
                shape = (self.bad.total, *sample.depth.shape)
                images, depths = np.empty((*shape, 3), np.uint8), np.empty(shape, np.float32)
            elif sample.depth.shape != depths.shape[1:]:
                here, there = size_text(sample.depth), size_text(depths[0])
                raise DepthsiError(
                    f"{sample.name} has {here} pixels, but samples before it {there}; give the "
                    "size to resize them to."
                )
            images[len(indices)], depths[len(indices)] = sample.image, sample.depth
            indices.append(index)
        if "indices" not in self.__dict__:
            self.__dict__["indices"] = self._finish(indices)
        return images[: len(indices)], depths[: len(indices)]

    def _read(self, progress: Callable[[int], object] | None) -> Iterator[tuple[int, Sample]]:
        """The good samples with their positions; the bad ones are put to the policy in order."""
        # A name is the sample's own where the source tells it, since a bad sample has none.
        names = getattr(self.source, "names", None)
        total = self.bad.total
        with ThreadPoolExecutor(READERS) as pool:
            for start in range(0, total, 8 * READERS):  # bounded, or all would wait in memory
                indices = range(start, min(start + 8 * READERS, total))
                for index, found in zip(indices, pool.map(self._attempt, indices), strict=True):
                    if isinstance(found, DepthsiError):
                        self.bad.tolerate(found, names[index] if names else f"sample {index}")
                    else:
                        yield index, found
                    if progress is not None:
                        progress(1)

    def _attempt(self, index: int) -> Sample | DepthsiError:
        try:
            return validate_sample(self.source[index])
        except DepthsiError as error:
            return error

    def _finish(self, indices: list[int]) -> tuple[int, ...]:
        if not indices:
            raise DepthsiError("No sample can be used.")
        if self.bad.messages:
            self._report(self.bad)
        return tuple(indices)


def good_samples(source: Source, on_bad: OnBad, report: Report) -> Source:
    """`source` as it is if `on_bad` is "strict", else `GoodSamples` of it."""
    return source if on_bad == "strict" else GoodSamples(source, on_bad, report)


def usable_samples(source: Source, on_bad: OnBad, split: str) -> Source:
    """`good_samples` that warns, naming the split, of what is left out."""
    return good_samples(source, on_bad, functools.partial(_warn_left_out, split))


def _warn_left_out(split: str, bad: BadSamples) -> None:
    text = f"Split {split!r}: {bad.summary()} They are left out."
    warnings.warn(text, DepthsiWarning, stacklevel=2)


def most_samples(source: Source) -> int:
    """How many samples `source` can have, without the reading that tells which are good."""
    return source.bad.total if isinstance(source, GoodSamples) else len(source)
