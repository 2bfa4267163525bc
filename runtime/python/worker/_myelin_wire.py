"""The control socket, and how what goes over it is laid out."""

import os

import _socket
import _struct
import _thread

HELLO, READY, FAIL, LOG, BODY, CALL, BELL = 1, 2, 3, 4, 5, 6, 7
MAX_MESSAGE = 48 << 10
DEBUG, INFO, WARNING, ERROR = -4, 0, 4, 8


def pack_pairs(pairs):
    out = []
    for key, value in pairs:
        out.append(_struct.pack("<II", len(key), len(value)) + key + value)
    return b"".join(out)


def to_bytes(text):
    return text.encode("utf-8", "backslashreplace")


def pack_record(nanos, level, message, attributes):
    message = to_bytes(message)
    if len(message) > MAX_MESSAGE // 2:
        message = message[: MAX_MESSAGE // 2] + b" ... (%d bytes cut)" % (len(message) - MAX_MESSAGE // 2)
    pairs, room = [], MAX_MESSAGE // 2
    for key, value in attributes.items():
        key, value = to_bytes(str(key))[:1024], to_bytes(value if isinstance(value, str) else repr(value))[:8192]
        room -= len(key) + len(value) + 8
        if room < 0:
            break
        pairs.append((key, value))
    return _struct.pack("<qiII", nanos, level, len(message), len(pairs)) + message + pack_pairs(pairs)


class Control:
    """The control socket: one message at a time, whole."""

    def __init__(self, fd):
        os.set_inheritable(fd, False)
        self.sock = _socket.socket(fileno=fd)
        self.files = {}  # by kind, slot or cell, and generation: those that came before they were asked for
        self.reading = _thread.allocate_lock()

    def receive(self):
        space = _socket.CMSG_SPACE(16 * 4)
        data, ancillary, _, _ = self.sock.recvmsg(65536, space, _socket.MSG_CMSG_CLOEXEC)
        fds = []
        for level, kind, raw in ancillary:
            if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
                fds.extend(_struct.unpack("%di" % (len(raw) // 4), raw[: len(raw) // 4 * 4]))
        return data, fds

    def second_bell(self, hello):
        """The processor's second eventfd, which follows its hello; -1 if none does."""
        if not hello[1] & 1:
            return -1
        data, fds = self.receive()
        if not data or data[0] != BELL or len(fds) != 1:
            raise EOFError("the processor has gone")
        return fds[0]

    def say(self, kind, text="", flags=0, took=0):
        self.sock.send(_struct.pack("<BBH", kind, flags, took) + to_bytes(text)[:MAX_MESSAGE])

    def log(self, event_id, record):
        event_id = to_bytes(event_id)
        self.sock.send(_struct.pack("<BBHI", LOG, 0, 0, len(event_id)) + event_id + record)

    def drop_file(self, slot, gen):
        os.close(self.take_file(BODY, slot, gen))

    def take_file(self, kind, slot, gen):
        """The file that came for a slot or cell. It was sent before it is asked for, so nobody waits here for long."""
        with self.reading:
            while (kind, slot, gen) not in self.files:
                data, fds = self.receive()
                if not data:
                    raise EOFError("the processor has gone")
                if data[0] in (BODY, CALL) and len(fds) == 1:
                    self.files[(data[0],) + _struct.unpack_from("<II", data, 4)] = fds[0]
                else:
                    for fd in fds:
                        os.close(fd)
            return self.files.pop((kind, slot, gen))

    def read_file(self, slot, gen):
        """The content of the file that came for a slot."""
        with open(self.take_file(BODY, slot, gen), "rb", buffering=0) as f:
            os.lseek(f.fileno(), 0, os.SEEK_SET)
            return read_bytes(f, os.fstat(f.fileno()).st_size)

    def read_call(self, cell, gen, meta_len, body_len, status, flags, view):
        """A large answer of a call, as fetch gives it; its body as a view of the file, if that is wanted."""
        with open(self.take_file(CALL, cell, gen), "rb", buffering=0) as f:
            if view and body_len:
                import mmap

                content = memoryview(mmap.mmap(f.fileno(), meta_len + body_len, access=mmap.ACCESS_READ))
                return status, flags, bytes(content[:meta_len]), content[meta_len:]
            os.lseek(f.fileno(), 0, os.SEEK_SET)
            meta = read_bytes(f, meta_len)
            return status, flags, meta, read_bytes(f, body_len)

    def send_file(self, slot, gen, meta, body):
        self.send_memory(BODY, slot, gen, meta, body)

    def send_call(self, cell, gen, meta, body):
        self.send_memory(CALL, cell, gen, meta, body)

    def send_memory(self, kind, slot, gen, meta, body):
        fd = os.memfd_create("myelin-body", os.MFD_CLOEXEC)
        try:
            for part in (meta, body):
                view = memoryview(part).cast("B")
                while len(view):
                    view = view[os.write(fd, view):]
            note = _struct.pack("<BBHIIIQ", kind, 0, 0, slot, gen, 0, len(meta) + len(body))
            self.sock.sendmsg([note], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, _struct.pack("i", fd))])
        finally:
            os.close(fd)


def read_bytes(f, size):
    parts, left = [], size
    while left > 0:
        part = f.read(left)
        if not part:
            break
        parts.append(part)
        left -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)
