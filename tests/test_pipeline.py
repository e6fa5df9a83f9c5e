"""The order of samples, and batches cut from it: the same for every number of readers."""

import itertools
import pickle
import re
import time
from collections import Counter

import jax
import numpy as np
import pytest

from depthsi.config import Folder, Prepared, Rooms
from depthsi.data.order import Order
from depthsi.data.pipeline import (
    InMemory,
    OnDemand,
    open_samples,
    ordered_batches,
    to_devices,
    training_batches,
)
from depthsi.data.samples import Sample
from depthsi.errors import DepthsiError
from depthsi.rooms.source import RoomsSource
from depthsi.training.parallel import make_mesh, split


class Numbered:
    """Samples that tell their number; `bad` cannot be read. Counts what was read here."""

    scenes = ("a", "b", "a", "c", "a", "b", "a")

    def __init__(self, bad=-1):
        self.bad, self.reads = bad, 0

    def __len__(self):
        return len(self.scenes)

    def __getitem__(self, index):
        if index == self.bad:
            raise DepthsiError(f"image {index} is damaged; replace it.")
        self.reads += 1
        image = np.full((2, 3, 3), index, np.uint8)
        return Sample(image, np.full((2, 3), index + 0.5, np.float32), str(index))

    def arrays(self, progress=None):
        samples = [self[i] for i in range(len(self))]
        return np.stack([s.image for s in samples]), np.stack([s.depth for s in samples])


def numbers_of(batch):
    image, depth = batch
    np.testing.assert_array_equal(image[:, 0, 0, 0] + np.float32(0.5), depth[:, 0, 0])
    return image[:, 0, 0, 0].tolist()


def taken(count, *args, **options):
    """The sample numbers of `count` batches."""
    stream = training_batches(*args, **options)
    batches = [numbers_of(batch) for batch in itertools.islice(stream, count)]
    stream.close()
    return batches


def philox(seed, stream):
    """Philox4x64-10 (Salmon et al. 2011) with the counter at 1, 2, ...: endless uint64."""
    mask = 2**64 - 1
    for count in itertools.count(1):
        counter, key = [count, 0, 0, 0], [seed, stream]
        for _ in range(10):
            a, b = 0xD2E7470EE14C6C93 * counter[0], 0xCA5A826395121157 * counter[2]
            counter = [
                (b >> 64) ^ counter[1] ^ key[0],
                b & mask,
                (a >> 64) ^ counter[3] ^ key[1],
                a & mask,
            ]
            key = [(key[0] + 0x9E3779B97F4A7C15) & mask, (key[1] + 0xBB67AE8584CAA73B) & mask]
        yield from counter


def test_a_pass_is_the_samples_sorted_by_philox_numbers():
    """An order that no version of NumPy may change: resumed runs depend on it."""
    for seed, which in ((0, 0), (7, 0), (7, 3), (2**32 - 1, 1)):
        draws = list(itertools.islice(philox(seed, which), 9))
        expected = [i for _, i in sorted(zip(draws, range(9), strict=True))]
        assert Order(9, seed).numbers(9 * which, 9).tolist() == expected


def test_every_pass_has_every_sample_once_however_it_is_cut():
    order = Order(10, 3)
    stream = order.numbers(0, 45)
    for start in range(0, 40, 10):
        assert sorted(stream[start : start + 10]) == list(range(10))
    passes = stream[:40].reshape(4, 10)
    assert len({tuple(one) for one in passes}) == 4
    assert tuple(Order(10, 4).numbers(0, 10)) != tuple(passes[0])
    for first, count in ((0, 0), (3, 4), (9, 2), (8, 25), (30, 1), (2, 3)):
        np.testing.assert_array_equal(order.numbers(first, count), stream[first : first + count])


def test_every_sample_is_equally_likely_everywhere():
    stream = Order(5, 11).numbers(0, 5 * 2000).reshape(2000, 5)
    counts = np.array([np.bincount(stream[:, place], minlength=5) for place in range(5)])
    # chi^2 of a Latin table: 16 degrees of freedom; 45 is passed once in 7000 seeds
    assert np.sum((counts - 400) ** 2 / 400) < 45


SCENES = ["x"] * 7 + ["y"] * 2 + ["z"] + ["x"] * 3  # ten of x


def test_scenes_are_evened_as_counted_by_hand():
    order = Order(len(SCENES), 5, scenes=SCENES, even_scenes=4)
    assert order.length == 12
    chosen, first = Counter(), Counter()
    for which in range(600):
        numbers = order.numbers(12 * which, 12).tolist()
        assert Counter(SCENES[i] for i in numbers) == {"x": 4, "y": 4, "z": 4}
        of = Counter(numbers)
        assert of[7] == of[8] == 2
        assert of[9] == 4
        assert all(of[i] <= 1 for i in (*range(7), *range(10, 13)))
        chosen.update(numbers)
        first[SCENES[numbers[0]]] += 1
    large = [chosen[i] for i in (*range(7), *range(10, 13))]
    assert sum(large) == 2400
    assert min(large) > 185  # 240 expected, standard deviation 12
    assert max(large) < 295
    assert all(140 < first[scene] < 260 for scene in "xyz")  # 200 expected, deviation 11.5


def test_an_evened_pass_is_made_of_philox_numbers_too():
    """One for each sample, by which those of a scene are walked round; then one for each place."""
    for seed, which in ((0, 0), (5, 3)):
        draws = philox(seed, which)
        keys = [next(draws) for _ in SCENES]
        chosen = []
        for scene in "xyz":
            members = sorted(
                (i for i, at in enumerate(SCENES) if at == scene), key=keys.__getitem__
            )
            chosen += [members[k % len(members)] for k in range(4)]
        places = [next(draws) for _ in chosen]
        expected = [i for _, i in sorted(zip(places, chosen, strict=True))]
        order = Order(len(SCENES), seed, scenes=SCENES, even_scenes=4)
        assert order.numbers(12 * which, 12).tolist() == expected


def test_the_passes_on_either_side_of_a_border_are_shuffled_once(monkeypatch):
    shuffled, plain = [], Order._shuffled

    def counted(order, which):
        shuffled.append(which)
        return plain(order, which)

    monkeypatch.setattr(Order, "_shuffled", counted)
    order = Order(10, 0)
    for first in (8, 4, 9, 12, 18, 14, 19):
        order.numbers(first, 4)
    assert shuffled == [0, 1, 2]


def test_a_small_scene_repeats_its_samples_almost_equally():
    order = Order(3, 0, scenes=["a"] * 3, even_scenes=5)
    twice = Counter()
    for which in range(300):
        of = Counter(order.numbers(5 * which, 5).tolist())
        assert sorted(of.values()) == [1, 2, 2]
        twice.update(i for i in of if of[i] == 2)
    assert all(150 < twice[i] < 250 for i in range(3))


def test_unknown_scenes_are_refused():
    with pytest.raises(DepthsiError, match="even_scenes is 9, but the scene of 3 of the 3 samples"):
        Order(3, 0, even_scenes=9)
    with pytest.raises(DepthsiError, match="the scene of 1 of the 3 samples"):
        Order(3, 0, scenes=["a", "", "b"], even_scenes=9)
    with pytest.raises(ValueError, match="3 scenes, one per sample, not 2"):
        Order(3, 0, scenes=["a", "b"], even_scenes=9)
    with pytest.raises(ValueError, match=r"`count` \(=0\)"):
        Order(0, 0)


@pytest.mark.parametrize("pairs", [OnDemand(Numbered()), InMemory(*Numbered().arrays())])
def test_batches_follow_the_order_from_any_step(pairs):
    expected = Order(7, 1).numbers(0, 24).reshape(6, 4).tolist()
    assert taken(6, pairs, 4, 1) == expected
    assert taken(2, pairs, 4, 1, first_step=4) == expected[4:]


def test_batches_follow_the_order_of_evened_scenes():
    pairs = InMemory(*Numbered().arrays(), Numbered.scenes)
    order = Order(7, 1, scenes=Numbered.scenes, even_scenes=2)
    assert taken(3, pairs, 4, 1, even_scenes=2) == order.numbers(0, 12).reshape(3, 4).tolist()
    assert taken(3, pairs, 4, 1) != taken(3, pairs, 4, 1, even_scenes=2)


@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_processes_read_contiguous_slices_of_the_same_batches(count):
    pairs = InMemory(*Numbered().arrays(), Numbered.scenes)
    whole = taken(5, pairs, 6, 2, 3, even_scenes=2)
    parts = [
        taken(5, pairs, 6, 2, 3, even_scenes=2, process_index=i, process_count=count)
        for i in range(count)
    ]
    assert [[i for part in step for i in part] for step in zip(*parts, strict=True)] == whole
    assert {len(batch) for part in parts for batch in part} == {6 // count}


def test_a_batch_the_processes_cannot_share_is_refused():
    with pytest.raises(DepthsiError, match="batch_size is 6, which 4 processes"):
        training_batches(OnDemand(Numbered()), 6, 0, process_count=4)


@pytest.mark.slow
def test_worker_processes_change_nothing():
    """Also not the error about a file they cannot read."""
    expected = taken(5, OnDemand(Numbered()), 3, 9, first_step=2)
    source = Numbered()
    pairs = OnDemand(source)
    for workers in (1, 2):
        assert taken(5, pairs, 3, 9, first_step=2, workers=workers) == expected
    assert not source.reads  # workers read in their own processes
    with pytest.raises(DepthsiError) as raised:
        taken(3, OnDemand(Numbered(bad=4)), 3, 9, workers=1)
    assert str(raised.value) == "image 4 is damaged; replace it."


def test_a_sample_that_cannot_be_read_stops_the_batches():
    with pytest.raises(DepthsiError) as raised:
        taken(3, OnDemand(Numbered(bad=4)), 3, 9)
    assert str(raised.value) == "image 4 is damaged; replace it."


def test_reading_ahead_is_bounded(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    source = Numbered()
    stream = training_batches(OnDemand(source), 4, 0)
    next(stream)
    time.sleep(0.3)  # for the threads to read on, as far as they may
    stream.close()
    assert 4 * 3 <= source.reads <= 4 * (1 + 3 + 3)  # handed out, waiting, being read


def test_batches_to_the_devices_are_bounded_and_in_order():
    pulled = []

    def batches():
        for i in range(5):
            pulled.append(i)
            yield np.full((4, 2, 2, 3), i, np.uint8), np.full((4, 2, 2), i, np.float32)

    sharding = split(make_mesh(4))
    stream = to_devices(batches(), sharding, ahead=2)
    image, depth = next(stream)
    assert pulled == [0, 1, 2]
    assert image.sharding == depth.sharding == sharding
    assert isinstance(image, jax.Array)
    assert image.dtype == np.uint8
    assert [int(image[0, 0, 0, 0]), *(int(x[0, 0, 0, 0]) for x, _ in stream)] == list(range(5))


def test_pairs_in_memory_are_not_copied_and_not_pickled_to_workers():
    pairs = InMemory(*Numbered().arrays())
    image, depth = next(ordered_batches(pairs, 4))
    assert np.shares_memory(image, pairs.images)
    assert np.shares_memory(depth, pairs.depths)
    assert taken(3, pairs, 3, 9, workers=2) == taken(3, pairs, 3, 9)  # at once: nothing is started


def test_ordered_batches_are_every_sample_once(monkeypatch):
    for pairs in (OnDemand(Numbered()), InMemory(*Numbered().arrays())):
        assert [numbers_of(batch) for batch in ordered_batches(pairs, 3)] == [
            [0, 1, 2],
            [3, 4, 5],
            [6],
        ]


def test_open_pairs_keeps_what_fits_and_knows_its_scenes(monkeypatch):
    needed = 7 * 2 * 3 * 7  # 7 bytes for each pixel of 7 samples
    memory = {"SC_PAGE_SIZE": 2, "SC_PHYS_PAGES": needed}
    monkeypatch.setattr("os.sysconf", memory.get)
    pairs = open_samples(Numbered(), (2, 3), "train")
    assert isinstance(pairs, InMemory)
    assert pairs.scenes == Numbered.scenes
    memory["SC_PHYS_PAGES"] -= 1
    pairs = open_samples(Numbered(), (2, 3), "train")
    assert isinstance(pairs, OnDemand)
    assert pairs.scenes == Numbered.scenes
    assert pickle.loads(pickle.dumps(pairs)).scenes == Numbered.scenes


def test_every_room_is_a_scene_and_rooms_pickle():
    source = RoomsSource("train", 3)
    assert len(set(source.scenes)) == len(source) == 3
    assert pickle.loads(pickle.dumps(OnDemand(source))).scenes == source.scenes


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Folder(even_scenes=-1), "data.even_scenes is -1; it must be at least 0"),
        (lambda: Prepared(workers=-2), "data.workers is -2; it must be at least 0"),
        (lambda: Folder(workers=1, resident=True), "no files are read during training"),
        (lambda: Rooms(endless=True, resident=True), "data.endless keeps no samples"),
        (lambda: Rooms(train=0), "data.train is 0; it must be at least 1"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(make, message):
    with pytest.raises(DepthsiError, match=re.escape(message)):
        make()


@pytest.mark.parametrize("option", ["even_scenes", "workers", "root", "on_bad"])
def test_rooms_have_no_options_of_files(option):
    with pytest.raises(TypeError, match=option):
        Rooms(**{option: 1})  # pyright: ignore[reportArgumentType]
