def handler(context, event):
    """Says where it is too hot: the room is in the channel's name."""
    room = event.topic.partition(".")[2]
    return "%s: %d degrees" % (room, int(event.body))
