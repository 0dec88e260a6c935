"""``splitgym-worker``: this machine computes parts of networks for a controller, until it is stopped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..ui.addresses import ADDRESS_FORM, address_text, split_address
from ..ui.console import Parser, entry, note, whole, wrapped
from ..ui.errors import InputError

PROG = "splitgym-worker"
PORT = 7411
BACKENDS = ("torch", "tensorrt")


def main(argv: Sequence[str] | None = None) -> int:
    """Serve as the command line says; returns the exit code."""
    return entry(PROG, _main, argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = Parser(PROG, "Compute parts of networks for a controller, until it is stopped with Ctrl-C.", _help)
    parser.add_argument("--key", metavar="FILE", type=Path, required=True, help="this machine's secret key, NAME.key")
    parser.add_argument("--roster", metavar="FILE", type=Path, help="who takes part (roster.yaml beside the key)")
    parser.add_argument("--listen", metavar="HOST:PORT", default=f"0.0.0.0:{PORT}", help=f"(0.0.0.0:{PORT})")
    parser.add_argument("--data-port", metavar="PORT", type=whole, help="where rows come in (the next port)")
    parser.add_argument("--weights", metavar="DIR", type=Path, help="weights that came in (~/.cache/splitgym/weights)")
    parser.add_argument("--threads", metavar="N", type=whole, help="of the computation (one a core)")
    parser.add_argument("--backend", choices=BACKENDS, default=BACKENDS[0], help=f"what runs parts ({BACKENDS[0]})")
    parser.add_argument(
        "--profile", action="store_true", help="measure kernels and links when a controller asks for it"
    )
    parser.add_argument("--insecure", action="store_true", help="no encryption: among processes of one machine only")
    args = parser.parse_args(argv)
    found = split_address(args.listen, least_port=0)
    if found is None:
        raise InputError(f"--listen {args.listen}: allowed: {ADDRESS_FORM.format(least=0)}")
    host, port = found
    data_port = args.data_port or (port + 1 if port else 0)
    import torch

    from .blobs import default_folder
    from .keys import ROSTER_FILE, load_identity, load_roster
    from .serve import Post, serve

    if args.threads:
        torch.set_num_threads(args.threads)
    if args.backend == "tensorrt":
        _check_gpu()
    identity = load_identity(args.key)
    roster = load_roster(args.roster or args.key.parent / ROSTER_FILE)
    member = roster.members.get(identity.name)
    if member is None or member.public != identity.public or member.role != "worker":
        raise InputError(f"{args.key}: {identity.name} with this key is no worker on the roster")
    data = address_text(host, data_port)
    weights = args.weights or default_folder()
    post = Post(identity, roster, args.listen, data, weights, args.insecure, args.backend, args.profile)
    try:
        serve(post, lambda control, rows: note(f"{identity.name} listens at {control}, for rows at {rows}"), tell=note)
    except KeyboardInterrupt:
        note("stopped")
    return 0


def _check_gpu() -> None:
    """See before anything begins that engines can run here.

    Raises:
        InputError: no TensorRT, no PyCUDA, or no GPU.
    """
    from ..trt_kernels.gpu import Gpu
    from ..trt_kernels.versions import load_tensorrt

    load_tensorrt()
    Gpu()


def _help() -> str:
    return "\n".join(
        [
            "what it does:",
            *wrapped(
                "  ",
                "Waits for a controller on the roster (splitgym-run, splitgym-cluster), gets a plan and the weights "
                "that it lacks, computes its part of every image, and sends rows to the other workers directly. When "
                "the controller leaves or falls silent it waits for the next. With --profile it also measures itself "
                "when splitgym-cluster profile asks for it.",
            ),
            "",
            "examples:",
            f"  {PROG} --key keys/pi-1.key --profile",
            f"  {PROG} --key /etc/splitgym/pi-1.key --listen 192.168.1.11:{PORT} --weights /var/cache/splitgym",
        ]
    )
