def handler(context, event):
    """Counts a visit, whose key is the user; over HTTP it tells the count of the user in the path."""
    if event.trigger.kind == "http":
        return context.state.get(event.path.strip("/"), b"0")
    user = bytes(event.key).decode()
    context.state.put(user, str(int(context.state.get(user, 0)) + 1))
