"""Pictures that generators made before: discriminators that see them too do not swing.

Shrivastava et al., "Learning from simulated and unsupervised images through adversarial training",
2016, arXiv 1612.07828, section 2.3, as CycleGAN has it (Zhu et al. 2017, arXiv 1703.10593): of fifty.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from boda.ops.signed import HALF, signed


class ImagePool(nn.Module):
    """Keeps some pictures as bytes; they are buffers, so that a resumed fit goes on with them.

    Args:
        capacity: pictures; 0 keeps none.
        size: (H, W) of them.
    """

    pictures: Tensor
    filled: Tensor

    def __init__(self, capacity: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.register_buffer("pictures", torch.zeros(capacity, 3, *size, dtype=torch.uint8))
        self.register_buffer("filled", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def exchange(self, made: Tensor) -> Tensor:
        """Some of the pictures, and earlier ones in the place of the others.

        Until the pool is full, all are kept and given back. Then each is, with even chances, given
        back, or takes the place of one that is drawn and given in its stead. What is drawn follows
        from torch's default generator.

        Args:
            made: (N, 3, H, W), −1 to 1.

        Returns:
            The same shape; an earlier picture has lost what bytes cannot hold, 1/255.
        """
        capacity = len(self.pictures)
        if not capacity:
            return made
        out = made.clone()
        kept = ((made.float() + 1) * HALF).round().clamp(0, 255).to(torch.uint8)
        for i, picture in enumerate(kept):
            count = int(self.filled)
            if count < capacity:
                self.pictures[count] = picture
                self.filled += 1
            elif torch.rand(()) < 0.5:
                place = int(torch.randint(capacity, ()))
                out[i] = signed(self.pictures[place : place + 1])[0]
                self.pictures[place] = picture
        return out
