// Loads the settings of each home directory with Node Qwen Code's own loader, and prints as JSON
// what it has understood and what it says.
//
// node load.mjs DIRECTORY_OF_THE_PACKAGE PROJECT HOME…

import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [root, project, ...homes] = process.argv.slice(2);
const chunks = join(root, "chunks");
const defines = /^function loadSettings\(/m;
const name = readdirSync(chunks).find(
  (each) => each.endsWith(".js") && defines.test(readFileSync(join(chunks, each), "utf8")),
);
const { loadSettings, getSettingsWarnings } = await import(pathToFileURL(join(chunks, name)).href);

const before = { ...process.env };
const found = homes.map((home) => {
  for (const key of Object.keys(process.env)) if (!(key in before)) delete process.env[key];
  process.env.HOME = home;
  try {
    const loaded = loadSettings(project);
    return {
      user: loaded.user.settings,
      corrupted: loaded.corruptedPath ?? null,
      warnings: getSettingsWarnings(loaded),
      trusted: loaded.isTrusted,
    };
  } catch (error) {
    return { error: String(error) };
  }
});
process.stdout.write(JSON.stringify(found), () => process.exit(0));
