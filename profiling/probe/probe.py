"""``splitgym-profile --network``: measure the link between two machines into a link file.

The client is the device that the file is about; the server is whoever it sends to, best the requester itself.
"""

from __future__ import annotations

import argparse
import platform
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ...ui.addresses import ADDRESS_FORM, address_text, split_address
from ...ui.console import note, positive_number, stdout
from ...ui.errors import InputError
from ...ui.progress import Bar
from ..link_file import LinkMeasurement, check_text
from ..measure.machine import board_name, slug
from .client import DEFAULT_S, measure
from .server import Server
from .wire import SESSION_BYTES, SESSION_S

SERVE = "serve"
DEFAULT_PORT = 7790
LEAST_S, MOST_S = 1.0, 60.0
POOR_RESIDUAL = 0.2
_OF_SERVE = ("host", "port", "keep_serving")
_OF_CLIENT = ("seconds", "out", "overwrite")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of measuring a link, but for ``--device`` and ``--out``, which :func:`run` reads as well."""
    group = parser.add_argument_group("network")
    group.add_argument(
        "--network",
        metavar="WHERE",
        help="serve: wait for another machine; HOST:PORT: measure the link to one that serves ([::1]:9000 for IPv6)",
    )
    group.add_argument(
        "--host", metavar="ADDRESS", help="serve: listen at this address of this machine only (all of its interfaces)"
    )
    group.add_argument("--port", metavar="N", type=_port, help=f"serve: TCP port, 0 for a free one ({DEFAULT_PORT})")
    group.add_argument(
        "--keep-serving", action="store_true", default=None, help="serve: go on after the first measurement, to Ctrl-C"
    )
    group.add_argument(
        "--seconds", metavar="S", type=positive_number, help=f"about how long to measure a link ({DEFAULT_S:g})"
    )
    group.add_argument("--overwrite", action="store_true", default=None, help="replace a link file that is there")


def run(args: argparse.Namespace) -> int:
    """Serve, or measure and write a link file (``--out``, by default link-DEVICE.json).

    Args:
        args: with ``network``, the other options of :func:`add_options`, ``device`` and ``out``, None where not given.

    Returns:
        0, the exit code.

    Raises:
        InputError: an option that does not fit, no connection, or the other end vanished; nothing was written.
    """
    serves = args.network == SERVE
    for name in _OF_CLIENT if serves else _OF_SERVE:
        if getattr(args, name) is not None:
            option, wanted = f"--{name.replace('_', '-')}", "HOST:PORT" if serves else SERVE
            raise InputError(f"{option} belongs to --network {wanted}, not to --network {args.network}")
    device = check_text("--device", slug(board_name()) if args.device is None else args.device)
    return _serve(args, device) if serves else _measure(args, device)


def parse_address(text: str) -> tuple[str, int]:
    """Host and port from HOST:PORT or [IPV6]:PORT.

    Raises:
        InputError: it has another form.
    """
    found = split_address(text)
    if found is None:
        raise InputError(f"--network is {text!r}, allowed: {SERVE}, or {ADDRESS_FORM.format(least=1)}")
    return found


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text[:6]) <= 65535):
        raise argparse.ArgumentTypeError(f"is {text!r}, allowed: a whole number from 0 to 65535")
    return int(text)


def _software() -> str:
    try:
        own = f"splitgym {version('splitgym')}"
    except PackageNotFoundError:  # run from a checkout
        own = "splitgym"
    return f"{own}, Python {platform.python_version()}, {platform.system()} {platform.release()}"


def _serve(args: argparse.Namespace, device: str) -> int:
    keep = bool(args.keep_serving)
    port = DEFAULT_PORT if args.port is None else args.port
    with Server(device, _software(), args.host, port, say=note) as server:
        host, port = server.address
        if args.host is None:
            # Two machines is what this is for: listening to this one alone would refuse every real client.
            note(f"{device} serves on port {port} of all its interfaces: whoever reaches it may measure, nothing else")
            note("(--host ADDRESS listens at one of its addresses only)")
        else:
            note(f"{device} serves at {address_text(host, port)}")
        note(
            f"one client at a time, for at most {SESSION_S / 60:g} min and {SESSION_BYTES / 1e9:g} GB each; Ctrl-C ends"
        )
        shown = address_text("ADDRESS-OF-THIS-MACHINE" if args.host is None else host, port)
        note(f"on the other machine: splitgym-profile --network {shown}")
        try:
            server.serve(keep)
        except KeyboardInterrupt:
            if not keep:
                raise KeyboardInterrupt("stopped before any link was measured") from None
            note("stopped serving")
    return 0


def _measure(args: argparse.Namespace, device: str) -> int:
    host, port = parse_address(args.network)
    seconds = DEFAULT_S if args.seconds is None else args.seconds
    if not LEAST_S <= seconds <= MOST_S:
        raise InputError(f"--seconds is {seconds:g}, allowed: {LEAST_S:g} to {MOST_S:g}")
    out = Path(args.out or f"link-{slug(device)}.json")
    if not out.parent.is_dir() or out.is_dir():
        raise InputError(f"--out {out}: allowed: a file in a folder that exists")
    if out.exists() and not args.overwrite:
        raise InputError(f"{out}: is there already; --overwrite replaces it, --out names another file")
    note(f"{device} measures the link to {args.network} for about {seconds:g} s")
    with Bar("link") as bar:
        measurement = measure(host, port, device, _software(), seconds, bar.show)
        bar.show(1.0, "")
    measurement.save(out)
    _report(measurement)
    note(f"wrote {out}; a scenario names it by device name or type, links: {{{device}: {out}}}")
    return 0


def _report(link: LinkMeasurement) -> None:
    say = partial(stdout().print, soft_wrap=True)
    say(f"{link.label()}")
    say(f"  a message      {link.t_msg_s * 1e3:.3f} ms, and the time of its bytes")
    say(f"  goodput        {link.goodput_up_mbps:.1f} Mbit/s up, {link.goodput_down_mbps:.1f} down")
    for name, out, back in (
        (link.device, link.copy_out_bytes_per_s, link.copy_in_bytes_per_s),
        (link.peer, link.peer_copy_out_bytes_per_s, link.peer_copy_in_bytes_per_s),
    ):
        say(f"  copies         {out / 1e9:.2f} GB/s out of tensors, {back / 1e9:.2f} into them, at {name}")
    most = max(n for n, _ in link.samples_up + link.samples_down)
    say(
        f"  messages of up to {most // 1024} kB are {link.residual * 100:.0f} % off overhead + bytes / goodput (median)"
    )
    if link.residual > POOR_RESIDUAL:
        note(f"more than {POOR_RESIDUAL * 100:.0f} % off: the link is unsteady or no line; measure again, or longer")
