// Servers of tools in this program, as the SDK's README has them, and others by their configuration.
import { createSdkMcpServer, query, tool } from '@qwen-code/sdk';
import { z } from 'zod';

const { prompt, external, options } = JSON.parse(process.argv[2]);
const PIXEL = Buffer.from(
  '89504e470d0a1a0a0000000d4948445200000001000000010806000000' +
    '1f15c4890000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082',
  'hex',
).toString('base64');

const sum = tool('sum', 'Add two numbers', { a: z.number(), b: z.number() }, async ({ a, b }) => ({
  content: [{ type: 'text', text: String(a + b) }],
}));
const refuse = tool('refuse', 'Fail', {}, async () => ({
  content: [{ type: 'text', text: 'it is Sunday' }],
  isError: true,
}));
const raise = tool('raise', 'Throw', {}, async () => {
  throw new Error('a bug in a tool');
});
const dot = tool('dot', 'A picture', {}, async () => ({
  content: [
    { type: 'text', text: 'a dot' },
    { type: 'image', data: PIXEL, mimeType: 'image/png' },
  ],
}));
const slow = tool('slow', 'Wait', {}, async () => {
  await new Promise((resolve) => setTimeout(resolve, 3000));
  return { content: [{ type: 'text', text: 'late' }] };
});
const hello = tool('hello', 'Greet', { who: z.string() }, async ({ who }) => ({
  content: [{ type: 'text', text: `Hello\u2028${who}` }],
}));

const mcpServers = {
  counting: createSdkMcpServer({ name: 'counting', tools: [sum, refuse, raise, dot, slow] }),
  greeting: createSdkMcpServer({ name: 'greeting', version: '2.0.0', tools: [hello] }),
  ...external,
};
const asked = query({ prompt, options: { ...options, mcpServers } });
console.log(JSON.stringify({ type: 'servers', ...(await asked.mcpServerStatus()) }));
for await (const message of asked) console.log(JSON.stringify(message));
