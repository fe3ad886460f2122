"""The way that the bench makes longer: nothing is lost on it, and what goes by is counted."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bench.delay import longer_way


@contextmanager
def _listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def _echo(listener: socket.socket) -> None:
    client, _ = listener.accept()
    with client:
        while data := client.recv(1 << 16):
            client.sendall(data)


def _say(wire: socket.socket, data: bytes) -> None:
    wire.sendall(data)
    wire.shutdown(socket.SHUT_WR)


def _read(wire: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (more := wire.recv(1 << 16)):
        data += more
    return data


@pytest.mark.parametrize("milliseconds", [0, 10])
def test_every_octet_arrives_in_order_and_is_counted_both_ways(milliseconds: int) -> None:
    sent = bytes(range(256)) * 8192
    with _listener() as listener, longer_way(listener.getsockname()[1], milliseconds) as line:
        threading.Thread(target=_echo, args=(listener,), daemon=True).start()
        with socket.create_connection(("127.0.0.1", line.port)) as wire:
            threading.Thread(target=_say, args=(wire, sent)).start()
            assert _read(wire, len(sent)) == sent
            assert wire.recv(1) == b""
        traffic = line.traffic()
    assert (traffic.connections, traffic.sent, traffic.received) == (1, len(sent), len(sent))


def test_each_question_after_an_answer_is_a_turn_and_those_of_http_are_requests() -> None:
    with _listener() as listener, longer_way(listener.getsockname()[1], 0) as line:
        threading.Thread(target=_echo, args=(listener,), daemon=True).start()
        with socket.create_connection(("127.0.0.1", line.port)) as wire:
            for question in (b"GET /one HTTP/1.1\r\n\r\n", b"PUT /two HTTP/1.1\r\n\r\n", b"the body of two"):
                wire.sendall(question)
                assert _read(wire, len(question)) == question
        assert (line.traffic().turns, line.traffic().requests) == (3, 2)


def test_an_answer_takes_at_least_the_round_trip() -> None:
    with _listener() as listener, longer_way(listener.getsockname()[1], 60) as line:
        threading.Thread(target=_echo, args=(listener,), daemon=True).start()
        with socket.create_connection(("127.0.0.1", line.port)) as wire:
            wire.sendall(b"first")
            assert _read(wire, 5) == b"first"
            began = time.monotonic()
            wire.sendall(b"again")
            assert _read(wire, 5) == b"again"
            # A bound from below: no load on the machine can break it.
            assert time.monotonic() - began >= 0.059


def test_a_server_that_is_not_there_ends_the_connection_and_others_go_on() -> None:
    with _listener() as listener, longer_way(listener.getsockname()[1], 0) as line:
        listener.close()
        for _ in range(2):
            with socket.create_connection(("127.0.0.1", line.port)) as wire:
                assert wire.recv(1) == b""
