"""Which point becomes which in the mirror: by name, and on faces as their annotators numbered them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from boda.data.readers import read
from boda.data.symmetry import mirror_order, partner

# The 68 points of 300-W, image by image: jaw, brows, nose, eyes, outer and inner lips.
PAIRS = [
    *((0, 16), (1, 15), (2, 14), (3, 13), (4, 12), (5, 11), (6, 10), (7, 9)),
    *((17, 26), (18, 25), (19, 24), (20, 23), (21, 22)),
    *((31, 35), (32, 34)),
    *((36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)),
    *((48, 54), (49, 53), (50, 52), (55, 59), (56, 58)),
    *((60, 64), (61, 63), (65, 67)),
]
MIDDLE = [8, 27, 28, 29, 30, 33, 51, 57, 62, 66]
NONE = np.zeros((1, 1, 2))


def ibug() -> list[int]:
    order = list(range(68))
    for left, right in PAIRS:
        order[left], order[right] = right, left
    return order


def faces(shared_data: Path, split: str) -> np.ndarray:
    samples = read(shared_data / "face-keypoints", task="landmarks").splits[split]
    return np.stack([sample.points for sample in samples])


def test_the_table_is_whole() -> None:
    assert sorted([*MIDDLE, *(point for pair in PAIRS for point in pair)]) == list(range(68))


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_order_of_faces_is_found_in_the_data(split: str, shared_data: Path) -> None:
    order, reason = mirror_order([str(k) for k in range(68)], faces(shared_data, split))
    assert order == ibug()
    assert "symmetry" in reason


def test_few_faces_give_the_right_order_or_none(shared_data: Path) -> None:
    """A few faces that look aside are not symmetric in the mean; a wrong order would be worse."""
    points, generator = faces(shared_data, "train"), np.random.default_rng(0)
    names = [str(k) for k in range(68)]
    found = [
        mirror_order(names, points[generator.choice(len(points), count, replace=False)])
        for count in (3, 10, 20, 50)
        for _ in range(20)
    ]
    assert all(order in (None, ibug()) for order, _ in found)
    assert all(reason for _, reason in found)
    assert (
        sum(order is None for order, _ in found) > 0 < sum(order is not None for order, _ in found)
    )


def test_numbers_of_points_do_not_matter(shared_data: Path) -> None:
    """Shuffled points have the shuffled order."""
    points = faces(shared_data, "train")
    shuffled = np.random.default_rng(1).permutation(68)
    where = np.argsort(shuffled)
    order, _ = mirror_order([str(k) for k in range(68)], points[:, shuffled])
    assert order == [int(where[ibug()[shuffled[k]]]) for k in range(68)]


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("left_eye", "right_eye"),
        ("eye_right", "eye_left"),
        ("leftEye", "rightEye"),
        ("LEFT_EAR", "RIGHT_EAR"),
        ("mouthLeft", "mouthRight"),
        ("Right Hip", "Left Hip"),
        ("l_ear", "r_ear"),
        ("ear.R", "ear.L"),
        ("lEar", "rEar"),
        ("left_eye_inner_corner", "right_eye_inner_corner"),
        ("왼쪽_눈", "오른쪽_눈"),
        ("입 오른쪽", "입 왼쪽"),
        ("nose", "nose"),
        ("cleft", "cleft"),
        ("upright", "upright"),
        ("lip", "lip"),
        ("roller", "roller"),
        ("0", "0"),
    ],
)
def test_partners(name: str, other: str) -> None:
    assert partner(name) == other
    assert partner(other) == name


def test_names_come_before_places() -> None:
    names = ["nose", "left_eye", "right_eye", "입_왼쪽", "입_오른쪽"]
    order, reason = mirror_order(names, NONE)
    assert order == [0, 2, 1, 4, 3] and "names" in reason


def test_coco_persons() -> None:
    """The seventeen of COCO: nose, then pairs of left and right."""
    parts = ["eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle"]
    names = ["nose", *(f"{side}_{part}" for part in parts for side in ("left", "right"))]
    expected = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]
    assert mirror_order(names, NONE)[0] == expected


def test_a_side_without_the_other_forbids_mirroring() -> None:
    order, reason = mirror_order(["nose", "left_eye", "right_eye", "left_ear"], NONE)
    assert order is None and "'left_ear' has no partner 'right_ear'" in reason


def shapes(mean: list[tuple[float, float]], seed: int = 0, turn: float = 0.0) -> np.ndarray:
    """200 shapes of many places and sizes, a little noisy, turned by up to ``turn``; (200, K, 2)."""
    generator = np.random.default_rng(seed)
    angle = generator.uniform(-turn, turn, 200)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turned = np.einsum("abn,kb->nka", rotation, np.array(mean, float))
    scale = generator.uniform(1, 9, (200, 1, 1))
    noisy = turned + generator.normal(0, 0.02, turned.shape)
    return noisy * scale + generator.uniform(0, 500, (200, 1, 2))


BUTTERFLY = [(-2.0, 0.0), (2.0, 0.0), (0.0, 1.0), (-1.0, 2.0), (1.0, 2.0)]
HAND = [(0.0, 0.0), (-2.0, 1.0), (-1.0, 3.0), (0.2, 3.4), (1.0, 3.0), (1.6, 2.2)]


def test_symmetric_and_other_shapes() -> None:
    assert mirror_order(list("abcde"), shapes(BUTTERFLY))[0] == [1, 0, 2, 4, 3]
    order, reason = mirror_order(list("abcdef"), shapes(HAND))
    assert order is None and "not symmetric" in reason
    order, reason = mirror_order(list("abcde"), shapes(BUTTERFLY, turn=np.pi))
    assert order is None and "too differently" in reason


def test_too_few_pictures() -> None:
    order, reason = mirror_order(list("abcde"), shapes(BUTTERFLY)[:9])
    assert order is None and "9 pictures" in reason
    assert mirror_order(list("abcde"), shapes(BUTTERFLY)[:10])[0] == [1, 0, 2, 4, 3]


def test_what_is_not_marked_is_not_looked_at() -> None:
    points = np.concatenate([shapes(BUTTERFLY), np.full((200, 5, 1), 2.0)], 2)
    points[::2, 3] = 0.0  # not marked, at (0, 0)
    assert mirror_order(list("abcde"), points)[0] == [1, 0, 2, 4, 3]
    points[:, 3] = 0.0
    assert mirror_order(list("abcde"), points)[0] is None


def test_too_little_to_tell() -> None:
    for points in (
        np.zeros((40, 2, 2)),
        np.zeros((0, 5, 2)),
        np.zeros((30, 5, 3)),
        np.ones((30, 5, 2)),
    ):
        order, reason = mirror_order([str(k) for k in range(points.shape[1])], points)
        assert order is None and reason
