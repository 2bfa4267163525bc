def handler(context, event):
    """Greets whoever the event's body names."""
    name = event.body.decode() if event.body else "stranger"
    return "Hello, " + name
