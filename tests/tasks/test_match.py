"""``match``: batches of P×K, three methods, splits by identity, leaks, and the way to a gallery."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import boda
from boda import engine, models, tasks
from boda.data.dataset import Batch, Pictures
from boda.data.prepare import Preparation
from boda.data.survey import Survey
from boda.errors import DataError, UsageError
from boda.ops.metric_losses import TripletLoss, supcon_loss
from boda.ops.turning import turned
from boda.progress import Progress
from boda.runs import Run
from boda.tasks.match.order import people_order
from boda.tasks.match.siamese import signed_distances
from boda.tasks.match.whitened import TURN
from boda.types import Sample
from tests.data.identity_sets import drawings, zipped
from tests.gallery.people import portrait, save

QUIET = Progress(quiet=True)
SMALL = {"width": "0.125", "dimension": "16", "grid": "2", "ema": "0"}


def fit(data: Path, out: Path, settings: dict[str, str] | None = None, **options) -> Run:
    chosen = {"epochs": 2, "size": "16", "model": "embedding-conv4", "batch": 16, **options}
    return boda.fit(
        "match", data, out=out, progress=QUIET, settings={**SMALL, **(settings or {})}, **chosen
    )


def draw_people(folder: Path, people: range, each: int = 4) -> Path:
    for person in people:
        save(folder, f"사람{person:02}", person, range(each))
    return folder


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_people(tmp_path_factory.mktemp("people"), range(20))


@pytest.fixture(scope="module")
def run(people: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return fit(people, tmp_path_factory.mktemp("runs") / "match", epochs=8)


# The order of an epoch.


def test_a_batch_shows_each_of_its_people_several_times() -> None:
    labels = torch.tensor([person for person in range(10) for _ in range(5 + person % 3)])
    order = people_order(labels, 4, 16, seed=3, epoch=1)
    assert len(order) % 16 == 0
    shown: Counter[int] = Counter()
    for group in order.view(-1, 4):
        assert len(set(labels[group].tolist())) == 1 and len(set(group.tolist())) == 4
        shown[int(labels[group[0]])] += 1
    for batch in order.view(-1, 16)[:2]:  # the first round: nobody comes twice
        assert len(set(labels[batch].tolist())) == 4
    assert max(shown.values()) - min(shown.values()) <= 1 and len(shown) == 10


def test_an_order_follows_from_seed_and_epoch() -> None:
    labels = torch.arange(7).repeat_interleave(6)
    one, again = (people_order(labels, 3, 6, 1, 2) for _ in range(2))
    assert torch.equal(one, again)
    others = [people_order(labels, 3, 6, 1, 3), people_order(labels, 3, 6, 2, 2)]
    assert all(len(o) == len(one) and not torch.equal(o, one) for o in others)


def test_over_the_epochs_all_pictures_come_equally_often() -> None:
    labels = torch.arange(6).repeat_interleave(7)
    seen = torch.cat([people_order(labels, 3, 9, 0, epoch) for epoch in range(200)])
    counts = torch.bincount(seen, minlength=42).double()
    assert counts.min() > 0.8 * counts.mean() and counts.max() < 1.2 * counts.mean()


def test_few_pictures_are_repeated_and_single_ones_left_out() -> None:
    labels = torch.tensor([0, 0, 1, 1, 1, 1, 2])
    order = people_order(labels, 4, 8, 0, 0).view(-1, 4)
    assert sorted(labels[order[:, 0]].tolist()) == [0, 1]
    assert {tuple(sorted(labels[row].tolist())) for row in order} == {(0,) * 4, (1,) * 4}


def test_several_processes_share_whole_groups() -> None:
    class Fabric:
        world_size = 2

    order = people_order(torch.arange(9).repeat_interleave(4), 4, 8, 0, 0)
    parts = []
    for rank in range(2):
        one = engine.Engine.__new__(engine.Engine)
        one.fabric, one.together = Fabric(), 4
        one.fabric.global_rank = rank
        parts.append(one._mine(order))
    assert len(parts[0]) == len(parts[1]) and len(parts[0]) % 4 == 0
    assert sorted(torch.cat(parts).tolist()) == sorted(order[: 2 * len(parts[0])].tolist())
    for part in parts:
        assert all(len(set((group // 4).tolist())) == 1 for group in part.view(-1, 4))


# The losses.


def batch_of(people: int, each: int, side: int, channels: int) -> Batch:
    generator = torch.Generator().manual_seed(0)
    shape = (people * each, channels, side, side)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    labels = torch.arange(people).repeat_interleave(each)
    return Batch(images, labels, torch.arange(len(labels)))


@pytest.mark.parametrize("mining", ["all", "hard", "semi-hard"])
def test_the_loss_is_composed_of_its_parts(mining: str) -> None:
    torch.manual_seed(0)
    kind = tasks.method("metric")
    net = models.create("embedding-conv4", width=0.125)
    config = kind.Config(loss="triplet", mining=mining, margin=0.3, reducer="mean")
    method = kind(net, Preparation(16, 16, 1, mean=(0.5,), std=(0.2,)), config)
    batch = batch_of(4, 3, 16, 1)
    vectors = method.output(batch.images)
    assert vectors.norm(dim=1).tolist() == pytest.approx([1.0] * 12, abs=1e-5)
    found = method(batch)["triplet"]
    expected = TripletLoss("squared-euclidean", mining, "mean", 0.3)(vectors, batch.labels)
    assert found.item() == pytest.approx(expected.loss.item(), rel=1e-3, abs=1e-6)
    assert 0 <= method.noted["active"].item() <= 1
    method.config.loss = "supcon"
    expected = supcon_loss(vectors, batch.labels, 0.1)
    assert method(batch)["supcon"].item() == pytest.approx(expected.item(), rel=1e-3)


def test_an_episode_is_the_softmax_over_prototypes() -> None:
    torch.manual_seed(0)
    kind = tasks.method("prototypical")
    net = models.create("prototypical-conv4", width=0.125)
    method = kind(net, Preparation(16, 16, 1, mean=(0.5,), std=(0.2,)), kind.Config(shots=2)).eval()
    batch = batch_of(3, 4, 16, 1)
    vectors = method.output(batch.images).detach().double().view(3, 4, -1)
    losses = []
    for person in range(3):
        for query in vectors[person, 2:]:
            far = [float(((query - known[:2].mean(0)) ** 2).sum()) / 0.2 for known in vectors]
            losses.append(far[person] + math.log(sum(math.exp(-d) for d in far)))
    assert method(batch)["episode"].item() == pytest.approx(np.mean(losses), rel=1e-4)


def test_the_siamese_distance_is_kochs_score() -> None:
    generator = np.random.default_rng(0)
    h, other = generator.random((4, 30)), generator.random((5, 30))
    alpha = generator.normal(size=30)
    found = signed_distances(alpha * h, alpha * other)
    for i in range(4):
        for j in range(5):
            score = sum(alpha[k] * abs(h[i, k] - other[j, k]) for k in range(30))
            assert found[i, j] == pytest.approx(1 - score, abs=1e-12)
    assert tasks.task("match").of(object()).measure is not signed_distances


@pytest.mark.parametrize(
    "bad",
    [{"loss": "tripplet"}, {"mining": "hardest"}, {"pictures": 1}, {"temperature": 0.0}],
)
def test_settings_out_of_range_are_refused(bad: dict) -> None:
    with pytest.raises(UsageError):
        tasks.method("metric").Config(**bad)


# The defaults.


def test_defaults_follow_the_pictures() -> None:
    task = tasks.task("match")
    drawn = task.defaults(
        Survey(2720, 136, 105, 105, True, 20, 20, format="omniglot", drawn=True), None
    )
    values = {name: default.value for name, default in drawn.items()}
    assert values["model"] == "embedding-conv4" and values["size"] == "48"
    assert values["augment"] == "digits" and values["rotations"] is True
    assert values["batch"] == 32 * values["pictures"]
    faces = task.defaults(Survey(400, 40, 112, 92, True, 10, 10, format="identities"), None)
    assert faces["size"].value == "64x48" and faces["rotations"].value is False
    assert faces["augment"].value == "digits" and faces["optimizer"].value == "muon"
    assert faces["model"].value == "embedding-conv4-described"
    many = task.defaults(Survey(9000, 900, 112, 92, True, 10, 10, format="identities"), None)
    assert many["model"].value == "embedding-conv4"
    photos = task.defaults(Survey(400, 40, 480, 640, False, 10, 10), None)
    assert photos["model"].value == "embedding-resnet20-strided"
    assert task.defaults(Survey(400, 40, 64, 64, True, 10, 10), "siamese-koch")["size"].value == 105


# A fit, from the split to the gallery.


def test_people_are_known_that_were_never_seen(run: Run) -> None:
    record = run.record
    assert record["split"]["identities"] == {"train": 16, "val": 4}
    assert len(record["classes"]) == 16 and len(record["data"]["validated"]) == 4
    assert not set(record["classes"]) & set(record["data"]["validated"])
    metrics = record["metrics"]
    assert metrics["accuracy"] > 0.5 and metrics["auc"] > 0.7  # by chance 0.25 and 0.5
    assert {"accuracy_interval", "eer", "recall_at_1", "pixels_accuracy"} <= metrics.keys()
    page = run.report.read_text()
    assert "Recognition" in page and "identities" in page


def test_a_prediction_is_a_vector(run: Run, people: Path, boda) -> None:
    picture = people / "사람00" / "0.png"
    status, out, err = boda("predict", run.path, picture, "--json")
    assert status == 0, err
    (told,) = json.loads(out)["predictions"]
    assert len(told["embedding"]) == 16
    assert math.hypot(*told["embedding"]) == pytest.approx(1, abs=1e-5)
    status, out, _ = boda("predict", run.path, picture)
    assert "a vector of 16 numbers" in out


def test_the_exported_file_gives_the_same_vector(run: Run, people: Path, tmp_path: Path) -> None:
    file, difference = boda.export(run.path, tmp_path / "match.onnx")
    assert difference <= 1e-4
    pictures = sorted((people / "사람01").iterdir())
    for one, two in zip(
        boda.predict(run.path, pictures), boda.predict(file, pictures), strict=True
    ):
        np.testing.assert_allclose(one.embedding, two.embedding, atol=1e-4)


def test_descriptions_are_whitened_within_people(people: Path, tmp_path: Path) -> None:
    """Of the training pictures and their mirrors what is kept varies within people by about 1."""
    few = {"width": "0.125", "dimension": "16", "grid": "2", "kept": "24", "ema": "0"}
    how = {"epochs": 1, "size": "16", "batch": 16, "model": "embedding-conv4-described"}
    run = boda.fit("match", people, out=tmp_path / "run", progress=QUIET, settings=few, **how)
    assert [stage["name"] for stage in run.record["stages"]] == [
        "gradient descent",
        "whitening",
    ]
    trained = run.trained()
    net, method = trained.method.net, trained.method
    who = set(run.record["classes"])
    rows: dict[str, list[np.ndarray]] = {}
    for folder in people.iterdir():
        for file in sorted(folder.iterdir()) if folder.name in who else ():
            picture = trained.preparation(np.asarray(Image.open(file).convert("RGB")))
            for name, seen in (
                (folder.name, picture),
                (f"{folder.name} in a mirror", picture[:, ::-1]),
            ):
                images = torch.from_numpy(seen.transpose(2, 0, 1)[None].copy())
                with torch.inference_mode():
                    shades = net.descriptions(method.normalize(images))[0]
                    rows.setdefault(name, []).append(((shades - net.mean0) @ net.map0)[0].numpy())
    assert len(rows) == 2 * len(who)
    off = np.concatenate([np.array(each) - np.mean(each, 0) for each in rows.values()])
    every = np.concatenate(list(rows.values()))
    np.testing.assert_allclose(every.mean(0), 0, atol=1e-2 * every.std())
    within = off.T @ off / len(off)
    # The axes are those of the covariance within; the ridge makes small variances smaller than 1.
    np.testing.assert_allclose(within, np.diag(np.diag(within)), atol=1e-2)
    variances = np.diag(within)
    assert (variances < 1).all() and variances.max() > 0.8
    file, difference = boda.export(run.path, tmp_path / "match.onnx")
    assert difference <= 1e-4 and file.exists()
    # A vector is the mean of six views, so a mirror changes nothing; without them it is the picture's.
    x = method.normalize(images)
    sides = [x, turned(x, TURN), turned(x, -TURN)]
    with torch.inference_mode():
        mean = sum(net(view) + net(view.flip(3)) for view in sides)
        torch.testing.assert_close(method.output(images), mean / mean.norm(dim=1, keepdim=True))
        torch.testing.assert_close(method.output(images.flip(3)), method.output(images))
        method.config.turned = False
        torch.testing.assert_close(method.output(images), net(x))


def test_a_gallery_knows_who_was_added(run: Run, tmp_path: Path, boda, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    draw_people(tmp_path / "new", range(40, 52), each=3)
    for arguments in (
        ["gallery", "create", "people.db", "--run", run.path, "--far", 0.2],
        ["gallery", "import", "people.db", "new"],
    ):
        status, _, err = boda(*arguments)
        assert status == 0, err
    Image.fromarray(portrait(41, 0)).save("someone.png")
    status, out, err = boda("gallery", "identify", "people.db", "someone.png", "--json")
    assert status == 0, err
    assert "사람41" in out


def test_crashed_and_resumed_gives_the_same_bytes(
    people: Path, tmp_path: Path, interrupted
) -> None:
    """In the middle of the second epoch; the share of active triplets is the same too."""
    how = {"settings": {"loss": "triplet", "mining": "random", "save_seconds": "0"}}
    whole, resumed = interrupted(lambda out: fit(people, out, **how), tmp_path)
    rows = [[row["train_active"] for row in r.history()] for r in (whole, resumed)]
    assert rows[0] == rows[1] and len(rows[0]) == 2 and all(0 < share <= 1 for share in rows[0])


def test_somebody_in_two_splits_is_refused(tmp_path: Path, boda) -> None:
    draw_people(tmp_path / "data" / "train", range(8))
    draw_people(tmp_path / "data" / "test", range(7, 10))
    command = ["fit", "match", tmp_path / "data", "--epochs", 1, "--size", 16, "--batch", 8]
    command += ["--model", "embedding-conv4", "--out", tmp_path / "run"]
    command += [word for name, value in SMALL.items() for word in ("--set", f"{name}={value}")]
    status, _, err = boda(*command)
    assert status == 2 and "1 identity is in both train and test: '사람07'" in err
    assert not (tmp_path / "run").exists()
    status, _, err = boda(*command, "--drop", "--json")
    assert status == 0, err
    about = Run.open(tmp_path / "run").record
    assert about["check"]["dropped"] == {"test": 4}


def test_other_people_can_validate(people: Path, tmp_path: Path) -> None:
    draw_people(tmp_path / "val", range(30, 34))
    run = fit(people, tmp_path / "run", val=str(tmp_path / "val"), epochs=1)
    assert run.record["split"]["identities"] == {"train": 20, "val": 4}
    assert run.record["data"]["validated"] == [f"사람{n}" for n in range(30, 34)]
    draw_people(tmp_path / "same", range(18, 24))
    with pytest.raises(DataError, match="2 identities are in both train and val"):
        fit(people, tmp_path / "other", val=str(tmp_path / "same"), epochs=1)


def test_who_was_learned_is_not_asked_about(run: Run, tmp_path: Path) -> None:
    """Those that the weights were chosen by are left out too."""
    draw_people(tmp_path / "more", range(16, 26))
    with pytest.raises(DataError, match="4 identities are in this data and what the network was"):
        boda.evaluate(run.path, tmp_path / "more")
    draw_people(tmp_path / "same", range(4))
    with pytest.raises(DataError, match="nothing is left to measure on"):
        boda.evaluate(run.path, tmp_path / "same", drop=True)
    told = boda.evaluate(run.path, tmp_path / "more", drop=True)
    assert told["samples"] == 6 * 4 and told["episodes"]["across"]["ways"] == 6
    assert all(0 <= value <= 1 for value in told["roc"]["true_accept"])


def test_listed_pairs_are_asked_as_they_are(run: Run, tmp_path: Path) -> None:
    """The AUC over the list is that of the predictions' vectors, by a plain loop."""
    lines = ["2\t2"]
    for fold in (0, 2):
        first, second = f"P{fold}", f"P{fold + 1}"
        lines += [f"{first}\t1\t2", f"{second}\t2\t3"]
        lines += [f"{first}\t1\t{second}\t1", f"{first}\t2\t{second}\t3"]
    for person in range(4):
        folder = tmp_path / "lfw" / f"P{person}"
        folder.mkdir(parents=True)
        for number in range(1, 4):
            picture = Image.fromarray(portrait(60 + person, number))
            picture.save(folder / f"P{person}_{number:04}.png")
    (tmp_path / "pairs.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    told = boda.evaluate(run.path, tmp_path)
    scores: dict[bool, list[float]] = {True: [], False: []}
    for line in lines[1:]:
        words = line.split("\t")
        one, other = (words[0], words[1]), (words[-2] if len(words) == 4 else words[0], words[-1])
        vectors = [
            run.predict(tmp_path / "lfw" / name / f"{name}_{int(number):04}.png").embedding
            for name, number in (one, other)
        ]
        scores[one[0] == other[0]].append(float(vectors[0].astype(float) @ vectors[1]))
    wins = [a > b for a in scores[True] for b in scores[False]]
    assert len(wins) == 16 and told["metrics"]["auc"] == pytest.approx(np.mean(wins))


def test_turned_characters_are_others_to_learn_from(tmp_path: Path) -> None:
    zipped(tmp_path / "images_background_small1.zip", drawings({"Greek": 6, "Latin": 6}, each=4))
    run = fit(tmp_path, tmp_path / "run", epochs=1)
    assert run.record["defaults"]["rotations"]["value"] is True
    train, val = run.record["split"]["identities"].values()
    assert train == 4 * (12 - val) == len(run.record["classes"])
    assert any(name.endswith("@90") for name in run.record["classes"])
    assert not any("@" in name for name in run.record["data"]["validated"])
    resumed = boda.fit(resume=run.path, epochs=2, progress=QUIET)
    assert len(resumed.history()) == 2
    plain = fit(tmp_path, tmp_path / "plain", {"rotations": "no"}, epochs=1)
    assert len(plain.record["classes"]) == 12 - val


def test_a_batch_needs_two_people(people: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="give 8 or more"):
        fit(people, tmp_path / "run", batch=6)
    assert not (tmp_path / "run").exists()


def test_mistakes_show_both(run: Run) -> None:
    task = tasks.task("match")
    preparation = Preparation(16, 16, 1, "letterbox")
    samples = [
        Sample(str(i), f"memory:{i}", identity=name, _image=np.full((16, 16, 3), 20 * i, np.uint8))
        for i, name in enumerate(["a", "a", "b", "b", "c"])
    ]
    images = np.stack([preparation(s.image).transpose(2, 0, 1) for s in samples])
    pictures = Pictures(samples, preparation, images, "match")
    vectors = np.array([[1, 0], [0, 1], [0.9, 0.1], [0.1, 1], [1, 0.01]])
    rows = task.mistakes([], vectors, pictures, 9)
    # c is alone: nothing could be right about it, but others may be taken for it.
    assert {row["source"] for row in rows} == {f"memory:{i}" for i in range(4)}
    assert rows[0]["source"] == "memory:0" and rows[0]["predicted"] == "c"
    assert [row["score"] for row in rows] == sorted((r["score"] for r in rows), reverse=True)
    first = rows[0]["image"]
    assert first.shape == (16, 36, 3) and (first[:, :16] == 0).all() and (first[:, 20:] == 80).all()
