// An OpenID Connect issuer that tests sign in at, on the loopback:
//   ISSUER=http://127.0.0.1:PORT CLIENT='{...}' PEOPLE='{"ann": {"roles": [...]}}' node issuer.mjs
// Whoever is in PEOPLE may sign in.
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import path from 'node:path';

// The packages are kept outside the clone.
const from = createRequire(path.join(process.env.MODULES, 'x.js'));
const { Provider, errors } = await import(from.resolve('oidc-provider'));

const issuer = new URL(process.env.ISSUER);
const people = JSON.parse(process.env.PEOPLE);
const provider = new Provider(issuer.href.replace(/\/$/, ''), {
  clients: [JSON.parse(process.env.CLIENT)],
  cookies: { keys: ['of a test'] },
  scopes: ['openid', 'profile', 'roles'],
  claims: { openid: ['sub'], roles: ['roles'] },
  conformIdTokenClaims: false, // claims of scopes are in the token
  pkce: { required: () => true },
  features: { devInteractions: { enabled: false } },
  interactions: { url: (_, i) => `/people/${i.uid}` },
  ttl: { Interaction: 600, Session: 600, Grant: 600, AccessToken: 600, IdToken: 600 },
  findAccount: (_, id) => (people[id] ? { accountId: id, claims: () => ({ sub: id, ...people[id] }) } : undefined),
  async loadExistingGrant(ctx) {
    const grant = new provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
    grant.addOIDCScope('openid profile roles');
    await grant.save();
    return grant;
  },
});
const answers = provider.callback();
const page = (uid) => `<!doctype html><title>The issuer</title><link rel="icon" href="data:,"><h1>The issuer</h1><form method="post" action="/people/${uid}"><label>Who <input name="who"></label><button>Sign in here</button></form>`;

const server = createServer(async (req, res) => {
  const uid = /^\/people\/([\w-]+)$/.exec(req.url)?.[1];
  if (!uid) return answers(req, res);
  try {
    await provider.interactionDetails(req, res);
    if (req.method !== 'POST') return res.setHeader('Content-Type', 'text/html').end(page(uid));
    let body = '';
    for await (const piece of req) body += piece;
    const who = new URLSearchParams(body).get('who');
    await provider.interactionFinished(req, res, people[who] ? { login: { accountId: who } } : { error: 'access_denied', error_description: `nobody here is called ${who}` }, { mergeWithLastSubmission: false });
  } catch (e) {
    res.statusCode = e instanceof errors.OIDCProviderError ? e.status : 500;
    res.end(String(e));
  }
});
server.listen(Number(issuer.port), issuer.hostname);
