"""A worker that speaks the protocol of Nuclio's Python wrapper, as fast as it goes.

Requests are a 4-byte big-endian length and a msgpack map; answers are lines:
"s" once, then for each event "m" with its duration and "r" with the response
in JSON, bytes in base64. One event is in flight.

    worker.py SOCKET DIRECTORY MODULE:FUNCTION
"""

import base64
import datetime
import importlib
import json
import socket
import sys
import time

import msgpack


class Trigger:
    __slots__ = ("kind", "name")

    def __init__(self, kind, name):
        self.kind, self.name = kind, name


class Event:
    __slots__ = ("body", "content_type", "trigger", "fields", "headers", "id", "method", "path", "size", "timestamp",
                 "url", "shard_id", "num_shards", "type", "type_version", "version", "offset", "topic")

    def __init__(self, m):
        t = m["trigger"]
        self.trigger = Trigger(t["kind"], t["name"])
        self.body, self.content_type, self.fields, self.headers = m["body"], m["content_type"], m["fields"], m["headers"]
        self.id, self.method, self.path, self.size, self.url = m["id"], m["method"], m["path"], m["size"], m["url"]
        self.timestamp = datetime.datetime.fromtimestamp(m["timestamp"], datetime.timezone.utc)
        self.shard_id, self.num_shards = m["shard_id"], m["num_shards"]
        self.type, self.type_version, self.version = m["type"], m["type_version"], m["version"]
        self.offset, self.topic = m["offset"], m["topic"]


def main():
    path, directory, spec = sys.argv[1:]
    sys.path.insert(0, directory)
    module, _, name = spec.partition(":")
    handler = getattr(importlib.import_module(module), name)
    conn = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    conn.connect(path)
    conn.sendall(b"s\n")
    head, room = bytearray(4), bytearray(64 << 10)
    unpack, clock = msgpack.unpackb, time.monotonic
    encode = json.JSONEncoder(separators=(",", ":")).encode
    while True:
        if conn.recv_into(head, 4, socket.MSG_WAITALL) < 4:
            return
        n = int.from_bytes(head, "big")
        if n > len(room):
            room = bytearray(n)
        view = memoryview(room)[:n]
        if conn.recv_into(view, n, socket.MSG_WAITALL) < n:
            return
        event = Event(unpack(view))
        began = clock()
        body = handler(None, event)
        took = clock() - began
        encoding = "text"
        if isinstance(body, bytes):
            body, encoding = base64.b64encode(body).decode("ascii"), "base64"
        answer = encode({"status_code": 200, "content_type": "text/plain", "body": body, "body_encoding": encoding,
                         "headers": {}, "event_id": event.id})
        conn.sendall(('m{"duration":%.9f}\nr%s\n' % (took, answer)).encode("ascii"))


main()
