'use strict';
// What a function's author may import: require('myelin'). The same Response is
// at context.Response, so that most functions need no import at all.

/**
 * An answer with everything in it. body may be a string, bytes or a value for
 * JSON; header values are strings, numbers or arrays of them. eventId is that of
 * the event in a batch that this answers; without it, the order tells.
 */
class Response {
  constructor(body = '', headers = null, contentType = null, statusCode = 200, bodyEncoding = 'text', eventId = null) {
    this.body = body;
    this.headers = headers;
    this.content_type = contentType;
    this.status_code = statusCode;
    this.body_encoding = bodyEncoding;
    this.event_id = eventId;
  }
}

/** An error whose status and text are the answer, instead of 500 and a longer text. */
class HttpError extends Error {
  constructor(statusCode, message) {
    super(message);
    this.name = 'HttpError';
    this.statusCode = statusCode;
  }
}

/** Another function gave no answer. callStatus says why, as HTTP would: 404 there is none, 504 not in time, 502 or 503 it is down. */
class CallError extends Error {
  constructor(message, functionName, status) {
    super(message);
    this.name = 'CallError';
    this.functionName = functionName;
    this.callStatus = status;
  }
}

/** An event was not settled. settleStatus says why: 404 no such trigger, 409 it is not open, 410 its shard has moved. */
class AckError extends Error {
  constructor(message, status) {
    super(message);
    this.name = 'AckError';
    this.settleStatus = status;
  }
}

/**
 * A data binding did not do what it was asked. bindingStatus says why, as HTTP would: 404 there is no such binding, 409 the condition did
 * not hold, 503 the service is away, 504 not in time.
 */
class BindingError extends Error {
  constructor(message, bindingName, status) {
    super(message);
    this.name = 'BindingError';
    this.bindingName = bindingName;
    this.bindingStatus = status;
    /** The places of the messages of a publishAll that the service does not have. */
    this.unpublished = [];
  }
}

module.exports = { Response, HttpError, CallError, AckError, BindingError };
