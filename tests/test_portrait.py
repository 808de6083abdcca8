"""The portrait mode: the matte, the blur behind it, the colours of soft edges, who is kept."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy import ndimage

from boda import compositing, matting
from boda.compositing import ENCODED, LINEAR, composed, cut_out, defocused, disc
from boda.data.prepare import Preparation
from boda.errors import DataError, UsageError
from boda.matting import box_mean, cleaned, guided_filter, matte
from boda.outputs import plane
from boda.portrait import backdrop, class_to_keep, portrait
from boda.predicting import Predictor

HEIGHT, WIDTH, CELL = 160, 128, 8


def figure(hair: bool = True) -> np.ndarray:
    """A head with hair and shoulders, (160, 128) float32: how much of each pixel they cover."""
    fine = 4
    canvas = Image.new("L", (WIDTH * fine, HEIGHT * fine))
    pen = ImageDraw.Draw(canvas)

    def scaled(*numbers: float) -> tuple[float, ...]:
        return tuple(fine * number for number in numbers)

    pen.ellipse(scaled(44, 24, 84, 80), fill=255)
    pen.rectangle(scaled(56, 70, 72, 100), fill=255)
    pen.rounded_rectangle(scaled(16, 92, 112, 220), radius=24 * fine, fill=255)
    for angle in np.linspace(-1.2, 1.2, 9) if hair else ():
        x, y = 64 + 20 * np.sin(angle), 52 - 28 * np.cos(angle)
        end = scaled(x, y, x + 9 * np.sin(angle), y - 9 * np.cos(angle))
        pen.line(end, fill=255, width=6)
    return np.asarray(canvas.reduce(fine), np.float32) / 255


def photo(covered: np.ndarray, seed: int = 0) -> np.ndarray:
    """A reddish person before a bluish wall, both with texture and noise, (H, W, 3) uint8."""
    random = np.random.default_rng(seed)
    texture = ndimage.gaussian_filter(random.normal(size=(2, *covered.shape, 3)), (0, 5, 5, 0))
    texture = 15 * texture / texture.std() + random.normal(size=texture.shape) * 4
    ours, theirs = texture + np.array([[150, 80, 60], [90, 120, 130]])[:, None, None]
    alpha = covered[..., None]
    return (alpha * ours + (1 - alpha) * theirs).clip(0, 255).astype(np.uint8)


def coarse(covered: np.ndarray) -> np.ndarray:
    """What a network sees that has one pixel for 8 × 8 of the picture."""
    height, width = covered.shape
    return np.asarray(Image.fromarray(covered).reduce(CELL)).reshape(height // CELL, width // CELL)


def stub(
    probabilities: np.ndarray, classes: list[str], rule: str = "stretch", task: str = "segment"
) -> Predictor:
    """A predictor that always says this of a picture."""
    height, width = probabilities.shape[-2:] if task == "segment" else (64, 64)
    preparation = Preparation(height, width, rule=rule)  # type: ignore[arg-type]
    return Predictor(lambda images: probabilities[None], task, classes, preparation)


def person(covered: np.ndarray) -> Predictor:
    seen = coarse(covered)
    return stub(np.stack([1 - seen, seen]), ["background", "Person"])


def test_no_torch_is_needed() -> None:
    code = "import sys, boda.portrait; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_box_means_are_those_of_a_plain_loop() -> None:
    values = np.random.default_rng(0).random((9, 13), np.float32)
    for radius in (0, 1, 4, 20):
        found = box_mean(values, radius)
        for y in range(9):
            for x in range(13):
                window = values[
                    max(0, y - radius) : y + radius + 1, max(0, x - radius) : x + radius + 1
                ]
                assert found[y, x] == pytest.approx(window.mean(dtype=np.float64), abs=1e-6)


def test_the_guided_filter_is_that_of_a_plain_loop() -> None:
    """Equations 14 to 16 of the paper's colour version, window after window."""
    random = np.random.default_rng(1)
    guide, values = random.random((11, 9, 3)), random.random((11, 9))
    radius, epsilon = 2, 1e-3
    slopes, offsets = np.zeros((11, 9, 3)), np.zeros((11, 9))
    windows = [
        (y, x, slice(max(0, y - radius), y + radius + 1), slice(max(0, x - radius), x + radius + 1))
        for y in range(11)
        for x in range(9)
    ]
    for y, x, rows, columns in windows:
        colours, here = guide[rows, columns].reshape(-1, 3), values[rows, columns].ravel()
        covariance = np.cov(colours.T, bias=True) + epsilon * np.eye(3)
        slopes[y, x] = np.linalg.solve(
            covariance, (colours * here[:, None]).mean(0) - colours.mean(0) * here.mean()
        )
        offsets[y, x] = here.mean() - slopes[y, x] @ colours.mean(0)
    wanted = np.zeros((11, 9))
    for y, x, rows, columns in windows:
        slope = slopes[rows, columns].reshape(-1, 3).mean(0)
        wanted[y, x] = slope @ guide[y, x] + offsets[rows, columns].mean()
    found = guided_filter(guide.astype(np.float32), values.astype(np.float32), radius, epsilon)
    assert np.abs(found - wanted).max() < 1e-4


@pytest.mark.parametrize(("longest", "factor"), [(matting.LONGEST, 0.6), (80, 0.9)])
def test_the_matte_is_nearer_to_the_truth_than_upsampling(
    monkeypatch: pytest.MonkeyPatch, longest: int, factor: float
) -> None:
    monkeypatch.setattr(matting, "LONGEST", longest)
    truth = figure(
        hair=longest > 80
    )  # single hairs are lost where the filter works at half the size
    picture = photo(truth)
    smooth = plane(
        coarse(truth), Preparation(HEIGHT // CELL, WIDTH // CELL, rule="stretch"), truth.shape
    )
    found = matte(picture, smooth, CELL)
    errors = [np.abs(guess - truth).mean() for guess in (found, smooth, smooth >= 0.5)]
    assert errors[0] < errors[1] / 4, "plain bilinear upsampling"
    assert errors[0] < errors[2] * factor, "its threshold"
    inside, outside = (
        ndimage.binary_erosion(truth == 1, iterations=8),
        ndimage.distance_transform_edt(truth == 0),
    )
    assert inside.sum() > 3000 and found[inside].min() == 1, "the person is whole"
    assert found[outside > 2 * CELL].max() == 0
    steps = [np.abs(np.diff(found, axis=axis)).max() for axis in (0, 1)]
    assert max(steps) < 0.9, "edges are soft: no pixel is all the person's beside one that is not"


def test_the_matte_mends_a_network_that_is_half_a_cell_off() -> None:
    truth = figure(hair=False)
    wrong = np.roll(truth, (3, -3), (0, 1))
    smooth = np.asarray(
        Image.fromarray(coarse(wrong)).resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR)
    )
    found = matte(photo(truth), smooth, CELL)
    assert np.abs(found - truth).mean() < 0.5 * np.abs((smooth >= 0.5) - truth).mean()


def test_islands_and_holes() -> None:
    seen = np.zeros((100, 100), np.float32)
    seen[20:80, 40:70] = 0.9
    seen[10:15, 5:10] = 0.8  # far and tiny
    seen[9, 5:10] = 0.3  # its halo
    seen[82:84, 50:54] = 0.7  # near and tiny: a foot
    seen[60:90, 2:14] = 0.6  # far and large: another person
    seen[30:33, 50:53] = 0.2  # a tiny hole
    seen[50:70, 45:60] = 0.1  # a large one: between an arm and the body
    seen[40:42, 68:70] = 0.1  # open to the outside: no hole
    found = cleaned(seen)
    assert (found[9:15, 5:10] == 0).all()
    assert (found[30:33, 50:53] == 1).all()
    same = np.ones((100, 100), bool)
    same[:20, :25] = same[30:33, 50:53] = False
    np.testing.assert_array_equal(found[same], seen[same])
    nothing = np.full((5, 5), 0.2, np.float32)
    np.testing.assert_array_equal(cleaned(nothing), nothing)


@pytest.mark.parametrize("radius", [1, 2.5, 6, 40])
def test_the_blur_is_a_convolution_with_a_disc(radius: float) -> None:
    random = np.random.default_rng(2)
    light = random.random((40, 33, 3)).astype(np.float32)
    weights = (random.random((40, 33)) > 0.3).astype(np.float32)
    kernel = disc(radius)
    assert kernel.sum() == pytest.approx(1, abs=1e-5)
    assert 1 / kernel.max() == pytest.approx(np.pi * radius**2, rel=0.01), "its area"
    known = weights.astype(np.float64) + compositing.FAINT
    total = ndimage.convolve(known, kernel, mode="constant")
    found = defocused(light, weights, radius)
    for c in range(3):
        wanted = ndimage.convolve(light[..., c] * known, kernel, mode="constant") / total
        near = total > 0.05
        assert np.abs(found[..., c] - wanted)[near].max() < 1e-4


def test_a_bright_point_becomes_a_bright_disc() -> None:
    picture = np.zeros((31, 31, 3), np.uint8)
    picture[15, 15] = 255
    found = composed(picture, np.zeros((31, 31), np.float32), 4)
    as_light = 255 * (1.055 * (1 / (np.pi * 16)) ** (1 / 2.4) - 0.055)
    assert found[15, 15, 0] == pytest.approx(as_light, abs=2)
    assert found[15, 13, 0] == found[15, 15, 0] and found[15, 10, 0] == 0
    assert as_light > 7 * 255 / (np.pi * 16), "of encoded values the disc would be nearly black"


@pytest.mark.parametrize("blur", [6, 30])
def test_nobody_bleeds_into_the_background(blur: float) -> None:
    truth = figure(hair=False)
    picture = np.full((HEIGHT, WIDTH, 3), 120, np.uint8)
    picture[truth > 0] = (230, 20, 20)
    for covered in (matte(picture, truth, CELL), (truth > 0).astype(np.float32)):
        found = composed(picture, covered, blur).astype(int)
        excess = (found[..., 0] - found[..., 1])[covered == 0]
        assert len(excess) > 8000 and np.abs(excess).max() < 1
        assert (found[covered == 1] == (230, 20, 20)).all()
    radius = disc(blur)
    plain = ndimage.convolve(picture[..., 0] - picture[..., 1].astype(float), radius)
    assert plain[truth == 0].max() > 80, "a plain blur bleeds"


def test_a_large_blur_at_a_smaller_size_and_bands_of_rows_change_nothing_to_see(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    truth = figure()
    picture = photo(truth)
    for blur in (5, 25, 37):
        monkeypatch.undo()
        whole = composed(picture, truth, blur).astype(int)
        monkeypatch.setattr(compositing, "_BAND", 20 * WIDTH)
        assert np.abs(composed(picture, truth, blur) - whole).max() <= 1
        monkeypatch.setattr(compositing, "FINE", 1000)
        exact = composed(picture, truth, blur).astype(int)
        assert np.abs(exact - whole).max() <= 4 and np.abs(exact - whole).mean() < 0.5


def test_soft_edges_before_another_background_have_the_colours_of_the_person() -> None:
    alpha = np.clip((np.arange(60) - 22) / 8, 0, 1).astype(np.float32)
    covered = np.broadcast_to(alpha, (40, 60))
    ours, theirs, white = (LINEAR[np.array(c)] for c in ((200, 60, 30), (20, 160, 60), (255,) * 3))
    mixed = covered[..., None] * ours + (1 - covered[..., None]) * theirs
    picture = ENCODED[np.rint(mixed * 65535).astype(int)]
    found = composed(picture, covered, 0, np.full((1, 1, 3), 255, np.uint8)).astype(int)
    wanted = covered[..., None] * ours + (1 - covered[..., None]) * white
    error = np.abs(LINEAR[found] - wanted).max()
    halo = np.abs(
        covered[..., None] * LINEAR[picture] + (1 - covered[..., None]) * white - wanted
    ).max()
    assert error < 0.045 < halo / 3, (
        "the old background shows through where colours are not unmixed"
    )
    assert (found[:, :22] == 255).all() and (found[:, 30:] == picture[:, 30:]).all()
    alone = cut_out(picture, covered)
    assert (alone[:, :22] == 0).all(), "nothing is left of what was behind"
    np.testing.assert_array_equal(alone[..., 3], np.rint(covered * 255))
    np.testing.assert_array_equal(alone[:, 30:, :3], picture[:, 30:])


def test_another_background_covers_the_picture() -> None:
    behind = np.zeros((10, 40, 3), np.uint8)
    behind[:, 10:30] = 255
    found = composed(np.full((20, 40, 3), 9, np.uint8), np.zeros((20, 40), np.float32), 0, behind)
    assert found.shape == (20, 40, 3) and (found > 190).all(), "twice as large, its centre"


@pytest.mark.parametrize("rule", ["stretch", "letterbox", "crop"])
def test_a_plane_lies_where_its_picture_was(rule: str) -> None:
    preparation = Preparation(24, 40, rule=rule)  # type: ignore[arg-type]
    size = 90, 120
    y, x = np.mgrid[:24, :40] + 0.5
    points = preparation.moved_back(np.stack([x, y], -1), size)
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    found = [plane(points[..., c], preparation, size) for c in (0, 1)]
    seen = preparation.moved(np.stack([x, y], -1), size)
    inner = ((seen > 1) & (seen < (39, 23))).all(-1)
    assert inner.sum() > 1000
    assert np.abs(found[0] - x)[inner].max() < 1e-2 and np.abs(found[1] - y)[inner].max() < 1e-2


def test_the_whole_way_of_a_picture() -> None:
    truth = figure()
    picture = photo(truth)
    made = portrait(person(truth), picture)
    assert made.name == "Person" and made.blur == round(HEIGHT / 60)
    assert made.share == pytest.approx(truth.mean(), abs=0.01)
    inside = ndimage.binary_erosion(truth == 1, iterations=8)
    np.testing.assert_array_equal(made.picture[inside], picture[inside])
    wall = ndimage.distance_transform_edt(truth == 0) > 20
    assert made.picture[wall].std() < picture[wall].std()
    clear = portrait(person(truth), picture, behind="transparent")
    assert clear.picture.shape == (HEIGHT, WIDTH, 4) and clear.blur == 0
    blue = portrait(person(truth), picture, behind=backdrop("#0000ff"))
    assert (blue.picture[wall] == (0, 0, 255)).all()
    blurred = portrait(person(truth), picture, blur=9, behind=photo(truth, 5))
    assert blurred.blur == 9 and blurred.picture[wall].std() < photo(truth, 5)[wall].std()


def test_the_strongest_class_decides_where_none_has_one_half() -> None:
    seen = coarse(figure(hair=False))
    shares = np.stack([0.4 - 0.1 * seen, 0.35 - 0.1 * seen, 0.25 + 0.2 * seen])
    made = portrait(stub(shares, ["road", "sky", "Pedestrian"]), photo(figure(hair=False)))
    assert made.share == pytest.approx(figure(hair=False).mean(), abs=0.02)


def test_objects_with_masks() -> None:
    rows = np.zeros((3, 6 + 28 * 28), np.float32)
    rows[0, :6], rows[0, 6:] = (8, 8, 24, 56, 0.9, 1), 1
    rows[1, :6], rows[1, 6:] = (30, 8, 60, 56, 0.8, 0), 1
    picture = np.full((64, 64, 3), 90, np.uint8)
    picture[8:56, 8:24] = (200, 30, 30)
    picture[8:56, 30:60] = (30, 30, 200)
    names = ["car", "사람"]
    made = portrait(stub(rows, names, "letterbox", "instances"), picture, behind=backdrop("lime"))
    assert made.name == "사람" and made.share == pytest.approx(16 * 48 / 64**2, abs=0.002)
    assert (made.picture[10:54, 10:22] == (200, 30, 30)).all()
    assert (made.picture[:, 30:] == (0, 255, 0)).all()
    with pytest.raises(
        DataError, match=r"a\.jpg.*sees no person in it; it sees car 35\.2%, 사람 18\.8%"
    ):
        portrait(
            stub(rows, ["car", "사람", "person"], "letterbox", "instances"), picture, source="a.jpg"
        )


@pytest.mark.parametrize(
    ("classes", "keep", "number"),
    [
        (["background", "Person", "dog"], None, 1),
        (["sky", "PEDESTRIAN"], None, 1),
        (["배경", "사람", "개"], None, 1),
        (["background", "tumour"], None, 1),
        (["background", "person", "dog"], "DOG", 2),
        (["road", "background"], None, 0),
    ],
)
def test_which_class_stays_sharp(classes: list[str], keep: str | None, number: int) -> None:
    assert class_to_keep(stub(np.zeros((len(classes), 4, 4)), classes), keep) == number


def test_what_is_refused() -> None:
    picture = np.zeros((40, 40, 3), np.uint8)
    nobody = stub(
        np.stack([np.full((4, 4), v, np.float32) for v in (0.5, 0.3, 0.2)]), ["a", "b", "person"]
    )
    with pytest.raises(
        DataError, match=r"me\.png: the network sees no person in it; it sees a 100\.0%"
    ):
        portrait(nobody, picture, source="me.png")
    stray = np.zeros((2, 40, 40), np.float32)
    stray[0], stray[:, 3, 5] = 1.0, (0.0, 1.0)
    with pytest.raises(DataError, match=r"sees no person in it; it sees a 99\.9%"):
        portrait(stub(stray, ["a", "person"]), picture, source="me.png")
    with pytest.raises(UsageError, match="--keep which one stays sharp: cat, dog"):
        class_to_keep(stub(np.zeros((2, 4, 4)), ["cat", "dog"]))
    with pytest.raises(UsageError, match="Did you mean person"):
        class_to_keep(nobody, "persom")
    with pytest.raises(UsageError, match="this one is for classify"):
        class_to_keep(stub(np.zeros((2, 4, 4)), ["cat", "person"], task="classify"))
    for blur in (0, 0.5, -3, 41, float("nan")):
        with pytest.raises(UsageError, match="1 to 40 pixels"):
            portrait(nobody, picture, blur)
    for behind in ("transparent", "white"):
        with pytest.raises(UsageError, match="leave it away"):
            portrait(nobody, picture, 5, backdrop(behind))
    for text in ("blu", "#12345", "#zzzzzz"):
        with pytest.raises(UsageError, match="#rrggbb"):
            backdrop(text)
    with pytest.raises(UsageError, match="without opacity"):
        backdrop("#11223344")
    with pytest.raises(DataError, match=r"beach\.jpg: the file cannot be read"):
        backdrop("beach.jpg")
