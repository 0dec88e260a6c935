"""DistrEdge as data: what it can do, and what it cannot, with the one line that says so."""

from __future__ import annotations

FILE = "model: lenet5\ndevices: [nano, tx2]\nmbps: [50, 20]\n"
PLAN = {"schema": 1, "kind": "spatial", "model": "lenet5", "devices": ["xavier-1", "xavier-2", "nano-1", "nano-2"],
        "cuts": [4], "splits": [[1, 2, 3]], "notes": {}}  # fmt: skip
PLANS = [
    ({"cuts": [3, 2, 4]}, "cuts must increase"),
    ({"splits": [[1, 2, 300]]}, "within 0.."),
    ({"devices": ["one", "one", "two", "three"]}, "named twice"),
    ({"devices": ["one", "two"], "splits": [[3]]}, "has 4"),
]
