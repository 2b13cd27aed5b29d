// An authorization server written by others (oidc-provider), for the tests: it listens on loopback
// at a free port, says where in one JSON line on stdout, writes one JSON line on stderr for each
// request of a client, and ends when its stdin does.
//
// node server.mjs [--modules DIR] [--access-token-ttl SECONDS] [--device-code-ttl SECONDS]

import { createHash, webcrypto } from 'node:crypto';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

const { values: options } = parseArgs({
  options: {
    modules: { type: 'string', default: fileURLToPath(new URL('node_modules', import.meta.url)) },
    'access-token-ttl': { type: 'string', default: '3600' },
    'device-code-ttl': { type: 'string', default: '600' },
  },
});

// What it prints of its own accord is advice for production, and would mix with the JSON lines.
console.info = () => {};
console.warn = () => {};

// Node 18, which Debian 12 has, knows neither of these; the library expects Node 22.
URL.parse ??= (...args) => { try { return new URL(...args); } catch { return null; } };
globalThis.crypto ??= webcrypto;

// Imported by path: NODE_PATH does not work for modules.
const library = pathToFileURL(join(options.modules, 'oidc-provider', 'lib', 'index.js'));
const { default: Provider } = await import(library);

const CLIENT_ID = 'qwen-test';
const CLIENT_ENDPOINTS = ['/device/auth', '/reg', '/token', '/token/revocation'];

const RESOURCE_ID = 'qwen-test-resource';
const RESOURCE_SECRET = 'a secret of the resource';
const RESOURCE_SCOPES = ['tools:read', 'tools:write'];

const configuration = {
  clients: [
    {
      client_id: CLIENT_ID,
      client_name: 'Qwen test',
      application_type: 'native',
      token_endpoint_auth_method: 'none',
      grant_types: ['urn:ietf:params:oauth:grant-type:device_code', 'refresh_token'],
      redirect_uris: [],
      response_types: [],
    },
    {
      client_id: RESOURCE_ID,
      client_secret: RESOURCE_SECRET,
      token_endpoint_auth_method: 'client_secret_basic',
      grant_types: [],
      redirect_uris: [],
      response_types: [],
    },
  ],
  scopes: ['openid', 'offline_access', ...RESOURCE_SCOPES],
  features: {
    // A protected resource asks whether a token is valid, and is for itself.
    introspection: { enabled: true, allowedPolicy: (_, client) => client.clientId === RESOURCE_ID },
    registration: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => undefined,
      useGrantedResource: () => true,
      getResourceServerInfo: (_, resource) => ({
        audience: resource,
        scope: RESOURCE_SCOPES.join(' '),
        accessTokenFormat: 'opaque',
        accessTokenTTL: Number(options['access-token-ttl']),
      }),
    },
    deviceFlow: { enabled: true },
    devInteractions: { enabled: true },
    revocation: { enabled: true },
  },
  claims: { openid: ['sub'], profile: ['name'], email: ['email', 'email_verified'] },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, name: 'Test User', email: `${id}@example.com`, email_verified: true }),
  }),
  rotateRefreshToken: true,
  ttl: {
    AccessToken: Number(options['access-token-ttl']),
    DeviceCode: Number(options['device-code-ttl']),
    Grant: 86400,
    IdToken: 3600,
    Interaction: 600,
    RefreshToken: 86400,
    Session: 600,
  },
  cookies: { keys: ['a key for cookies of tests'] },
};

const started = process.hrtime.bigint();

// Enough to see whether two requests carried the same token, and not the token.
const digest = (text) => text && createHash('sha256').update(text).digest('hex').slice(0, 16);

async function writeLog(ctx, next) {
  await next();
  if (ctx.method !== 'POST' || !CLIENT_ENDPOINTS.includes(ctx.path)) return;
  const params = ctx.oidc?.params ?? {};
  const line = {
    at: Number((process.hrtime.bigint() - started) / 1000000n) / 1000,
    endpoint: ctx.path,
    grant_type: params.grant_type,
    presented: digest(
      params.refresh_token ?? params.device_code ?? params.code ?? params.token,
    ),
    resource: params.resource,
    status: ctx.status,
    outcome: ctx.body?.error ?? 'ok',
    detail: ctx.state.detail,
  };
  process.stderr.write(`${JSON.stringify(line)}\n`);
}

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, configuration);
  provider.on('grant.error', (ctx, error) => { ctx.state.detail = error.error_detail; });
  provider.on('server_error', (_, error) => process.stderr.write(`${error.stack}\n`));
  provider.use(writeLog);
  server.on('request', provider.callback());
  process.stdout.write(`${JSON.stringify({ issuer, client_id: CLIENT_ID })}\n`);
});

process.stdin.resume();
process.stdin.on('close', () => process.exit(0));
