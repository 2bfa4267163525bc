// Where people sign in, and what comes back from there. No state.

export interface Door {
  issuer?: string;
  authorization?: string;
  clientId?: string;
  scopes?: string[];
}

/** Going is what is kept while the browser is at the issuer. */
export interface Going {
  state: string;
  nonce: string;
  verifier: string;
  hash: string; // where to go on
  at: number;
}

const longest = 15 * 60_000; // at the issuer

/** coded is bytes as addresses have them. */
export const coded = (bytes: Uint8Array) => btoa(String.fromCharCode(...bytes)).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');

/** sent is the address at the issuer that a browser is sent to. */
export async function sent(d: Door, g: Pick<Going, 'state' | 'nonce' | 'verifier'>, to: string, anew: boolean): Promise<URL> {
  const u = new URL(d.authorization!);
  if (u.protocol !== 'https:' && u.protocol !== 'http:') throw new Error('the issuer has no address that a browser can be sent to');
  const challenge = coded(new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(g.verifier))));
  const given = { response_type: 'code', client_id: d.clientId!, redirect_uri: to, scope: (d.scopes ?? ['openid']).join(' '), state: g.state, nonce: g.nonce, code_challenge: challenge, code_challenge_method: 'S256', ...(anew ? { prompt: 'login' } : {}) };
  for (const [name, value] of Object.entries(given)) u.searchParams.set(name, value);
  return u;
}

/** judge says what a coming back is worth: a code, or why there is none. */
export function judge(given: URLSearchParams, going: { state: string; at: number } | undefined, now: number): { code?: string; why?: string } {
  if (!going || given.getAll('state').length !== 1 || given.get('state') !== going.state) return { why: 'This sign-in was not begun in this tab. Begin it again.' };
  if (now - going.at > longest) return { why: 'It took too long. Begin it again.' };
  const error = given.get('error');
  if (error) return { why: `The issuer says: ${given.get('error_description') || error}`.slice(0, 500) };
  const code = given.get('code');
  return code ? { code } : { why: 'The issuer sent no code. Begin it again.' };
}
