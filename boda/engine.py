"""The fit loop, over lightning-fabric (``boda.launching``).

Everything random follows from (seed, epoch) or (seed, step), so a run that was killed and resumed
ends with the same weights, to the byte on a CPU, as one that was not. Time is measured, not
guessed: with ``minutes`` the learning rate follows the clock.
"""

from __future__ import annotations

import contextlib
import math
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from boda.averaging import averaged
from boda.data.dataset import Batch, Pictures, mix
from boda.data.transforms import policies, random_table
from boda.errors import TrainingError
from boda.evaluating import measure
from boda.looking import Looks
from boda.machine import deterministic, stopping
from boda.options import Plan
from boda.progress import Progress
from boda.runs import Run
from boda.tasks import Method, Task

if TYPE_CHECKING:
    from lightning_fabric import Fabric

DRAW_EVERY = 0.1  # seconds between two pictures of the progress
SAVE_EVERY = 1.0  # seconds at least between two saves after epochs


@dataclass
class State:
    """Where a fit stands; with the weights and the optimizers it is all that ``--resume`` needs."""

    epoch: int = 0  # epochs finished
    batch: int = 0  # batches of the next epoch that are done
    step: int = 0
    seconds: float = 0.0
    best: float = -math.inf
    improved_epoch: int = 0  # the last that was better than all before
    loss_sum: float = 0.0
    pictures: int = 0  # seen in the unfinished epoch
    epoch_seconds: float = 0.0
    noted: dict[str, float] = field(default_factory=dict)  # sums over these pictures
    unmeasured: bool = False  # whether the last epoch ended without the figures that choose


class Engine:
    """Fits one method to one split of pictures, validating on another."""

    def __init__(
        self, run: Run, fabric: Fabric, plan: Plan, progress: Progress, began: float | None = None
    ) -> None:
        """``began`` is when the command did, on the monotonic clock: its minutes count from there."""
        self.run, self.fabric, self.plan, self.progress = run, fabric, plan, progress
        self.began = time.monotonic() if began is None else began
        self.state = State()
        self.share = 0.0  # of the plan that is done, as all processes see it
        self.extended = False  # whether a finished run is given more to do
        self.looks = Looks(plan)
        self.drawn = 0.0
        self.best: dict[str, Tensor] | None = None  # the network's weights at its best
        self.improved = self.unsaved = False  # since the last save

    def fit(self, method: Method, task: Task, train: Pictures, val: Pictures | None) -> None:
        """Fit until the plan is fulfilled; everything is saved in the run as it goes.

        Raises:
            KeyboardInterrupt: after Ctrl-C, once everything is saved.
            TrainingError: a loss that is not finite; memory that is not there.
        """
        self.task, self.train, self.val = task, train, val
        self.together = method.together
        order = method.order(train, self.plan.batch, self.plan.seed, 0)
        self.per_epoch = math.ceil(len(self._mine(order)) / self.plan.batch)
        self.method = method.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = averaged(method, self.plan.ema) if self.plan.ema else None
        self.frozen = method.frozen
        if self.plan.thaw:  # what thaws later has its place in the optimizers
            method.freeze(0)
            method.thawing = True
        wrapped = self.fabric.setup(self.method, *method.optimizers(self.plan.rate))
        self.wrapped, self.optimizers = wrapped[0], list(wrapped[1:])
        if self.average is not None:
            self.average.to(self.fabric.device)
        self.started = self.began
        with (
            torch.random.fork_rng(devices=[]),  # the person's own random numbers stay theirs
            deterministic(self.fabric.device),
            stopping() as stop,
        ):
            self.stop = stop
            self._restore()
            self.saved = time.monotonic()
            # An epoch that was cut short is closed, and there is always one: a run has weights.
            while not self._finished() or self.state.batch or not self.state.epoch:
                self._epoch()
        if self.unsaved:
            self._save()
        if self.fabric.is_global_zero:
            self.run.finish(self.state.seconds)

    @property
    def elapsed(self) -> float:
        """Seconds this fit has taken, those before a ``--resume`` included."""
        return time.monotonic() - self.started

    def done(self) -> float:
        """How much of the plan is done, 0 to 1."""
        if self.plan.minutes is not None:
            return min(1.0, self.elapsed / max(1e-9, 60 * self.plan.minutes - self.looks.seconds))
        assert self.plan.epochs is not None
        # Batches whose gradients still wait for others are parts of a step: they do not count yet.
        whole = self.state.step - self.state.batch % self.plan.accumulate
        return min(1.0, whole / (self.plan.epochs * self.per_epoch))

    def _middle(self) -> float:
        """Where in the plan the middle of this step lies: no step has the schedule's end, a rate of 0."""
        if self.plan.epochs is None:
            return self.share
        return self.share + self.plan.accumulate / (2 * self.plan.epochs * self.per_epoch)

    def _agree(self, *values: float) -> tuple[float, ...]:
        """The first process's values: what depends on a clock or a signal, all must decide alike."""
        return values if self.fabric.world_size == 1 else self.fabric.broadcast(values)

    def _mine(self, order: Tensor) -> Tensor:
        """This process's part of an order; all parts are equally long, or some would wait for ever."""
        world, rank = self.fabric.world_size, self.fabric.global_rank
        whole = len(order) // (world * self.together) * world * self.together
        if self.together == 1 or not whole:
            return order[: max(world, len(order) // world * world)][rank::world]
        return order[:whole].view(-1, world, self.together)[:, rank].flatten()

    def _finished(self) -> bool:
        state = self.state
        waited = state.epoch - state.improved_epoch
        if self.plan.patience and self.val is not None and waited >= self.plan.patience:
            self.progress.say(f"no progress in {waited} epochs: stopped early")
            return True
        (self.share,) = self._agree(self.done())
        return self.share >= 1 and not state.unmeasured

    def _epoch(self) -> None:
        """One pass over the training pictures, or what is left of it, then the validation."""
        state, plan = self.state, self.plan
        self.train.begin(state.epoch)
        self._thaw()
        order = self.method.order(self.train, plan.batch, plan.seed, state.epoch)
        version = state.epoch % plan.views if plan.views else state.epoch
        numbers = random_table(len(self.train), plan.seed, version)
        # Features are of augmented pictures already.
        policy = policies["none" if self.method.from_features else plan.augment]
        mine = self._mine(order)[state.batch * plan.batch :]
        clock = time.monotonic() - state.epoch_seconds
        self.wrapped.train()
        for batch in self.train.batches(mine, plan.batch):
            here = batch.to(self.fabric.device)
            calm = self.share >= 1 - plan.calm
            self.method.learn_as_used(calm)
            self._step(policy.augment(here, numbers[batch.index], calm))
            now = time.monotonic()
            state.epoch_seconds = now - clock
            if now - self.drawn > DRAW_EVERY:
                self.drawn = now
                self._draw()
            self.share, asked = self._agree(self.done(), self.stop.asked)
            if self._between_steps() and (asked or now - self.saved > plan.save_seconds):
                self._save()
                if asked:
                    raise KeyboardInterrupt(
                        f"stopped, everything is saved; go on with: boda fit --resume {self.run.path}"
                    )
            if plan.minutes is not None and self.share >= 1:
                break
        self._close_epoch()

    def _thaw(self) -> None:
        """Let more blocks learn, those next to the head first, until all do after ``thaw`` of the plan."""
        if self.plan.thaw:
            share = self._share_of_epochs()
            self.method.freeze(math.ceil(self.frozen * max(0.0, 1 - share / self.plan.thaw)))

    def _share_of_epochs(self) -> float:
        """How much is done, in whole epochs, so that a fit that is resumed within one goes on as it began."""
        return self.state.epoch / self.plan.epochs if self.plan.epochs else self.share

    def _step(self, batch: Batch) -> None:
        """Every optimizer's turn on one batch."""
        state, plan = self.state, self.plan
        torch.default_generator.manual_seed(mix(plan.seed, state.step, self.fabric.global_rank))
        factor = plan.factor(self._middle())
        last_part = self._between_steps(state.batch + 1)
        for turn, optimizer in enumerate(self.optimizers):
            if len(self.optimizers) > 1:
                _only_requires_grad(optimizer, self.optimizers)
            try:
                losses = self.wrapped(batch, turn)
                total = sum(losses.values(), torch.zeros((), device=self.fabric.device))
                with self._without_sync(last_part):
                    self.fabric.backward(total / plan.accumulate)
            except torch.OutOfMemoryError:
                raise TrainingError(self._what_would_fit(batch)) from None
            value = total.item()
            for name, noted in self.method.noted.items():
                state.noted[name] = state.noted.get(name, 0.0) + noted.item() * len(batch)
            self.method.noted.clear()
            if not math.isfinite(value):
                raise TrainingError(self._not_finite(losses, batch))
            if last_part:
                if plan.clip and not self._clipped(optimizer).isfinite():
                    raise TrainingError(self._not_finite(losses, batch, "the gradient"))
                for group in optimizer.param_groups:
                    group["lr"] = plan.rate * factor * group.get("rate_share", 1.0)
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
        if self.average is not None and last_part:
            self.average.update_parameters(self.method)
        state.step += 1
        state.batch += 1
        state.loss_sum += value * len(batch)
        state.pictures += len(batch)

    def _clipped(self, optimizer: Any) -> Tensor:
        """Limit the gradients' norm; returns what it was."""
        norm = self.fabric.clip_gradients(
            self.wrapped, optimizer, max_norm=self.plan.clip, error_if_nonfinite=False
        )
        assert norm is not None
        return norm

    def _between_steps(self, batch: int | None = None) -> bool:
        """Whether no gradients wait for more after that batch: they are not part of what is saved."""
        batch = self.state.batch if batch is None else batch
        return batch % self.plan.accumulate == 0 or batch == self.per_epoch

    def _without_sync(self, last_part: bool) -> Any:
        """Several processes share their gradients only with the last of the accumulated batches."""
        if last_part or self.fabric.world_size == 1:
            return contextlib.nullcontext()
        return self.fabric.no_backward_sync(self.wrapped)

    def _close_epoch(self) -> None:
        state = self.state
        row: dict[str, Any] = {
            "epoch": state.epoch + 1,
            "train_loss": state.loss_sum / max(1, state.pictures),
            "rate": self.plan.rate * self.plan.factor(self.share),
            "images_per_second": self._speed(),
        }
        row |= {
            f"train_{name}": each / max(1, state.pictures) for name, each in state.noted.items()
        }
        state.noted = {}
        state.epoch, state.batch, state.loss_sum, state.pictures = state.epoch + 1, 0, 0.0, 0
        state.epoch_seconds = 0.0
        kept: Any = self.average.module if self.average is not None else self.method
        # Without a validation the last weights are the best.
        chosen = self.val is not None and not self.method.keeps_last
        value = -math.inf if chosen else float(state.epoch)
        last = self.share >= 1
        (measured,) = self._agree(
            self.looks.due(state.epoch, self.elapsed, chosen=chosen, last=last)
        )
        state.unmeasured = chosen and not measured
        if self.val is not None and measured:
            clock = time.monotonic()
            task = self.task.of(kept)
            metrics = task.metrics(self.run.classes)
            # Without gradients twice the pictures fit in the same memory.
            figures = measure(kept, task, self.val, metrics, self.fabric, size=2 * self.plan.batch)
            self.looks.taken(time.monotonic() - clock, self.elapsed)
            row |= {f"val_{name}": figure for name, figure in figures.items()}
            if chosen:
                (value,) = self._agree(figures[self.task.headline])
                value = -value if self.task.smaller else value
        row |= {"steps": state.step, "seconds": self.elapsed}
        if value > state.best:
            state.improved_epoch = state.epoch
        # Of equal values the later wins: a small val is soon all right, while the network still learns.
        if value >= state.best and not state.unmeasured:
            state.best = value
            self.best = {name: t.detach().clone() for name, t in kept.net.state_dict().items()}
            self.improved = True
        self.unsaved = True
        if self.fabric.is_global_zero:
            self.run.add_history(row)
            if self.looks.shown(state.epoch, last=last):
                self._illustrate(kept)
        # Where an epoch takes no time, writing would take most of it: once a second is enough.
        if time.monotonic() - self.saved > SAVE_EVERY:
            self._save()
        self.progress.epoch(row, self.task.headline, last=self.done() >= 1)
        if remark := self.task.remark(row):
            self.progress.say(remark)

    def _illustrate(self, kept: Method) -> None:
        """A picture of what is made so far."""
        seen = self.train if self.val is None else self.val
        picture = self.task.of(kept).illustrate(kept, seen)
        if picture is not None:
            self.run.add_sample(self.state.epoch, picture)

    def _save(self) -> None:
        self.state.seconds = self.elapsed
        if self.fabric.is_global_zero:
            if self.improved and self.best is not None:
                self.run.save_weights(self.best)
            self.run.save_state(
                {
                    "state": asdict(self.state),
                    "model": self.method.state_dict(),
                    "best": self.best,
                    "average": self.average.state_dict() if self.average is not None else None,
                    "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
                }
            )
        self.saved, self.unsaved, self.improved = time.monotonic(), False, False

    def _restore(self) -> None:
        saved = self.run.load_state()
        if saved is None:  # new; from here on there is always something to go on with
            self._cut_history(0)
            self._save()
            return
        self.state = State(**saved["state"])
        self.started = self.began - self.state.seconds
        self.method.load_state_dict(saved["model"])
        if self.average is not None:
            self.average.load_state_dict(saved["average"])
        for optimizer, values in zip(self.optimizers, saved["optimizers"], strict=True):
            optimizer.load_state_dict(values)
        if self.extended:  # patience begins anew
            self.state.improved_epoch = self.state.epoch
        # The weights may be of an epoch that was saved no further before a crash.
        self.best = saved["best"]
        if self.best is not None and self.fabric.is_global_zero:
            self.run.save_weights(self.best)
        self._cut_history(self.state.epoch)

    def _cut_history(self, epochs: int) -> None:
        if self.fabric.is_global_zero:
            self.run.cut_history(epochs)

    def _draw(self) -> None:
        state, plan = self.state, self.plan
        done = self.done()
        if plan.minutes is not None:
            remaining = max(0.0, 60 * plan.minutes - self.elapsed)
        else:
            remaining = self.elapsed * (1 - done) / max(done, 1e-9)
        self.progress.fitting(
            done=done,
            epoch=state.epoch + 1,
            epochs=plan.epochs,
            loss=state.loss_sum / max(1, state.pictures),
            speed=self._speed(),
            remaining=remaining,
        )

    def _speed(self) -> float:
        """Pictures a second in this epoch, over all processes."""
        return self.fabric.world_size * self.state.pictures / max(1e-9, self.state.epoch_seconds)

    def _not_finite(self, losses: dict[str, Tensor], batch: Batch, what: str = "the loss") -> str:
        terms = ", ".join(f"{name} = {loss.item():g}" for name, loss in losses.items())
        files = [self.train.samples[int(i)].source for i in batch.index.tolist()[:8]]
        more = f" and {len(batch.index) - 8} more" if len(batch.index) > 8 else ""
        return (
            f"{what} is not finite in epoch {self.state.epoch + 1}, step {self.state.step + 1}: {terms}. "
            f"The pictures of that batch: {', '.join(files)}{more}. "
            "Try a smaller --lr, --set clip=1 or --precision 32."
        )

    def _what_would_fit(self, batch: Batch) -> str:
        """Halve the batch until it fits, and say so."""
        size = len(batch)
        while size > 1:
            size //= 2
            if self.fabric.device.type == "cuda":
                torch.cuda.empty_cache()
            try:
                part = batch.first(size)
                self.fabric.backward(sum(self.wrapped(part, 0).values(), torch.zeros(())))
            except torch.OutOfMemoryError:
                continue
            return (
                f"not enough memory for batches of {len(batch)} pictures; {size} fit. "
                f"Use --batch {size}, with --set accumulate={len(batch) // size} for the same steps."
            )
        return "not enough memory for a single picture. Use a smaller --size or another --device."


def _only_requires_grad(optimizer: Any, optimizers: list[Any]) -> None:
    """In an adversary's turn the other's parameters do not require gradients."""
    for other in optimizers:
        for group in other.param_groups:
            for parameter in group["params"]:
                parameter.requires_grad_(other is optimizer)
