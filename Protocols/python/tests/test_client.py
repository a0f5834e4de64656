"""The client against scripted gateways on loopback."""
import gc
import os
import signal
import struct
import threading
import time

import pytest
import zmq

import gltp
from gltp import Client, Flag, Kind, Status, message
from gltp.__main__ import main
from gltp.fake_gateway import FakeGateway
from gltp.xxh32 import xxh32


def answer(call):
    call.end(["a", "Ærø"], [2.5, 1.0], ["A", "Ö"])


def damage_payload(parts):
    return [*parts[:-1], parts[-1][:-5] + bytes([parts[-1][-5] ^ 1]) + parts[-1][-4:]]


def damage_head(parts):
    return [parts[0][:40] + bytes([parts[0][40] ^ 1]) + parts[0][41:], *parts[1:]]


def damage_reserved(parts):
    head = bytearray(parts[0])
    head[11], head[60:64] = 1, bytes(4)
    head[60:64] = struct.pack("<I", xxh32(head))
    return [bytes(head), *parts[1:]]


def once(first, then=answer):
    """A script that does `first` to the first request and `then` to the others."""
    calls = []

    def script(call):
        calls.append(call)
        (first if len(calls) == 1 else then)(call)
    return script


def nobody():
    """An endpoint on which nobody listens."""
    with FakeGateway() as gateway:
        return gateway.endpoint


@pytest.fixture(autouse=True)
def quick():
    """No test may take long, and none may leave a thread."""
    start = time.monotonic()
    yield
    assert time.monotonic() - start < 10
    gc.collect()
    assert not [t for t in threading.enumerate() if t.name == "gltp" and not t.join(2) and t.is_alive()]


# Ranking.

def test_rank():
    with FakeGateway(answer) as gateway, Client(gateway.endpoint) as client:
        ranking = client.rank(user="42", top=3, mode="first", retrieve=500, exclude=["x"], allow=["a", "Ærø"], priority="high",
                              exclusion="training", deadline=7.0, bundle="00" * 7 + "01")
        assert (ranking.items, ranking.scores, ranking.titles) == (["a", "Ærø"], [2.5, 1.0], ["A", "Ö"])
        assert (ranking.status, ranking.final, ranking.incomplete, ranking.attempts) == (Status.OK, True, False, 1)
        (hello,), (request,) = gateway.of(Kind.HELLO), gateway.of(Kind.REQUEST)
        assert (hello.header.session_id, hello.tlvs["role"], hello.tlvs["version_range"]) == (0, 1, (1, 0, 1, 0))
        h = request.header
        assert request.tlvs == {"user_id": "42", "count": 3, "mode": 2, "retrieve": 500, "exclusion": 2}
        assert (h.flags, h.attempt, h.priority, h.bundle_prefix) == (Flag.TITLES, 1, 2, bytes(7) + b"\1")
        assert 6900 < h.budget_ms <= 7000
        assert h.request_id[6] >> 4 == 7 and h.request_id[8] >> 6 == 2
        assert request.tensor("request_exclude").strings() == ["x"]
        assert client.rank(items=["i1", "i2"], candidates=["c"], titles=False).items == ["a", "Ærø"]
        request = gateway.of(Kind.REQUEST)[1]
        assert request.tensor("request_items").strings() == ["i1", "i2"]
        assert request.tensor("request_candidates").strings() == ["c"]
        assert request.header.flags == 0
        assert len(gateway.of(Kind.HELLO)) == 1  # one session for both
    assert gateway.bad == []


def test_bye_at_close():
    with FakeGateway(answer) as gateway:
        with Client(gateway.endpoint) as client:
            client.rank(user="1")
        gateway.wait_for(Kind.BYE)
        assert gateway.kinds() == [Kind.HELLO, Kind.REQUEST, Kind.DRAIN, Kind.BYE]
        with pytest.raises(gltp.ClientClosed):
            client.rank(user="1")
        client.close()


def test_forgotten_clients_close_themselves():
    with FakeGateway(answer) as gateway:
        Client(gateway.endpoint).rank(user="1")
        gc.collect()
        gateway.wait_for(Kind.BYE)


def test_many_threads():
    def echo(call):
        user = call.request.tlvs["user_id"]
        call.later(0.05, lambda: call.end([user], [1.0]))
    with FakeGateway(echo) as gateway, Client(gateway.endpoint) as client:
        got = {}
        threads = [threading.Thread(target=lambda n=n: got.__setitem__(n, client.rank(user=str(n)).items)) for n in range(30)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert got == {n: [str(n)] for n in range(30)}


@pytest.mark.parametrize("query", [
    {}, {"user": ""}, {"user": "x" * 513}, {"user": "1", "top": 0}, {"user": "1", "top": 1001}, {"user": "1", "mode": "fast"},
    {"user": "1", "candidates": ["a"], "retrieve": 5}, {"user": "1", "exclude": "abc"}, {"user": "1", "exclude": [""]},
    {"user": "1", "deadline": 0}, {"user": "1", "deadline": 601}, {"user": "1", "bundle": "00"}, {"user": "1", "priority": 7},
    {"user": "1", "exclude": ["x" * 512] * 600}])
def test_what_cannot_be_asked(query):
    with Client(nobody()) as client, pytest.raises(ValueError):
        client.rank(**query)


@pytest.mark.parametrize("arguments", [
    dict(gateways=[]), dict(gateways="tcp://192.0.2.1:5570"), dict(gateways="tcp://127.0.0.1:1", server_key="short"),
    dict(gateways="tcp://127.0.0.1:1", public_key="x" * 40), dict(gateways="tcp://127.0.0.1:1", connect_timeout=0)])
def test_what_is_no_client(arguments):
    with pytest.raises(ValueError):
        Client(**arguments)


# Streaming.

def test_stream():
    def script(call):
        call.partial(["p"], [1.0], flags=Flag.PROVISIONAL)
        call.later(0.05, lambda: call.partial(["q"], [2.0], seen=2))
        call.later(0.1, lambda: answer(call))
    with FakeGateway(script) as gateway, Client(gateway.endpoint) as client:
        got = list(client.rank(user="42", stream=True))
        assert [(r.items, r.status, r.provisional, r.incomplete) for r in got] == [
            (["p"], None, True, True), (["q"], None, False, True), (["a", "Ærø"], Status.OK, False, False)]
        assert gateway.of(Kind.REQUEST)[0].header.flags == Flag.STREAM | Flag.TITLES
        acks = gateway.wait_for(Kind.ACK, 2)
        assert [(m.header.stream, m.header.sequence, m.header.attempt) for m in acks] == [(3, 1, 1), (3, 2, 1)]


def test_a_slow_reader_misses_old_snapshots_only():
    def script(call):
        for n in range(50):
            call.partial([f"s{n}"], [1.0])
        answer(call)
    with FakeGateway(script) as gateway, Client(gateway.endpoint) as client:
        stream = client.rank(user="42", stream=True)
        gateway.wait_for(Kind.ACK, 50)
        time.sleep(0.05)
        assert [r.items[0] for r in stream] == ["s46", "s47", "s48", "s49", "a"]


def test_duplicates_are_dropped():
    def script(call):
        call.partial(["p"], [1.0])
        call.partial(["old"], [1.0], sequence=0)
        call.partial(["q"], [1.0])
        call.end(["a"], [1.0])
        call.end(["late"], [1.0])
        call.partial(["late"], [1.0])
    with FakeGateway(script) as gateway, Client(gateway.endpoint) as client:
        assert [r.items for r in client.rank(user="42", stream=True)] == [["p"], ["q"], ["a"]]
        assert client.rank(user="42").items == ["a"]


def test_a_gap_cancels_and_fails_over():
    def gap(call):
        call.partial(["p"], [1.0])
        call.partial(["r"], [1.0], sequence=2)
        call.end(["wrong"], [1.0])  # of an attempt that is over
    with FakeGateway(gap) as one, FakeGateway(answer) as two, Client([one.endpoint, two.endpoint]) as client:
        assert [r.items[0] for r in client.rank(user="42", stream=True)] == ["p", "a"]
        assert one.wait_for(Kind.CANCEL)[0].header.attempt == 1
        assert two.of(Kind.REQUEST)[0].header.attempt == 2


def test_leaving_a_stream_cancels():
    with FakeGateway(lambda call: call.partial(["p"], [1.0])) as gateway, Client(gateway.endpoint) as client:
        with client.rank(user="42", stream=True) as stream:
            assert next(stream).items == ["p"]
        cancel = gateway.wait_for(Kind.CANCEL)[0]
        assert cancel.header.request_id == gateway.of(Kind.REQUEST)[0].header.request_id
        assert list(stream) == []
        for _ in client.rank(user="42", stream=True):
            break
        gc.collect()
        gateway.wait_for(Kind.CANCEL, 2)


def test_a_stream_that_fails():
    def script(call):
        call.partial(["p"], [1.0])
        call.end(status=Status.UNKNOWN_ITEM, detail="no x9")
    with FakeGateway(script) as gateway, Client(gateway.endpoint) as client:
        stream = client.rank(user="42", stream=True)
        assert next(stream).items == ["p"]
        with pytest.raises(gltp.UnknownItem) as caught:
            next(stream)
        assert caught.value.ranking.items == ["p"]
        assert list(stream) == []


# Errors of requests.

def test_unknown_user():
    with FakeGateway(lambda call: call.end(status=Status.UNKNOWN_USER, detail="who\x1b[0m?")) as gateway:
        with Client(gateway.endpoint) as client, pytest.raises(gltp.UnknownUser) as caught:
            client.rank(user="nobody")
    assert (caught.value.status, caught.value.detail) == (Status.UNKNOWN_USER, "who\\x1b[0m?")
    assert len(gateway.of(Kind.REQUEST)) == 1


@pytest.mark.parametrize("status", [Status.CANCELLED, Status.BAD_REQUEST, Status.UNSUPPORTED, Status.POISONED, Status.STALLED,
                                    Status.NOT_ENOUGH_ITEMS, Status.BUNDLE_GONE, 999])
def test_errors_that_end_a_request(status):
    with FakeGateway(lambda call: call.end(status=status)) as gateway, Client(gateway.endpoint) as client:
        with pytest.raises(gltp.RequestFailed) as caught:
            client.rank(user="1")
        assert caught.value.status == status
        assert len(gateway.of(Kind.REQUEST)) == 1


def test_overloaded_is_asked_again_when_it_said():
    with FakeGateway(once(lambda call: call.end(status=Status.OVERLOADED, retry_after_ms=300))) as gateway:
        with Client(gateway.endpoint) as client:
            start = time.monotonic()
            assert client.rank(user="1").attempts == 2
            assert 0.3 <= time.monotonic() - start < 1.5
        first, second = (m.header for m in gateway.of(Kind.REQUEST))
        assert first.request_id == second.request_id
        assert (second.attempt, second.flags) == (2, Flag.TITLES | Flag.RETRY)
        assert second.budget_ms <= first.budget_ms - 300


def test_overloaded_goes_elsewhere_at_once():
    overloaded = FakeGateway(lambda call: call.end(status=Status.OVERLOADED, retry_after_ms=60_000))
    with overloaded as one, FakeGateway(answer) as two, Client([one.endpoint, two.endpoint]) as client:
        start = time.monotonic()
        assert client.rank(user="1").gateway == two.endpoint
        assert time.monotonic() - start < 1


def test_overloaded_beyond_the_deadline():
    with FakeGateway(lambda call: call.end(status=Status.OVERLOADED, retry_after_ms=60_000)) as gateway:
        with Client(gateway.endpoint) as client, pytest.raises(gltp.RequestFailed) as caught:
            client.rank(user="1")
    assert caught.value.status == Status.OVERLOADED


def test_three_attempts_at_most():
    busy = FakeGateway(lambda call: call.end(status=Status.NO_WORKER, retry_after_ms=1))
    with busy as gateway, Client(gateway.endpoint) as client:
        with pytest.raises(gltp.RequestFailed) as caught:
            client.rank(user="1")
        assert (caught.value.status, caught.value.attempts) == (Status.NO_WORKER, 3)
        assert [m.header.attempt for m in gateway.of(Kind.REQUEST)] == [1, 2, 3]


def test_internal_is_retried_once():
    with FakeGateway(lambda call: call.end(status=Status.INTERNAL)) as gateway, Client(gateway.endpoint) as client:
        with pytest.raises(gltp.RequestFailed):
            client.rank(user="1")
        assert len(gateway.of(Kind.REQUEST)) == 2


def test_a_pin_is_dropped_when_the_bundle_is_gone():
    with FakeGateway(once(lambda call: call.end(status=Status.BUNDLE_GONE))) as gateway, Client(gateway.endpoint) as client:
        assert client.rank(user="1", bundle=b"B" * 32).attempts == 2
        assert [m.header.bundle_prefix for m in gateway.of(Kind.REQUEST)] == [b"B" * 8, bytes(8)]


def test_answers_of_an_earlier_attempt_are_late():
    calls = []

    def script(call):
        calls.append(call)
        if len(calls) == 1:
            call.end(status=Status.OVERLOADED, retry_after_ms=1)
        else:
            calls[0].end(["wrong"], [1.0])
            calls[0].partial(["wrong"], [1.0])
            answer(call)
    with FakeGateway(script) as gateway, Client(gateway.endpoint) as client:
        assert [r.items[0] for r in client.rank(user="1", stream=True)] == ["a"]


def test_an_interrupt_cancels():
    # Python takes no notice of interrupts where its parent ignored them, as shells do for jobs in the background.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        interrupt_a_ranking()
    finally:
        signal.signal(signal.SIGINT, before)


def interrupt_a_ranking():
    with FakeGateway() as gateway, Client(gateway.endpoint) as client:
        threading.Thread(target=lambda: (gateway.wait_for(Kind.REQUEST), os.kill(os.getpid(), signal.SIGINT))).start()
        with pytest.raises(KeyboardInterrupt):
            client.rank(user="1")
        gateway.wait_for(Kind.CANCEL)


# Deadlines.

def test_deadline_of_the_gateway():
    def script(call):
        call.end(["p"], [1.0], status=Status.DEADLINE, flags=Flag.INCOMPLETE | Flag.PROVISIONAL)
    with FakeGateway(script) as gateway, Client(gateway.endpoint) as client:
        ranking = client.rank(user="1")
    assert (ranking.status, ranking.items, ranking.provisional, ranking.final) == (Status.DEADLINE, ["p"], True, False)


def test_deadline_without_a_ranking():
    with FakeGateway() as gateway, Client(gateway.endpoint) as client:
        start = time.monotonic()
        with pytest.raises(gltp.DeadlineExceeded):
            client.rank(user="1", deadline=0.3)
        assert 0.5 < time.monotonic() - start < 1.0


def test_deadline_with_a_snapshot():
    with FakeGateway(lambda call: call.partial(["p"], [1.0])) as gateway, Client(gateway.endpoint) as client:
        *snapshots, last = client.rank(user="1", deadline=0.3, stream=True)
        assert [r.items for r in snapshots] == [["p"]]
        assert (last.status, last.items, last.incomplete) == (Status.DEADLINE, ["p"], True)


# Failover.

def test_a_dead_gateway_first():
    with FakeGateway(answer) as gateway, Client([nobody(), gateway.endpoint]) as client:
        assert client.rank(user="1").gateway == gateway.endpoint


def test_a_silent_gateway_first():
    with FakeGateway(silent=True) as silent, FakeGateway(answer) as gateway:
        with Client([silent.endpoint, gateway.endpoint]) as client:
            start = time.monotonic()
            assert client.rank(user="1").attempts == 1
            assert time.monotonic() - start < 1


def test_nobody_is_there():
    endpoint = nobody()
    with FakeGateway(silent=True) as silent, Client([endpoint, silent.endpoint], connect_timeout=0.7) as client:
        start = time.monotonic()
        with pytest.raises(gltp.NoGateway) as caught:
            client.rank(user="1")
        assert time.monotonic() - start < 1.5
        assert caught.value.failures == {endpoint: "connection refused", silent.endpoint: "no answer yet"}
        with pytest.raises(gltp.NoGateway):
            client.status(timeout=0.2)


def test_a_gateway_that_vanishes():
    with FakeGateway() as one, FakeGateway(answer) as two, Client([one.endpoint, two.endpoint]) as client:
        threading.Thread(target=lambda: (one.wait_for(Kind.REQUEST), one.stop())).start()
        start = time.monotonic()
        ranking = client.rank(user="1", deadline=5)
        assert time.monotonic() - start < 2
        assert (ranking.gateway, ranking.attempts) == (two.endpoint, 2)
        (first,), (second,) = one.of(Kind.REQUEST), two.of(Kind.REQUEST)
        assert first.header.request_id == second.header.request_id
        assert (second.header.attempt, second.header.flags & Flag.RETRY) == (2, Flag.RETRY)
        assert second.header.budget_ms < 5000
        assert client.rank(user="1").gateway == two.endpoint


def test_a_gateway_that_comes_back():
    with FakeGateway(answer) as gateway:
        with Client(gateway.endpoint) as client:
            client.rank(user="1")
            gateway.stop()
            with FakeGateway(answer, port=gateway.port) as again:
                assert client.rank(user="1").items == ["a", "Ærø"]
                assert len(again.of(Kind.HELLO)) == 1


def test_bye_during_a_request():
    with FakeGateway(lambda call: call.bye()) as one, FakeGateway(answer) as two, Client([one.endpoint, two.endpoint]) as client:
        assert client.rank(user="1").attempts == 2


def test_draining():
    def script(call):
        call.gateway.drain()
        call.later(0.1, lambda: answer(call))  # what is in flight is finished
    with FakeGateway(script) as one, FakeGateway(answer) as two, Client([one.endpoint, two.endpoint]) as client:
        assert client.rank(user="1").gateway == one.endpoint
        assert client.rank(user="1").gateway == two.endpoint


def test_refused_because_draining():
    with FakeGateway(lambda call: call.end(status=Status.DRAINING)) as one, FakeGateway(answer) as two:
        with Client([one.endpoint, two.endpoint]) as client:
            assert client.rank(user="1").gateway == two.endpoint


def test_a_forgotten_session():
    with FakeGateway(answer) as gateway, Client(gateway.endpoint) as client:
        client.rank(user="1")
        gateway.forgets = True
        assert client.rank(user="1").attempts == 2
        assert len(gateway.of(Kind.HELLO)) == 2


def test_all_attempts_lost():
    with FakeGateway(lambda call: call.bye(Status.INTERNAL)) as gateway, Client(gateway.endpoint) as client:
        with pytest.raises(gltp.NoGateway, match="BYE INTERNAL"):
            client.rank(user="1")
        assert len(gateway.of(Kind.REQUEST)) == 3


# Heartbeats.

def test_idle_sessions_live():
    with FakeGateway(answer, intervals=(100, 300)) as gateway, Client(gateway.endpoint) as client:
        client.rank(user="1")
        pings = gateway.wait_for(Kind.PING, 5)
        assert [m.header.sequence for m in pings[:5]] == [1, 2, 3, 4, 5]
        client.rank(user="1")
        assert len(gateway.of(Kind.HELLO)) == 1


def test_pings_are_answered():
    def script(call):
        call.gateway.session_message(call.peer, message(Kind.PING, sequence=77))
        answer(call)
    with FakeGateway(script) as gateway, Client(gateway.endpoint) as client:
        client.rank(user="1")
        assert gateway.wait_for(Kind.PONG)[0].header.sequence == 77


def test_silence_is_loss():
    with FakeGateway(intervals=(100, 250), pongs=False) as one, FakeGateway(answer) as two:
        with Client([one.endpoint, two.endpoint]) as client:
            start = time.monotonic()
            assert client.rank(user="1").gateway == two.endpoint
            assert 0.2 < time.monotonic() - start < 1.5


# Bad gateways.

def test_a_damaged_answer_is_asked_for_again():
    with FakeGateway(once(lambda call: call.end(["x"], [1.0], damage=damage_payload))) as gateway, Client(gateway.endpoint) as client:
        ranking = client.rank(user="1")
        assert (ranking.items, ranking.attempts) == (["a", "Ærø"], 2)
        assert len(gateway.of(Kind.HELLO)) == 1


def test_damage_is_forgiven_once():
    with FakeGateway(lambda call: call.end(["x"], [1.0], damage=damage_payload)) as gateway, Client(gateway.endpoint) as client:
        with pytest.raises(gltp.RequestFailed) as caught:
            client.rank(user="1")
        assert caught.value.status == Status.CORRUPT
        assert len(gateway.of(Kind.REQUEST)) == 2
        assert not gateway.of(Kind.BYE)
        with pytest.raises(gltp.GLTPError):
            client.rank(user="1")
        bye = gateway.wait_for(Kind.BYE)[0]  # the third damage within a minute ends the session
        assert bye.header.status == Status.PROTOCOL


def damaged_start(part):
    """A snapshot of which the head (part 0) or the table (part 1) is damaged: it is as good as lost."""
    def script(call):
        call.partial(["p"], [1.0], damage=lambda parts: [
            p[:40] + bytes([p[40] ^ 1]) + p[41:] if n == part else p for n, p in enumerate(parts)])
        call.partial(["q"], [1.0])
    return once(script)


@pytest.mark.parametrize("part", [0, 1])
def test_a_damaged_head_leaves_a_gap(part):
    with FakeGateway(damaged_start(part)) as gateway, Client(gateway.endpoint) as client:
        assert [r.items[0] for r in client.rank(user="1", stream=True)] == ["a"]
        assert len(gateway.of(Kind.CANCEL)) == len(gateway.of(Kind.HELLO)) == 1


def test_a_damaged_end_runs_into_the_deadline():
    damaged = FakeGateway(lambda call: call.end(["x"], [1.0], damage=damage_head))
    with damaged as gateway, Client(gateway.endpoint) as client:
        for _ in range(2):
            with pytest.raises(gltp.DeadlineExceeded):
                client.rank(user="1", deadline=0.2)
        with pytest.raises(gltp.GLTPError):
            client.rank(user="1", deadline=0.2)
        assert gateway.wait_for(Kind.BYE)[0].tlvs["detail"] == "headChecksum"  # the third within a minute


def test_a_breach_of_the_protocol_ends_the_session():
    broken = FakeGateway(lambda call: call.end(["x"], [1.0], damage=damage_reserved))
    with broken as one, FakeGateway(answer) as two, Client([one.endpoint, two.endpoint]) as client:
        assert client.rank(user="1").gateway == two.endpoint
        bye = one.wait_for(Kind.BYE)[0]
        assert (bye.header.status, bye.tlvs["detail"]) == (Status.PROTOCOL, "headerReserved")


@pytest.mark.parametrize("status", [Status.VERSION, Status.UNAUTHORIZED])
def test_refusals_for_good(status):
    reject = message(Kind.REJECT, {"version_range": (1, 0, 1, 0), "detail": "no"}, status=status)
    with FakeGateway(reject=reject) as gateway, Client(gateway.endpoint) as client:
        start = time.monotonic()
        with pytest.raises(gltp.NoGateway, match=f"REJECT {status.name}: no"):
            client.rank(user="1")
        assert time.monotonic() - start < 1
        with FakeGateway(answer) as other, Client([gateway.endpoint, other.endpoint]) as two:
            assert two.rank(user="1").gateway == other.endpoint


def test_refusals_for_now():
    reject = message(Kind.REJECT, {"retry_after_ms": 400}, status=Status.OVERLOADED)
    with FakeGateway(answer, reject=reject) as gateway, Client(gateway.endpoint) as client:
        threading.Thread(target=lambda: (gateway.wait_for(Kind.HELLO, 2), setattr(gateway, "reject", None))).start()
        start = time.monotonic()
        assert client.rank(user="1").items == ["a", "Ærø"]
        assert 0.4 <= time.monotonic() - start < 2.5


def test_a_version_that_was_not_offered():
    with FakeGateway(answer, version=(1, 3)) as gateway, Client(gateway.endpoint, connect_timeout=0.5) as client:
        with pytest.raises(gltp.NoGateway, match="version"):
            client.rank(user="1")


def test_limits_of_the_gateway():
    with FakeGateway(answer, limits=(2000, 4000, 4)) as gateway, Client(gateway.endpoint) as client:
        assert client.rank(user="1").items
        with pytest.raises(gltp.EncodeError, match="messageTooLarge"):
            client.rank(user="1", exclude=[f"item {n}" for n in range(1000)])


# Status, CURVE, closing, command line.

def test_status():
    report = {"role": "gateway", "requests": {"by_status": {"OK": 3}}, "of a later version": None}
    with FakeGateway(report=report) as gateway, Client(gateway.endpoint) as client:
        assert client.status() == report
    for bad in (b"{", b"[1]", b"\xff", b"[" * 100_000):
        with FakeGateway(report=bad) as gateway, Client(gateway.endpoint) as client:
            with pytest.raises(gltp.GLTPError, match="JSON"):
                client.status()


@pytest.mark.skipif(not zmq.has("curve"), reason="libzmq without CURVE")
def test_curve():
    public, secret = zmq.curve_keypair()
    mine = zmq.curve_keypair()
    with FakeGateway(answer, secret_key=secret) as gateway:
        for keys in ({}, {"public_key": mine[0], "secret_key": mine[1].decode()}):
            with Client(gateway.endpoint, server_key=public.decode(), **keys) as client:
                assert client.rank(user="1").items == ["a", "Ærø"]
        for wrong in (None, mine[0]):
            with Client(gateway.endpoint, server_key=wrong, connect_timeout=0.5) as client, pytest.raises(gltp.NoGateway):
                client.rank(user="1")


def test_closing_ends_what_is_running():
    with FakeGateway() as gateway:
        client = Client(gateway.endpoint)
        threading.Thread(target=lambda: (gateway.wait_for(Kind.REQUEST), client.close())).start()
        with pytest.raises(gltp.ClientClosed):
            client.rank(user="1")
        gateway.wait_for(Kind.BYE)
        assert gateway.kinds()[2:] == [Kind.CANCEL, Kind.DRAIN, Kind.BYE]


def test_command_line(capsys):
    def script(call):
        if call.request.header.flags & Flag.STREAM:
            call.partial(["p"], [1.0], flags=Flag.PROVISIONAL)
        answer(call)
    with FakeGateway(script) as gateway:
        assert main(["rank", "--gateway", gateway.endpoint, "--user", "42", "--top", "2"]) == 0
        assert capsys.readouterr().out == "1\t2.5\ta\tA\n2\t1\tÆrø\tÖ\n"
        assert main(["rank", "--gateway", gateway.endpoint, "--items", "a", "b", "--stream", "--json"]) == 0
        assert '"items": ["p"]' in capsys.readouterr().out.splitlines()[0]
        assert main(["status", "--gateway", gateway.endpoint]) == 0
        assert '"role": "gateway"' in capsys.readouterr().out
        assert main(["rank", "--gateway", gateway.endpoint]) == 1
        assert "contradiction" in capsys.readouterr().err
