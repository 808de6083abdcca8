"""``faster-rcnn``: regions from the network itself, then a class and a better box for each.

Ren, He, Girshick, Sun 2015, arXiv 1506.01497; both stages are learned at once. See
``boda.models.faster_rcnn`` for the networks and ``two_stage`` for what is learned.
"""

from __future__ import annotations

from boda.tasks.base import methods
from boda.tasks.detect.two_stage import TwoStage


@methods.register("faster-rcnn")
class FasterRCNN(TwoStage):
    """A class and a box for every region that the network proposes."""
