"""Pictures of predictions: sizes, colours, fonts; no test needs a Hangul font."""

import io
import logging
import subprocess
import sys
import unicodedata

import numpy as np
import pytest
from PIL import Image

from boda import draw, fonts, pen
from boda.contact_sheet import Caption, contact_sheet, picture_grid
from boda.errors import DataError
from boda.types import Prediction

NOWHERE = "\U000f0000"  # private use: no font of a computer has it


@pytest.fixture
def no_fonts(monkeypatch):
    """A computer with no font but Pillow's own."""
    caches = (fonts._place_for, fonts._places, fonts._fontconfig, fonts._hint_once)
    monkeypatch.setattr(fonts, "_font_folders", list)
    monkeypatch.setattr(fonts.shutil, "which", lambda _: None)
    monkeypatch.setattr(fonts.importlib.util, "find_spec", lambda _: None)
    monkeypatch.delenv("BODA_FONT", raising=False)
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


def picture(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def guess(image, names=("cat", "dog", "owl"), scores=(0.9, 0.08, 0.02), **more):
    labels = np.arange(len(names))
    return Prediction(
        "x.png", image.shape[:2], labels, list(names), np.array(scores), _picture=image, **more
    )


def test_tiny_picture_becomes_squares():
    tiny = picture(8, 8)
    drawn = draw.draw(guess(tiny))
    assert drawn.dtype == np.uint8 and drawn.shape[1] == 224 and drawn.shape[0] > 260
    assert np.array_equal(drawn[:224], tiny.repeat(28, 0).repeat(28, 1))


@pytest.mark.parametrize(
    ("height", "width"),
    [(1, 1), (28, 28), (32, 20), (96, 96), (100, 150), (300, 400), (3000, 2000)],
)
def test_shown_size(height, width):
    image = draw._shown(picture(height, width))
    assert 224 <= max(image.size) <= 1024
    assert image.width / image.height == pytest.approx(width / height, rel=0.02)
    drawn = draw.draw(guess(picture(height, width)))
    assert drawn.shape[1] == max(image.width, 224) and drawn.shape[0] > image.height


def test_strip_of_extreme_shape():
    assert draw.draw(guess(picture(2, 3000))).shape[1] == 1024


def test_bars_are_as_long_as_the_scores():
    drawn = draw.draw(guess(np.zeros((224, 224, 3), np.uint8), scores=(0.5, 0.25, 0.0)))[224:]
    strong = (drawn == pen.BLUE).all(2).sum(1).max()
    faint = (drawn == pen.PALE_BLUE).all(2).sum(1).max()
    assert strong == pytest.approx(0.5 * (224 - 26), abs=8)
    assert faint == pytest.approx(0.25 * (224 - 26), abs=8)  # less their round ends


def test_the_prediction_itself_is_left_alone():
    image = picture(8, 8)
    image.flags.writeable = False
    prediction = guess(image)
    draw.draw(prediction)
    assert prediction._picture is image


def test_nothing_predicted_is_the_picture():
    image = picture(10, 12)
    assert np.array_equal(draw.draw(Prediction("x", (10, 12), _picture=image)), image)


def test_without_names_or_scores():
    bare = Prediction("x", (8, 8), np.array([3, 1]), _picture=picture(8, 8))
    assert draw.draw(bare).shape[1] == 224


def test_reads_the_source_with_its_orientation(tmp_path):
    path = tmp_path / "그림.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by a quarter
    Image.new("RGB", (300, 400), "red").save(path, exif=exif)
    prediction = Prediction(str(path), (300, 400), np.array([0]), ["a"], np.array([1.0]))
    assert draw.draw(prediction).shape[1] == 400
    prediction.source = str(tmp_path / "gone.jpg")
    with pytest.raises(DataError, match=r"gone\.jpg: the picture to draw on is not there"):
        draw.draw(prediction)
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    prediction.source = str(tmp_path / "bad.jpg")
    with pytest.raises(DataError, match=r"bad\.jpg"):
        draw.draw(prediction)


def test_boxes_cover_their_edge_pixels():
    image = np.zeros((100, 200, 3), np.uint8)
    boxes = np.array([[20, 40, 120, 90]], np.float32)
    one = Prediction("x", (100, 200), np.array([1]), ["b"], np.array([0.7]), boxes, _picture=image)
    drawn = draw.draw(one)
    assert drawn.shape == image.shape
    colour = np.array(pen.PALETTE[1])
    for y, x in [(60, 20), (60, 119), (40, 110), (89, 70)]:
        assert np.array_equal(drawn[y, x], colour)
    for y, x in [(60, 19), (60, 120), (90, 70)]:
        assert not drawn[y, x].any()


def test_boxes_none_found_and_at_the_edge():
    image = picture(50, 60)
    none = Prediction(
        "x", (50, 60), np.zeros(0, int), [], np.zeros(0), np.zeros((0, 4)), _picture=image
    )
    assert np.array_equal(draw.draw(none), image)
    edge = np.array([[0, 0, 60, 50], [58, 48, 60, 50]], np.float32)
    two = Prediction("x", (50, 60), np.array([0, 9]), ["a" * 90, "b"], None, edge, _picture=image)
    assert draw.draw(two).shape == image.shape


def shaped(image, *places, scores=None, labels=None, **more):
    """A prediction of rectangles as masks."""
    masks = np.zeros((len(places), *image.shape[:2]), bool)
    for mask, (x1, y1, x2, y2) in zip(masks, places, strict=True):
        mask[y1:y2, x1:x2] = True
    labels = np.zeros(len(places), int) if labels is None else np.array(labels)
    scores = None if scores is None else np.array(scores)
    return Prediction(
        "x", image.shape[:2], labels, ["a"] * len(places), scores,
        masks=masks, _picture=image, **more,
    )  # fmt: skip


def test_a_mask_is_tinted_and_its_rim_is_its_colour():
    image = picture(200, 300)
    drawn = draw.draw(shaped(image, (100, 60, 200, 150), labels=[1]))
    colour = np.array(pen.PALETTE[1])
    inside = np.s_[62:148, 102:198]
    tinted = np.round(0.55 * image[inside] + 0.45 * colour)
    assert drawn.shape == image.shape and np.abs(drawn[inside] - tinted).max() <= 1
    for rim in (drawn[60:62, 160:200], drawn[148:150, 100:200], drawn[60:150, 100:102]):
        assert (rim == colour).all()
    for beyond in (np.s_[:, 201:], np.s_[150:], np.s_[65:, :100]):  # the name stands above
        assert np.array_equal(drawn[beyond], image[beyond])
    corner = shaped(image, (100, 60, 200, 150), labels=[1])
    corner.masks[0, 90:, 140:] = False
    drawn = draw.draw(corner)
    assert np.array_equal(drawn[90:150, 140:200], image[90:150, 140:200])
    assert (drawn[90:150, 138:140] == colour).all() and (drawn[88:90, 140:200] == colour).all()


def test_touching_objects_of_a_class_have_different_shades():
    gray = np.full((200, 300, 3), 128, np.uint8)
    drawn = draw.draw(shaped(gray, *[(40 * i, 100, 40 * i + 40, 180) for i in range(6)]))
    colours = {tuple(drawn[150, 40 * i + 20]) for i in range(6)}
    rims = {tuple(drawn[150, 40 * i]) for i in range(6)}
    assert len(colours) == len(rims) == 6
    apart = draw.draw(shaped(gray, (0, 100, 40, 180), (40, 100, 80, 180), labels=[0, 1]))
    assert tuple(apart[150, 40]) == pen.PALETTE[1]  # the first of a class has its very colour


def test_of_masks_that_overlap_the_surest_is_seen_as_if_alone():
    image = picture(200, 300)
    places, labels = [(50, 80, 150, 180), (100, 100, 200, 190)], [0, 1]
    alone = [draw.draw(shaped(image, p, labels=[k])) for p, k in zip(places, labels, strict=True)]
    common = np.s_[130:178, 102:148]
    for scores, top in [([0.9, 0.5], 0), ([0.5, 0.9], 1)]:
        drawn = draw.draw(shaped(image, *places, scores=scores, labels=labels))
        assert np.array_equal(drawn[common], alone[top][common])
        assert not np.array_equal(drawn[common], alone[1 - top][common])


def test_masks_none_found_empty_and_at_the_edge():
    image = picture(120, 90)
    assert np.array_equal(draw.draw(shaped(image)), image)
    box = np.array([[20, 60, 70, 100]], np.float32)
    drawn = draw.draw(shaped(image, (0, 0, 0, 0), boxes=box, scores=[0.4]))
    assert (drawn[99, 20:70] == pen.PALETTE[0]).all()  # a thin box, since there are no pixels
    assert np.array_equal(drawn[65:98, 21:69], image[65:98, 21:69])
    whole = draw.draw(shaped(image, (0, 0, 90, 120)))
    assert (whole[[60, 118, 119], [0, 40, 40]] == pen.PALETTE[0]).all()
    assert not (whole[60, 40] == pen.PALETTE[0]).all()
    bare = shaped(image, (3, 3, 60, 60))
    bare.names = bare.labels = None
    assert draw.draw(bare).shape == image.shape


def test_png_round_trip():
    image = picture(7, 9)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(draw.png(image)))), image)
    assert guess(image)._repr_png_().startswith(b"\x89PNG")


def test_contact_sheet():
    pictures = [picture(8, 8), picture(300, 100), picture(28, 28)[..., 0], picture(1, 1)]
    captions = ["plain", Caption("right", True), Caption("wrong\nis 3", False), NOWHERE]
    sheet = contact_sheet(pictures, captions, 2)
    assert sheet.shape == (2 * 24 + 2 * (160 + 8 + 2 * 19) + 24, 2 * 24 + 2 * 160 + 24, 3)
    assert (sheet == pen.GREEN).all(2).any() and (sheet == pen.RED).all(2).any()
    assert contact_sheet(pictures[:1], ["a"], 9).shape[1] == 2 * 24 + 160
    with pytest.raises(ValueError, match="1 pictures but 0"):
        contact_sheet(pictures[:1], [])


def test_picture_grid():
    """Five pictures of 10×30 in three columns, twice as large, and a place that stays white."""
    pictures = [picture(10, 30) // 2 + i for i in range(4)] + [picture(10, 30)[..., 0] // 2]
    grid = picture_grid(pictures)
    assert grid.shape == (2 * 20 + 2, 3 * 60 + 2 * 2, 3)
    for i, one in enumerate(pictures):
        top, left = i // 3 * 22, i % 3 * 62
        expected = one if one.ndim == 3 else np.stack([one] * 3, 2)
        for y, x in ((0, 0), (1, 0), (0, 1), (1, 1)):
            assert np.array_equal(grid[top + y : top + 20 : 2, left + x : left + 60 : 2], expected)
    assert (grid[20:22] == 255).all() and (grid[:, 60:62] == 255).all()
    assert (grid[22:, 124:] == 255).all()
    assert picture_grid([picture(100, 80)] * 3, 1).shape == (304, 80, 3)
    for wrong in ([], [picture(8, 8), picture(8, 9)]):
        with pytest.raises(ValueError, match="one is meant"):
            picture_grid(wrong)


def test_long_names_are_cut_to_fit():
    font = fonts.font_for("abc...", 14)
    for width in (0, 5, 40, 100):
        short = pen.shorten("a very long name of a class indeed", font, width)
        assert font.getlength(short) <= width
    assert pen.shorten("abc", font, 100) == "abc"


def test_certainty_is_not_feigned():
    assert [pen.percent(s) for s in (1.0, 0.9999, 0.973, 0.0)] == [
        "100.0 %", ">99.9 %", "97.3 %", "0.0 %",
    ]  # fmt: skip


def test_plain_text_always_has_a_font(no_fonts):
    assert fonts.font_for("cat 97.3 %, >99.9 ...", 16) is not None
    assert fonts.font_for("", 16) is not None


def test_without_a_font_the_number_and_one_hint(no_fonts, caplog):
    with caplog.at_level(logging.WARNING, "boda"):
        text, font = fonts.label_font("고양이", 3, 14)
        assert text == "class 3" and fonts.label_font("강아지", 7, 14)[0] == "class 7"
        draw.draw(guess(picture(8, 8), names=("고양이", "개", "새")))
    assert [r.message for r in caplog.records] == [fonts.HINT]
    assert fonts.font_for("고양이", 14) is None and font.getlength(text) > 0


def test_missing_glyphs_are_noticed():
    for missing in (NOWHERE, "\U0010fffd", "\ud800"):
        assert fonts.font_for("a" + missing, 14) is None
    assert fonts.text_font("a\tb\nc\x00", "?", 14)[0] == "a b c"


def test_hangul_where_there_is_a_font():
    font = fonts.font_for("고양이", 20)
    if font is None:
        pytest.skip("no Hangul font on this computer")
    masks = {bytes(font.getmask(c)) for c in "고양이"}
    assert len(masks) == 3
    apart = unicodedata.normalize("NFD", "고양이")
    assert fonts.label_font(apart, 0, 20)[0] == "고양이"


def test_boda_font_comes_first(no_fonts, monkeypatch):
    import matplotlib

    file = f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSerif.ttf"
    monkeypatch.setenv("BODA_FONT", file)
    assert fonts.font_for("Кот", 14).getname()[0] == "DejaVu Serif"
    fonts._places.cache_clear()
    fonts._place_for.cache_clear()
    monkeypatch.setenv("BODA_FONT", "/no/such/font.ttf")
    assert fonts.font_for("cat", 14) is not None


def test_no_torch():
    code = "import sys, boda.draw; sys.exit(bool({'torch', 'matplotlib'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
