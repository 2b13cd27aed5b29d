// canUseTool answers as the test says: node permission.mjs '{"answers": [{…}], "options": {…}}'
import { query } from '@qwen-code/sdk';

const { prompt, answers, options } = JSON.parse(process.argv[2]);

async function canUseTool(toolName, input, { signal, suggestions }) {
  console.log(JSON.stringify({ type: 'asked', toolName, input, suggestions, aborted: signal.aborted }));
  const answer = answers.length > 1 ? answers.shift() : answers[0];
  if (answer.raises) throw new Error(answer.raises);
  if (answer.late) await new Promise((resolve) => setTimeout(resolve, answer.late));
  if (answer.answers) return { behavior: 'allow', updatedInput: { ...input, ...answer } };
  return answer;
}

for await (const message of query({ prompt, options: { ...options, canUseTool } })) {
  console.log(JSON.stringify(message));
}
