"""What a handler may return to say more than a body."""


class Response:
    """body: bytes, str, or anything that JSON can hold; headers: a dict of str to str or int."""

    def __init__(self, headers=None, body=None, content_type=None, status_code=200, event_id=None):
        self.headers = headers or {}
        self.body = body
        self.content_type = content_type
        self.status_code = status_code
        self.event_id = event_id  # of the event in a batch that this answers

    def ensure_no_ack(self):
        """Asks the processor not to acknowledge the event with this response."""
        self.headers["x-nuclio-stream-no-ack"] = "true"

    def __repr__(self):
        return "Response(status_code=%r, content_type=%r, headers=%r, body=%r)" % (
            self.status_code, self.content_type, self.headers, self.body)
