"""What a function's author sees: one implementation, re-exported by nuclio_sdk and myelin."""

from .context import Context, TriggerInfo
from .event import Event, EventMethods
from .exceptions import (
    AckError,
    BadRequest,
    BindingConflict,
    BindingError,
    BindingMisuse,
    BindingTimeout,
    BindingUnavailable,
    CallError,
    CallTimeout,
    Conflict,
    Forbidden,
    HTTPStatusError,
    NotFound,
    ServiceUnavailable,
    TooManyRequests,
    Unauthorized,
    UnknownBinding,
    UnknownFunction,
    UnprocessableEntity,
)
from .logger import Logger
from .platform import Platform
from .qualified_offset import QualifiedOffset
from .response import Response

__all__ = [
    "AckError", "BadRequest", "BindingConflict", "BindingError", "BindingMisuse", "BindingTimeout", "BindingUnavailable",
    "CallError", "CallTimeout", "Conflict", "Context", "Event", "Forbidden", "HTTPStatusError", "Logger", "NotFound",
    "Platform", "QualifiedOffset", "Response", "ServiceUnavailable", "TooManyRequests", "TriggerInfo",
    "Unauthorized", "UnknownBinding", "UnknownFunction", "UnprocessableEntity",
]
