"""The task from end to end: pairs, pairs made of pictures, and two domains."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

import boda
from boda import api, models, runtime
from boda.data.dataset import Batch, Pictures
from boda.data.prepare import Preparation
from boda.data.readers import read
from boda.errors import DataError, UsageError
from boda.progress import Progress
from boda.runs import Run
from boda.tasks.translate import derived
from boda.tasks.translate.cyclegan import Config as TwoWays
from boda.tasks.translate.cyclegan import CycleGAN
from boda.tasks.translate.domains import arranged
from boda.tasks.translate.image_pool import ImagePool
from boda.tasks.translate.pix2pix import Config, Pix2PixMethod
from boda.types import Sample
from tests.data.translation_sets import SIDE, apart, negative, picture, save, side_by_side

QUIET = Progress(quiet=True)
PREPARATION = Preparation(SIDE, SIDE, 3, "stretch")


def some(count: int = 4) -> Tensor:
    """(count, 3, SIDE, SIDE) uint8."""
    return torch.from_numpy(
        np.stack([picture(i) for i in range(count)]).transpose(0, 3, 1, 2).copy()
    )


def batch(count: int = 4) -> Batch:
    images = some(count)
    index = torch.arange(count)
    return Batch(images, index % 2, index, targets=255 - images)


def pix2pix(**config: Any) -> Pix2PixMethod:
    torch.manual_seed(0)
    return Pix2PixMethod(models.create("pix2pix", width=4), PREPARATION, Config(**config))


def cyclegan(**config: Any) -> CycleGAN:
    torch.manual_seed(0)
    net = models.create("cyclegan", width=4)
    for part in (net.generator, net.back):  # which change nothing at first
        torch.nn.init.normal_(part.head.weight, std=0.2)
    return CycleGAN(net, PREPARATION, TwoWays(**config))


def test_gray_pairs_leave_nothing_but_the_colour_to_be_found() -> None:
    pairs, images = derived.pairs_of("gray"), some()
    given, wanted = pairs.given(images), pairs.wanted(images)
    back = pairs.picture(pairs.whole(given, wanted))
    assert (255 * back - images).abs().max() < 1  # the truth leads back to the picture
    shown = pairs.shown(images)
    assert (shown.amax(1) - shown.amin(1)).max() < 2e-3  # what is given has no colour
    # Of whatever lightness the generator speaks, the picture keeps its own.
    other = wanted.clone()
    other[:, 0] = 0.3
    assert torch.equal(pairs.whole(given, other), pairs.whole(given, wanted))


def test_edges_are_dark_where_brightness_changes() -> None:
    images = torch.full((1, 3, 16, 16), 40, dtype=torch.uint8)
    images[..., 8:] = 200
    (lines,) = derived.pairs_of("edges").given(images)
    assert lines.shape == (3, 16, 16) and (lines[:, :, 7:9] == -1).all()
    assert lines[:, :, :7].min() > 0.999 and lines[:, :, 9:].min() > 0.999


def test_small_pairs_are_pillows() -> None:
    given = derived.pairs_of("small").given(some(1))[0]
    large = Image.fromarray(picture(0))
    small = large.resize((SIDE // 4, SIDE // 4), Image.Resampling.BICUBIC)
    again = np.asarray(small.resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    apart_by = (given.permute(1, 2, 0).numpy() + 1) * 127.5 - again
    assert np.abs(apart_by).max() <= 2.5  # Pillow rounds in between


@pytest.mark.parametrize("loss", ["non-saturating", "least-squares"])
def test_pix2pix_minimizes_the_papers_sum(loss: str) -> None:
    method = pix2pix(loss=loss, l1=50.0, adversarial=2.0).eval()
    some_batch = batch()
    assert some_batch.targets is not None
    given, true = (x.float() / 127.5 - 1 for x in (some_batch.images, some_batch.targets))
    made = method.net.generator(given)
    false = method.net.discriminator(torch.cat([given, made], 1))
    real = method.net.discriminator(torch.cat([given, true], 1))
    losses = method(some_batch, 0)
    assert losses["l1"].item() == pytest.approx(50 * (made - true).abs().mean().item(), rel=1e-5)
    if loss == "least-squares":
        expected = ((false - 1) ** 2).mean() / 2, ((real - 1) ** 2 + false**2).mean() / 4
    else:
        ones, zeros = torch.ones_like(false), torch.zeros_like(false)
        cross = F.binary_cross_entropy_with_logits
        expected = cross(false, ones), (cross(real, ones) + cross(false, zeros)) / 2
    assert losses["adversarial"].item() == pytest.approx(2 * expected[0].item(), rel=1e-4)
    assert method(some_batch, 1)["discriminator"].item() == pytest.approx(
        expected[1].item(), rel=1e-4
    )


def test_the_discriminator_judges_what_was_made_of_this_batch() -> None:
    """Of the generator's own turn, although it has learned since; of another batch, anew."""
    method = pix2pix().eval()
    method(batch(), 0)
    before = pix2pix().eval()(batch(), 1)["discriminator"]
    with torch.no_grad():
        for parameter in method.net.generator.parameters():
            parameter.mul_(1.5)
    kept = method(batch(), 1)["discriminator"]
    anew = method(batch(), 1)["discriminator"]
    assert torch.equal(kept, before) and not torch.equal(anew, before)


def test_cyclegan_minimizes_the_papers_sum() -> None:
    method = cyclegan().eval()
    some_batch = batch()
    a, b = (some_batch.images[some_batch.labels == i].float() / 127.5 - 1 for i in (0, 1))
    net = method.net
    made_a, made_b = net.back(b), net.generator(a)
    expected = {
        "adversarial": ((net.judge_b(made_b) - 1) ** 2).mean() / 2
        + ((net.judge_a(made_a) - 1) ** 2).mean() / 2,
        "cycle": 5  # their 10, to a loss that lacks our half
        * ((net.back(made_b) - a).abs().mean() + (net.generator(made_a) - b).abs().mean()),
        "identity": 2.5 * ((net.generator(b) - b).abs().mean() + (net.back(a) - a).abs().mean()),
    }
    losses = method(some_batch, 0)
    assert losses.keys() == expected.keys()
    for name, value in expected.items():
        assert losses[name].item() == pytest.approx(value.item(), rel=1e-4), name
    judged = method(some_batch, 1)
    real, false = net.judge_a(a), net.judge_a(made_a)
    assert judged["judge_a"].item() == pytest.approx(
        ((real - 1) ** 2 + false**2).mean().item() / 4, rel=1e-4
    )


@pytest.mark.parametrize("through", [1.0, 0.0, 0.25])
def test_what_comes_back_teaches_the_way_there_by_its_share(through: float) -> None:
    """The slopes of the cycle, against its definition: of both ways, and of what was made as a constant."""
    method = cyclegan(through=through, cycle=1.0).eval()
    some_batch, net = batch(), method.net
    a, b = (some_batch.images[some_batch.labels == i].float() / 127.5 - 1 for i in (0, 1))
    parameters = [*net.generator.parameters(), *net.back.parameters()]
    for parameter in parameters:  # it begins as the identity
        torch.nn.init.normal_(parameter, std=0.1)
    found = torch.autograd.grad(method(some_batch, 0)["cycle"], parameters)
    slopes = []
    for constant in (False, True):
        made_a, made_b = net.back(b), net.generator(a)
        if constant:
            made_a, made_b = made_a.detach(), made_b.detach()
        apart = (net.back(made_b) - a).abs().mean() + (net.generator(made_a) - b).abs().mean()
        slopes.append(torch.autograd.grad(apart, parameters))
    for mine, both, given in zip(found, *slopes, strict=True):
        true = through * both + (1 - through) * given
        torch.testing.assert_close(mine, true, rtol=1e-3, atol=1e-5)


def test_light_that_changes_slowly_brings_its_settings() -> None:
    pictures: Any = None
    assert CycleGAN.learned(pictures, {"slow": False}, ["A", "B"]) == {}
    chosen = CycleGAN.learned(pictures, {"slow": True}, ["A", "B"])
    assert TwoWays(**{name: default.value for name, default in chosen.items()}).through < 1
    with pytest.raises(UsageError, match="from 0 to 1"):
        TwoWays(through=1.5)


def test_discriminators_look_through_noise() -> None:
    """Its deviation, in both turns, on real and on made pictures; the cycle stays without."""
    plain, noisy = cyclegan().eval(), cyclegan(noise=0.25).eval()
    seen: list[torch.Tensor] = []
    noisy.net.judge_b.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    some_batch = batch()
    a, b = (some_batch.images[some_batch.labels == i].float() / 127.5 - 1 for i in (0, 1))
    torch.manual_seed(0)
    assert torch.equal(noisy(some_batch, 0)["cycle"], plain(some_batch, 0)["cycle"])
    noisy(some_batch, 1)
    for given, true in zip(seen, (noisy.net.generator(a), b, noisy.net.generator(a)), strict=True):
        noise = given - true
        assert 0.2 < noise.std() < 0.3 and abs(noise.mean()) < 0.03
    assert not torch.equal(seen[0], seen[2]), "it is drawn anew"


def test_a_direction_is_one_of_the_generators() -> None:
    there, back = cyclegan().eval(), cyclegan(direction="b2a").eval()
    images = some(2)
    x = images.float() / 127.5 - 1
    with torch.inference_mode():
        torch.testing.assert_close(there.output(images), (there.net.generator(x) + 1) / 2)
        torch.testing.assert_close(back.output(images), (back.net.back(x) + 1) / 2)
        came = there.returned(there.output(images))
        torch.testing.assert_close(came, (there.net.back(there.net.generator(x)) + 1) / 2)
    assert (there.source, back.source) == (0, 1)


def test_the_pool_gives_back_what_a_plain_list_would() -> None:
    pool, plain = ImagePool(5, (2, 2)), []
    for step in range(12):
        made = torch.full((3, 3, 2, 2), 0.0) + torch.arange(3).view(3, 1, 1, 1) / 9 + step / 40
        torch.manual_seed(step)
        got = pool.exchange(made)
        torch.manual_seed(step)
        for one, mine in zip(made, got, strict=True):
            if len(plain) < 5:
                plain.append(one)
                expected = one
            elif torch.rand(()) < 0.5:
                place = int(torch.randint(5, ()))
                expected, plain[place] = plain[place], one
            else:
                expected = one
            torch.testing.assert_close(mine, expected, atol=1.001 / 255, rtol=0)
    assert torch.equal(ImagePool(0, (2, 2)).exchange(made), made)


def test_an_epoch_takes_both_domains_in_turn() -> None:
    labels = [0] * 5 + [1] * 3
    samples = [Sample(str(i), f"{i}.png", label=n, _image=picture(i)) for i, n in enumerate(labels)]
    pictures = Pictures(samples, PREPARATION, np.zeros((8, 3, SIDE, SIDE), np.uint8))
    order = cyclegan().order(pictures, 4, seed=0, epoch=1)
    assert order.tolist() == cyclegan().order(pictures, 4, seed=0, epoch=1).tolist()
    assert order.tolist() != cyclegan().order(pictures, 4, seed=0, epoch=2).tolist()
    assert pictures.labels[order].tolist() == [0, 1] * 5
    assert sorted(order[::2].tolist()) == list(range(5))
    assert set(order[1::2].tolist()) == {5, 6, 7}  # each once, then two again
    with pytest.raises(UsageError, match="even number"):
        CycleGAN.refuse({}, 2, 5)


def test_data_is_arranged_for_what_learns_from_it(tmp_path: Path) -> None:
    pairs = read(side_by_side(tmp_path / "pairs"), task="translate")
    turned = arranged(pairs, {"pairs": "data", "direction": "b2a"})
    for one, other in zip(pairs.splits["train"], turned.splits["train"], strict=True):
        assert (one.image == other.target_image).all() and (one.target_image == other.image).all()
    two = arranged(pairs, {"direction": "a2b"})
    assert two.classes == ["A", "B"] and len(two.splits["train"]) == 16
    assert not any(sample.has_target for sample in two.splits["train"])
    for sample in two.splits["test"]:
        assert (sample.target_image == 255 - sample.image).all()
    with pytest.raises(UsageError, match="leave --pairs away"):
        arranged(pairs, {"pairs": "gray", "direction": "a2b"})
    domains = read(apart(tmp_path / "apart"), task="translate")
    assert arranged(domains, {"direction": "b2a"}) is domains
    with pytest.raises(DataError, match="--pairs gray"):
        arranged(domains, {"pairs": "data", "direction": "a2b"})
    bare = read(tmp_path / "pairs", "pictures", "translate")
    with pytest.raises(DataError, match="trainA"):
        arranged(bare, {"direction": "a2b"})


def fit(data: Path, out: Path, **how: Any) -> Run:
    settings = {"width": "4", **how.pop("settings", {})}
    given = {"epochs": 2, "size": str(SIDE), "batch": 4, **how}
    return boda.fit("translate", data, out=out, progress=QUIET, settings=settings, **given)


def test_the_whole_loop_with_pairs(tmp_path: Path) -> None:
    """Fit, evaluate, predict and export; the figures are those of what is predicted."""
    data = side_by_side(tmp_path / "data")
    run = fit(data, tmp_path / "run", settings={"direction": "b2a"})
    told = api.evaluate(run.path)
    figures = told["metrics"]
    assert told["split"] == "test" and told["samples"] == 3
    given, true = negative(8), picture(8)
    prediction = run.predict(given)
    assert prediction.image is not None and prediction.image.shape == given.shape
    apart_by = [
        np.abs(run.predict(negative(i)).image.astype(float) - picture(i)).mean() / 255
        for i in (8, 9, 10)
    ]
    assert figures["l1"] == pytest.approx(np.mean(apart_by), abs=2e-3)
    assert figures["input_l1"] == pytest.approx(
        np.mean([np.abs(255 - 2.0 * picture(i)).mean() / 255 for i in (8, 9, 10)]), abs=1e-4
    )
    assert {"ssim", "psnr", "input_ssim"} <= figures.keys() and true.shape == given.shape
    path, difference = api.export(run.path)
    assert difference <= 1e-4
    again = runtime.load(path).predict(np.repeat(np.repeat(given, 2, 0), 3, 1))
    assert again.image is not None and again.image.shape == (2 * SIDE, 3 * SIDE, 3)
    assert list((run.path / "samples").iterdir())


@pytest.mark.parametrize("pairs", ["gray", "edges", "small"])
def test_pairs_are_made_of_any_pictures(pairs: str, tmp_path: Path) -> None:
    for number in range(8):
        save(tmp_path / "data" / f"{number}.png", picture(number))
    run = fit(tmp_path / "data", tmp_path / "run", pairs=pairs, epochs=1)
    figures = api.evaluate(run.path)["metrics"]
    assert run.record["config"]["pairs"] == pairs and figures["input_l1"] > 0
    assert ("mean_ab_error" in figures) == (pairs == "gray")
    _, difference = api.export(run.path)
    assert difference <= 1e-4


def test_pairs_are_for_a_network_that_makes_them(tmp_path: Path) -> None:
    data = apart(tmp_path / "data")
    with pytest.raises(UsageError, match="pairs"):
        fit(data, tmp_path / "run", model="cyclegan", pairs="gray")
    with pytest.raises(UsageError, match="Did you mean gray"):
        fit(data, tmp_path / "run", pairs="grey")


def test_two_domains_in_both_directions(tmp_path: Path) -> None:
    """One run; of the other direction, other pictures are measured and made."""
    data = apart(tmp_path / "data")
    run = fit(data, tmp_path / "run", model="cyclegan", epochs=1, settings={"width": "4"})
    assert run.record["classes"] == ["A", "B"] and "val_cycle_l1" in run.history()[-1]
    there = api.evaluate(run.path)["metrics"]
    back = api.evaluate(run.path, settings={"direction": "b2a"})["metrics"]
    assert {"ssim", "input_ssim", "cycle_l1"} <= there.keys() == back.keys()
    assert there["l1"] != back["l1"] and there["input_l1"] == pytest.approx(back["input_l1"])
    one = run.predict(picture(50)).image
    other = api.predictor(run.path, settings={"direction": "b2a"}).predict(picture(50)).image
    assert one is not None and other is not None and (one != other).any()
    file, difference = api.export(run.path, tmp_path / "back.onnx", {"direction": "b2a"})
    exported = api.predictor(file).predict(picture(50)).image
    assert difference < 1e-4 and exported is not None
    assert np.abs(exported.astype(int) - other).max() <= 1
    with pytest.raises(UsageError, match="Free are: direction"):
        api.evaluate(run.path, settings={"cycle": "1"})


def test_a_fit_without_truth_tells_what_comes_back(tmp_path: Path) -> None:
    data = apart(tmp_path / "data", test=2)
    for path in (data / "testB").iterdir():
        path.rename(path.with_name(f"other{path.name}"))
    run = fit(data, tmp_path / "run", model="cyclegan", epochs=1, settings={"width": "4"})
    figures = api.evaluate(run.path)["metrics"]
    assert set(figures) == {"cycle_l1", "cycle_ssim"}


@pytest.mark.parametrize("model", ["pix2pix", "cyclegan"])
def test_crashed_and_resumed_gives_the_same_bytes(
    tmp_path: Path, interrupted: Callable[..., tuple[Run, Run]], model: str
) -> None:
    """In the middle of the second epoch: both optimizers, the averages, and the pool of pictures."""
    data = side_by_side(tmp_path / "data", 10)
    extra = {"width": "4", "pool": "3"} if model == "cyclegan" else {}
    how = {"model": model, "settings": {"save_seconds": "0", **extra}}
    whole, resumed = interrupted(lambda out: fit(data, out, **how), tmp_path, batch=1)
    rows = [[row["train_loss"] for row in each.history()] for each in (whole, resumed)]
    assert rows[0] == rows[1] and len(rows[0]) == 2
