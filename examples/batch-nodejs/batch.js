// Gives an answer to each event, in their order.
exports.handler = async (context, events) =>
  events.map((event) => `Hello, ${event.text()}, one of ${events.length}`);
