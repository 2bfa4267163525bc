def handler(context, event):
    """A chat: the path is the room, ?name=... who speaks."""
    room = event.path
    name = event.fields.get("name", "somebody")
    kind = event.get_header("X-Myelin-Websocket")
    if kind == "open":
        return context.Response(body="welcome, " + name, headers={"X-Myelin-Subscribe": room})
    if kind == "close":
        return told(context, room, name + " has left")
    if kind == "message" or event.method == "POST":
        return told(context, room, name + ": " + event.body.decode())
    return context.Response(headers={"X-Myelin-Subscribe": room})  # who only listens


def told(context, room, text):
    """Has everybody in the room hear it."""
    return context.Response(body=text, headers={"X-Myelin-Publish": room})
