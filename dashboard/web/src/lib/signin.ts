// Signing in at an OpenID Connect issuer, by the authorization code flow with a
// proof key: this page sends the browser there and is where it comes back to, and
// the server, which alone talks to the issuer, makes a token of the code.
import { ask, get, signIn } from './api';
import { coded, judge, sent, type Door, type Going } from './door';

const key = 'myelin.signin';
const left = 'myelin.signedout';
const callback = '/callback';

const random = () => coded(crypto.getRandomValues(new Uint8Array(32)));
const redirect = () => location.origin + callback;

/** door is where people sign in; undefined if by a token alone. */
export async function door(stopped?: AbortSignal): Promise<Door | undefined> {
  const d = await get<Door>('signin', {}, stopped);
  return d.authorization ? d : undefined;
}

/** leave sends the browser to the issuer. Who has signed out here is asked for
 * credentials there, too. */
export async function leave(d: Door): Promise<void> {
  if (!globalThis.crypto?.subtle) throw new Error('Browsers sign in at an issuer only from pages that came by https, or from this machine.');
  const g: Going = { state: random(), nonce: random(), verifier: random(), hash: location.hash, at: Date.now() };
  const to = await sent(d, g, redirect(), sessionStorage.getItem(left) !== null);
  sessionStorage.setItem(key, JSON.stringify(g));
  location.assign(to);
}

/** wayBack takes what the issuer has sent the browser back with out of the
 * address, and what was kept for it; undefined if this is no coming back. */
export function wayBack(): { code?: string; why?: string; going?: Going } | undefined {
  if (location.pathname !== callback) return undefined;
  const given = new URLSearchParams(location.search);
  const text = sessionStorage.getItem(key);
  sessionStorage.removeItem(key);
  let going: Going | undefined;
  try {
    going = text ? (JSON.parse(text) as Going) : undefined;
  } catch {
    // Not of this page's.
  }
  // A place in this page, whatever it is, and neither code nor state in the history.
  history.replaceState(null, '', '/' + (/^#\//.test(String(going?.hash)) ? going!.hash : ''));
  return { ...judge(given, going, Date.now()), going };
}

/** comeBack ends a sign-in, if this is the end of one. It returns why it failed. */
export async function comeBack(): Promise<string> {
  const back = wayBack();
  if (!back) return '';
  if (back.why) return back.why;
  const { nonce, verifier } = back.going!;
  try {
    const r = await ask('signin', { method: 'POST', body: { code: back.code, verifier, nonce, redirect: redirect() } });
    signIn(((await r.json()) as { token: string }).token);
    sessionStorage.removeItem(left);
    return '';
  } catch (e) {
    return (e as Error).message;
  }
}

/** signedOut remembers that the next one is to be asked by the issuer. */
export function signedOut(): void {
  sessionStorage.setItem(left, 'yes');
}
