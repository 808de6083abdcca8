"""The 80 classes of COCO at their numbers, 1 to 90, as the outputs of public detectors have them.

Lin and others, "Microsoft COCO: common objects in context", 2014, arXiv 1405.0312. Of its 91
classes eleven were never annotated; ten of their numbers lie within these 90 and stay unused.
"""

from __future__ import annotations

LARGEST = 90  # number of a class
UNUSED = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)
ANNOTATED = (
    *("person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat"),
    *("traffic light", "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat"),
    *("dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe", "backpack"),
    *("umbrella", "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard", "sports ball"),
    *("kite", "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket"),
    *("bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple"),
    *("sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair"),
    *("couch", "potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse"),
    *("remote", "keyboard", "cell phone", "microwave", "oven", "toaster", "sink"),
    *("refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair drier"),
    "toothbrush",
)


def names() -> list[str]:
    """The 90 names in the order of the outputs, "person" first; an unused number says that it is."""
    annotated = iter(ANNOTATED)
    numbers = range(1, LARGEST + 1)
    return [f"unused {n}" if n in UNUSED else next(annotated) for n in numbers]
