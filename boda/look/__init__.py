"""The inside of a network: layers and their cost, feature maps, the arithmetic of one value, gradients.

Everything here works on a copy: the network, its gradients and PyTorch's random numbers stay as they are.
"""

from boda.look.arithmetic import Arithmetic, arithmetic
from boda.look.backward import Backward, backward
from boda.look.features import feature_maps, grid, layer_names
from boda.look.neuron import explain_loss, neuron
from boda.look.summary import Row, Summary, summary

__all__ = [
    "Arithmetic",
    "Backward",
    "Row",
    "Summary",
    "arithmetic",
    "backward",
    "explain_loss",
    "feature_maps",
    "grid",
    "layer_names",
    "neuron",
    "summary",
]
