import { describe, expect, it } from 'vitest';
import { judge, sent } from '../src/lib/door';

const going = { state: 's', nonce: 'n', verifier: 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk', hash: '', at: 1000 };
const door = { issuer: 'https://id.example.org', authorization: 'https://id.example.org/auth?tenant=a', clientId: 'dash', scopes: ['openid', 'roles'] };

describe('signing in', () => {
  it('sends what RFC 7636 wants', async () => {
    const u = await sent(door, going, 'https://here/callback', false);
    expect(u.origin + u.pathname).toBe('https://id.example.org/auth');
    expect(Object.fromEntries(u.searchParams)).toEqual({
      tenant: 'a', response_type: 'code', client_id: 'dash', redirect_uri: 'https://here/callback', scope: 'openid roles', state: 's', nonce: 'n', code_challenge: 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM', code_challenge_method: 'S256' });
    expect((await sent(door, going, 'https://here/callback', true)).searchParams.get('prompt')).toBe('login');
    await expect(sent({ ...door, authorization: 'javascript:alert(1)' }, going, '', false)).rejects.toThrow(/no address/);
  });
  it('comes back only to what was begun', () => {
    const back = (q: string, g: typeof going | undefined = going, now = 2000) => judge(new URLSearchParams(q), g, now);
    expect(back('code=c&state=s')).toEqual({ code: 'c' });
    for (const [q, why] of [['code=c&state=t', /not begun/], ['code=c', /not begun/], ['code=c&state=s&state=s', /not begun/], ['state=s', /no code/], ['error=access_denied&state=s', /access_denied/], ['error=x&state=t', /not begun/]] as const) {
      expect(back(q).code, q).toBeUndefined();
      expect(back(q).why, q).toMatch(why);
    }
    expect(judge(new URLSearchParams('code=c&state=s'), undefined, 0).why).toMatch(/not begun/);
    expect(back('code=c&state=s', going, 10_000_000).why).toMatch(/too long/);
  });
});
