// One prompt, or several one after the other, with the options that the test gives as JSON:
// node ask.mjs '{"prompts": ["Hello"], "options": {…}}'. Every message is a line of the output, and what the
// logger says, if the test hears it.
import { query } from '@qwen-code/sdk';

const { prompts, options, hears, hurries } = JSON.parse(process.argv[2]);
const stderr = hears && ((text) => console.log(JSON.stringify({ type: 'heard', text })));
let goOn;

async function* turns() {
  for (const content of prompts) {
    const answered = new Promise((resolve) => (goOn = resolve));
    const message = { role: 'user', content };
    yield { type: 'user', session_id: '', message, parent_tool_use_id: null };
    if (!hurries) await answered;
  }
}

const asked = query({ prompt: prompts.length === 1 ? prompts[0] : turns(), options: { ...options, stderr } });
try {
  for await (const message of asked) {
    console.log(JSON.stringify(message));
    if (message.type === 'result') goOn?.();
  }
} catch (error) {
  console.log(JSON.stringify({ type: 'thrown', name: error.name, message: error.message }));
  await asked.close();
}
console.log(JSON.stringify({ type: 'end', sessionId: asked.getSessionId(), isClosed: asked.isClosed() }));
