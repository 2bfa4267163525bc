"""Exceptions that carry an HTTP status: raise one and the caller gets that status and the message. And those of calls."""


class HTTPStatusError(Exception):
    status_code = 500

    def __init__(self, message="", status_code=None):
        super().__init__(message)
        if status_code is not None:
            self.status_code = status_code


class BadRequest(HTTPStatusError):
    status_code = 400


class Unauthorized(HTTPStatusError):
    status_code = 401


class Forbidden(HTTPStatusError):
    status_code = 403


class NotFound(HTTPStatusError):
    status_code = 404


class Conflict(HTTPStatusError):
    status_code = 409


class UnprocessableEntity(HTTPStatusError):
    status_code = 422


class TooManyRequests(HTTPStatusError):
    status_code = 429


class ServiceUnavailable(HTTPStatusError):
    status_code = 503


class CallError(Exception):
    """Another function gave no answer: function is its name; status says why, as HTTP would."""

    def __init__(self, message="", function="", status=502):
        super().__init__(message)
        self.function = function
        self.status = status


class AckError(Exception):
    """An event was not settled: status is 404 without such a trigger, 409 if it is not open, 410 if its shard has moved."""

    def __init__(self, message="", status=409):
        super().__init__(message)
        self.status = status


class UnknownFunction(CallError, LookupError):
    """There is no such function."""


class CallTimeout(CallError, TimeoutError):
    """The function did not answer in time. It may have run."""


class BindingError(Exception):
    """A data binding did not do what it was asked: binding is its name; status says why, as HTTP would.

    unpublished has the places of the messages of a publish_all that the service does not have; it may have the others.
    """

    unpublished = ()

    def __init__(self, message="", binding="", status=500):
        super().__init__(message)
        self.binding = binding
        self.status = status


class UnknownBinding(BindingError, LookupError):
    """The function has no binding of that name."""


class BindingMisuse(BindingError, ValueError):
    """What was asked is wrong (400), too large (413), or not of this binding's class or kind (501)."""


class BindingConflict(BindingError):
    """The condition did not hold: there is another version, or there is something already."""


class BindingTimeout(BindingError, TimeoutError):
    """It was not done in time. It may have been done all the same."""


class BindingUnavailable(BindingError, ConnectionError):
    """The service is away (503), or all of its connections are in use (429)."""
