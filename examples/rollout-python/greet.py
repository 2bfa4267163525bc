"""Greets; a version that is told to fail does so for as many of a hundred."""

import os
import random

GREETING = os.environ.get("GREETING", "Hello")
FAILS = float(os.environ.get("FAILS", "0"))


def handler(context, event):
    if random.random() * 100 < FAILS:
        raise RuntimeError("this version fails now and then")
    return "%s, %s" % (GREETING, event.body.decode() or "stranger")
