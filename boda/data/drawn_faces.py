"""Drawn faces of every colour, size and turn, and where their ten points are.

A face is flat but for a depth at each part: turning the head moves the nose farther than the eyes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from boda.data.drawing import Patch, contrasting, cover, ellipse, paint, shaded, stroke

# Left is the person's own left, as in COCO.
POINTS = (
    "left_eye",
    "right_eye",
    "left_brow",
    "right_brow",
    "left_ear",
    "right_ear",
    "nose",
    "left_mouth",
    "right_mouth",
    "chin",
)
PUPIL = np.array([12, 12, 16], np.float32)
SMALLEST_PUPIL = 1.6  # pixels of its radius: the pixel at its middle is wholly covered
SKINS = np.array([[250, 222, 196], [232, 190, 150], [196, 145, 105], [140, 95, 65], [92, 62, 45]])
MARGIN = 3  # pixels between a point and the edge


@dataclass
class _Head:
    """From the face's own coordinates (half its width is 1, y goes down) to pixels."""

    scale: float
    yaw: float
    pitch: float
    roll: float
    place: np.ndarray

    def __call__(self, outline: np.ndarray, depth: float = 0.0) -> np.ndarray:
        """(K, 2) → (K, 2); what is ``depth`` in front of the head moves with its turns."""
        moved = outline + depth * np.sin([self.yaw, self.pitch])
        cosine, sine = math.cos(self.roll), math.sin(self.roll)
        return moved @ np.array([[cosine, sine], [-sine, cosine]]) * self.scale + self.place


def draw(generator: np.random.Generator, canvas: np.ndarray) -> np.ndarray:
    """Draw a face on a canvas, (size, size, 3) float32.

    Returns:
        (10, 2) float32, x and y of ``POINTS`` in pixels, all in the picture.
    """
    at, depth = _features(generator)
    yaw, pitch, roll = generator.uniform(-1, 1, 3) * np.radians((32, 25, 28))
    head = _Head(generator.uniform(0.19, 0.33) * len(canvas), yaw, pitch, roll, np.zeros(2))
    found = np.array([head(at[name], depth[name]) for name in POINTS])
    low, high = MARGIN - found.min(0), len(canvas) - MARGIN - found.max(0)
    head.place = generator.uniform(low, high)
    _Drawing(generator, canvas, head, at, depth).face()
    return (found + head.place).astype(np.float32)


def _features(
    generator: np.random.Generator,
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Where the points are in a face that looks at us, and their depths."""
    eye, brow, mouth = generator.uniform((0.36, 0.30, 0.26), (0.46, 0.42, 0.44))
    eye_y, nose_y, mouth_y = generator.uniform((-0.20, 0.20, 0.58), (-0.05, 0.34, 0.72))
    right_hand = {
        "eye": ((eye, eye_y), 0.35),
        "brow": ((eye + 0.03, eye_y - brow), 0.38),
        "ear": ((1.13, 0.05), -0.12),
        "mouth": ((mouth, mouth_y), 0.35),
    }
    at = {"nose": np.array([0, nose_y]), "chin": np.array([0, 1.25])}
    depth = {"nose": 0.75, "chin": 0.0}
    for name, ((x, y), in_front) in right_hand.items():
        at[f"left_{name}"], at[f"right_{name}"] = np.array([x, y]), np.array([-x, y])
        depth[f"left_{name}"] = depth[f"right_{name}"] = in_front
    return at, depth


class _Drawing:
    """One face while it is drawn, part by part, the hindmost first."""

    def __init__(
        self,
        generator: np.random.Generator,
        canvas: np.ndarray,
        head: _Head,
        at: dict[str, np.ndarray],
        depth: dict[str, float],
    ) -> None:
        self.generator, self.canvas, self.head = generator, canvas, head
        self.at, self.depth = at, depth
        shade = generator.uniform(0, len(SKINS) - 1)
        below = SKINS[int(shade)], SKINS[int(shade) + 1]
        self.skin = below[0] + (below[1] - below[0]) * (shade % 1) + generator.uniform(-8, 8, 3)
        self.hair = generator.uniform((15, 10, 5), (190, 140, 110)) * generator.uniform(0.2, 1)

    def paint(self, outline: np.ndarray, colour: np.ndarray, depth: float = 0.0) -> None:
        """A part, its outline in the face's coordinates."""
        paint(self.canvas, self._cover(self.head(outline, depth)), colour)

    def _cover(self, outline: np.ndarray) -> Patch:
        return cover(outline, len(self.canvas))

    def face(self) -> None:
        """All of it."""
        long_hair, fringe, glasses = self.generator.random(3) < (0.45, 0.85, 0.3)
        self._body(long_hair)
        for side in ("left_ear", "right_ear"):
            (x, y), depth = self.at[side], self.depth[side]
            self.paint(ellipse(x, y, 0.17, 0.27), self.skin * 0.82, depth)
        patch = self._cover(self.head(_head_outline()))
        slope = self.generator.uniform(-0.25, 0.25, 2)
        paint(self.canvas, patch, shaded(self.skin, patch, len(self.canvas), slope))
        if fringe:
            self.paint(_fringe(self.generator.uniform(-0.85, -0.62)), self.hair, 0.08)
        if glasses:
            self._glasses()
        for side in ("left", "right"):
            self._eye(side)
        self._mouth()
        self._nose()

    def _body(self, long_hair: bool) -> None:
        if long_hair:
            around = ellipse(0, 0.05, 1.3, 1.5)
            down = np.array([[1.36, 1.7], [-1.36, 1.7]])
            self.paint(np.concatenate([down, around[24:]]), self.hair * 0.75)
        neck = np.array([[-0.42, 0.7], [0.42, 0.7], [0.46, 1.9], [-0.46, 1.9]])
        self.paint(neck, self.skin * 0.72)
        shoulders = ellipse(0, 2.4, 1.75, 0.9)[24:]  # the upper half
        below = np.array([[1.9, 6.0], [-1.9, 6.0]])
        self.paint(np.concatenate([shoulders, below]), contrasting(self.generator, self.skin))

    def _eye(self, side: str) -> None:
        (x, y), depth = self.at[f"{side}_eye"], self.depth[f"{side}_eye"]
        self.paint(ellipse(x, y, 0.215, 0.155), self.skin * 0.6, depth)
        self.paint(ellipse(x, y, 0.19, 0.13), np.array([244, 244, 240]), depth)
        if side == "left":  # both have one colour
            self.iris = self.generator.uniform((50, 60, 50), (120, 150, 190))
        self.paint(ellipse(x, y, 0.115, 0.115), self.iris, depth)
        radius = max(0.06, SMALLEST_PUPIL / self.head.scale)
        self.paint(ellipse(x, y, radius, radius), PUPIL, depth)
        across = np.linspace(-0.2, 0.2, 9)
        bend = np.stack([across, 1.4 * across**2], 1)
        brow = self.at[f"{side}_brow"] + bend
        self.paint(stroke(brow, 0.09), self.hair * 0.55, self.depth[f"{side}_brow"])

    def _glasses(self) -> None:
        frame = self.generator.uniform(10, 120, 3)
        depth = self.depth["left_eye"]
        inner, y = self.at["left_eye"] - (0.2, 0)
        bridge = np.array([[-inner, y], [inner, y]])
        self.paint(stroke(bridge, 0.06), frame, depth)
        for x, y in (self.at["left_eye"], self.at["right_eye"]):
            self.paint(ellipse(x, y, 0.30, 0.27), frame, depth)
            self.paint(ellipse(x, y, 0.25, 0.22), self.skin * 0.9 + 24, depth)

    def _nose(self) -> None:
        x, y = self.at["nose"]
        # The bridge begins between the eyes, which are less far in front than the tip.
        top = self.head(np.array([[x - 0.06, y - 0.32], [x + 0.06, y - 0.32]]), 0.4)
        tip = self.head(np.array([[x + 0.15, y], [x - 0.15, y]]), self.depth["nose"])
        paint(self.canvas, self._cover(np.concatenate([top, tip])), self.skin * 0.88)
        self.paint(ellipse(x, y, 0.15, 0.1), self.skin * 0.76, self.depth["nose"])

    def _mouth(self) -> None:
        half, y = self.at["left_mouth"]
        smile, opened = self.generator.uniform((-0.1, 0.0), (0.2, 0.22))
        along = np.linspace(-1, 1, 13)
        arch = 1 - along**2
        upper = np.stack([half * along, y + smile * arch], 1)
        lower = np.stack([half * along, y + (smile + opened) * arch], 1)
        lips = np.array([170, 60, 70]) * self.generator.uniform(0.6, 1.1)
        depth = self.depth["left_mouth"]
        self.paint(np.concatenate([upper, lower[::-1]]), lips * 0.45, depth)
        self.paint(stroke(lower, 0.09), lips, depth)
        self.paint(stroke(upper, 0.09), lips, depth)


def _head_outline() -> np.ndarray:
    """Wide at the ears, narrower at the chin, which is at (0, 1.25)."""
    outline = ellipse(0, 0, 1.0, 1.25, 72)
    lower = np.clip(outline[:, 1] / 1.25, 0, 1)
    outline[:, 0] *= 1 - 0.22 * lower**2
    return outline


def _fringe(height: float) -> np.ndarray:
    """Hair from the top of the head down to a bent line at about that height."""
    head = _head_outline() * 1.04
    top = head[head[:, 1] < height]
    top = top[np.argsort(top[:, 0])]
    ends = top[[0, -1]]
    across = np.linspace(ends[1, 0], ends[0, 0], 15)
    bend = height + 0.16 * (across / ends[1, 0]) ** 2
    return np.concatenate([top, np.stack([across, bend], 1)])
