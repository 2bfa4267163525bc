patients = []


def handler(context, event):
    """A POST is a letter: the event that failed, with headers about how. A GET lists the last hundred."""
    if event.method == "GET":
        return "\n".join(patients)
    body = event.body.decode("utf-8", "replace") if isinstance(event.body, bytes) else str(event.body)
    why = event.get_header("myelin-error", "")
    patients.append("%s (%s, %s attempts): %s" % (body, event.get_header("myelin-function"), event.get_header("myelin-attempts"), why))
    del patients[:-100]
    return "admitted"
