"""What EdgeMove's figures say about inputs that the paper does not print; benchmarks/fit_edgemove.py shows how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..scenarios import Inferred

# The client is a phone on one Wi-Fi 6 router; only the places of servers are simulated, and the dynamics of their GPUs
# are not (Sec. 5.1): no rate falls with distance, nobody else is on a server.
PAPER: Mapping[str, Any] = {
    "near_mbps": 600.0,  # a router's goodput, not fitted
    "edge_snr_db": 30.0,
    "load_drift": 0.0,
    "burst_factor": 1.0,
    "cloud_mbps": 150.0,
}
# By those of devices: without a pool in its stem ResNet-50 would reach 85 % of CINIC-10 within 2.4 epochs, with it 7.7.
PAPER_MODELS: Mapping[str, str] = {"resnet50_32": "resnet50_32_pool", "resnet50_speech": "resnet50_speech_pool"}
INFERRED = Inferred(
    fields=PAPER,
    models=PAPER_MODELS,
    fitted="Table 1's Device-Cloud (the cloud's rate), epochs to target accuracy (ResNet-50's stem)",
    checked="the rest of Table 1 and its order, Figs. 2, 6, 8, 9 and 10",
)
CITY: Mapping[str, Any] = {"edge_snr_db": 5.0, "load_drift": 1.0, "burst_factor": 3.0}  # of scenarios named -city
