"""Ways between two programs in Python. One asks, and waits for the answer of the other.

ways.py answer WAY ADDRESS             prints a line once it can be asked, and answers until the last question
ways.py ask WAY ADDRESS ROUNDS LONGEST prints the nanoseconds to each answer; asks for LONGEST seconds at most

ADDRESS is a prefix of names in /dev/shm; with a slash, it is a path of a socket. A way carries the values of
one kind: 64 bytes, a dictionary with an array, or a picture, whose answer is its number.
"""

import contextlib
import ctypes
import json
import os
import pickle
import signal
import socket
import struct
import sys
import time

import numpy

# Seconds.
PATIENCE = 10
# Of prctl(2), which kills this program when its parent ends.
PR_SET_PDEATHSIG = 1
PICTURE = (1080, 1920, 4)
PICTURE_SIZE = 1080 * 1920 * 4
ROOM = 1 << 18


class Bytes:
    """64 bytes, which come back."""

    size = 64

    def question(self, number):
        return number.to_bytes(64, "little")

    def answer(self, question):
        return bytes(question)

    def is_last(self, question):
        return question[0] == 0

    def check(self, question, answer):
        return bytes(answer) == question


class Values:
    """A dictionary of twenty entries, one of which is an array. It comes back."""

    def __init__(self):
        self.value = {f"entry {i}": i * 0.5 if i % 2 else i for i in range(18)}
        self.value["name"] = "a player"
        self.value["numbers"] = numpy.linspace(0, 1, 1000)

    def question(self, number):
        return {**self.value, "entry 0": number}

    def answer(self, question):
        return question

    def is_last(self, question):
        return question["entry 0"] == 0

    def check(self, question, answer):
        return (
            answer.keys() == question.keys()
            and answer["numbers"][-1] == question["numbers"][-1]
        )


class Pictures:
    """A picture of numpy, which the other side copies. Its first bytes come back."""

    size = PICTURE_SIZE

    def __init__(self):
        self.picture = numpy.full(PICTURE, 7, numpy.uint8)

    def question(self, number):
        self.picture[0, 0] = list(number.to_bytes(4, "little"))
        return self.picture

    def answer(self, question):
        return numpy.array(question[0, 0]).tobytes()

    def is_last(self, question):
        return question[0, 0, 0] == 0

    def check(self, question, answer):
        return bytes(answer) == question[0, 0].tobytes()


class Peer:
    """A `Peer` of this package."""

    def __init__(self, address, asks):
        import godot_shared_memory as gsm

        self.peer = gsm.Peer(address, ROOM)
        self.asks = asks

    def connect(self):
        self.peer.wait_connected(PATIENCE)

    def request(self, value):
        return self.peer.request(value, PATIENCE)

    def receive(self):
        return self.peer.receive(PATIENCE)

    def send(self, value):
        self.peer.send(value, PATIENCE)

    def close(self):
        self.peer.close()


class Stream:
    """A `Stream` of this package for the pictures, and one for the answers."""

    def __init__(self, address, asks):
        import godot_shared_memory as gsm

        self.gsm = gsm
        self.names = [address + "-pictures", address + "-answers"]
        if asks:
            self.names.reverse()
        # Each side makes the stream that it writes.
        self.mine = gsm.Stream.create(self.names[1], PICTURE_SIZE if asks else 64)
        self.other = gsm.Stream.open(self.names[0])

    def connect(self):
        end = time.monotonic() + PATIENCE
        while not self.other.is_attached() and time.monotonic() < end:
            time.sleep(0.01)
            with contextlib.suppress(self.gsm.UnavailableError):
                self.other.has_new_data()

    def request(self, value):
        self.send(value)
        return self.receive()

    def receive(self):
        self.other.wait(PATIENCE)
        return self.other.read()

    def send(self, value):
        self.mine.write(value)

    def close(self):
        self.mine.close()
        self.other.close()


class Socket:
    """A Unix socket. A message is its length, and its bytes."""

    def __init__(self, address, asks):
        path = address + ".socket"
        self.server = None
        if asks:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(path)
        else:
            self.server = socket.socket(socket.AF_UNIX)
            self.server.bind(path)
            self.server.listen()
            self.path = path

    def connect(self):
        if self.server:
            self.socket = self.server.accept()[0]
        # Not with `settimeout`, which would call `poll` before each call.
        patience = struct.pack("ll", PATIENCE, 0)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, patience)

    def dump(self, value):
        return value

    def load(self, content):
        return content

    def request(self, value):
        self.send(value)
        return self.receive()

    def receive(self):
        got = self.socket.recv(ROOM)
        while len(got) < 4 or len(got) < 4 + int.from_bytes(got[:4], "little"):
            more = self.socket.recv(ROOM)
            if not more:
                raise EOFError
            got += more
        return self.load(memoryview(got)[4:])

    def send(self, value):
        content = self.dump(value)
        self.socket.sendall(len(content).to_bytes(4, "little") + content)

    def close(self):
        self.socket.close()
        if self.server:
            self.server.close()
            os.unlink(self.path)


class Pickle(Socket):
    """A Unix socket, with pickle's bytes of the value."""

    def dump(self, value):
        return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)

    def load(self, content):
        return pickle.loads(content)


class Json(Socket):
    """A Unix socket, with JSON of the value. The array becomes a list, and an array again."""

    def dump(self, value):
        return json.dumps({**value, "numbers": value["numbers"].tolist()}).encode()

    def load(self, content):
        value = json.loads(bytes(content))
        value["numbers"] = numpy.array(value["numbers"])
        return value


class Zmq:
    """A pair of sockets of pyzmq over ipc."""

    def __init__(self, address, asks):
        import zmq

        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.PAIR)
        self.socket.setsockopt(zmq.RCVTIMEO, PATIENCE * 1000)
        self.socket.setsockopt(zmq.LINGER, PATIENCE * 1000)
        where = f"ipc://{address}.socket"
        if asks:
            self.socket.connect(where)
        else:
            self.socket.bind(where)

    def connect(self):
        pass

    def request(self, value):
        self.send(value)
        return self.receive()

    def receive(self):
        return self.socket.recv()

    def send(self, value):
        self.socket.send(value)

    def close(self):
        self.socket.close()
        self.context.term()


class ZmqPictures(Zmq):
    """The same for pictures, without the copies that pyzmq can avoid."""

    def receive(self):
        frame = self.socket.recv(copy=False)
        if len(frame) != PICTURE_SIZE:
            return frame.bytes
        return numpy.frombuffer(frame, numpy.uint8).reshape(PICTURE)

    def send(self, value):
        # The writer goes on with its picture, so pyzmq must not keep it: a copy for a picture, too.
        self.socket.send(value, copy=True)


class Seqlock:
    """Bytes of `multiprocessing.shared_memory`, with a counter that is odd during a write.

    The reader looks at the counter again and again. On x86-64, the stores of a program are seen in their
    order.
    """

    def __init__(self, address, asks, size):
        from multiprocessing import resource_tracker, shared_memory

        self.is_made = not asks
        self.memory = shared_memory.SharedMemory(
            address, create=not asks, size=2 * (size + 64)
        )
        if asks:
            # Otherwise Python would remove it at the end of each of the two.
            resource_tracker.unregister(self.memory._name, "shared_memory")
        parts = [self.memory.buf[start : start + 64 + size] for start in (0, 64 + size)]
        if asks:
            parts.reverse()
        self.counters = [part[:8].cast("Q") for part in parts]
        self.contents = [part[64:] for part in parts]
        self.parts = parts
        self.seen = 0
        self.message = bytes(size)

    def connect(self):
        pass

    def request(self, value):
        self.send(value)
        return self.receive()

    def take(self, content):
        return bytes(content)

    def put(self, content, value):
        content[:] = value

    def receive(self):
        counter = self.counters[0]
        while True:
            before = counter[0]
            if before == self.seen or before & 1:
                continue
            value = self.take(self.contents[0])
            if counter[0] == before:
                self.seen = before
                return value

    def send(self, value):
        counter = self.counters[1]
        counter[0] += 1
        self.put(self.contents[1], value)
        counter[0] += 1

    def close(self):
        for view in (*self.counters, *self.contents, *self.parts):
            view.release()
        self.memory.close()
        if self.is_made:
            self.memory.unlink()


class SeqlockBytes(Seqlock):
    def __init__(self, address, asks):
        super().__init__(address, asks, 64)


class SeqlockPictures(Seqlock):
    def __init__(self, address, asks):
        super().__init__(address, asks, PICTURE_SIZE)
        self.arrays = [
            numpy.frombuffer(content, numpy.uint8).reshape(PICTURE)
            for content in self.contents
        ]

    def take(self, content):
        return self.arrays[0].copy() if self.is_made else bytes(content[:4])

    def put(self, content, value):
        if self.is_made:
            content[:4] = value
        else:
            numpy.copyto(self.arrays[1], value)

    def close(self):
        self.arrays.clear()
        super().close()


class Iceoryx2:
    """A service of iceoryx2 in each direction, with an event to wake the other side."""

    size = 64

    def __init__(self, address, asks):
        import iceoryx2

        self.kind = ctypes.c_uint8
        iceoryx2.set_log_level(iceoryx2.LogLevel.Error)
        config = iceoryx2.config.default()
        config.global_cfg.prefix = iceoryx2.FileName.new(os.path.basename(address))
        config.global_cfg.root_path = iceoryx2.Path.new(os.path.dirname(address))
        self.node = (
            iceoryx2.NodeBuilder.new()
            .config(config)
            .signal_handling_mode(iceoryx2.SignalHandlingMode.Disabled)
            .create(iceoryx2.ServiceType.Ipc)
        )
        ways = ["questions", "answers"]
        if asks:
            ways.reverse()
        self.others, self.mine = (self.service(iceoryx2, way) for way in ways)
        self.subscriber = self.others[0].subscriber_builder().create()
        self.listener = self.others[1].listener_builder().create()
        publisher = self.mine[0].publisher_builder().initial_max_slice_len(self.size)
        self.publisher = publisher.create()
        self.notifier = self.mine[1].notifier_builder().create()
        self.patience = iceoryx2.Duration.from_secs(PATIENCE)

    def service(self, iceoryx2, way):
        name = iceoryx2.ServiceName.new(way)
        builder = self.node.service_builder(name)
        messages = builder.publish_subscribe(iceoryx2.Slice[self.kind]).open_or_create()
        return messages, self.node.service_builder(name).event().open_or_create()

    def connect(self):
        end = time.monotonic() + PATIENCE
        while (
            self.mine[0].dynamic_config.number_of_subscribers == 0
            and time.monotonic() < end
        ):
            time.sleep(0.001)

    def request(self, value):
        self.send(value)
        return self.receive()

    def take(self, payload):
        return bytes(payload)

    def put(self, payload, value):
        payload[:] = value

    def receive(self):
        while True:
            sample = self.subscriber.receive()
            if sample is not None:
                return self.take(sample.payload().as_memory_view().cast("B"))
            self.listener.timed_wait(self.patience)

    def send(self, value):
        length = len(value) if isinstance(value, bytes) else value.nbytes
        sample = self.publisher.loan_slice_uninit(length)
        self.put(sample.payload().as_memory_view().cast("B"), value)
        sample.assume_init().send()
        self.notifier.notify()

    def close(self):
        pass


class Iceoryx2Pictures(Iceoryx2):
    size = PICTURE_SIZE

    def take(self, payload):
        if len(payload) != PICTURE_SIZE:
            return bytes(payload)
        return numpy.frombuffer(payload, numpy.uint8).reshape(PICTURE).copy()

    def put(self, payload, value):
        if isinstance(value, bytes):
            payload[:] = value
        else:
            numpy.copyto(numpy.frombuffer(payload, numpy.uint8).reshape(PICTURE), value)


# The values of each way, and the way.
WAYS = {
    "bytes-peer": (Bytes, Peer),
    "bytes-socket": (Bytes, Socket),
    "bytes-zmq": (Bytes, Zmq),
    "bytes-iceoryx2": (Bytes, Iceoryx2),
    "bytes-seqlock": (Bytes, SeqlockBytes),
    "values-peer": (Values, Peer),
    "values-pickle": (Values, Pickle),
    "values-json": (Values, Json),
    "picture-stream": (Pictures, Stream),
    "picture-zmq": (Pictures, ZmqPictures),
    "picture-iceoryx2": (Pictures, Iceoryx2Pictures),
    "picture-seqlock": (Pictures, SeqlockPictures),
}


def answer(values, way):
    print("ready", flush=True)
    way.connect()
    is_last = False
    while not is_last:
        question = way.receive()
        is_last = values.is_last(question)
        way.send(values.answer(question))


def ask(values, way, rounds, longest):
    way.connect()
    times = []
    first = time.monotonic()
    for number in range(1, rounds + 1):
        # The first byte of the last question is 0.
        question = values.question(number * 2 - 1)
        start = time.perf_counter_ns()
        found = way.request(question)
        times.append(time.perf_counter_ns() - start)
        if not values.check(question, found):
            sys.exit(f"the answer is wrong: {found}")
        if time.monotonic() - first > longest:
            break
    way.request(values.question(0))
    print(*times, sep="\n")


def main():
    role, name, address = sys.argv[1:4]
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    values, way = WAYS[name]
    asks = role == "ask"
    values, way = values(), way(address, asks)
    if asks:
        ask(values, way, int(sys.argv[4]), float(sys.argv[5]))
    else:
        answer(values, way)
    way.close()


if __name__ == "__main__":
    main()
