"""Augmentation of whole batches of uint8 pictures, on the device where they live."""

from __future__ import annotations

import torch


def random_crop(pixels: torch.Tensor, padding: int, generator: torch.Generator) -> torch.Tensor:
    """Move each picture by up to ``padding`` pixels each way; the border is repeated.

    Args:
        pixels: ``(B, C, H, W)``.
        padding: largest move in pixels.
        generator: source of the moves, on the CPU.

    Returns:
        ``(B, C, H, W)`` of the same dtype.

    >>> x = torch.arange(16, dtype=torch.uint8).view(1, 1, 4, 4)
    >>> random_crop(x, 1, torch.Generator().manual_seed(0)).shape
    torch.Size([1, 1, 4, 4])
    """
    if padding == 0:
        return pixels
    batch, channels, height, width = pixels.shape
    moves = torch.randint(-padding, padding + 1, (2, batch, 1), generator=generator).to(pixels.device)
    rows = (torch.arange(height, device=pixels.device) + moves[0]).clamp_(0, height - 1)
    columns = (torch.arange(width, device=pixels.device) + moves[1]).clamp_(0, width - 1)
    first = torch.arange(0, batch * channels * height, height, device=pixels.device).view(batch, channels, 1)
    lines = pixels.reshape(-1, width).index_select(0, (first + rows[:, None]).flatten())  # whole rows at once
    index = columns.view(batch, 1, 1, width).expand(pixels.shape)
    return lines.view(pixels.shape).gather(3, index)


def random_flip(pixels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Mirror each picture left to right with probability one half."""
    chosen = torch.rand(len(pixels), generator=generator).to(pixels.device) < 0.5
    return torch.where(chosen.view(-1, 1, 1, 1), pixels.flip(3), pixels)


def cutout(pixels: torch.Tensor, side: int, fill: int, generator: torch.Generator) -> torch.Tensor:
    """Blank one square of each picture with ``fill``; its centre may be anywhere.

    Source: DeVries and Taylor 2017 (arXiv 1708.04552).
    """
    if side == 0:
        return pixels
    batch, _, height, width = pixels.shape
    top = torch.randint(0, height, (batch, 1, 1, 1), generator=generator).to(pixels.device) - side // 2
    left = torch.randint(0, width, (batch, 1, 1, 1), generator=generator).to(pixels.device) - side // 2
    row = torch.arange(height, device=pixels.device).view(1, 1, -1, 1)
    column = torch.arange(width, device=pixels.device).view(1, 1, 1, -1)
    inside = (row >= top) & (row < top + side) & (column >= left) & (column < left + side)
    return pixels.masked_fill(inside, fill)


def permute_pixels(pixels: torch.Tensor, permutation: torch.Tensor | None) -> torch.Tensor:
    """Rearrange the positions of every picture alike; all channels move together.

    Args:
        pixels: ``(N, C, H, W)``.
        permutation: int64 ``(H*W,)``: output position p shows input position ``permutation[p]``;
            ``None`` leaves the pictures alone.

    >>> x = torch.tensor([[[[1, 2], [3, 4]]]])
    >>> permute_pixels(x, torch.tensor([3, 2, 1, 0])).flatten().tolist()
    [4, 3, 2, 1]
    """
    if permutation is None:
        return pixels
    return pixels.flatten(2)[:, :, permutation.to(pixels.device)].view(pixels.shape)
