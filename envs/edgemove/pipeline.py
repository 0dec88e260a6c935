"""The period of a two-stage training pipeline in closed form (strict 1F1B, K minibatches in flight).

The client runs the forward and the backward pass of the first layers, the server both passes of the others. Under
strict 1F1B the client starts the next forward pass right after every backward pass, in that order, so a minibatch
leaves when the K-th before it has come back. The steady-state period is the largest of what one minibatch occupies of
every resource, and of its way through all of them over K. :mod:`.simulator` runs the same pipeline event by event.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def path_s(client_s: Any, server_s: Any, up_s: Any, down_s: Any, rtt_s: Any) -> Any:
    """Seconds of one minibatch from its forward pass to the end of its backward pass, alone in the pipeline.

    Args:
        client_s: forward and backward pass on the client, its weight update included.
        server_s: both passes on the server.
        up_s, down_s: occupancy of the link.
        rtt_s: latency, there and back; it delays and occupies nothing.
    """
    return client_s + server_s + up_s + down_s + rtt_s


def period_s(
    client_s: Any, server_s: Any, up_s: Any, down_s: Any, rtt_s: Any, in_flight: int, half_duplex: bool = False
) -> Any:
    """Seconds between two minibatches in steady state; arguments as :func:`path_s`, arrays that broadcast.

    Args:
        in_flight: K.
        half_duplex: whether both ways share the link; a lower bound then, as they may get into each other's way.
    """
    link_s = up_s + down_s if half_duplex else np.maximum(up_s, down_s)
    bottleneck = np.maximum(np.maximum(client_s, server_s), link_s)
    return np.maximum(bottleneck, path_s(client_s, server_s, up_s, down_s, rtt_s) / in_flight)
