"""Which blocks of a network learn, when its weights were fitted to other pictures before.

The notes' advice: with a small set keep all but the head, with a larger one fewer blocks, with a
large one none, the weights being a beginning.
"""

from __future__ import annotations

from dataclasses import dataclass

from boda.errors import UsageError

SMALL, LARGE = 1_000, 10_000  # pictures
WORDS = ("all", "none", "auto", "gradual")


@dataclass(frozen=True)
class Freeze:
    """What is frozen.

    Attributes:
        blocks: how many, from the input on, keep their weights.
        of: how many there are before the head.
        gradual: whether they thaw while the fit goes on, those next to the head first.
        reason: why.
    """

    blocks: int
    of: int
    gradual: bool
    reason: str

    def __str__(self) -> str:
        return f"{self.blocks} of {self.of} blocks" + (", thawing" if self.gradual else "")


def only_the_head(freeze: str | None, pictures: int, weights: bool) -> bool:
    """Whether this choice leaves the head alone to learn, whatever the network."""
    return weights and (freeze == "all" or (freeze in (None, "auto") and pictures < SMALL))


def choose(
    freeze: str | None, of: int, pictures: int, weights: bool, tunes: bool = False
) -> Freeze:
    """What ``--freeze`` means for a network of ``of`` blocks and so many training pictures.

    Args:
        freeze: "all", "none", "gradual", a number of blocks, or "auto", which None means.
        of: blocks before the head.
        pictures: to learn from.
        weights: whether the network starts from weights that were fitted before.
        tunes: whether the method fine-tunes every block where nothing else is said.

    Raises:
        UsageError: it is none of these, or there are no weights that could be kept.
    """
    if freeze is not None and freeze not in WORDS and not freeze.isdecimal():
        raise UsageError(
            f"--freeze is all, none, auto, gradual or a number of blocks from the input, not '{freeze}'."
        )
    if not weights:
        if freeze not in (None, "auto", "none", "0"):
            raise UsageError(
                f"--freeze {freeze} would keep random weights as they are. Name --weights to start from."
            )
        return Freeze(0, of, False, "the network starts anew, all of it learns")
    if freeze in (None, "auto") and tunes:
        return Freeze(0, of, False, "its features are fine-tuned")
    if freeze in (None, "auto"):
        return _advice(of, pictures)
    blocks = {"all": of, "gradual": of, "none": 0}.get(freeze)
    if blocks is None:
        blocks = int(freeze)
        if blocks > of:
            raise UsageError(f"--freeze {blocks}: the network has {of} blocks before its head.")
    return Freeze(blocks, of, freeze == "gradual", "you chose it")


def _advice(of: int, pictures: int) -> Freeze:
    seen = f"{pictures:,} pictures"
    if pictures < SMALL:
        return Freeze(of, of, False, f"{seen} are a small set: only the head learns")
    if pictures < LARGE:
        return Freeze(
            of // 2, of, False, f"{seen}, a larger set: the later half of the blocks learns"
        )
    return Freeze(0, of, False, f"{seen} are a large set: the weights are a beginning, all learn")
