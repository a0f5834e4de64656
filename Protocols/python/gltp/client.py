"""A client that ranks: `Client(["tcp://127.0.0.1:5570"]).rank(user="42")`.

A thread of its own keeps sessions alive while the application does other things; calls hand it jobs and wait, always with a bound.
"""
from __future__ import annotations

import ipaddress
import json
import logging
import os
import threading
import time
import weakref
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any, Iterator, Literal, Mapping, Sequence, overload
from urllib.parse import urlsplit

import zmq

from .codec import CLIENT_EDGE, encode
from .errors import (
    ClientClosed,
    DeadlineExceeded,
    DecodeError,
    GLTPError,
    NoGateway,
    OverBudget,
    RequestFailed,
    UnknownItem,
    UnknownUser,
)
from .message import Message, Tensor, Timing, message
from .registry import Flag, Kind, Mode, Priority, Status, status_of
from .session import Curve, Session, State, printable

log = logging.getLogger("gltp")

MAX_ATTEMPTS = 3
GRACE = 0.25  # 10.5: how long after the deadline the gateway's END(DEADLINE) is waited for
MAX_DEADLINE = 600.0
STAGGER = 0.25  # a gateway that has not answered for so long is not waited for alone
ELSEWHERE = 0.5  # a gateway that has failed a request is not asked again for so long, for others to be tried first
_ONCE = frozenset({Status.INTERNAL, Status.CORRUPT})
_ELSEWHERE = frozenset({Status.OVERLOADED, Status.NO_WORKER, Status.DRAINING})


@dataclass(frozen=True)
class Ranking:
    """A ranking: complete in itself, it replaces the snapshot before it."""
    items: list[str]
    scores: list[float]
    titles: list[str] | None
    status: Status | None
    """OK, or DEADLINE for the best so far; None in snapshots before the end."""
    provisional: bool
    """By prior alone."""
    incomplete: bool
    """Not the final ranking."""
    items_seen: int
    items_total: int
    timings: list[Timing] = field(default_factory=list)
    attempts: int = 1
    gateway: str = ""
    request_id: str = ""

    @property
    def final(self) -> bool:
        return self.status == Status.OK


def uuid7() -> bytes:
    """RFC 9562: 48 bits of milliseconds, then random bits."""
    out = bytearray((time.time_ns() // 1_000_000).to_bytes(6, "big") + os.urandom(10))
    out[6] = out[6] & 0x0F | 0x70
    out[8] = out[8] & 0x3F | 0x80
    return bytes(out)


class _Job:
    """One request (10.5), shared by the calling thread and the engine's."""

    def __init__(self, template: Message, deadline: float, connect: float) -> None:
        self.template = template
        self.id = template.header.request_id
        self.ranks = template.kind == Kind.REQUEST
        self.started = time.monotonic()
        self.deadline = self.started + deadline
        self.connect_timeout = connect
        self.connect_by = self.started + connect
        self.raw_bytes = sum(t.raw.nbytes for t in template.tensors)
        self.attempt = 0
        self.session: Session | None = None
        self.epoch = 0
        self.expected = 0
        self.newest: Ranking | None = None
        self.failures: dict[str, str] = {}
        self.error: GLTPError | None = None
        """Why the last attempt failed, should there be no other."""
        self.not_before: dict[Session, float] = {}
        self.used_up: set[int] = set()
        self.done = False
        # Between the threads:
        self._changed = threading.Condition()
        # Snapshots replace one another, so a slow reader misses old ones instead of holding up the gateway.
        self._snapshots: deque[Ranking] = deque(maxlen=4)
        self._result: Any = None
        self._finished = False

    def publish(self, snapshot: Ranking) -> None:
        with self._changed:
            self._snapshots.append(snapshot)
            self._changed.notify_all()

    def finish(self, result: Any) -> None:
        """The one result: a ranking, a report, or an error to raise."""
        self.done = True
        with self._changed:
            if not self._finished:
                self._result, self._finished = result, True
                self._changed.notify_all()

    @property
    def finished(self) -> bool:
        return self._finished

    def wait(self, snapshots: bool) -> tuple[bool, Any]:
        """The next snapshot, or (True, result). Bounded by the deadline even if the engine is dead."""
        last = self.deadline + GRACE + 2.0
        with self._changed:
            while not self._finished and not (snapshots and self._snapshots):
                left = last - time.monotonic()
                if left <= 0:
                    raise DeadlineExceeded(Status.DEADLINE, "the client's thread does not answer", self.newest, self.attempt)
                self._changed.wait(left)
            if snapshots and self._snapshots:
                return False, self._snapshots.popleft()
            result = self._result
        if isinstance(result, BaseException):
            raise result
        return True, result


class _Engine:
    """The thread that owns all sockets."""

    def __init__(self, endpoints: Sequence[str], curves: Mapping[str, Curve]) -> None:
        self.context = zmq.Context()
        self.sessions = [Session(self.context, endpoint, curves.get(endpoint)) for endpoint in endpoints]
        self.jobs: list[_Job] = []
        self._inbox: deque[tuple[str, _Job | None]] = deque()
        self._lock = threading.RLock()  # the garbage collector may close a stream while this thread posts
        self._closed = False
        self._wake_in = self.context.socket(zmq.PAIR)
        self._wake_out = self.context.socket(zmq.PAIR)
        self._wake_in.bind("inproc://wake")
        self._wake_out.connect("inproc://wake")
        self._wake_in.linger = self._wake_out.linger = 0
        self.thread = threading.Thread(target=self._run, name="gltp", daemon=True)
        self.thread.start()

    def post(self, what: str, job: _Job | None = None) -> None:
        """From any thread."""
        with self._lock:
            if self._closed:
                if job is not None:
                    job.finish(ClientClosed("the client is closed"))
                return
            self._closed = what == "close"
            self._inbox.append((what, job))
            try:
                self._wake_out.send(b"", zmq.NOBLOCK)
            except zmq.Again:
                pass  # so many are waiting that the engine wakes anyhow

    def close(self) -> None:
        self.post("close")
        if threading.current_thread() is not self.thread:  # the garbage collector runs anywhere
            self.thread.join(5.0)

    # The loop.

    def _run(self) -> None:
        error: GLTPError = ClientClosed("the client was closed")
        try:
            while self._step():
                pass
        except Exception as bug:  # never leave a caller without an answer
            log.exception("the client's thread failed")
            error = GLTPError(f"the client's thread failed: {bug!r}")
        finally:
            with self._lock:
                self._closed = True
                jobs = self.jobs + [job for _, job in self._inbox if job is not None]
            now = time.monotonic()
            for job in jobs:
                self._cancel(job, now)
                job.finish(error)
            for session in self.sessions:
                session.bye(now)
            self._wake_in.close()
            self._wake_out.close()
            self.context.term()  # bounded: every socket has a linger time

    def _step(self) -> bool:
        self._poll()
        now = time.monotonic()
        while self._inbox:
            what, job = self._inbox.popleft()
            if what == "close":
                return False
            assert job is not None
            if what == "start":
                self.jobs.append(job)
            elif not job.done:
                self._cancel(job, now)
                job.finish(RequestFailed(Status.CANCELLED, "by the application", job.newest, job.attempt))
        for session in self.sessions:
            for received in session.receive(now):
                if received.message is not None:
                    self._take(session, received.message, now)
                elif received.error is not None:
                    self._damaged(session, received.error, now)
        for session in self.sessions:
            session.tick(now)
        for job in self.jobs:
            if not job.done:
                self._advance(job, now)
        self.jobs = [job for job in self.jobs if not job.done]
        return True

    def _poll(self) -> None:
        now = time.monotonic()
        poller = zmq.Poller()
        poller.register(self._wake_in, zmq.POLLIN)
        until = now + 5.0
        for session in self.sessions:
            if session.socket is not None and session.monitor is not None:
                poller.register(session.socket, zmq.POLLIN)
                poller.register(session.monitor, zmq.POLLIN)
            until = min(until, session.next_tick())
        for job in self.jobs:
            # While a job looks for a gateway many small timers matter; they are not worth a list.
            until = min(until, now + 0.02 if job.session is None else job.deadline + GRACE)
        poller.poll(max(0, int((until - now) * 1000) + 1))
        while True:
            try:
                self._wake_in.recv(zmq.NOBLOCK)
            except zmq.Again:
                return

    # Jobs.

    def _advance(self, job: _Job, now: float) -> None:
        session = job.session
        if session is not None and (session.state is not State.OPEN or session.epoch != job.epoch):
            self._fail_over(job, NoGateway({session.endpoint: session.failure}, job.newest), session.failure, now, now)
            if job.done:
                return
        if now >= job.deadline + GRACE or job.session is None and now >= job.deadline:
            if job.session is None and job.error is not None:
                job.finish(job.error)
            elif job.session is None and job.attempt == 0:
                job.finish(NoGateway(self._failures(job), job.newest))
            else:
                self._expire(job, "no answer in time")
        elif job.session is None:
            self._dispatch(job, now)

    def _dispatch(self, job: _Job, now: float) -> None:
        """Sends the job to a gateway, or sees to it that there will be one."""
        usable = [s for s in self.sessions if job.not_before.get(s, 0.0) <= now]
        for session in usable:
            if session.state is State.OPEN and not session.draining:
                self._send(job, session, now)
                if job.session is not None or job.done:
                    return
        for session in self.sessions:
            if session.state is State.CLOSED and session.failure:
                job.failures[session.endpoint] = session.failure
            elif session.state is State.OPEN and session.draining:
                job.failures[session.endpoint] = "is draining"
            elif session.state is State.GREETING:
                job.failures.setdefault(session.endpoint, "no answer yet")
        opened = [s for s in self.sessions if s.state is State.OPEN and not s.draining]
        if all(s.state is State.CLOSED and s.hopeless and now < s.retry_at for s in self.sessions):
            job.finish(job.error or NoGateway(self._failures(job), job.newest))
        elif now >= job.connect_by and not opened:
            job.finish(job.error or NoGateway(self._failures(job), job.newest))
        else:
            # One after the other, without waiting long for one that is silent.
            for session in usable:
                if session.state is State.CLOSED and now >= session.retry_at:
                    session.open(now)
                    break
                if session.state is State.GREETING and now - session.opened_at < STAGGER:
                    break

    def _send(self, job: _Job, session: Session, now: float) -> None:
        m = job.template
        header = replace(m.header)
        if job.ranks:
            header.attempt = job.attempt + 1
            header.budget_ms = max(1, int((job.deadline - now) * 1000))
            if header.attempt > 1:
                header.flags |= Flag.RETRY
        header.session_id = session.session_id
        parts = encode(Message(header, m.tlvs, m.tensors), CLIENT_EDGE)
        try:
            session.check_size(parts, job.raw_bytes)
        except GLTPError as error:
            job.finish(error)
            return
        if session.send_parts(parts, now):
            job.attempt += 1
            job.session, job.epoch, job.expected = session, session.epoch, 0
        else:
            session.lose("takes no messages", now)

    def _fail_over(self, job: _Job, error: GLTPError, why: str, again: float, now: float) -> None:
        """The attempt is over; another follows if there may be one. `again` is when the same gateway may be asked."""
        assert job.session is not None
        job.failures[job.session.endpoint] = why
        job.not_before[job.session] = again
        job.session = None
        job.error = error
        job.connect_by = now + job.connect_timeout
        if isinstance(error, NoGateway):
            error.failures.update(job.failures)
        alone = len(self.sessions) == 1
        if job.attempt >= MAX_ATTEMPTS or alone and again >= job.deadline:
            job.finish(error)

    def _take(self, session: Session, m: Message, now: float) -> None:
        job = self._job(m.header.request_id, session)
        if job is None:
            return
        if m.kind == Kind.REPORT:
            if not job.ranks:
                job.finish(_report(m))
        elif job.ranks and m.header.attempt == job.attempt and m.header.stage == 0:
            (self._partial if m.kind == Kind.PARTIAL else self._end)(job, session, m, now)
        elif not job.ranks and m.kind == Kind.END:
            job.finish(_failure(m, job))  # not in the page; a gateway may well refuse a STATUS so

    def _job(self, request_id: bytes, session: Session) -> _Job | None:
        """The running job of an answer. Anything else is late."""
        for job in self.jobs:
            if job.id == request_id and job.session is session and job.epoch == session.epoch and not job.done:
                return job
        return None

    def _partial(self, job: _Job, session: Session, m: Message, now: float) -> None:
        h = m.header
        if h.sequence < job.expected:
            return
        if h.sequence > job.expected:
            self._cancel(job, now)
            detail = f"snapshot {h.sequence} came, {job.expected} was next"
            self._fail_over(job, RequestFailed(Status.SEQUENCE_GAP, detail, job.newest, job.attempt), detail, now + ELSEWHERE, now)
            return
        job.expected += 1
        job.newest = _ranking(m, job, None)
        job.publish(job.newest)
        ack = message(Kind.ACK, stream=h.stream, sequence=job.expected, request_id=job.id, attempt=job.attempt)
        if not session.send(ack, now):
            session.lose("takes no messages", now)

    def _end(self, job: _Job, session: Session, m: Message, now: float) -> None:
        status = m.header.status
        ranked = m.tensor("ranking_items") is not None
        if ranked:
            job.newest = _ranking(m, job, Status(status))
        if status == Status.OK:
            job.finish(job.newest)
            return
        if status == Status.DEADLINE:
            self._expire(job, m.tlvs.get("detail", ""))
            return
        error = _failure(m, job)
        pinned = job.template.header.bundle_prefix != bytes(8)
        if status == Status.BUNDLE_GONE and pinned:
            job.template.header.bundle_prefix = bytes(8)
            self._fail_over(job, error, "BUNDLE_GONE", now, now)
        elif status in _ELSEWHERE or status in _ONCE and status not in job.used_up:
            job.used_up.add(status)
            # No retry_after_ms leaves it to us. Other gateways are asked at once (9: "or elsewhere").
            wait = m.tlvs["retry_after_ms"] / 1000 if "retry_after_ms" in m.tlvs else ELSEWHERE
            self._fail_over(job, error, str(error), now + wait, now)
        else:
            job.finish(error)

    def _damaged(self, session: Session, error: DecodeError, now: float) -> None:
        """8.1: a damaged answer fails its request with CORRUPT."""
        job = self._job(error.header.request_id, session) if error.header is not None else None
        if job is None or error.header is None or job.ranks and error.header.attempt != job.attempt:
            return
        self._cancel(job, now)
        if isinstance(error, OverBudget):
            job.finish(RequestFailed(Status.OVERLOADED, str(error), job.newest, job.attempt))
            return
        failure = RequestFailed(Status.CORRUPT, f"a damaged answer ({error.rule})", job.newest, job.attempt)
        if Status.CORRUPT in job.used_up:
            job.finish(failure)
        else:
            job.used_up.add(Status.CORRUPT)
            self._fail_over(job, failure, str(failure), now + ELSEWHERE, now)

    def _cancel(self, job: _Job, now: float) -> None:
        if job.session is not None and job.ranks and not job.done and job.epoch == job.session.epoch:
            job.session.send(message(Kind.CANCEL, request_id=job.id, attempt=job.attempt), now)

    def _expire(self, job: _Job, detail: str) -> None:
        """DEADLINE with the newest ranking, if there is one."""
        if job.newest is not None:
            job.finish(replace(job.newest, status=Status.DEADLINE, incomplete=True))
        else:
            job.finish(DeadlineExceeded(Status.DEADLINE, printable(detail), None, job.attempt))

    def _failures(self, job: _Job) -> dict[str, str]:
        return {s.endpoint: job.failures.get(s.endpoint, s.failure or "not tried") for s in self.sessions}


def _ranking(m: Message, job: _Job, status: Status | None) -> Ranking:
    items, scores, titles = (m.tensor(name) for name in ("ranking_items", "ranking_scores", "ranking_titles"))
    assert items is not None and scores is not None and job.session is not None
    return Ranking(
        items.strings(), scores.array.tolist(), titles.strings() if titles is not None else None, status,
        bool(m.header.flags & Flag.PROVISIONAL), status is None or bool(m.header.flags & Flag.INCOMPLETE),
        m.tlvs["items_seen"], m.tlvs["items_total"], m.tlvs.get("timing", []), job.attempt, job.session.endpoint, job.id.hex())


def _failure(m: Message, job: _Job) -> RequestFailed:
    status = status_of(m.header.status)
    kind = UnknownUser if status == Status.UNKNOWN_USER else UnknownItem if status == Status.UNKNOWN_ITEM else RequestFailed
    return kind(status, printable(m.tlvs.get("detail", "")), job.newest, job.attempt)


def _report(m: Message) -> Any:
    report = m.tensor("report")
    assert report is not None
    try:
        value = json.loads(report.raw.tobytes())
    except (ValueError, RecursionError):
        return GLTPError("the gateway's report is no JSON")
    return value if isinstance(value, dict) else GLTPError("the gateway's report is no JSON object")


class RankingStream:
    """Snapshots as they come; the last is the final one, or the best at the deadline. Closing it early cancels the request."""

    def __init__(self, engine: _Engine, job: _Job) -> None:
        self._engine, self._job, self._over = engine, job, False

    def __iter__(self) -> Iterator[Ranking]:
        return self

    def __next__(self) -> Ranking:
        if self._over:
            raise StopIteration
        try:
            self._over, value = self._job.wait(snapshots=True)
        except BaseException:
            self.close()
            raise
        ranking: Ranking = value
        return ranking

    def close(self) -> None:
        self._over = True
        if not self._job.finished:
            self._engine.post("cancel", self._job)

    def __enter__(self) -> RankingStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()


class Client:
    """Asks gateways for rankings; the first that is there is used, the others are for when it is not. Safe for many threads.

    `server_key` is the gateways' CURVE key in Z85 (a mapping if they differ); without keys of the client a new pair is made.
    Off loopback CURVE is required unless `insecure` (2.3).
    """

    def __init__(self, gateways: Sequence[str] | str, *, server_key: str | bytes | Mapping[str, str | bytes] | None = None,
                 public_key: str | bytes | None = None, secret_key: str | bytes | None = None, connect_timeout: float = 5.0,
                 insecure: bool = False) -> None:
        endpoints = [gateways] if isinstance(gateways, str) else list(dict.fromkeys(gateways))
        if not endpoints:
            raise ValueError("a client needs at least one gateway")
        if (public_key is None) != (secret_key is None):
            raise ValueError("public_key and secret_key belong together")
        if public_key is not None and server_key is None:
            raise ValueError("CURVE needs the gateway's server_key")
        if not connect_timeout > 0:
            raise ValueError("connect_timeout must be above 0")
        curves: dict[str, Curve] = {}
        if server_key is not None:
            public, secret = (public_key, secret_key) if public_key is not None else zmq.curve_keypair()
            for endpoint in endpoints:
                key = server_key.get(endpoint) if isinstance(server_key, Mapping) else server_key
                if key is not None:
                    curves[endpoint] = Curve(_z85(key), _z85(public), _z85(secret))
        for endpoint in endpoints:
            if endpoint not in curves and not insecure and not _is_local(endpoint):
                raise ValueError(f"{endpoint} is not on loopback: give server_key, or insecure=True")
        self._connect_timeout = connect_timeout
        self._engine = _Engine(endpoints, curves)
        # Also at the exit of the interpreter, so that gateways hear BYE.
        self._close = weakref.finalize(self, _Engine.close, self._engine)

    def close(self) -> None:
        """Cancels what is running, says BYE and frees all sockets."""
        self._close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @overload
    def rank(self, user: str | None = None, *, stream: Literal[False] = False, **query: Any) -> Ranking: ...
    @overload
    def rank(self, user: str | None = None, *, stream: Literal[True], **query: Any) -> RankingStream: ...

    def rank(  # type: ignore[misc]  # the overloads shorten its parameters
            self, user: str | None = None, *, items: Sequence[str] | None = None, top: int = 10, mode: str | Mode = "slots",
            candidates: Sequence[str] | None = None, retrieve: int | None = None, exclude: Sequence[str] | None = None,
            allow: Sequence[str] | None = None, exclusion: Literal["all", "training"] | None = None, titles: bool = True,
            deadline: float = 10.0, priority: str | Priority = "normal", bundle: str | bytes | None = None, canary: bool = False,
            stream: bool = False) -> Ranking | RankingStream:
        """The `top` items for a known `user`, or for whoever is known by `items`.

        candidates: the items that compete; or retrieve: how many to take by prior; else the default of the gateway.
        exclude, allow: items that must not, or that alone may, be returned. exclusion: whether items of "all" (training and
        validation) or of "training" alone are left out. bundle: pins the request to a bundle, by its SHA-256 or 8 bytes of it.
        deadline: seconds. When it expires the best ranking so far is returned, with status DEADLINE, if there is one.

        Raises RequestFailed (UnknownUser, UnknownItem, DeadlineExceeded), NoGateway, ClientClosed; EncodeError, a ValueError,
        for what cannot be asked. With `stream`, returns an iterator of snapshots.
        """
        if not 0 < deadline <= MAX_DEADLINE:
            raise ValueError(f"a deadline of {deadline} s is not above 0 and at most {MAX_DEADLINE:g}")
        flags = (Flag.STREAM if stream else 0) | (Flag.TITLES if titles else 0) | (Flag.CANARY if canary else 0)
        tlvs: dict[str, Any] = {"count": top, "mode": _choice(Mode, mode)}
        if user is not None:
            tlvs["user_id"] = str(user)
        if retrieve is not None:
            tlvs["retrieve"] = retrieve
        if exclusion is not None:
            if exclusion not in ("all", "training"):
                raise ValueError(f"exclusion {exclusion!r} is neither 'all' nor 'training'")
            tlvs["exclusion"] = 1 if exclusion == "all" else 2
        lists = {"request_items": items, "request_candidates": candidates, "request_exclude": exclude, "request_allow": allow}
        tensors = []
        for name, values in lists.items():
            if isinstance(values, str):
                raise ValueError(f"{name[8:]} must be a sequence of ids, not one string")
            if values is not None:
                tensors.append(Tensor.of_strings(name, [str(value) for value in values]))
        template = message(Kind.REQUEST, tlvs, tensors, flags=int(flags), priority=_choice(Priority, priority), request_id=uuid7(),
                           bundle_prefix=_prefix(bundle))
        encode(template, CLIENT_EDGE)  # whoever asks wrongly hears it here and now
        job = self._start(template, deadline)
        if stream:
            return RankingStream(self._engine, job)
        ranking: Ranking = self._wait(job)
        return ranking

    def status(self, timeout: float = 5.0) -> dict[str, Any]:
        """The REPORT of a gateway (5.6)."""
        if not 0 < timeout <= MAX_DEADLINE:
            raise ValueError(f"a timeout of {timeout} s is not above 0 and at most {MAX_DEADLINE:g}")
        report: dict[str, Any] = self._wait(self._start(message(Kind.STATUS, request_id=uuid7()), timeout))
        return report

    def _start(self, template: Message, deadline: float) -> _Job:
        job = _Job(template, deadline, min(self._connect_timeout, deadline))
        self._engine.post("start", job)
        return job

    def _wait(self, job: _Job) -> Any:
        try:
            return job.wait(snapshots=False)[1]
        finally:
            if not job.finished:  # an interrupt
                self._engine.post("cancel", job)


def _choice(kind: type[Mode] | type[Priority], value: Any) -> int:
    try:
        return int(kind[value.upper()] if isinstance(value, str) else kind(value))
    except (KeyError, ValueError):
        raise ValueError(f"{value!r} is none of {', '.join(k.name.lower() for k in kind)}") from None


def _prefix(bundle: str | bytes | None) -> bytes:
    if bundle is None:
        return bytes(8)
    data = bytes.fromhex(bundle) if isinstance(bundle, str) else bytes(bundle)
    if len(data) not in (8, 32):
        raise ValueError("a bundle is named by 32 bytes, or by the first 8 of them")
    return data[:8]


def _z85(key: Any) -> bytes:
    data = key.encode() if isinstance(key, str) else bytes(key)
    if len(data) != 40:
        raise ValueError("a CURVE key has 40 characters of Z85")
    return data


def _is_local(endpoint: str) -> bool:
    if endpoint.startswith(("ipc://", "inproc://")):
        return True
    host = urlsplit(endpoint).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
