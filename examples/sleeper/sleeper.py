import os
import time

begun = time.monotonic()


def handler(context, event):
    """Says which process answers, and how old it is."""
    return "process %d has been there for %.1f s" % (os.getpid(), time.monotonic() - begun)
