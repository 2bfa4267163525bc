'use strict';

/** Counts a visit, whose key is the user; over HTTP it tells the count of the user in the path. */
exports.handler = async ({ state }, event) => {
  const user = event.trigger.kind === 'http' ? event.path.replaceAll('/', '') : event.key.toString();
  const count = Number(await state.get(user) ?? 0);
  if (event.trigger.kind === 'http') return String(count);
  await state.put(user, String(count + 1));
};
