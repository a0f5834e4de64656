"""A scripted gateway for tests: a ROUTER in a thread that does to clients whatever a test wants.

    def script(call):
        call.partial(["a"], [1.0])
        call.end(["a"], [1.0])

    with FakeGateway(script) as gateway:
        Client(gateway.endpoint).rank(user="42")
"""
from __future__ import annotations

import heapq
import itertools
import json
import threading
import time
from typing import Any, Callable, Sequence

import numpy as np
import zmq

from .codec import CLIENT_EDGE, decode, encode
from .errors import DecodeError
from .message import Message, Tensor, message
from .registry import Flag, Kind, Role, Status

Script = Callable[["Call"], None]


class Call:
    """A client's REQUEST, and ways to answer it. Only for the gateway's thread; `later` gets back into it."""

    def __init__(self, gateway: FakeGateway, peer: bytes, session_id: int, request: Message) -> None:
        self.gateway, self.peer, self.session_id, self.request = gateway, peer, session_id, request
        self.sequence = 0

    def send(self, m: Message, damage: Callable[[list[bytes]], list[bytes]] | None = None) -> None:
        """Any message with the identifiers of this request; `damage` changes the parts on their way."""
        m.header.session_id = self.session_id
        m.header.request_id = self.request.header.request_id
        m.header.attempt = self.request.header.attempt
        parts = encode(m)
        self.gateway.send_parts(self.peer, damage(parts) if damage else parts)

    def partial(self, items: Sequence[str], scores: Sequence[float], titles: Sequence[str] | None = None, *,
                sequence: int | None = None, seen: int = 1, total: int = 2, flags: int = 0,
                damage: Callable[[list[bytes]], list[bytes]] | None = None) -> None:
        sequence = self.sequence if sequence is None else sequence
        self.sequence = sequence + 1
        self.send(message(Kind.PARTIAL, {"items_seen": seen, "items_total": total}, ranking_tensors(items, scores, titles),
                          stream=3, sequence=sequence, flags=flags), damage)

    def end(self, items: Sequence[str] | None = None, scores: Sequence[float] = (), titles: Sequence[str] | None = None, *,
            status: int = Status.OK, flags: int | None = None, damage: Callable[[list[bytes]], list[bytes]] | None = None,
            **tlvs: Any) -> None:
        """END with a ranking where there are items."""
        tensors: list[Tensor] = []
        if items is not None:
            tlvs = {"items_seen": 2, "items_total": 2, **tlvs}
            tensors = ranking_tensors(items, scores, titles)
            if flags is None and status != Status.OK:
                flags = Flag.INCOMPLETE
        self.send(message(Kind.END, tlvs, tensors, status=status, flags=int(flags or 0)), damage)

    def bye(self, status: int = Status.OK) -> None:
        self.gateway.session_message(self.peer, message(Kind.BYE, status=status))

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        self.gateway.later(seconds, action)


def ranking_tensors(items: Sequence[str], scores: Sequence[float], titles: Sequence[str] | None) -> list[Tensor]:
    out = [Tensor.of_strings("ranking_items", items), Tensor.of("ranking_scores", np.array(scores, "<f4"))]
    return out + [Tensor.of_strings("ranking_titles", titles)] if titles is not None else out


class FakeGateway:
    """Listens on loopback. `received` holds every message, `bad` every DecodeError."""

    def __init__(self, script: Script | None = None, *, intervals: tuple[int, int] = (2000, 6000), reject: Message | None = None,
                 silent: bool = False, pongs: bool = True, port: int | None = None, report: Any = None,
                 version: tuple[int, int] = (1, 0), limits: tuple[int, int, int] = (320 << 10, 1 << 20, 4),
                 secret_key: bytes | None = None) -> None:
        self.script = script or (lambda call: None)
        self.intervals, self.reject, self.silent, self.pongs = intervals, reject, silent, pongs
        self.report = {"role": "gateway"} if report is None else report
        self.version, self.limits = version, limits
        self.received: list[Message] = []
        self.bad: list[DecodeError] = []
        self.sessions: dict[bytes, int] = {}
        self.forgets = False
        """Whether the gateway answers the next messages as if it had been started anew."""
        self._ids = itertools.count(1001)
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.linger = 100
        if secret_key is not None:
            self._socket.curve_server = True
            self._socket.curve_secretkey = secret_key
        if port is None:
            port = self._socket.bind_to_random_port("tcp://127.0.0.1")
        else:
            self._socket.bind(f"tcp://127.0.0.1:{port}")
        self.port = port
        self.endpoint = f"tcp://127.0.0.1:{port}"
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="fake gateway", daemon=True)
        self._thread.start()

    # For tests.

    def stop(self) -> None:
        """Vanishes without a word."""
        self._stop.set()
        self._thread.join(5.0)
        if self.error is not None:
            raise self.error

    def __enter__(self) -> FakeGateway:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def kinds(self) -> list[Kind]:
        with self._changed:
            return [m.kind for m in self.received]

    def of(self, kind: Kind) -> list[Message]:
        with self._changed:
            return [m for m in self.received if m.kind == kind]

    def wait_for(self, kind: Kind, times: int = 1, timeout: float = 5.0) -> list[Message]:
        """The messages of a kind, once there are so many."""
        with self._changed:
            if not self._changed.wait_for(lambda: sum(m.kind == kind for m in self.received) >= times, timeout):
                raise AssertionError(f"{times} {kind.name} did not come, but {[m.kind.name for m in self.received]}")
        return self.of(kind)

    # For scripts, in the gateway's thread.

    def send_parts(self, peer: bytes, parts: list[bytes]) -> None:
        self._socket.send_multipart([peer, *parts])

    def session_message(self, peer: bytes, m: Message) -> None:
        m.header.session_id = self.sessions.get(peer, 0)
        self.send_parts(peer, encode(m))

    def drain(self) -> None:
        for peer in self.sessions:
            self.session_message(peer, message(Kind.DRAIN))

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Runs something in the gateway's thread. From any thread."""
        with self._changed:
            heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._order), action))

    # The thread.

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                if self._socket.poll(5):
                    peer, *parts = self._socket.recv_multipart()
                    self._take(peer, parts)
                while True:
                    with self._changed:
                        if not self._timers or self._timers[0][0] > time.monotonic():
                            break
                        action = heapq.heappop(self._timers)[2]
                    action()
        except BaseException as error:  # told by stop()
            self.error = error
        finally:
            self._socket.close()
            self._context.term()

    def _take(self, peer: bytes, parts: list[bytes]) -> None:
        try:
            m = decode(parts, CLIENT_EDGE)
        except DecodeError as error:
            self.bad.append(error)
            return
        with self._changed:
            self.received.append(m)
            self._changed.notify_all()
        if self.silent:
            return
        if m.kind == Kind.HELLO:
            self._hello(peer)
        elif self.forgets or self.sessions.get(peer) != m.header.session_id:
            self.forgets = False
            self.sessions.pop(peer, None)
            self.send_parts(peer, encode(message(Kind.REJECT, status=Status.UNKNOWN_SESSION, session_id=m.header.session_id)))
        elif m.kind == Kind.PING and self.pongs:
            self.session_message(peer, message(Kind.PONG, sequence=m.header.sequence))
        elif m.kind == Kind.STATUS:
            data = self.report if isinstance(self.report, bytes) else json.dumps(self.report).encode()
            self.session_message(peer, message(Kind.REPORT, {}, [Tensor.of_bytes("report", data)], request_id=m.header.request_id))
        elif m.kind == Kind.REQUEST:
            self.script(Call(self, peer, m.header.session_id, m))

    def _hello(self, peer: bytes) -> None:
        if self.reject is not None:
            self.send_parts(peer, encode(self.reject))
            return
        self.sessions[peer] = next(self._ids)
        self.session_message(peer, message(Kind.WELCOME, {
            "version": self.version, "role": Role.GATEWAY, "intervals": self.intervals, "limits": self.limits}))
