"""``boda stylize``: what is made, what is written and told, and what is refused."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import boda
from boda import api
from boda.cli import stylizing
from boda.errors import TrainingError, UsageError
from boda.stylizing import colours
from boda.stylizing.objective import Losses
from boda.stylizing.optimizing import Descent, optimize
from boda.stylizing.options import StylizeOptions
from tests.style_weights import normalised

Boda = Callable[..., tuple[int, str, str]]
FAST = {"size": 48, "steps": 6, "precision": "32"}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("weights") / "vgg.pth"
    normalised(file)
    return str(file)


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """내용.png of 48 × 36 and 화풍.png of 40 × 40, in the working folder."""
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    slope = np.linspace(0, 255, 48)[None, :, None] * np.ones((36, 1, 3))
    Image.fromarray(slope.astype(np.uint8)).save("내용.png")
    Image.fromarray(generator.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save("화풍.png")
    return tmp_path


def flat(*colour: int) -> np.ndarray:
    return np.full((40, 40, 3), colour, np.uint8)


def slope() -> np.ndarray:
    return np.asarray(Image.open("내용.png"))


def test_a_picture_is_written_and_its_loss_told(pictures: Path, boda: Boda, weights: str) -> None:
    given = ["stylize", "내용.png", "화풍.png", "--weights", weights, "--size", 48, "--json"]
    status, out, err = boda(*given, "--steps", 12, "--every", 6, "--out", "새.png")
    told = json.loads(out)
    assert status == 0 and "laid out as vgg19-normalised's" in err
    assert (told["out"], told["steps"], told["size"]) == ("새.png", 12, [36, 48])
    assert told["loss"] == pytest.approx(told["content_loss"] + told["style_loss"])
    assert told["content_layers"] == {"relu3_1": 1.0}
    assert list(told["style_layers"]) == ["relu1_1", "relu2_1", "relu3_1"]
    assert {p.name for p in pictures.glob("새*")} == {"새.png", "새-0006.png", "새-0012.png"}
    made = np.asarray(Image.open("새.png"))
    assert made.shape == (36, 48, 3)
    np.testing.assert_array_equal(made, np.asarray(Image.open("새-0012.png")))
    _, out, _ = boda(*given, "--steps", 1, "--out", "새.png")  # its own it may replace
    # By how much depends on how a processor multiplies bfloat16: 0.49 without AMX, 0.60 with it.
    assert told["loss"] < 0.75 * json.loads(out)["loss"]


def test_a_stop_leaves_the_picture_so_far(
    pictures: Path, boda: Boda, weights: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(file: Path, every: int) -> Callable[..., None]:
        return lambda step, picture: signal.raise_signal(signal.SIGINT) if step == 3 else None

    monkeypatch.setattr(stylizing, "_on_the_way", interrupted)
    status, out, err = boda(
        "stylize", "내용.png", "화풍.png", "--weights", weights, "--out", "a.png", "--size", 48
    )
    assert status == 130 and "stopped after 3 steps; a.png is what was reached" in err
    assert np.asarray(Image.open("a.png")).shape == (36, 48, 3)
    assert "after 3 steps" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["내용.png"], "a style is missing"),
        (["내용.png", "화풍.png", "--style-layers", "relu4_1"], "do not reach relu4_1"),
        (["내용.png", "화풍.png", "--content-layers", "relu9_1"], "unknown layer of vgg19"),
        (["내용.png", "화풍.png", "--style-layers", "relu1_1:x"], "no number above 0"),
        (["내용.png", "화풍.png", "--style-layers", "relu1_1,relu1_1"], "named twice"),
        (["내용.png", "화풍.png", "--size", "40"], "40×30 pixels, and vgg19 needs 32"),
        (["내용.png", "화풍.png", "--shares", "1,2"], "2 numbers for 1 styles"),
        (["내용.png", "화풍.png", "--mask", "내용.png", "--mask", "화풍.png"], "2 masks for 1"),
        (["내용.png", "화풍.png", "--mask", "black.png"], "black everywhere"),
        (["내용.png", "화풍.png", "--memory", "0.0001"], "too little for one tile"),
        (["내용.png", "화풍.png", "--colors", "histogramm"], "Did you mean histogram"),
        (["내용.png", "화풍.png", "--out", "내용.png"], "the picture itself"),
        (["내용.png", "화풍.png", "--out", "화풍.png"], "the picture itself"),
        (["내용.png", "화풍.png", "--out", "black.png"], "none that boda wrote"),
        (["내용.png", "화풍.png", "--network", "resnet18"], "another network"),
        (["내용.png", "none.png"], "cannot be read"),
        (["내용.png", "화풍.png", "--fit", "."], "takes one style"),
    ],
)
def test_what_is_wrong_is_told_before_the_work(
    pictures: Path, boda: Boda, weights: str, arguments: list[str], words: str
) -> None:
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save("black.png")
    before = {p.name for p in pictures.iterdir()}
    given = ["--out", "a.png", "--weights", weights, "--size", "48", "--steps", "1", *arguments]
    status, _, err = boda("stylize", *given)
    assert status == 2 and words in err
    assert {p.name for p in pictures.iterdir()} == before


def test_a_mask_says_where_a_style_goes(pictures: Path, weights: str) -> None:
    left = np.zeros((9, 48), np.uint8)
    left[:, :24] = 255
    made = boda.stylize(
        np.random.default_rng(1).integers(0, 256, (48, 48, 3), dtype=np.uint8),
        [flat(220, 30, 30), flat(30, 30, 220)],
        masks=[left, 255 - left],
        weights=weights,
        **{**FAST, "steps": 30},
        style_layers="relu1_1,relu1_2",
    ).picture.astype(int)
    redder = made[..., 0] - made[..., 2]
    assert redder[:, :20].mean() - redder[:, 28:].mean() > 60


def test_shares_mix_styles(pictures: Path, weights: str) -> None:
    given = dict(weights=weights, style_layers="relu1_1", **{**FAST, "steps": 20})
    pair = [flat(220, 30, 30), flat(30, 30, 220)]
    content = np.random.default_rng(1).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    more, less = (
        boda.stylize(content, pair, shares=shares, **given).picture.mean((0, 1))
        for shares in ("9,1", "1,9")
    )
    assert more[0] - less[0] > 30 and less[2] - more[2] > 30


def test_large_pictures_begin_small(pictures: Path, weights: str) -> None:
    options = StylizeOptions(size=1000, first_size=300)
    assert options.sizes == [250, 500, 1000]
    seen: list[int] = []
    made = boda.stylize(
        slope(), ["화풍.png"], weights=weights, steps=4, size=96, first_size=48, precision="32",
        seen=lambda step, _: seen.append(step),
    )  # fmt: skip
    assert [level["size"] for level in made.levels] == [[36, 48], [72, 96]]
    assert [level["steps"] for level in made.levels] == [4, 2]
    assert seen == [1, 2, 3, 4, 5, 6] and made.steps == 6
    assert made.picture.shape == (72, 96, 3)


def test_tiles_make_the_same_picture(pictures: Path, weights: str) -> None:
    given = dict(weights=weights, size=120, steps=4, precision="32")
    whole = boda.stylize(slope(), ["화풍.png"], **given)
    tiled = boda.stylize(slope(), ["화풍.png"], memory=0.035, **given)
    assert whole.levels[0]["tiles"] == 1 and tiled.levels[0]["tiles"] > 2
    assert tiled.losses is not None and whole.losses is not None
    assert tiled.losses.total == pytest.approx(whole.losses.total, rel=1e-3)
    assert np.abs(tiled.picture.astype(int) - whole.picture).max() <= 2


def test_noise_is_seeded(pictures: Path, weights: str) -> None:
    given = dict(weights=weights, start="noise", **FAST)
    first, again, other = (
        boda.stylize(slope(), ["화풍.png"], seed=seed, **given).picture for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_adam_and_rough_gradients_lower_the_loss_too(pictures: Path, weights: str) -> None:
    def loss(**options: object) -> float:
        losses = boda.stylize(
            slope(), ["화풍.png"], weights=weights, **{**FAST, "steps": 12, **options}
        ).losses
        assert losses is not None
        return losses.total

    begun = loss(steps=1)
    assert loss(precision="bf16", steps=30) < 0.2 * begun
    assert loss(optimizer="adam", steps=30) < 0.2 * begun


def test_luminance_keeps_the_colours_of_the_content(pictures: Path, weights: str) -> None:
    content = np.random.default_rng(1).integers(90, 160, (48, 48, 3), dtype=np.uint8)
    made = boda.stylize(
        content, ["화풍.png"], weights=weights, colors="luminance", style_weight=1.0, **FAST
    ).picture
    chroma = np.array([[0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])  # YIQ, FCC
    inside = ((made > 0) & (made < 255)).all(2)
    difference = (made.astype(float) - content)[inside] @ chroma.T
    assert inside.mean() > 0.5 and np.abs(difference).max() < 1.5


def test_a_matched_style_has_the_contents_mean_and_covariance() -> None:
    generator = np.random.default_rng(0)
    style = torch.from_numpy(generator.random((1, 3, 9, 8)) ** 3)
    mixed = np.array([[0.5, 0.3, 0], [0.1, 0.4, 0.2], [0, 0.1, 0.6]])
    content = torch.from_numpy(np.einsum("oc,chw->ohw", mixed, generator.random((3, 7, 6))))[None]
    made = colours.matched(style, content)[0].flatten(1).numpy()
    wanted = content[0].flatten(1).numpy()
    np.testing.assert_allclose(made.mean(1), wanted.mean(1), rtol=1e-9)
    np.testing.assert_allclose(np.cov(made), np.cov(wanted), rtol=1e-6, atol=1e-9)
    one = torch.full((1, 3, 4, 4), 0.3, dtype=torch.float64)  # of one colour: nothing to divide by
    assert colours.matched(one, content).isfinite().all()


class Bowl:
    """A loss with its lowest point at 0.25; ``broken`` are the calls whose loss is no number."""

    def __init__(self, *broken: int) -> None:
        self.calls, self.broken = 0, broken

    def gradient(self, picture: torch.Tensor) -> tuple[Losses, torch.Tensor]:
        self.calls += 1
        loss = float("nan") if self.calls in self.broken else ((picture - 0.25) ** 2).sum().item()
        return Losses(loss, 0, 0), 2 * (picture.detach() - 0.25)


def test_one_gradient_is_one_step_and_the_bottom_is_found() -> None:
    bowl = Bowl()
    made, steps = optimize(torch.ones(1, 3, 4, 4), lambda _: bowl, Descent(20), lambda *_: True)
    assert (bowl.calls, steps) == (20, 20)
    torch.testing.assert_close(made, torch.full((1, 3, 4, 4), 0.25))


def test_the_last_third_is_exact() -> None:
    asked: list[torch.dtype] = []

    def objective(dtype: torch.dtype) -> Bowl:
        asked.append(dtype)
        return Bowl()

    optimize(torch.ones(1, 3, 4, 4), objective, Descent(9, rough=True), lambda *_: True)
    assert asked == [torch.bfloat16, torch.float32]


def test_a_loss_that_is_no_number_begins_anew_once() -> None:
    bowl = Bowl(5)
    made, _ = optimize(torch.ones(1, 3, 4, 4), lambda _: bowl, Descent(25), lambda *_: True)
    torch.testing.assert_close(made, torch.full((1, 3, 4, 4), 0.25))
    with pytest.raises(TrainingError, match="--optimizer adam"):
        optimize(torch.ones(1, 3, 4, 4), lambda _: Bowl(5, 7), Descent(25), lambda *_: True)


def test_squeezenet_has_layers_of_its_own(pictures: Path, shared_data: Path) -> None:
    given = {"network": "squeezenet-1.1", **FAST}
    file = str(shared_data / "weights" / "squeezenet1_1_fp16.npz")
    made = boda.stylize(slope(), ["화풍.png"], weights=file, **given)
    assert list(made.content_layers) == ["features.6"]
    with pytest.raises(UsageError, match=r"are too many for 0.001 GB with squeezenet"):
        boda.stylize(slope(), ["화풍.png"], weights=file, memory=0.001, **given)


def test_an_unknown_option_is_told() -> None:
    with pytest.raises(UsageError, match="Did you mean steps"):
        api.stylize("a.png", ["b.png"], step=3)
