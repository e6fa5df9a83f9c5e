"""The networks, loss and augmentation of a training step in PyTorch, for `peers.py`.

Written as PyTorch is written: NCHW modules in the memory format channels_last, `affine_grid` and
`grid_sample` for the augmentation, the library's own pools, norms and optimiser.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from depthsi.config import AugmentConfig, Config, SgdConfig, TwoScaleConfig, UNetConfig
from depthsi.geometry import CELL_OFFSET, CELL_STRIDE, Geometry, Window
from depthsi.models.unet import LEVELS
from depthsi.training.optimisers import RATES, layer_group

Params = Mapping[str, Any]


def convolution(params: Params, window: Window) -> nn.Conv2d:
    """A layer with the weights of one of Flax, whose kernels are (height, width, in, out)."""
    kernel = np.asarray(params["kernel"])
    (pad_rows, _), (pad_cols, _) = window.padding
    layer = nn.Conv2d(
        kernel.shape[2],
        kernel.shape[3],
        kernel.shape[:2],
        stride=window.stride,
        padding=(pad_rows, pad_cols),
        bias="bias" in params,
    )
    layer.weight.data = torch.tensor(kernel.transpose(3, 2, 0, 1))
    if layer.bias is not None:
        layer.bias.data = torch.tensor(np.asarray(params["bias"]))
    return layer


def dense(params: Params) -> nn.Linear:
    """A full layer with the weights of one of Flax."""
    kernel = np.asarray(params["kernel"])
    layer = nn.Linear(*kernel.shape)
    layer.weight.data = torch.tensor(kernel.T.copy())
    layer.bias.data = torch.tensor(np.asarray(params["bias"]))
    return layer


def same(kernel: int) -> Window:
    """Keeps the size of a map."""
    both = (kernel // 2, kernel // 2)
    return Window(kernel, 1, (both, both))


class Coarse(nn.Module):
    """The paper's coarse network."""

    def __init__(self, config: TwoScaleConfig, params: Params) -> None:
        super().__init__()
        sizes = config.sizes
        self.config, self.output = config, sizes.output
        windows = sizes.conv1, same(5), same(3), same(3), same(3)
        self.pools = sizes.pool1, sizes.pool, None, None, sizes.pool
        self.convolutions = nn.ModuleList(
            convolution(params[f"conv{k}"], window) for k, window in enumerate(windows, 1)
        )
        self.fc6, self.fc7 = dense(params["fc6"]), dense(params["fc7"])

    def forward(self, image: Tensor) -> Tensor:
        """Image (B, 3, H, W) -> log depth (B, h, w)."""
        config = self.config
        x = (image - config.coarse_input_mean) / config.coarse_input_std
        for k, (layer, pool) in enumerate(zip(self.convolutions, self.pools, strict=True)):
            x = layer(x)
            if pool is not None:
                x = F.max_pool2d(x, pool.kernel, pool.stride)
            x = F.relu(x)
            if k < 2 and config.local_response_norm:
                x = F.local_response_norm(x, 5, alpha=5e-4, beta=0.75, k=2.0)
        x = config.feature_scale * x.permute(0, 2, 3, 1).flatten(1)
        x = F.dropout(F.relu(self.fc6(x)), config.dropout, self.training)
        x = self.fc7(config.paper_or_scaled(1 - config.dropout, 1.0) * x)
        return config.log_std * x.view(-1, *self.output)


class Fine(nn.Module):
    """The paper's fine network."""

    def __init__(self, config: TwoScaleConfig, params: Params) -> None:
        super().__init__()
        self.config, sizes = config, config.sizes
        self.top, self.pool = sizes.fine_top, sizes.fine_pool1
        self.conv1 = convolution(params["conv1"], sizes.fine_conv1)
        self.conv2 = convolution(params["conv2"], same(5))
        self.conv3 = convolution(params["conv3"], same(5))

    def forward(self, image: Tensor, coarse: Tensor) -> Tensor:
        """Image (B, 3, H, W) and log depth (B, h, w) -> log depth (B, h, w)."""
        config = self.config
        x = (image[:, :, self.top :] - config.fine_input_mean) / config.fine_input_std
        x = F.relu(F.max_pool2d(self.conv1(x), self.pool.kernel, self.pool.stride))
        x = torch.cat([coarse[:, None] / config.log_std, x], 1)
        return config.log_std * self.conv3(F.relu(self.conv2(x)))[:, 0]


class Block(nn.Module):
    """Two convolutions, each normalised and rectified."""

    def __init__(self, params: Params) -> None:
        super().__init__()
        self.convolutions, self.norms = nn.ModuleList(), nn.ModuleList()
        for k in (1, 2):
            self.convolutions.append(convolution(params[f"conv{k}"], same(3)))
            given = params[f"norm{k}"]
            channels = np.asarray(given["scale"]).size
            norm = nn.GroupNorm(channels // 8, channels, eps=1e-6)
            norm.weight.data = torch.tensor(np.asarray(given["scale"]))
            norm.bias.data = torch.tensor(np.asarray(given["bias"]))
            self.norms.append(norm)

    def forward(self, x: Tensor) -> Tensor:
        """The same size, the block's number of channels."""
        for layer, norm in zip(self.convolutions, self.norms, strict=True):
            x = F.relu(norm(layer(x)))
        return x


class UNet(nn.Module):
    """The U-Net of `depthsi.models.unet`, for a geometry whose cells are all seen (NYU)."""

    def __init__(self, config: UNetConfig, params: Params) -> None:
        super().__init__()
        self.config = config
        self.conv1 = convolution(params["conv1"], Window(3, 2))
        self.conv2 = convolution(params["conv2"], Window(5, 2))
        self.down = nn.ModuleList(Block(params[f"down{k}"]) for k in range(LEVELS))
        self.up = nn.ModuleList(Block(params[f"up{k}"]) for k in reversed(range(LEVELS - 1)))
        self.head = convolution(params["head"], Window(1, 1))

    def forward(self, image: Tensor) -> Tensor:
        """Image (B, 3, H, W) -> log depth (B, h, w)."""
        x = (image - self.config.input_mean) / self.config.input_std
        x = self.down[0](F.relu(self.conv2(F.relu(self.conv1(x)))))
        skips = []
        for block in self.down[1:]:
            skips.append(x)
            x = block(F.max_pool2d(x, 3, 2, 1))
        for block in self.up:
            skip = skips.pop()
            x = block(torch.cat([skip, self._double(x, skip.shape[2:])], 1))
        return self.config.log_std * self.head(x)[:, 0]

    @staticmethod
    def _double(x: Tensor, size: torch.Size) -> Tensor:
        """Cells stay, between two of them comes their mean; the last one may be repeated."""
        between = [2 * n - 1 for n in x.shape[2:]]
        x = F.interpolate(x, size=between, mode="bilinear", align_corners=True)
        missing = [n - m for n, m in zip(size, between, strict=True)]
        return F.pad(x, (0, missing[1], 0, missing[0]), mode="replicate") if any(missing) else x


def loss(predictions: Tensor, targets: Tensor, valid: Tensor, lam: float) -> Tensor:
    """Mean over the images of the scale-invariant error of log metres (B, h, w)."""
    count = valid.sum((1, 2)).clamp(min=1)
    d = torch.where(valid, predictions - targets, 0.0)
    mean = d.sum((1, 2)) / count
    return (d.square().sum((1, 2)) / count - lam * mean.square()).mean()


def augment(
    image: Tensor, depth: Tensor, config: AugmentConfig, sizes: Geometry
) -> tuple[Tensor, Tensor, Tensor]:
    """A training batch: every sample seen through its own random view, as `apply_views` does."""
    count, device = len(image), image.device
    scale = torch.empty(count, device=device).uniform_(*config.scale)
    size = torch.tensor([sizes.image, sizes.input], device=device)
    room = ((scale[:, None] * size[0] - size[1]) / 2).clamp(min=0)
    return apply_views(
        image,
        depth,
        scale,
        torch.empty_like(scale).uniform_(-1, 1) * math.radians(config.rotation),
        room * torch.empty_like(room).uniform_(-1, 1),
        torch.rand_like(scale) < config.flip,
        torch.empty(count, 3, device=device).uniform_(*config.colour),
        sizes,
    )


def apply_views(
    image: Tensor,
    depth: Tensor,
    scale: Tensor,
    angle: Tensor,
    shift: Tensor,
    mirror: Tensor,
    colour: Tensor,
    sizes: Geometry,
) -> tuple[Tensor, Tensor, Tensor]:
    """Reads the networks' input and targets, see `depthsi.augment.views.View`.

    Args:
      image: uint8 (B, 3, H, W).
      depth: metres (B, H, W); 0 where missing.
      scale: enlargement (B,).
      angle: radians (B,).
      shift: of the crop, rows and columns (B, 2).
      mirror: whether it is flipped (B,).
      colour: factors (B, 3).
      sizes: of input and output.

    Returns:
      Images (B, 3, h, w) on the scale 0..255, log metres and whether they are known, at the cells.
    """
    count, (height, width), (rows, cols) = len(image), sizes.image, sizes.input
    side = torch.where(mirror, -1.0, 1.0)
    sin, cos = angle.sin() / scale, angle.cos() / scale
    # from x, y of the output to those of the raw image, both from -1 at the left edge to 1
    theta = [
        [cos * side * cols, -sin * rows, 2 * (cos * shift[:, 1] - sin * shift[:, 0])],
        [sin * side * cols, cos * rows, 2 * (sin * shift[:, 1] + cos * shift[:, 0])],
    ]
    matrix = torch.stack([torch.stack(row, 1) for row in theta], 1)
    matrix = matrix / torch.tensor([[width], [height]], device=image.device)
    grid = F.affine_grid(matrix, [count, 3, rows, cols], align_corners=False)
    pixels = image.float().contiguous(memory_format=torch.channels_last)
    seen = F.grid_sample(pixels, grid, padding_mode="border", align_corners=False)
    cells = grid[:, sizes.fine_top + CELL_OFFSET :: CELL_STRIDE, CELL_OFFSET::CELL_STRIDE]
    cells = cells[:, : sizes.output[0], : sizes.output[1]]
    metres = F.grid_sample(depth[:, None], cells, mode="nearest", align_corners=False)[:, 0]
    metres, valid = metres / scale[:, None, None], metres > 0
    return seen * colour[:, :, None, None], torch.where(valid, metres, 1.0).log(), valid


def make_optimizer(config: Config, name: str, network: nn.Module) -> torch.optim.SGD:
    """SGD with the rates and decays that `depthsi` has for each layer; biases do not decay."""
    optim = config.optim
    if not isinstance(optim, SgdConfig):
        raise TypeError(f"SGD cannot stand for {optim.kind}")
    groups = []
    for path, parameter in network.named_parameters():
        layer = path.replace("convolutions.", "conv").split(".")[0]
        layer = layer if name != "coarse" or layer.startswith("fc") else "conv1"
        rate = RATES[layer_group(f"{name}/{layer}/kernel")]
        decay = rate.weight_decay * optim.weight_decay if parameter.dim() > 1 else 0.0
        groups.append(
            {
                "params": [parameter],
                "lr": rate.learning_rate * optim.learning_rate,
                "weight_decay": decay,
            }
        )
    return torch.optim.SGD(groups, lr=0.0, momentum=optim.momentum)


def train_step(
    config: Config,
    predict: Callable[[Tensor], Tensor],
    optimizer: torch.optim.Optimizer,
    lam: float,
) -> Callable[[Tensor, Tensor], float]:
    """(uint8 images, metres) -> the loss of a step, which has been taken."""
    sizes = config.model.sizes

    def step(image: Tensor, depth: Tensor) -> float:
        seen, targets, valid = augment(image, depth, config.augment, sizes)
        optimizer.zero_grad(set_to_none=True)
        value = config.loss.multiplier * loss(predict(seen), targets, valid, lam)
        value.backward()
        optimizer.step()
        return value.item()

    return step
