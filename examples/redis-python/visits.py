def handler(context, event):
    """Greets a visitor. The body is all fields of the entry, as JSON."""
    return "Hello, " + event.body["name"]
