def handler(context, event):
    """Answers with the body where it lies."""
    return event.body_view
