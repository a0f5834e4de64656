"""What one would write in Python with pyzmq and lz4: a client, a gateway and three stages, a process each.

Reads lines "PAYLOAD_BYTES CONCURRENCY SECONDS" and answers each with requests per second. Every leg compresses its
payload with lz4.frame and decompresses what it gets, as GLTP does; nothing else is encoded, checked or counted.
"""
import multiprocessing
import os
import struct
import sys
import time

import lz4.frame
import zmq

STAGES = 3


def listen(kind):
    socket = zmq.Context.instance().socket(kind)
    return socket, socket.bind_to_random_port("tcp://127.0.0.1")


def dial(port):
    socket = zmq.Context.instance().socket(zmq.DEALER)
    socket.connect(f"tcp://127.0.0.1:{port}")
    return socket


def candidates(count):
    """Ids and priors, as the encoder makes them: i32 and f32."""
    return struct.pack(f"<{count}i{count}f", *range(count), *(1 - i * 1e-6 for i in range(count)))


def stage(number, port):
    """Encoder: list of items -> user vector + candidates; aligner: -> prompt; ranker: -> ranking."""
    socket = dial(port)
    socket.send(b"hello")
    chunks = {}
    while True:
        envelope, payload = socket.recv_multipart()
        size = len(lz4.frame.decompress(payload))
        if number == 0:
            if size not in chunks:
                chunks[size] = bytes(64 * 4 + 16 * 4) + candidates(size // 16)
            answer = chunks[size]
        else:
            answer = bytes(128 * 4 + 2 * 384 * 2 + 12 * 4) if number == 1 else bytes(10 * 12)
        socket.send_multipart([envelope, lz4.frame.compress(answer)])


def mesh_gateway(ports):
    clients, client_port = listen(zmq.ROUTER)
    stages = [listen(zmq.DEALER) for _ in range(STAGES)]
    ports.send([client_port] + [port for _, port in stages])
    sockets = [socket for socket, _ in stages]
    for socket in sockets:
        socket.recv()
    poller = zmq.Poller()
    for socket in [clients] + sockets:
        poller.register(socket, zmq.POLLIN)
    held = {}
    while True:
        for socket, _ in poller.poll():
            if socket is clients:
                client, envelope, payload = socket.recv_multipart()
                payload = lz4.frame.decompress(payload)
                sockets[0].send_multipart([client + envelope, lz4.frame.compress(payload)])
                continue
            key, payload = socket.recv_multipart()
            # What stages make passes unopened, as in our gateway.
            if socket is sockets[0]:
                held[key] = payload
                sockets[1].send_multipart([key, lz4.frame.compress(bytes(64 * 4 + 16 * 4))])
            elif socket is sockets[1]:
                sockets[2].send_multipart([key, held.pop(key)])
            else:
                clients.send_multipart([key[:-4], key[-4:], payload])


def proxy_gateway(ports):
    clients, client_port = listen(zmq.ROUTER)
    workers, worker_port = listen(zmq.DEALER)
    ports.send([client_port, worker_port])
    zmq.proxy(clients, workers)


def echo(port):
    socket = dial(port)
    while True:
        client, envelope, payload = socket.recv_multipart()
        socket.send_multipart([client, envelope, lz4.frame.compress(lz4.frame.decompress(payload))])


def measure(socket, payload, concurrency, seconds):
    def send(number):
        socket.send_multipart([number.to_bytes(4, "little"), lz4.frame.compress(payload)])

    def receive():
        envelope, answer = socket.recv_multipart()
        lz4.frame.decompress(answer)
        return int.from_bytes(envelope, "little")

    def turn(duration):
        for number in range(concurrency):
            send(number)
        start = time.perf_counter()
        count = 0
        while time.perf_counter() - start < duration:
            send(receive())
            count += 1
        elapsed = time.perf_counter() - start
        for _ in range(concurrency):
            receive()
        return count / elapsed

    turn(seconds / 5)
    return turn(seconds)


def items(payload_bytes):
    """The candidate list on the wire: 16 bytes an item, its length first."""
    ids = (f"item-B00{i * 7919 % 1000000:06d}".encode() for i in range(payload_bytes // 16))
    return b"".join(len(i).to_bytes(2, "little") + i for i in ids)


def main():
    shape = sys.argv[1]
    ours, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    started = [context.Process(target=mesh_gateway if shape == "mesh" else proxy_gateway, args=(theirs,), daemon=True)]
    started[0].start()
    port, *others = ours.recv()
    for number, other in enumerate(others):
        target, args = (stage, (number, other)) if shape == "mesh" else (echo, (other,))
        started.append(context.Process(target=target, args=args, daemon=True))
        started[-1].start()
    socket = dial(port)
    socket.send_multipart([(0).to_bytes(4, "little"), lz4.frame.compress(items(1024))])
    socket.recv_multipart()
    print("ready", flush=True)
    for line in sys.stdin:
        payload_bytes, concurrency, seconds = line.split()
        print(measure(socket, items(int(payload_bytes)), int(concurrency), float(seconds)), flush=True)
    for process in started:
        process.kill()
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
