"""What L2S's paper does not print of its machines and networks, inferred from what it and its first author did.

``benchmarks/fit_l2s.py`` fits and judges the numbers; ``splitgym-eval --paper l2s`` tells what becomes of the paper's
claims. The batch size, P^c and the cards are printed (Sec. V-A) and the same with either inputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..scenarios import Inferred

PAPER: Mapping[str, Any] = {
    "device": "tx2-pytorch-measured",
    "image_bytes": 4,  # a batch is a float32 tensor when PyTorch's data loader hands it over
    "backward": 1.36,
    "update_bytes": 28,  # plain SGD that zeroes, adds up and applies gradients in kernels of their own
}
# The paper's reference [34] and not torchvision's, with which the first pool would be the best cut in Fig. 1.
MODELS: Mapping[str, str] = {"alexnet": "alexnet_2012"}
INFERRED = Inferred(
    fields=PAPER,
    models=MODELS,
    fitted="TX2 delays by L2S's first author, backward passes of Pascal cards, the choice of AlexNet to Fig. 1",
    checked="Figs. 8 and 10-17",
)
