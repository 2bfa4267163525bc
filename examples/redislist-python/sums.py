def handler(context, event):
    """Adds numbers. The body is an element of the list, as JSON."""
    return str(sum(event.body["add"]))
