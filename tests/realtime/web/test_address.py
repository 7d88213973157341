"""Where the mirror listens and whom it answers."""

import socket

import pytest

from engines.errors import BadInputError
from realtime.web.address import (
    NEXT_PORTS,
    Address,
    Guard,
    bound_socket,
    guard_of,
    listening_near,
    new_token,
    parse_address,
    same_token,
    shown_url,
)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("8080", "127.0.0.1", 8080),
        ("0", "127.0.0.1", 0),
        ("0.0.0.0:80", "0.0.0.0", 80),
        ("mirror.local:65535", "mirror.local", 65535),
        ("[::1]:8080", "::1", 8080),
        ("[::]:1", "::", 1),
    ],
)
def test_an_address_is_a_port_and_perhaps_a_host(text: str, host: str, port: int) -> None:
    assert parse_address(text) == Address(host, port)


@pytest.mark.parametrize(
    "text",
    ["", ":", "x", ":8080", "host:", "host", "-1", "65536", "8080.0", "1e3", "٣", "²", "a:b:1", "::1:80", "[::1]",
     "[1.2.3.4]:80", "[]:80", "http://x:80", "x/y:80", "u@x:80", "x y:80", "host:99999", " 80"],
)  # fmt: skip
def test_anything_else_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="is no address"):
        parse_address(text)


def test_only_this_machines_own_addresses_need_no_token() -> None:
    assert [Address(host, 1).loopback for host in ("127.0.0.1", "localhost", "::1", "127.9.9.9")] == [True] * 4
    assert [Address(host, 1).loopback for host in ("0.0.0.0", "::", "10.0.0.7", "mirror.local")] == [False] * 4


def test_tokens_are_long_and_never_the_same() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100 and min(map(len, tokens)) >= 22
    assert same_token("abc", "abc")
    assert not [wrong for wrong in ("", "ab", "abcd", "abC", "äbc", "\udcff") if same_token(wrong, "abc")]


HOME = Guard(Address("127.0.0.1", 8080), "", frozenset({"station"}))
OPEN = Guard(Address("0.0.0.0", 8080), "secret", frozenset({"station", "station.local"}))


@pytest.mark.parametrize(
    ("guard", "host", "origin", "token", "said"),
    [
        (HOME, "127.0.0.1:8080", None, "", ""),
        (HOME, "localhost:8080", "http://localhost:8080", "", ""),
        (HOME, "LOCALHOST:8080", "http://localhost:8080", "", ""),
        (HOME, "[::1]:8080", None, "anything", ""),
        (HOME, "evil.example:8080", None, "", "no name of this machine"),
        (HOME, "station:8080", None, "", "no name of this machine"),
        (HOME, "10.0.0.7:8080", None, "", "no name of this machine"),
        (HOME, "", None, "", "'' is no name"),
        (HOME, "[::1", None, "", "no name of this machine"),
        (HOME, "127.0.0.1.evil.example", None, "", "no name of this machine"),
        (HOME, "127.0.0.1:8080", "http://evil.example", "", "are not taken"),
        (HOME, "127.0.0.1:8080", "http://127.0.0.1:8081", "", "are not taken"),
        (HOME, "127.0.0.1:8080", "null", "", "are not taken"),
        (HOME, "127.0.0.1:8080", "", "", "are not taken"),
        (HOME, "127.0.0.1:8080", "http://[::1", "", "are not taken"),
        (HOME, "127.0.0.1:8080", "file://127.0.0.1:8080", "", "are not taken"),
        (OPEN, "10.0.0.7:8080", "http://10.0.0.7:8080", "secret", ""),
        (OPEN, "station.local:8080", None, "secret", ""),
        (OPEN, "Station:8080", "http://station:8080", "secret", ""),
        (OPEN, "evil.example:8080", None, "secret", "no name of this machine"),
        (OPEN, "10.0.0.7:8080", "http://evil.example", "secret", "are not taken"),
        (OPEN, "10.0.0.7:8080", None, "", "token is missing or wrong"),
        (OPEN, "10.0.0.7:8080", None, "Secret", "token is missing or wrong"),
        (OPEN, "127.0.0.1:8080", None, "secre", "token is missing or wrong"),
    ],
)
def test_the_guard_answers_this_machines_names_its_own_page_and_the_token(
    guard: Guard, host: str, origin: str | None, token: str, said: str
) -> None:
    problem = guard.problem(host, origin, token)
    assert said in problem and bool(said) == bool(problem)


def test_the_guard_never_says_the_token() -> None:
    assert "secret" not in OPEN.problem("10.0.0.7", None, "wrong")


def test_a_guard_knows_this_machine_by_name() -> None:
    guard = guard_of(Address("mirror.example", 80), "secret")
    name = socket.gethostname().lower()
    assert not [host for host in (name, "mirror.example", "MIRROR.example:80") if guard.problem(host, None, "secret")]


def test_a_port_in_use_is_said_with_another_to_take() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(BadInputError, match=f"port {port} is in use.*give --serve 127.0.0.1:"):
            bound_socket(Address("127.0.0.1", port))


def test_the_next_free_port_is_taken_where_one_is_in_use_and_that_is_said() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        listening, said = listening_near(Address("127.0.0.1", port))
        with listening:
            taken = listening.getsockname()[1]
            assert port < taken <= port + NEXT_PORTS
            assert said == f"Port {port} is in use; taking {taken}."
    listening, said = listening_near(Address("127.0.0.1", 0))
    with listening:
        assert said == ""
    with pytest.raises(BadInputError, match="is no address of this machine"):
        listening_near(Address("203.0.113.7", 8080))


@pytest.mark.parametrize("host", ["203.0.113.7", "nobody.invalid", "x" * 300, "a..b"])
def test_a_host_of_another_machine_is_refused(host: str) -> None:
    with pytest.raises(BadInputError, match="is no address of this machine"):
        bound_socket(Address(host, 0))


def test_the_address_to_open_has_the_port_that_was_taken_and_the_token() -> None:
    with bound_socket(Address("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        assert shown_url(listening, "") == f"http://127.0.0.1:{port}/"
    with bound_socket(Address("0.0.0.0", 0)) as listening:
        url = shown_url(listening, "secret")
        assert url.endswith(f":{listening.getsockname()[1]}/?token=secret") and "0.0.0.0" not in url
