def handler(context, event):
    """Greets a visitor, and says which shard the visit came from."""
    return "Hello, %s, from shard %s" % (event.body.decode(), event.shard_id)
