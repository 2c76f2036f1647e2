"""Messages that carry descriptors: what the standard library's functions for them do not do."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from allcores.engine.fd_messages import receive_fds, send_fds


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of a connection."""
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with one, other:
        yield one, other


def test_descriptors_arrive_and_programs_do_not_inherit_them(ends: tuple[socket.socket, socket.socket]) -> None:
    reading, writing = os.pipe()
    send_fds(ends[0], b"both", [reading, writing])
    data, fds, is_short = receive_fds(ends[1], 100, 5)
    os.write(fds[1], b"through")
    assert (data, is_short, os.read(fds[0], 10)) == (b"both", False, b"through")
    assert not any(os.get_inheritable(fd) for fd in fds)
    for fd in (reading, writing, *fds):
        os.close(fd)


def test_what_there_is_no_room_for_is_told(ends: tuple[socket.socket, socket.socket]) -> None:
    send_fds(ends[0], b"many", [ends[0].fileno()] * 20)
    data, fds, is_short = receive_fds(ends[1], 100, 1)
    assert data == b"many"
    assert is_short
    for fd in fds:
        os.close(fd)


@pytest.mark.timeout(20)
def test_they_do_not_wait_where_they_are_told_not_to(ends: tuple[socket.socket, socket.socket]) -> None:
    with pytest.raises(BlockingIOError):
        receive_fds(ends[1], 100, 1, socket.MSG_DONTWAIT)
    with pytest.raises(BlockingIOError):
        flood(ends[0])


def flood(end: socket.socket) -> None:
    for _ in range(100_000):
        send_fds(end, b"x" * 1000, [], socket.MSG_DONTWAIT)
