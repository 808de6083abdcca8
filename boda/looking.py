"""When a fit looks at val and draws what it makes, and how long that takes."""

from __future__ import annotations

from boda.options import Plan

SHARE = 0.05  # of the minutes at most, before the last look


class Looks:
    """Which epochs end with a look.

    Attributes:
        seconds: that the last look took, or that the first is expected to.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.seconds = 0.0
        self.ended = 0.0

    def due(self, epoch: int, elapsed: float, *, chosen: bool, last: bool) -> bool:
        """Whether val is measured after so many epochs and seconds.

        Where figures choose nothing (``chosen``), since the last weights are kept, they are drawn and
        told alone. Where minutes are counted, looking may not take many of them.
        """
        if not chosen:
            return self.shown(epoch, last=last)
        if self.plan.minutes is None or self.plan.patience or last:
            return True
        return self.seconds <= SHARE * (elapsed - self.ended)

    def shown(self, epoch: int, *, last: bool) -> bool:
        """Whether this epoch is one of the first 16, one of eight each doubling, or the last."""
        return last or epoch % (1 << max(0, epoch.bit_length() - 4)) == 0

    def taken(self, seconds: float, ended: float) -> None:
        """A look took so long, and ended when the fit had taken that long."""
        self.seconds, self.ended = seconds, ended
