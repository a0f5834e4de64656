"""The dialling side of one session with one gateway: socket, greeting, heartbeats (6, 10.1). Used by one thread only."""
from __future__ import annotations

import logging
import os
from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import Iterator

import zmq
from zmq.utils.monitor import recv_monitor_message

from .codec import MAJOR, MINOR, Limits, MemoryBudget, decode, encode
from .errors import DecodeError, EncodeError, OverBudget
from .message import Message, message
from .registry import Kind, Role, Status, status_of

log = logging.getLogger("gltp")

GREETING = 5.0
BACKOFF_LEAST, BACKOFF_MOST = 0.1, 5.0
WINDOW = 4
LARGEST_PART = 1 << 20
LARGEST_MESSAGE = 4 << 20
BUILD = "gltp-python 1.0"
_LOST_EVENTS = {
    zmq.EVENT_DISCONNECTED: "disconnected", zmq.EVENT_CLOSED: "connection refused",
    zmq.EVENT_HANDSHAKE_FAILED_AUTH: "refused by authentication", zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL: "handshake failed",
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL: "handshake failed"}


def printable(text: str) -> str:
    """Text of a peer, safe for logs and terminals."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def status_name(code: int) -> str:
    return getattr(status_of(code), "name", f"status {code}")


@dataclass(frozen=True)
class Curve:
    """CURVE keys in Z85."""
    server_key: bytes
    public_key: bytes
    secret_key: bytes


class State(Enum):
    CLOSED = 0
    GREETING = 1
    OPEN = 2


@dataclass
class Received:
    """What a session hands on: a message, or the damage of one."""
    message: Message | None
    error: DecodeError | None = None


class Session:
    """A session and, after its loss, the waiting until the next."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str, curve: Curve | None) -> None:
        self.endpoint = endpoint
        self.state = State.CLOSED
        self.draining = False
        self.epoch = 0
        """Counts the greetings: what was asked in an earlier one is lost."""
        self.retry_at = 0.0
        self.hopeless = False
        """Whether the gateway has said that trying again soon is in vain (VERSION, UNAUTHORIZED)."""
        self.failure = ""
        self.part_limit = 320 << 10
        self.message_limit = 1 << 20
        self.socket: zmq.Socket[bytes] | None = None
        self.monitor: zmq.Socket[bytes] | None = None
        self.opened_at = 0.0
        self._context = context
        self._curve = curve
        self._boot_id = os.urandom(16)
        self._id = 0
        self._backoff = BACKOFF_LEAST
        self._heartbeat, self._expiry = 2.0, 6.0
        self._sent_at = self._heard_at = 0.0
        self._pings = 0
        self._damages: deque[float] = deque(maxlen=3)
        self._limits = Limits(message=LARGEST_MESSAGE, budget=MemoryBudget())

    @property
    def session_id(self) -> int:
        return self._id

    # Opening and closing.

    def open(self, now: float) -> None:
        """Connects and says HELLO."""
        self.socket = socket = self._context.socket(zmq.DEALER)
        socket.linger = 200
        # A connection of the transport's own making would be one without HELLO: each gets a new socket (6.4).
        socket.setsockopt(zmq.RECONNECT_IVL, -1)
        socket.setsockopt(zmq.MAXMSGSIZE, LARGEST_PART)
        socket.setsockopt(zmq.CONNECT_TIMEOUT, int(GREETING * 1000))
        if self._curve:
            socket.curve_serverkey = self._curve.server_key
            socket.curve_publickey = self._curve.public_key
            socket.curve_secretkey = self._curve.secret_key
        events = 0
        for event in _LOST_EVENTS:
            events |= event
        self.monitor = socket.get_monitor_socket(events)
        self.hopeless = False
        socket.connect(self.endpoint)
        self._hello(now)

    def _hello(self, now: float) -> None:
        self.state = State.GREETING
        self.opened_at = now
        self._id = 0
        self.epoch += 1
        self.draining = False
        self._damages.clear()
        self.send(message(Kind.HELLO, {
            "version_range": (MAJOR, MINOR, MAJOR, MINOR), "role": Role.CLIENT, "boot_id": self._boot_id, "build": BUILD,
            "limits": (LARGEST_PART, LARGEST_MESSAGE, WINDOW)}), now)

    def lose(self, why: str, now: float, wait: float | None = None) -> None:
        """Closes the socket; the next one waits for `wait` seconds, or for a time that doubles with each loss."""
        log.debug("session with %s lost: %s", self.endpoint, why)
        self.failure = why
        self.state = State.CLOSED
        self.retry_at = now + (self._backoff if wait is None else wait)
        self._backoff = min(2 * self._backoff, BACKOFF_MOST)
        self._close()

    def bye(self, now: float) -> None:
        """An orderly end. DRAIN first is what 10.1 says of a peer that shuts down."""
        if self.state is State.OPEN:
            self.send(message(Kind.DRAIN), now)
            self.send(message(Kind.BYE), now)
        self.state = State.CLOSED
        self._close()

    def _close(self) -> None:
        if self.socket is not None:
            self.socket.disable_monitor()
            self.socket.close()
        if self.monitor is not None:
            self.monitor.close(linger=0)
        self.socket = self.monitor = None

    # Sending.

    def send(self, m: Message, now: float) -> bool:
        """Whether the transport took it; if not, the session is as good as lost."""
        m.header.session_id = self._id
        return self.send_parts(encode(m), now)

    def send_parts(self, parts: list[bytes], now: float) -> bool:
        if self.socket is None:
            return False
        try:
            self.socket.send_multipart(parts, zmq.NOBLOCK)
        except zmq.ZMQError:
            return False
        self._sent_at = now
        return True

    def check_size(self, parts: list[bytes], raw_bytes: int) -> None:
        """The gateway's own limits, from its WELCOME."""
        if max(map(len, parts)) > self.part_limit or raw_bytes > self.message_limit:
            raise EncodeError(
                "messageTooLarge", f"the gateway takes parts of {self.part_limit} and messages of {self.message_limit} bytes")

    # Receiving.

    def receive(self, now: float) -> Iterator[Received]:
        """All that has arrived for requests; what belongs to the session is dealt with here. May lose the session."""
        while self.socket is not None:
            try:
                parts = self.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                break
            except zmq.ZMQError as error:
                self.lose(f"transport: {error}", now)
                break
            self._heard_at = now  # any message proves life
            try:
                m = decode(parts, self._limits)
            except OverBudget as error:  # our own want of memory
                yield Received(None, error)
                continue
            except DecodeError as error:
                yield from self._damaged(error, now)
                continue
            yield from self._handle(m, now)
        self._watch(now)

    def _damaged(self, error: DecodeError, now: float) -> Iterator[Received]:
        """8.1: damage fails a request, the third within a minute the session; other errors fail it at once."""
        log.warning("%s sent a bad message: %s", self.endpoint, printable(str(error)))
        if error.corrupt:
            # A damaged head or table cannot be attributed to a request.
            if error.rule not in ("headChecksum", "tableChecksum") and error.header and error.header.session_id == self._id:
                yield Received(None, error)
            self._damages.append(now)
            if len(self._damages) < 3 or now - self._damages[0] > 60:
                return
        if self.socket is not None:
            self.send(message(Kind.BYE, {"detail": error.rule}, status=Status.PROTOCOL), now)
            self.lose(f"sent a bad message ({error.rule})", now)

    def _handle(self, m: Message, now: float) -> Iterator[Received]:
        if self.state is State.GREETING:
            if m.kind == Kind.WELCOME:
                self._welcome(m, now)
            elif m.kind == Kind.REJECT:
                self._rejected(m, now)
            return  # anything else is late
        if m.kind == Kind.REJECT and m.header.status == Status.UNKNOWN_SESSION:
            self.failure = "has forgotten the session"
            self._hello(now)
            return
        if m.header.session_id != self._id:
            return
        if m.kind == Kind.PING:
            self.send(message(Kind.PONG, sequence=m.header.sequence), now)
        elif m.kind == Kind.DRAIN:
            self.draining = True
        elif m.kind == Kind.BYE:
            self.lose(_why("BYE", m), now)
        elif m.kind in (Kind.PARTIAL, Kind.END, Kind.REPORT):
            yield Received(m)

    def _welcome(self, m: Message, now: float) -> None:
        if tuple(m.tlvs["version"]) != (MAJOR, MINOR):
            self.send(message(Kind.BYE, status=Status.PROTOCOL), now)
            self.lose(f"chose version {m.tlvs['version']}", now)
            return
        self._id = m.header.session_id
        heartbeat, expiry = m.tlvs["intervals"]
        self._heartbeat = max(heartbeat, 50) / 1000  # a heartbeat of 0 would be a flood
        self._expiry = max(expiry / 1000, 2 * self._heartbeat)
        part, whole, _ = m.tlvs["limits"]
        self.part_limit, self.message_limit = min(part, 320 << 10), min(whole, 1 << 20)
        self._backoff = BACKOFF_LEAST
        self.state = State.OPEN
        self.failure = ""

    def _rejected(self, m: Message, now: float) -> None:
        status = m.header.status
        hopeless = status in (Status.VERSION, Status.UNAUTHORIZED)
        wait = m.tlvs.get("retry_after_ms")
        if hopeless:
            log.error("%s refuses this client: %s", self.endpoint, _why("REJECT", m))
        self.lose(_why("REJECT", m), now, BACKOFF_MOST if hopeless else None if wait is None else wait / 1000)
        self.hopeless = hopeless

    def _watch(self, now: float) -> None:
        """What the transport's monitor says. Called when all messages are read: the last of them may explain the loss."""
        while self.monitor is not None:
            try:
                event = recv_monitor_message(self.monitor, zmq.NOBLOCK)["event"]
            except zmq.ZMQError:
                return
            why = _LOST_EVENTS.get(zmq.Event(event))
            if why:
                self.lose(why, now)

    # Time.

    def tick(self, now: float) -> None:
        """Heartbeats and expiries."""
        if self.state is State.GREETING and now - self.opened_at >= GREETING:
            self.lose("no answer to HELLO", now)
        elif self.state is State.OPEN:
            if now - self._heard_at >= self._expiry:
                self.lose(f"silent for {self._expiry:g} s", now)
            elif now - self._sent_at >= self._heartbeat:
                self._pings += 1
                if not self.send(message(Kind.PING, sequence=self._pings & 0xFFFFFFFF), now):
                    self.lose("takes no messages", now)

    def next_tick(self) -> float:
        if self.state is State.GREETING:
            return self.opened_at + GREETING
        if self.state is State.OPEN:
            return min(self._heard_at + self._expiry, self._sent_at + self._heartbeat)
        return float("inf")


def _why(kind: str, m: Message) -> str:
    detail = printable(m.tlvs.get("detail", ""))
    return f"{kind} {status_name(m.header.status)}{': ' + detail if detail else ''}"
