def handler(context, events):
    """Gives an answer to each event, in their order."""
    return ["Hello, %s, one of %d" % (event.body.decode(), len(events)) for event in events]
