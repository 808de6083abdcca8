"""Batches of P people with K pictures each: in a random batch hardly two pictures show the same.

As in FaceNet (Schroff et al. 2015, arXiv 1503.03832, section 3.2) and Hermans et al. 2017 (arXiv
1703.07737, section 2), whose name it is.
"""

from __future__ import annotations

import torch
from torch import Tensor

from boda.data.dataset import mix


def people_order(labels: Tensor, shown: int, batch: int, seed: int, epoch: int) -> Tensor:
    """An epoch's order: groups of ``shown`` pictures of one person, one person after the other.

    Everyone comes once before anyone comes again, and so often that about as many pictures are
    seen as there are. Of one person's pictures all come before one comes again, and those of a group
    are different ones; whoever has fewer than ``shown`` fills the group with copies, and whoever has
    one only is left out, since nothing is like it. Whole batches: what is left over in the end
    waits for another epoch. It depends on nothing but the arguments.

    Args:
        labels: (N,) int64, who is shown.
        shown: K.
        batch: P·K.
        seed: of the fit.
        epoch: from 0 on.

    Returns:
        (M,) int64 places, M the same in every epoch.
    """
    generator = torch.Generator().manual_seed(mix(seed, epoch))
    order = labels.argsort(stable=True)
    own = list(order.split(labels.unique(return_counts=True)[1].tolist()))
    several = [places for places in own if len(places) > 1]
    own = several if len(several) > 1 else own
    pictures = sum(map(len, own))
    rounds = max(1, -(-pictures // (len(own) * shown)))
    groups = [_groups(places, shown, rounds, generator) for places in own]
    row = [
        groups[person][turn]
        for turn in range(rounds)
        for person in torch.randperm(len(own), generator=generator).tolist()
    ]
    found = torch.cat(row)
    return found[: len(found) // batch * batch or None]


def _groups(places: Tensor, shown: int, count: int, generator: torch.Generator) -> list[Tensor]:
    """So many groups of one person's pictures, in an order that is drawn anew when all have come."""
    groups: list[Tensor] = []
    while len(groups) < count:
        drawn = places[torch.randperm(len(places), generator=generator)]
        if len(drawn) < shown:
            drawn = drawn.repeat(-(-shown // len(drawn)))[:shown]
        groups += [part for part in drawn.split(shown) if len(part) == shown]
    return groups[:count]
