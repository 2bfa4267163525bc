def handler(context, event):
    return "ok"
