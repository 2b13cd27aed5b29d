// Ends a turn in its middle, at a message of the type `on` when `file` is there: by interrupt(),
// by the AbortController, by close() or by the end of this program.
import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { isAbortError, query } from '@qwen-code/sdk';

const { how, on, file, options } = JSON.parse(process.argv[2]);
const abortController = new AbortController();
let goOn;

async function* turns() {
  for (const content of ['One', 'Two']) {
    const answered = new Promise((resolve) => (goOn = resolve));
    yield { type: 'user', session_id: '', message: { role: 'user', content }, parent_tool_use_id: null };
    await answered;
  }
}

const asked = query({ prompt: turns(), options: { ...options, abortController } });
let isFirst = true;
try {
  for await (const message of asked) {
    console.log(JSON.stringify(message));
    if (message.type === 'result') goOn?.();
    if (message.type !== on || !isFirst) continue;
    isFirst = false;
    while (file && !(existsSync(file) && readFileSync(file, 'utf8').includes('\n'))) await sleep(10);
    const began = Date.now();
    if (how === 'interrupt') await Promise.all([asked.interrupt(), asked.interrupt()]);
    if (how === 'abort') abortController.abort();
    if (how === 'close') await asked.close();
    if (how === 'exit') process.exit(7);
    console.log(JSON.stringify({ type: 'took', milliseconds: Date.now() - began }));
  }
} catch (error) {
  console.log(JSON.stringify({ type: 'thrown', isAbort: isAbortError(error), message: error.message }));
}
console.log(JSON.stringify({ type: 'end', isClosed: asked.isClosed() }));
