"""Functions that read through their bindings, or by the service's client library."""

import json
import os
import sys
import time

clients = {}


def init_context(context):
    for place in os.environ.get("BENCH_SITES", "").split(os.pathsep):
        sys.path.append(place)
    if "BENCH_REDIS" in os.environ:
        import redis

        clients["keys"] = redis.Redis(host="127.0.0.1", port=int(os.environ["BENCH_REDIS"]))
    if "BENCH_S3" in os.environ:
        import boto3

        clients["files"] = boto3.client("s3", endpoint_url=os.environ["BENCH_S3"], region_name="us-east-1", aws_access_key_id="key", aws_secret_access_key="secret")


def keys(context, event):
    """Gets each key that the event names, of 1 KiB."""
    read = context.bindings["keys"].get
    for key in json.loads(bytes(event.body))["keys"]:
        if len(read(key)) != 1024:
            raise ValueError(key)
    return "ok"


def keys_client(context, event):
    read = clients["keys"].get
    for key in json.loads(bytes(event.body))["keys"]:
        if len(read(key)) != 1024:
            raise ValueError(key)
    return "ok"


def hits(context, event):
    """The median time of a get of what is in the binding's cache, in nanoseconds."""
    read, now, took = context.bindings["keys"].get, time.perf_counter_ns, []
    read("key-0")
    for _ in range(1000):
        begun = now()
        read("key-0")
        took.append(now() - begun)
    took.sort()
    return str(took[len(took) // 2])


def file(context, event):
    """Reads an object of 1 MiB and looks at both ends."""
    content = context.bindings["files"].get("large")
    return "ok" if len(content) == 1 << 20 and content[0] == content[-1] else "wrong"


def file_client(context, event):
    content = clients["files"].get_object(Bucket=os.environ["BENCH_BUCKET"], Key="large")["Body"].read()
    return "ok" if len(content) == 1 << 20 and content[0] == content[-1] else "wrong"
