"""Starts lightning-fabric: the device, the precision and the other processes of a fit.

With ``boda.engine``, which it is made for, the only files that know it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from boda.machine import choose_device, choose_precision
from boda.options import Plan

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def launch(plan: Plan) -> Fabric:
    """Fabric for the plan's device, precision and number of processes; starts the other processes."""
    import logging

    from lightning_fabric import Fabric

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it tells what we tell
    device = choose_device(plan.device)
    fabric = Fabric(
        accelerator=device,
        devices=plan.devices,
        num_nodes=plan.nodes,
        strategy="ddp" if plan.devices * plan.nodes > 1 else "auto",
        **_precision(choose_precision(plan.precision, device), device),
    )
    fabric.launch()
    return fabric


def _precision(name: str, device: str) -> dict[str, Any]:
    """What Fabric is given for it: mixed precision that leaves a batch's coordinates as they are.

    Fabric's own would round every floating number of a batch to bfloat16 before the network sees
    any: an edge at 200.6 pixels would be learned at 201.
    """
    from lightning_fabric.plugins import MixedPrecision

    class Computing(MixedPrecision):
        def convert_input(self, data: Any) -> Any:
            return data

    if name == "32":
        return {"precision": "32-true"}
    mixed: Any = {"bf16": "bf16-mixed", "16": "16-mixed"}[name]
    return {"plugins": [Computing(mixed, device)]}
