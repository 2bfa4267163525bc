def handler(context, event):
    """Repeats what it was given, which nobody but its author may change."""
    return "I vow " + (event.body.decode() or "nothing")
