import os
import random
import struct

import myelin


def mappings():
    """Where the shared memory lies in this process."""
    with open("/proc/self/maps") as f:
        for line in f:
            if "/memfd:myelin" in line:
                low, high = line.split()[0].split("-")
                yield int(low, 16), int(high, 16)


def cells():
    """Where the cells of calls begin and end, by the header as it was."""
    with open("/proc/self/mem", "rb", buffering=0) as memory:
        for low, _ in mappings():
            memory.seek(low + 96)
            count, size, at = struct.unpack("<3I", memory.read(12))
            return at, at + count * size


def scribble():
    """Writes garbage over the rings, the flags, the slots and the cells; seldom over the arenas."""
    with open(os.environ["SCRIBBLES"], "ab") as noted:
        noted.write(b".")
    with open("/proc/self/mem", "r+b", buffering=0) as memory:
        for low, high in mappings():
            for _ in range(random.randrange(1, 40)):
                at = random.choice((0x100, 0x180, 0x204, 0x280, random.randrange(0x1000, 0x10000, 4),
                                    random.randrange(0x1000, 0x200000, 4), random.randrange(*CELLS, 4),
                                    random.randrange(0, high - low, 4)))
                memory.seek(low + at)
                memory.write(random.choice((b"\0" * 4, b"\1\0\0\0", b"\xff" * 4, os.urandom(4))))


CELLS = cells()
HOSTILITY = float(os.environ["HOSTILITY"])


def one(context, event):
    if random.random() < HOSTILITY:
        scribble()
    if event.path == "/call":
        return context.platform.call_function("echo", myelin.Event(body=event.body, method="POST")).body
    if event.path == "/stream":
        return (event.body[at:at + 700] for at in range(0, len(event.body), 700))
    return event.body if event.path == "/echo" else "%s" % event.id


def handler(context, event):
    return [one(context, e) for e in event] if isinstance(event, list) else one(context, event)
