"""Notes each event that it is given: what it got, in which processor, of which shard, and when."""

import os
import time

out = None


def init_context(context):
    global out
    out = os.open(os.environ["SINK"], os.O_APPEND | os.O_WRONLY)


def handler(context, event):
    line = "%s %d %s %.6f\n" % (event.body.decode(), os.getppid(), event.shard_id, time.time())
    os.write(out, line.encode())
