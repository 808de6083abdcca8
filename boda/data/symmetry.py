"""Which point becomes which when a picture is mirrored: by the points' names, else by their places.

A mirrored face has its left eye where the right one was, so the points of a mirrored picture must
change places: point i of the mirrored picture is point ``order[i]`` of the picture. Where nobody
can say how, pictures must not be mirrored.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

SIDES = (
    # "left" where a word begins: leftEye, eye_left, eyeLeft; not in "cleft".
    re.compile(r"(?<![A-Za-z])(?:left|right|Left|Right|LEFT|RIGHT)|(?<=[a-z])(?:Left|Right)"),
    # A single letter between separators, l_eye or eye.R, or before a capital, lEye.
    re.compile(r"(?<![^_. -])[lrLR](?![^_. -])|^[lr](?=[A-Z])"),
    re.compile("왼쪽|오른쪽"),
)
OTHER = {"left": "right", "l": "r", "왼쪽": "오른쪽"}
OTHER |= {right: left for left, right in OTHER.items()}
FEWEST_PICTURES = 10  # with every point: of five faces with closed mouths, lips were exchanged
FEWEST = 3  # points; of two, a mirrored pair cannot be told from a front and a back
RESIDUAL = 0.1  # of the shape's size, that a mirrored point is at most away from its partner
ALIKE = 0.5  # size of the mean shape, where 1 is that of each shape: below, they lie anyhow


def mirror_order(names: Sequence[str], points: np.ndarray) -> tuple[list[int] | None, str]:
    """The order that the K points take when their picture is mirrored.

    Args:
        names: of the K points, such as ``left_eye``, ``r_ear``, ``mouth_right``, ``왼쪽_눈``.
        points: (N, K, 2) or (N, K, 3) of N pictures: x, y and visibility, 0 being not marked. They
            are looked at where no name tells a side.

    Returns:
        The order, its own inverse: point i of the mirrored picture is point ``order[i]``. None
        where it is not known. And the reason, one clause.
    """
    by_name = [partner(name) for name in names]
    if any(other != name for name, other in zip(names, by_name, strict=True)):
        place = {name: index for index, name in enumerate(names)}
        for name, other in zip(names, by_name, strict=True):
            if other not in place:
                return None, f"the point '{name}' has no partner '{other}'"
        return [place[other] for other in by_name], "by the names of the points"
    return _by_place(np.asarray(points, np.float64))


def partner(name: str) -> str:
    """The name with its sides exchanged: "left_eye" → "right_eye"; without a side, the name."""
    for pattern in SIDES:
        if pattern.search(name):
            return pattern.sub(_exchange, name)
    return name


def _exchange(match: re.Match[str]) -> str:
    word = match[0]
    other = OTHER[word.lower()]
    spelled: Callable[[str], str] = str.lower
    if word.isupper():
        spelled = str.upper
    elif word[0].isupper():
        spelled = str.capitalize
    return spelled(other)


def _by_place(points: np.ndarray) -> tuple[list[int] | None, str]:
    """The pairing of the mean shape with its mirror image that moves the points least."""
    from scipy.optimize import linear_sum_assignment

    count = points.shape[1]
    if count < FEWEST:
        return None, f"no name tells a side, and of {count} points their places cannot tell"
    if points.shape[2] == 3:
        points = points[(points[..., 2] > 0).all(1), :, :2]
    if len(points) < FEWEST_PICTURES:
        why = f"{len(points)} pictures with all points, too few to see a symmetry"
        return None, f"no name tells a side, and there are {why}"
    shapes = points - points.mean(1, keepdims=True)
    sizes = np.sqrt((shapes**2).sum(2).mean(1))  # root mean square distance from the centre
    mean = (shapes / np.maximum(sizes, 1e-9)[:, None, None]).mean(0)
    size = float(np.sqrt((mean**2).sum(1).mean()))
    if size < ALIKE:
        return None, "no name tells a side, and the shapes lie too differently to be compared"
    mirrored = mean * (-1, 1)
    away = np.linalg.norm(mean[:, None] - mirrored[None], axis=2) / size
    order = linear_sum_assignment(away**2)[1]
    residual = float(away[np.arange(count), order].mean())
    if residual > RESIDUAL:
        return (
            None,
            f"no name tells a side, and the mean shape is not symmetric ({residual:.0%} off)",
        )
    if (order[order] != np.arange(count)).any():
        return None, "no name tells a side, and the mean shape's points do not fall into pairs"
    return order.tolist(), f"by the symmetry of the mean shape ({residual:.1%} off)"
