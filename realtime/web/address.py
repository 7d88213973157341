"""Where the browser mirror listens, and who may speak to it: address, token, Host and Origin. Knows no web library."""

import contextlib
import errno
import hmac
import ipaddress
import secrets
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from engines.errors import BadInputError

LOOPBACK = "127.0.0.1"
HIGHEST_PORT = 65535
BACKLOG = 64
NEXT_PORTS = 20
"""So many ports after one in use are tried."""
OUTWARD = ("192.0.2.1", 9)
"""An address of no machine (RFC 5737): asking the system which way leads there sends nothing."""


@dataclass(frozen=True)
class Address:
    """What `--serve` asks for. Port 0 stands for any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        """As it is written in a URL."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Whether a host's name or number stands for this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_number(host: str) -> bool:
    """Whether a host is an IP address in numbers, with or without the brackets of IPv6."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def parse_address(text: str) -> Address:
    """The address that `[HOST:]PORT` names; 127.0.0.1 when no host is given, IPv6 in brackets.

    Raises:
        ValueError: it is none.
    """
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        fits = is_number(host) and ":" in host
    else:
        fits = bool(host) == bool(colon) and not set(host) & set("[]:/@?# \t")
    if not fits or not (port.isascii() and port.isdecimal() and int(port) <= HIGHEST_PORT):
        raise ValueError(f"{text!r} is no address")
    return Address(host or LOOPBACK, int(port))


def new_token() -> str:
    """A secret that nobody can guess: 128 random bits, fit for a URL."""
    return secrets.token_urlsafe(16)


def same_token(given: str, token: str) -> bool:
    """Whether a token is the right one; takes the same time however much of it is right."""
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), token.encode())


def listening_near(address: Address) -> tuple[socket.socket, str]:
    """A socket that listens at the address or, where its port is in use, at the next free one; and a sentence on it.

    Returns:
        The socket, and what a person should know: empty when the port is the one asked for.

    Raises:
        BadInputError: as `bound_socket`; or the next ports are in use too.
    """
    try:
        return bound_socket(address), ""
    except BadInputError as error:
        if not in_use(error):
            raise
        for port in range(address.port + 1, min(address.port + NEXT_PORTS, HIGHEST_PORT) + 1):
            with contextlib.suppress(BadInputError):
                return bound_socket(Address(address.host, port)), f"Port {address.port} is in use; taking {port}."
        raise


def in_use(error: BadInputError) -> bool:
    """Whether an address was refused because another program listens there."""
    return isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EADDRINUSE


def bound_socket(address: Address) -> socket.socket:
    """A socket that listens at the address.

    Raises:
        BadInputError: the port is in use or not allowed, or the host is not one of this machine's.
    """
    listening = None
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # else a restart waits a minute
        listening.bind(place)
        listening.listen(BACKLOG)
        listening.setblocking(False)
    except (OSError, UnicodeError) as error:
        if listening is not None:
            listening.close()
        raise refused(address, error) from error
    return listening


def refused(address: Address, error: OSError | UnicodeError) -> BadInputError:
    """Why nothing can listen at an address."""
    number = error.errno if isinstance(error, OSError) else None
    free = f"give --serve {'' if address.host == LOOPBACK else f'{address.host}:'}8080"
    if number == errno.EADDRINUSE:
        other = address.port + 1 if address.port < HIGHEST_PORT else address.port - 1
        return BadInputError(
            f"--serve {address}: port {address.port} is in use",
            "a port that no other program listens on is needed",
            f"end that program, or give --serve {Address(address.host, other)}",
        )
    if number in (errno.EACCES, errno.EPERM):
        return BadInputError(
            f"--serve {address}: port {address.port} is not allowed for this user", "1024 to 65535 are allowed", free
        )
    return BadInputError(
        f"--serve {address}: {address.host} is no address of this machine",
        "127.0.0.1, 0.0.0.0 (every network) or one of this machine's own addresses is needed",
        "run ip address to see them, or leave the host out",
    )


def shown_url(listening: socket.socket, token: str) -> str:
    """What a person opens in a browser; for every network at once, this machine's own number in one of them."""
    host, port = listening.getsockname()[:2]
    if ipaddress.ip_address(host).is_unspecified:
        host = outward_host(listening.family)
    return f"http://{Address(host, port)}/{f'?token={token}' if token else ''}"


def outward_host(family: int) -> str:
    """The own address of this machine towards others; its loopback address where it has no network."""
    if family != socket.AF_INET:
        return socket.gethostname()
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(OUTWARD)
        except OSError:
            return LOOPBACK
        return str(probe.getsockname()[0])


@dataclass(frozen=True)
class Guard:
    """Who may speak to the server.

    A page of another site can make a browser send requests here, and DNS can be made to lead another site's name to
    this machine. So the Host header has to be a number or a name of this machine, and the Origin header, which browsers
    send with every WebSocket, has to be of the same host.

    Args:
        address: that is listened at.
        token: every request has to bring it; empty for none.
        names: this machine's own, in small letters.
    """

    address: Address
    token: str
    names: frozenset[str]

    def problem(self, host: str, origin: str | None, given: str) -> str:
        """Why a request with these headers and this token is refused; empty when it is not."""
        name = host_name(host)
        if not (is_loopback(name) or (not self.address.loopback and (is_number(name) or name in self.names))):
            return f"{host!a:.80} is no name of this machine"
        if origin is not None and origin.lower() not in (f"http://{host}".lower(), f"https://{host}".lower()):
            return f"requests of {origin!a:.80} are not taken"
        if self.token and not same_token(given, self.token):
            return "the token is missing or wrong: open the address that run_live.py printed"
        return ""


def guard_of(address: Address, token: str) -> Guard:
    """The guard of an address, which knows this machine's names."""
    name = socket.gethostname().lower()
    short = name.split(".")[0]
    return Guard(address, token, frozenset({name, short, f"{short}.local", address.host.lower()}))


def host_name(host: str) -> str:
    """The name in a Host header, in small letters, without its port and brackets."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""
