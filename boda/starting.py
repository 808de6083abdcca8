"""What a fit begins with: somebody's weights, and what of them stays as it is."""

from __future__ import annotations

import dataclasses
from typing import Any

from boda import features, freezing
from boda.data.prepare import Preparation
from boda.errors import UsageError
from boda.freezing import Freeze
from boda.models import parts, weights
from boda.models.weights import Weights
from boda.options import FitOptions, Plan
from boda.progress import Progress
from boda.runs import Run
from boda.tasks import Method
from boda.trained import build, find_weights

THAW = 0.5  # of the fit, where blocks thaw gradually


def start_from(method: Method, found: Weights, record: dict[str, Any], progress: Progress) -> None:
    """Fill the network, and take over the normalization that its weights expect."""
    weights.fill(method.net, found)
    preparation = weights.normalized(Preparation.from_dict(record["preparation"]), found.layout)
    record["preparation"] = preparation.to_dict()
    method.set_normalization(preparation)
    record["weights"] = {
        "file": str(found.file),
        "layout": found.layout.name,
        "new": found.new,
        "left_out": found.left_out,
    }
    progress.say(found.tell())
    whose = "these pictures measure" if found.layout.mean is None else "they expect"
    progress.say(f"normalized as {whose}: {preparation}")
    if changes := found.tell_changes():
        progress.say(changes)


def freeze(
    method: Method, plan: Plan, options: FitOptions, pictures: int, record: dict[str, Any]
) -> Freeze:
    """Freeze what is to keep its weights; the plan and the record say so."""
    of = len(parts.blocks(method.net))
    weights = options.weights is not None
    chosen = freezing.choose(options.freeze, of, pictures, weights, method.tunes)
    method.freeze(chosen.blocks)
    if chosen.gradual:
        plan.thaw = plan.thaw or THAW
        if plan.devices * plan.nodes > 1:
            raise UsageError(
                "--freeze gradual works on one device: leave --devices and --nodes away."
            )
    if chosen.blocks and features.wanted(method, plan) and not plan.views:
        plan.views = features.views(pictures, plan.augment)
    record["freeze"], record["plan"] = dataclasses.asdict(chosen), dataclasses.asdict(plan)
    return chosen


def as_it_stands(run: Run, progress: Progress) -> Method:
    """The method with the weights it was stopped with, or those it starts from."""
    method, saved = build(run.record), run.load_state()
    if saved is not None:
        method.load_state_dict(saved["model"])
    elif "weights" in run.record:  # stopped before the first save
        record = run.record
        found = find_weights(
            record["model"], record["weights"]["file"], progress, record["options"]
        )
        start_from(method, found, record, progress)
    return method
