"""RoIAlign on all levels of a pyramid at once, several times as fast on a CPU as torchvision's."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import MultiScaleRoIAlign

# the side of a box, in pixels, from which on it is pooled from the next coarser level
_SIDE = 56.0


class RoiPool(MultiScaleRoIAlign):
    """Features of boxes, sampled bilinearly at regular places (RoIAlign, arXiv:1703.06870).

    Stands in for `torchvision.ops.MultiScaleRoIAlign`. The features of all levels become the rows
    of one table; each cell of a box is a weighted sum of rows, with the weights of its samples.

    Parameters
    ----------
    levels : tuple of str
        Names of the levels, finest first; each next one has half the resolution.
    size : int
        Cells along each side of a box.
    samples : int
        Samples along each side of a cell.
    """

    def __init__(self, levels: tuple[str, ...], size: int, samples: int) -> None:
        super().__init__(list(levels), size, samples)
        self.levels, self.size, self.samples = levels, size, samples

    def forward(
        self,
        x: dict[str, Tensor],
        boxes: list[Tensor],
        image_shapes: list[tuple[int, int]],
    ) -> Tensor:
        """Return the features of boxes.

        Parameters
        ----------
        x : dict of (n, channels, y, x) tensors
            Features, a level each.
        boxes : list of (m, 4) tensors
            Of each picture ``x0, y0, x1, y1``, in pixels.
        image_shapes : list of (int, int)
            Rows and columns of the pictures; unused, as the padded ones count.

        Returns
        -------
        (sum of m, channels, size, size) tensor
        """
        maps = [x[name].float() for name in self.levels]
        channels = maps[0].shape[1]
        table = torch.cat([m.permute(0, 2, 3, 1).reshape(-1, channels) for m in maps])
        every = torch.cat(boxes)
        if len(every) == 0:
            return table.new_zeros((0, channels, self.size, self.size)) + 0 * table.sum()
        with torch.no_grad():
            rows, weights = self._places(maps, boxes, every)
        pooled = functional.embedding_bag(rows, table, per_sample_weights=weights, mode="sum")
        return pooled.reshape(len(every), self.size, self.size, channels).permute(0, 3, 1, 2)

    def _places(
        self, maps: list[Tensor], boxes: list[Tensor], every: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return rows of the table and their weights, (cells, corners and samples)."""
        device = every.device
        picture = torch.repeat_interleave(
            torch.arange(len(boxes), device=device),
            torch.tensor([len(b) for b in boxes], device=device),
        )
        side = (every[:, 2:] - every[:, :2]).clamp(min=0).prod(1).sqrt()
        level = torch.floor(1 + torch.log2(side / _SIDE + 1e-6)).clamp(0, len(maps) - 1).long()
        heights, widths, starts, strides = [], [], [], []
        start = 0
        for number, each in enumerate(maps):
            heights.append(each.shape[2])
            widths.append(each.shape[3])
            starts.append(start)
            strides.append(4.0 * 2**number)
            start += each.shape[0] * each.shape[2] * each.shape[3]
        height = torch.tensor(heights, device=device)[level]
        width = torch.tensor(widths, device=device)[level]
        first = torch.tensor(starts, device=device)[level] + picture * height * width
        scaled = every / torch.tensor(strides, device=device)[level][:, None] - 0.5
        per_side = self.size * self.samples
        at = (torch.arange(per_side, device=device) + 0.5) / per_side
        columns, across = _corners(scaled[:, 0], scaled[:, 2], at, width)
        rows, along = _corners(scaled[:, 1], scaled[:, 3], at, height)
        n, size, each_side = len(every), self.size, 2 * self.samples
        rows = rows.reshape(n, size, 1, each_side, 1)
        columns = columns.reshape(n, 1, size, 1, each_side)
        along = along.reshape(n, size, 1, each_side, 1)
        across = across.reshape(n, 1, size, 1, each_side)
        places = first.reshape(n, 1, 1, 1, 1) + rows * width.reshape(n, 1, 1, 1, 1) + columns
        weights = along * across / self.samples**2
        bags = n * size**2
        return places.reshape(bags, -1), weights.reshape(bags, -1)


def _corners(low: Tensor, high: Tensor, at: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """Return the two cells next to each sample between two edges, and their weights."""
    last = (count - 1).float()[:, None]
    places = low[:, None] + (high - low)[:, None] * at
    places = torch.minimum(places.clamp(min=0), last)
    before = places.floor()
    part = places - before
    after = torch.minimum(before + 1, last)
    return torch.stack([before, after], -1).long(), torch.stack([1 - part, part], -1)
