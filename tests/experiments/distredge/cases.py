"""DistrEdge as data: what it can do, and what it cannot, with the one line that says so."""

from __future__ import annotations

FILE = "model: lenet5\ndevices: [nano, tx2]\nmbps: [50, 20]\n"
TYPES = {"xavier-1": "xavier", "xavier-2": "xavier", "nano-1": "nano", "nano-2": "nano"}
PLAN = {"schema": 2, "kind": "spatial", "model": "lenet5", "types": TYPES, "devices": list(TYPES), "cuts": [4],
        "splits": [[1, 2, 3]], "notes": {}}  # fmt: skip
PLANS = [
    ({"cuts": [3, 2, 4]}, "cuts must increase"),
    ({"splits": [[1, 2, 300]]}, "within 0.."),
    ({"devices": ["one", "one", "two", "three"]}, "named twice"),
    (
        {"devices": ["xavier-1", "nano-1"], "types": {"xavier-1": "xavier", "nano-1": "nano"}, "splits": [[3]]},
        "devices is xavier-1, nano-1, allowed: xavier-1, xavier-2, nano-1, nano-2, in this order",
    ),
    ({"devices": list(reversed(TYPES))}, "devices is nano-2, nano-1, xavier-2, xavier-1, allowed: xavier-1, "),
    (
        {"devices": ["tx2-1"], "types": {"tx2-1": "tx2"}, "splits": [[]]},
        "types: tx2-1 (tx2) is not in scenario DB-50, which has xavier-1 (xavier), xavier-2 (xavier), nano-1 (nano), n",
    ),
]
