"""Writes each event to a table, and counts those of each key: nothing here knows that it is to be done once."""


def handler(context, event):
    context.bindings["orders"].insert("effects", ["body"], [[event.body.decode()]])
    if event.trigger.kind == "kafka":  # whose shards have one writer for each key
        key = event.key.decode()
        context.state.put(key, str(int(context.state.get(key, 0)) + 1))
