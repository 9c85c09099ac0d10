"""Swin Transformer image encoder (Liu et al., 2021): the forward pass alone, under the published parameter names.

`encoder` imports torch when it is called; the names are those of microsoft/Swin-Transformer, so that checkpoints built
on it load as they are. Input sizes are those whose every stage divides into whole windows; nothing is padded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn

_ELSEWHERE = -100.0
"""Added to the attention between pixels that only the cyclic shift brought together, as when it was trained."""


@dataclass(frozen=True)
class SwinShape:
    image_px: int = 384
    window: int = 12
    width: int = 192
    """Channels of the first stage; each next one has twice as many, at half the resolution."""
    depths: tuple[int, ...] = (2, 2, 18, 2)
    heads: tuple[int, ...] = (6, 12, 24, 48)

    @property
    def features(self) -> int:
        return self.width << (len(self.depths) - 1)

    def side(self, stage: int) -> int:
        """How many patches a side of the picture has in a stage."""
        return self.image_px // 4 >> stage


def encoder(shape: SwinShape) -> nn.Module:
    """(B, 3, H, W) normalised pixels → (B, 1 + patches, features): the mean of the patches first, then each."""
    import torch
    from torch import nn
    from torch.nn import functional

    class Attention(nn.Module):
        def __init__(self, width: int, heads: int, window: int) -> None:
            super().__init__()
            self.heads = heads
            self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
            self.register_buffer("places", _relative_places(window), persistent=False)
            self.qkv = nn.Linear(width, 3 * width)
            self.proj = nn.Linear(width, width)

        def forward(self, x: Tensor, elsewhere: Tensor | None) -> Tensor:
            """`x` is (windows, pixels, channels), the windows of one picture after another; `elsewhere` (windows of a
            picture, pixels, pixels)."""
            windows, pixels, width = x.shape
            query, key, value = self.qkv(x).view(windows, pixels, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
            bias = self.relative_position_bias_table[self.places].permute(2, 0, 1)[None]
            if elsewhere is not None:
                bias = (bias + elsewhere[:, None]).repeat(windows // len(elsewhere), 1, 1, 1)
            found = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
            mixed: Tensor = self.proj(found.transpose(1, 2).reshape(windows, pixels, width))
            return mixed

    class Mlp(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.fc1 = nn.Linear(width, 4 * width)
            self.fc2 = nn.Linear(4 * width, width)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.fc2(functional.gelu(self.fc1(x)))
            return out

    class Block(nn.Module):
        def __init__(self, width: int, heads: int, window: int, side: int, shifted: bool) -> None:
            super().__init__()
            self.window = min(window, side)
            self.shift = window // 2 if shifted and side > window else 0
            self.norm1 = nn.LayerNorm(width)
            self.attn = Attention(width, heads, self.window)
            self.norm2 = nn.LayerNorm(width)
            self.mlp = Mlp(width)
            mask = _shift_mask(side, self.window, self.shift) if self.shift else None
            self.register_buffer("elsewhere", mask, persistent=False)

        def forward(self, x: Tensor) -> Tensor:
            """(B, H, W, channels), both ways."""
            batch, side, _, width = x.shape
            inner = torch.roll(self.norm1(x), (-self.shift, -self.shift), (1, 2)) if self.shift else self.norm1(x)
            count = side // self.window
            inner = inner.view(batch, count, self.window, count, self.window, width).transpose(2, 3)
            inner = self.attn(inner.reshape(-1, self.window**2, width), self.elsewhere)
            inner = inner.view(batch, count, count, self.window, self.window, width).transpose(2, 3)
            inner = inner.reshape(batch, side, side, width)
            x = x + (torch.roll(inner, (self.shift, self.shift), (1, 2)) if self.shift else inner)
            mixed: Tensor = x + self.mlp(self.norm2(x))
            return mixed

    class Merging(nn.Module):
        """Four neighbouring patches become one."""

        def __init__(self, width: int) -> None:
            super().__init__()
            self.reduction = nn.Linear(4 * width, 2 * width, bias=False)
            self.norm = nn.LayerNorm(4 * width)

        def forward(self, x: Tensor) -> Tensor:
            four = torch.cat([x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]], -1)
            merged: Tensor = self.reduction(self.norm(four))
            return merged

    class Stage(nn.Module):
        def __init__(self, stage: int) -> None:
            super().__init__()
            width, heads, side = shape.width * 2**stage, shape.heads[stage], shape.side(stage)
            self.blocks = nn.ModuleList(
                Block(width, heads, shape.window, side, shifted=bool(at % 2)) for at in range(shape.depths[stage])
            )
            self.downsample = Merging(width) if stage < len(shape.depths) - 1 else None

        def forward(self, x: Tensor) -> Tensor:
            for block in self.blocks:
                x = block(x)
            return self.downsample(x) if self.downsample is not None else x

    class Patches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.proj = nn.Conv2d(3, shape.width, kernel_size=4, stride=4)
            self.norm = nn.LayerNorm(shape.width)

        def forward(self, pixels: Tensor) -> Tensor:
            patches: Tensor = self.norm(self.proj(pixels).permute(0, 2, 3, 1))
            return patches

    class Swin(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patch_embed = Patches()
            self.layers = nn.ModuleList(Stage(stage) for stage in range(len(shape.depths)))
            self.norm = nn.LayerNorm(shape.features)

        def forward(self, pixels: Tensor) -> Tensor:
            x = self.patch_embed(pixels)
            for layer in self.layers:
                x = layer(x)
            x = self.norm(x).flatten(1, 2)
            return torch.cat([x.mean(dim=1, keepdim=True), x], dim=1)

    return Swin()


def _relative_places(window: int) -> Tensor:
    """(pixels, pixels) rows of the bias table: one for each way one pixel of a window can lie from another."""
    import torch

    at = torch.arange(window, device="cpu")  # a table, not a parameter: it exists where parameters do not yet
    down, across = (part.flatten() for part in torch.meshgrid(at, at, indexing="ij"))
    by_row = down[:, None] - down[None] + window - 1
    by_column = across[:, None] - across[None] + window - 1
    return by_row * (2 * window - 1) + by_column


def _shift_mask(side: int, window: int, shift: int) -> Tensor:
    """(windows, pixels, pixels): what keeps pixels apart that met only because the picture was rolled over its edge."""
    import torch

    at = torch.arange(side, device="cpu")
    band = (at >= side - window).int() + (at >= side - shift).int()
    region = (band[:, None] * 3 + band[None]).view(side // window, window, side // window, window)
    region = region.transpose(1, 2).reshape(-1, window**2)
    return (region[:, :, None] != region[:, None, :]).float() * _ELSEWHERE
