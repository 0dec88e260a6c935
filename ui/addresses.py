"""Names and addresses of machines as people write them."""

from __future__ import annotations

import re

ADDRESS_FORM = "HOST:PORT with a port from {least} to 65535, [ADDRESS]:PORT for IPv6"
NAME_FORM = "up to 64 letters, digits, '.', '_' and '-', the first a letter or digit"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def is_name(name: str) -> bool:
    """Whether a machine can have this name."""
    return _NAME.fullmatch(name) is not None


def split_address(text: str, least_port: int = 1) -> tuple[str, int] | None:
    """Host and port from HOST:PORT or [IPV6]:PORT; None where it has another form."""
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if bracketed else host
    valid_port = port.isascii() and port.isdigit() and least_port <= int(port[:6]) <= 65535
    if not (colon and host and valid_port and not set("[]/ ") & set(host) and bracketed == (":" in host)):
        return None
    return host, int(port)


def address_text(host: str, port: int) -> str:
    """HOST:PORT, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
