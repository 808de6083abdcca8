"""The report: one page that is whole HTML, loads nothing, escapes everything and misses nothing."""

import json
import os
import re
import subprocess
import sys
import unicodedata
from html.parser import HTMLParser

import numpy as np
import pytest

from boda.files import atomic_json, atomic_write
from boda.metrics.classification import Classification
from boda.metrics.detection import Detection, Found, Truth
from boda.report import write_report
from boda.report.charts import nice_ticks
from boda.report.parts import minutes, percent, wilson

VOID = {"meta", "img", "br", "path", "rect", "circle", "polyline"}
NAMES = ["고양이", "<script>alert(1)</script>", "\"><img src=x onerror='x'>", "{{body}}"]


class Page(HTMLParser):
    """Reads a page strictly: every tag is closed, in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.text, self.attributes = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}> closes {self.open}"

    def handle_data(self, data):
        if not {"script", "style"} & set(self.open):
            self.text.append(data)


def evaluation(names, n=400, seed=0):
    rng = np.random.default_rng(seed)
    scores, labels = rng.dirichlet(np.ones(len(names)), n), rng.integers(0, len(names), n)
    metric = Classification(names)
    metric.update(scores, labels)
    return {
        "split": "test",
        "samples": n,
        "metrics": metric.compute(),
        "per_class": metric.per_class(),
        "confusion": metric.confusion().tolist(),
        "calibration": metric.calibration(),
    }


def record(names):
    return {
        "task": "classify",
        "model": "lenet5",
        "classes": names,
        "run": "runs/내 실험",
        "seconds": 125.0,
        "epochs": 3,
        "command": "boda fit classify '내 자료' --seed 0",
        "versions": {"torch": "2.13.0"},
        "defaults": {"size": {"value": [32, 32], "reason": "8 < 32 & gray"}},
        "data": {"root": "내 자료", "splits": {"train": 90, "val": 10}, "class_counts": [5] * 4},
        "check": [
            {"severity": "warning", "file": "a<b>.png", "line": 3, "why": "twice", "fix": "x"}
        ],
    }


def rows(n=3):
    return [
        {"epoch": e + 1, "train_loss": 1 / (e + 1), "val_loss": 1.2 / (e + 1), "rate": 0.1,
         "val_accuracy": 0.9 - abs(e - 1) / 10, "seconds": 1.0, "images_per_second": 900.0}
        for e in range(n)
    ]  # fmt: skip


def gallery(names, n=3, size=(8, 8, 3)):
    rng = np.random.default_rng(0)
    return [
        {"image": rng.integers(0, 256, size, np.uint8), "source": f"a/{names[1]}/{i}.png",
         "truth": names[0], "predicted": names[1], "score": i / n}
        for i in range(n)
    ]  # fmt: skip


def written(tmp_path, *arguments):
    path = tmp_path / "보고서.html"
    write_report(path, *arguments)
    text = path.read_text("utf-8")
    return text, Page(text)


def test_whole_page(tmp_path):
    text, page = written(
        tmp_path, record(NAMES), rows(), evaluation(NAMES), gallery(NAMES)
    )  # fmt: skip
    said = " ".join(page.text)
    for word in ("Choices", "Data", "Learning", "Classes", "Confusion", "Calibration", "Mistakes"):
        assert f"<h2>{word}</h2>" in text
    assert "boda export 'runs/내 실험'" in said and "2 min 5 s" in said and "2.13.0" in said
    assert "32 × 32" in said and "8 < 32 & gray" in said and "a<b>.png:3" in said
    assert "Epoch 2 was the best on validation, 90.0 % accuracy" in "".join(page.text)
    for name in NAMES:
        assert name in said


def test_nothing_foreign_gets_through(tmp_path):
    text, page = written(tmp_path, record(NAMES), rows(), evaluation(NAMES), gallery(NAMES))
    assert page.tags.count("script") == 1 and "onerror" not in {a[1] for a in page.attributes}
    assert "alert(1)</script>" not in text and "{{" not in text.replace("{{body}}", "")
    images = [value for tag, name, value in page.attributes if name == "src"]
    assert len(images) == 3 and all(value.startswith("data:image/png;base64,") for value in images)
    links = [value for _, name, value in page.attributes if name == "href"]
    assert links and all(value.startswith("#") for value in links)
    assert (
        not re.search(r"(https?:)?//[a-z]", text) and "url(" not in text and "@import" not in text
    )
    assert "default-src 'none'" in text


def test_script_is_the_one_the_policy_names(tmp_path):
    import base64
    import hashlib

    text, _ = written(tmp_path, {}, [], None, [])
    script = re.search(r"<script>(.*?)</script>", text, re.S).group(1)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in text


def test_the_surest_mistake_comes_first(tmp_path):
    text, _ = written(tmp_path, {}, [], None, gallery(["a", "b"], 5))
    shown = re.findall(r"(\d+) %<br>is", text)
    assert shown == ["80", "60", "40", "20", "0"]


@pytest.mark.parametrize("missing", ["record", "history", "evaluation", "gallery", "all"])
def test_missing_parts(tmp_path, missing):
    parts = {
        "record": record(NAMES),
        "history": rows(),
        "evaluation": evaluation(NAMES),
        "gallery": gallery(NAMES),
    }
    nothing = {"record": {}, "history": [], "evaluation": None, "gallery": []}
    parts = nothing if missing == "all" else {**parts, missing: nothing[missing]}
    text, _page = written(tmp_path, *parts.values())
    assert "<h1>" in text
    for key in ("metrics", "per_class", "confusion", "calibration", "split", "samples"):
        if parts["evaluation"]:
            less = {k: v for k, v in parts["evaluation"].items() if k != key}
            written(tmp_path, parts["record"], parts["history"], less, parts["gallery"])
    for key in parts["record"]:
        less = {k: v for k, v in parts["record"].items() if k != key}
        written(tmp_path, less, parts["history"], parts["evaluation"], parts["gallery"])


@pytest.mark.parametrize(
    "history",
    [
        [{"epoch": 1, "train_loss": 0.5}],
        [{"epoch": 1, "train_loss": float("nan"), "val_accuracy": None, "note": "<i>"}],
        [{"epoch": e, "train_loss": 0.0, "val_loss": 0.0, "val_accuracy": 1.0} for e in (1, 2)],
        rows(5000),
    ],
)
def test_odd_histories(tmp_path, history):
    text, _ = written(tmp_path, {}, history, None, [])
    assert not re.search(r"<svg.*nan.*</svg>", text) and len(text) < 200_000


def test_absent_classes_and_numpy_values(tmp_path):
    names = ["a", "b", "c"]
    metric = Classification(names)
    metric.update(np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0]]), np.array([0, 1]))
    found = {
        "samples": np.int64(2),
        "metrics": {"accuracy": np.float32(1), "nll": float("inf")},
        "per_class": metric.per_class(),
        "confusion": metric.confusion(),
        "calibration": metric.calibration(),
    }
    _text, page = written(tmp_path, {"classes": names}, [], found, [])
    said = " ".join(page.text)
    assert "100.0 %" in said and "No class was taken for another" in said and "None" not in said


def test_many_classes_tell_pairs_not_a_matrix(tmp_path):
    names = [f"종류 {i}" for i in range(60)]
    text, _page = written(tmp_path, {"classes": names}, [], evaluation(names, 3000), [])
    assert 'class="matrix' not in text and "30 most frequent mistakes among 60 classes" in text


def test_size_is_bounded(tmp_path):
    """The worst case: 1,000 classes with long names, 200 large noisy pictures, 5,000 complaints."""
    names = [f"class {i} " + "한" * 300 for i in range(1000)]
    found = record(names)
    found["data"]["class_counts"] = list(range(1000))
    found["check"] = [{"why": f"reason {i}", "file": f"{i}.png", "fix": ""} for i in range(5000)]
    wrong = gallery(names, 200, (480, 640, 3))
    text, page = written(tmp_path, found, rows(5000), evaluation(names, 2000), wrong)
    assert page.tags.count("img") == 40
    assert len(text.encode()) < 4_000_000
    sizes = [
        int(v) for tag, name, v in page.attributes if tag == "img" and name in ("width", "height")
    ]
    assert max(sizes) == 160


def test_decomposed_hangul_and_broken_paths(tmp_path):
    apart = unicodedata.normalize("NFD", "고양이")
    wrong = gallery(["a", "b"], 1)
    wrong[0].update(source="\udcff\udcfe.png", truth=apart, predicted="\x00\x1b")
    text, _ = written(tmp_path, {}, [], None, wrong)
    assert "고양이" in text and apart not in text and "\x00" not in text


def test_next_and_check_in_other_shapes(tmp_path):
    given = {"next": [("<Go>", "boda compare a b")], "check": {"problems": []}, "data": "digits"}
    text, page = written(tmp_path, given, [], None, [])
    assert "boda compare a b" in text and "&lt;Go&gt;" in text and "nothing to complain" in text
    counts = {"train": {"a": 3, "b": 4}, "test": {"a": 1, "b": 1}}
    text, page = written(tmp_path, {"data": {"class_counts": counts}}, [], None, [])
    assert "The largest class, b, has 4 samples" in "".join(page.text)


def test_an_interrupted_write_leaves_the_old_report(tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("old")

    def fail(*_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="no space"):
        write_report(path, {}, [], None, [])
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_atomic_files(tmp_path):
    path = tmp_path / ("한" * 80 + ".json")  # 245 bytes: no room for a suffix
    atomic_json(path, {"이름": np.arange(2), "n": np.float32(0.5), "where": tmp_path})
    assert json.loads(path.read_text("utf-8")) == {"이름": [0, 1], "n": 0.5, "where": str(tmp_path)}
    assert "이름" in path.read_text("utf-8")
    with pytest.raises(ValueError):
        atomic_json(path, float("nan"))
    with pytest.raises(TypeError):
        atomic_json(path, object())
    atomic_write(path, b"new")
    assert path.read_bytes() == b"new" and len(list(tmp_path.iterdir())) == 1
    if os.name == "posix":
        umask = os.umask(0)
        os.umask(umask)
        assert path.stat().st_mode & 0o777 == 0o666 & ~umask


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (0.98, 0.99), (1e-9, 3e-9), (5, 5), (0, 0), (-2, 7)]
)
def test_ticks_enclose_and_are_few(low, high):
    ticks = nice_ticks(low, high)
    assert ticks[0] <= low + 1e-12 and ticks[-1] >= high - 1e-12 and 2 <= len(ticks) <= 8


def test_words_for_numbers():
    assert [percent(v) for v in (1, 0.99996, 0.5, None, float("nan"))] == [
        "100.0 %", "&gt;99.9 %", "50.0 %", "–", "–",
    ]  # fmt: skip
    assert [minutes(v) for v in (3.21, 42, 59.9, 200, 7500, None)] == [
        "3.2 s", "42 s", "1 min 0 s", "3 min 20 s", "2 h 5 min", "",
    ]  # fmt: skip
    # statsmodels' proportion_confint(8, 10, method="wilson")
    assert wilson(0.8, 10) == pytest.approx((0.4901625, 0.9433178), abs=1e-6)


def test_no_torch_and_no_matplotlib():
    code = "import sys, boda.report; sys.exit(bool({'torch', 'matplotlib'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# ---------------------------------------------------------------- boxes


def detector(names, n=60, seed=0):
    """What ``boda evaluate`` tells of a detector that finds most, misses some and invents others."""
    from boda.tasks.detect.task import Detect

    rng = np.random.default_rng(seed)
    metric = Detection(names)
    for _ in range(n):
        corner = rng.uniform(0, 200, (3, 2))
        boxes, labels = np.c_[corner, corner + 60], rng.integers(0, len(names), 3)
        found = rng.random(3) < 0.7
        said = np.where(rng.random(3) < 0.2, rng.integers(0, len(names), 3), labels)[found]
        invented = np.array([[300.0, 300, 340, 340]])
        metric.update(
            Found(np.r_[boxes[found], invented], rng.random(found.sum() + 1), np.r_[said, 0]),
            Truth(boxes, labels),
        )
    return {"split": "val", "samples": n, "metrics": metric.compute(), **Detect().details(metric)}


def boxes_record(names):
    return {**record(names), "task": "detect", "headline": "map", "model": "yolo"}


def section(text, name):
    return text.split(f'<section id="{name}">')[1].split("</section>")[0]


def test_a_detectors_page(tmp_path):
    found = detector(NAMES)
    text, page = written(tmp_path, boxes_record(NAMES), [], found, [])
    said = " ".join(page.text)
    assert "Calibration" not in said and all(f"<h2>{w}</h2>" in text for w in ("Classes", "Curves"))
    for word in ("mAP, IoU 0.50 to 0.95", "mAP at IoU 0.75", "recall with 10 boxes", "boxes"):
        assert word in said
    rows = re.findall(r"<tr><th scope=\"row\" data-v.*?</tr>", section(text, "classes"))
    first = found["per_class"][NAMES[0]]
    assert len(rows) == 2 * len(NAMES)  # COCO's, then VOC's
    keys = [float(v) for v in re.findall(r'<td data-v="([^"]*)"', rows[0])]
    expected = [first[k] for k in ("ap", "ap50", "ap75", "ar", "support")]
    assert keys == pytest.approx(expected, rel=1e-5)
    voc = [found["voc"][rule][NAMES[1]] for rule in ("11-point", "all-point")]
    keys = [float(v) for v in re.findall(r'<td data-v="([^"]*)"', rows[len(NAMES) + 1])]
    assert keys == pytest.approx(voc, rel=1e-5)
    means = [np.mean(list(found["voc"][rule].values())) for rule in found["voc"]]
    foot = re.findall(r'<td data-v="([^"]*)"', text.split("<tfoot>")[1].split("</tfoot>")[0])
    assert [float(v) for v in foot] == pytest.approx(means, rel=1e-5)
    assert page.tags.count("script") == 1 and "onerror" not in {a[1] for a in page.attributes}


def test_missed_and_invented_have_words_of_their_own(tmp_path):
    names = ["cat", "dog"]
    matrix = [[5, 1, 7], [0, 3, 2], [4, 0, 0]]
    found = {**detector(names), "confusion": matrix}
    text, _ = written(tmp_path, boxes_record(names), [], found, [])
    part = section(text, "confusion")
    told = (
        "<b>cat</b> missed 7 times; <b>cat</b> where there is none 4 times; <b>dog</b> missed twice"
    )
    assert told in part and part.count("background") > 2
    cells = re.findall(r"<td class=\"([^\"]*)\"[^>]*>(\d*)</td>", part)
    assert [n for _, n in cells] == ["5", "1", "7", "", "3", "2", "4", "", ""]
    assert "hit" not in cells[-1][0]  # nothing where nothing is: nobody can count that
    found["confusion"] = [[5, 0, 0], [0, 3, 0], [0, 0, 0]]
    text, _ = written(tmp_path, boxes_record(names), [], found, [])
    assert "Nothing was missed, invented or taken for another." in section(text, "confusion")


@pytest.mark.parametrize("count", [1, 8, 9])
def test_curves_of_few_and_of_many_classes(tmp_path, count):
    names = [f"class {i}" for i in range(count)]
    found = detector(names, 200)
    text, _ = written(tmp_path, boxes_record(names), [], found, [])
    part = section(text, "curves")
    lines = re.findall(r'<polyline class="(\w+)" points="([^"]*)"/>', part)
    points = [[tuple(map(float, p.split(","))) for p in line.split()] for _, line in lines]
    for line in points:  # all within the axes
        assert all(46 <= x <= 296 and 12 <= y <= 262 for x, y in line)
    if count <= 8:
        assert [kind for kind, _ in lines] == [f"c{i}" for i in range(count)]
        curve = found["curves"][names[0]]
        assert points[0][3] == pytest.approx(
            (46 + 250 * curve["recall"][3], 262 - 250 * curve["precision"][3]), abs=0.06
        )
        # The dot: what boda predict would tell, counted anew from the confusion's own sums.
        told = [i for i, score in enumerate(curve["scores"]) if score >= 0.25][-1]
        x, y = map(float, re.search(r'<circle class="c0" cx="(.*?)" cy="(.*?)"', part).groups())
        assert x == pytest.approx(46 + 250 * curve["recall"][told], abs=0.06)
        assert y == pytest.approx(262 - 250 * curve["precision"][told], abs=0.06)
    else:
        assert [kind for kind, _ in lines] == ["faint"] * 9 + ["c0"] and "<circle" not in part
        for i, (_, y) in enumerate(points[-1]):  # the mean of the best precisions from a recall on
            best = [
                max(
                    (p for r, p in zip(c["recall"], c["precision"], strict=True) if r >= i / 100),
                    default=0,
                )
                for c in found["curves"].values()
            ]
            assert y == pytest.approx(262 - 250 * np.mean(best), abs=0.06)


def test_a_detectors_gallery_keeps_its_order_and_its_words(tmp_path):
    wrong = [
        {"image": np.zeros((300, 400, 3), np.uint8), "source": f"{i}.png", "truth": f"{i} there",
         "predicted": f"{i} missed, 1 not there", "score": i / 5}
        for i in (1, 4, 2)
    ]  # fmt: skip
    text, page = written(tmp_path, boxes_record(["a"]), [], detector(["a"]), wrong)
    part = section(text, "mistakes")
    assert re.findall(r"<b>(\d) missed, 1 not there</b><br>(\d) there", part) == [
        ("1", "1"), ("4", "4"), ("2", "2"),
    ]  # fmt: skip
    assert "Dashed white" in part and "is <b" not in part
    assert ("img", "width", "288") in page.attributes


def test_a_smaller_error_is_a_better_one(tmp_path):
    history = [
        {"epoch": e, "train_loss": 1.0, "val_nme": v} for e, v in ((1, 0.3), (2, 0.1), (3, 0.2))
    ]
    about = {"task": "landmarks", "headline": "nme", "model": "x"}
    text, page = written(tmp_path, about, history, None, [])
    said = "".join(page.text)
    assert "Epoch 2 was the best" in said and "0.100 normalized mean error" in said
    assert '<p class="big">0.100</p>' in text


def test_other_tasks_columns(tmp_path):
    table = {"left eye": {"nme": 0.0312, "support": 9}, "nose": {"nme": None, "support": 0}}
    found = {"metrics": {"nme": 0.03}, "per_class": table}
    text, _ = written(tmp_path, {"task": "landmarks", "headline": "nme"}, [], found, [])
    part = section(text, "classes")
    assert (
        "mean error" in part and "0.031" in part and "precision" not in part and "bar" not in part
    )


def test_the_classes_in_boxes(tmp_path):
    about = {"task": "detect", "classes": ["a"], "data": {"class_counts": {"a": 170}}}
    text, _ = written(tmp_path, about, [], None, [])
    assert "The one class, a, has 170 boxes." in text


def test_the_colours_of_classes_of_pixels(tmp_path):
    names = ["background", "차, 버스", "<tree>"]
    about = {"task": "segment", "classes": names, "data": {"class_counts": [700, 200, 100]}}
    found = {"confusion": [[690, 9, 1], [0, 200, 0], [0, 0, 100]]}
    wrong = [{"truth": "most of it: a for b", "predicted": "1.0 % of the pixels wrong"}]
    text, _ = written(tmp_path, about, [], found, wrong)
    part = section(text, "mistakes")
    assert ">■</span> 차, 버스" in part and ">■</span> &lt;tree&gt;." in part
    assert part.count("■") == 2  # what is left over has no colour
    assert "The largest class, background, has 700 pixels" in text
    told = section(text, "confusion")
    assert "in 9 pixels" in told and "in 1 pixel." in told and "times" not in told
