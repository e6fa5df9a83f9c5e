"""The benchmark beside PyTorch: turns are fair, the page says what was measured, both agree."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from depthsi.augment.views import Batch, View, apply_view
from depthsi.geometry import nyu
from experiments.benchmarks import peers


def test_contestants_take_turns_and_the_first_two_do_not_count():
    calls = []
    runners = {name: lambda name=name: calls.append(name) for name in ("a", "b")}
    times = peers.race(runners, 3)
    assert calls == ["a", "b"] * 5
    assert [len(each) for each in times.values()] == [3, 3]


def test_ratios_are_of_the_fastest_and_of_the_medians():
    machine = {"processor": "p", "devices": "d", "jax": "j", "python": "y"}
    result = {
        "command": "c",
        "machine": machine,
        "torch": "2",
        "threads": 2,
        "load": 0.0,
        "width": 1.0,
        "batch": 4,
        "rounds": 3,
        "peaks": {"flops": 1e12, "bytes": 2e10},
        "tasks": {
            "coarse": {
                "flops": 2e11,
                "seconds": {"depthsi": [2, 1, 3], "torch, eager": [4, 2, 3]},
            }
        },
    }
    assert "| coarse | 1000 | 0.50 (0.67) | - | 20% |" in peers.table(result)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["coarse", "fine", "unet", "predict one"])
def test_both_compute_the_same(task):
    pytest.importorskip("torch")
    from experiments.benchmarks.peers_pair import contestants

    runners, found = contestants(task, 0.05, 2, compiled=False)
    assert found["loss, depthsi"] == pytest.approx(found["loss, torch"], rel=1e-5)
    for run in runners.values():
        run()


def test_the_augmentations_read_the_same_pixels():
    torch = pytest.importorskip("torch")
    from experiments.benchmarks.peers_torch import apply_views

    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (3, 240, 320, 3), np.uint8)
    depth = rng.uniform(1, 5, (3, 240, 320)).astype(np.float32)
    views = View(
        scale=jnp.array([1.0, 1.31, 1.5]),
        angle=jnp.array([0.0, 0.07, -0.05]),
        shift=jnp.array([[0.3, -0.2], [-9.1, 17.7], [20.2, -31.3]]),
        mirror=jnp.array([False, True, False]),
        colour=jnp.asarray(rng.uniform(0.8, 1.2, (3, 3)), jnp.float32),
        cut=jnp.zeros(3),
    )

    def see(view: View, image: Any, depth: Any) -> Batch:
        return apply_view(view, image, depth, nyu())

    ours = jax.vmap(see)(views, image, depth)
    given: Any = [torch.tensor(np.asarray(value)) for value in views[:5]]
    scale, angle, shift, mirror, colour = given
    pixels = torch.tensor(image).permute(0, 3, 1, 2)
    seen, targets, valid = apply_views(
        pixels, torch.tensor(depth), scale, angle, shift, mirror, colour, nyu()
    )
    np.testing.assert_allclose(seen.permute(0, 2, 3, 1), ours.image, atol=0.05)
    same = np.isclose(targets, ours.log_depth, atol=1e-5) & (valid.numpy() == ours.valid)
    assert np.mean(same) > 0.999  # but for cells half-way between two pixels
