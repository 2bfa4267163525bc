'use strict';

/** Greets whoever the event's body names. */
exports.handler = async (context, event) => {
  const name = event.body.toString() || 'stranger';
  return `Hello, ${name}`;
};
