// The methods of a query, between two prompts: node controls.mjs '{"calls": [["setModel", "x"]], …}'
import { query } from '@qwen-code/sdk';

const { prompts, calls, options } = JSON.parse(process.argv[2]);
let goOn;

async function* turns() {
  for (const content of prompts) {
    const answered = new Promise((resolve) => (goOn = resolve));
    yield { type: 'user', session_id: '', message: { role: 'user', content }, parent_tool_use_id: null };
    await answered;
  }
}

const asked = query({ prompt: turns(), options });
let left = calls;
for await (const message of asked) {
  console.log(JSON.stringify(message));
  if (message.type !== 'result') continue;
  for (const [name, ...given] of left) {
    try {
      console.log(JSON.stringify({ type: 'returned', name, value: (await asked[name](...given)) ?? null }));
    } catch (error) {
      console.log(JSON.stringify({ type: 'returned', name, error: error.message }));
    }
  }
  left = [];
  goOn?.();
}
