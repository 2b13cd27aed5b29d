// Prints, as JSON, every name that Node Qwen Code gives to its users: settings, flags, commands,
// slash commands, tools, fields of hooks, environment variables.
//
// The package's own definitions are evaluated: its modules are loaded as they are, and what they
// do not export is exported from the loaded copy. What is no definition but only read by code is
// recorded while that code runs. Its documents are a second source.
//
// node extract.mjs DIRECTORY_OF_THE_PACKAGE

import { readFileSync, readdirSync } from "node:fs";
import { registerHooks } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const root = process.argv[2];
const chunks = join(root, "chunks");
const documents = join(root, "bundled", "qc-helper", "docs");

const sources = new Map(
  readdirSync(chunks)
    .filter((name) => name.endsWith(".js"))
    .map((name) => [pathToFileURL(join(chunks, name)).href, readFileSync(join(chunks, name), "utf8")]),
);

const WANTED = [
  ...["SETTINGS_SCHEMA", "V1_TO_V2_MIGRATION_MAP", "V1_TO_V2_PRESERVE_DISABLE_MAP"],
  ...["YargsInstance", "parseArguments", "BuiltinCommandLoader", "createHookOutput"],
  ...["ToolNames", "ToolDisplayNames", "ToolNamesMigration", "ToolDisplayNamesMigration"],
  ...["HookEventName", "HookEventHandler", "HOOKS_CONFIG_FIELDS", "MCPServerConfig"],
  ...["ModelRegistry", "MODEL_GENERATION_CONFIG_FIELDS", "AUTH_ENV_MAPPINGS"],
];

function definitionOf(name) {
  const pattern = new RegExp(`^(?:var|async function) ${name}\\b|^  ${name},$`, "m");
  const defines = new RegExp(`^(?:var|async function|function) ${name}\\b`, "m");
  for (const [url, text] of sources) if (pattern.test(text) && defines.test(text)) return url;
  throw new Error(`the package defines no ${name}`);
}

const definitions = new Map(WANTED.map((name) => [name, definitionOf(name)]));

registerHooks({
  load(url, context, next) {
    const loaded = next(url, context);
    const names = WANTED.filter((name) => definitions.get(name) === url);
    if (!names.length) return loaded;
    const more = names.map((name) => `${name} as extracted_${name}`).join(", ");
    return { ...loaded, source: `${sources.get(url)}\nexport { ${more} };\n` };
  },
});

async function get(name) {
  return (await import(definitions.get(name)))[`extracted_${name}`];
}

// Answers every call and every property, with an object like itself or what `answers` says.
function anything(answers = {}) {
  const target = () => anything(answers);
  return new Proxy(target, {
    get(_, name) {
      if (name in answers) return answers[name];
      if (name === "then" || typeof name === "symbol") return undefined;
      return anything(answers);
    },
  });
}

// An object whose fields are recorded when they are read.
function recorder(fields, values = {}) {
  return new Proxy(values, {
    get(target, name) {
      if (typeof name === "string" && !(name in Object.prototype)) fields.add(name);
      return target[name];
    },
    has(target, name) {
      if (typeof name === "string") fields.add(name);
      return true;
    },
  });
}

function document(name) {
  return readFileSync(join(documents, name), "utf8");
}

// The first cells of the tables of a document which are code.
function firstCells(text) {
  return [...text.matchAll(/^\s*\|\s*`([^`|]+)`[^|]*\|/gm)].map((found) => found[1].trim());
}

function unique(names) {
  return [...new Set(names)].sort();
}

async function settings() {
  const found = [];
  const walk = (table, path) => {
    for (const [name, entry] of Object.entries(table)) {
      found.push([...path, name].join("."));
      const below = entry.properties ?? schemaOf(entry);
      if (below) walk(below, [...path, name]);
    }
  };
  const schemaOf = (entry) => {
    const schema = entry.jsonSchemaOverride ?? entry;
    const each = schema.oneOf?.find((one) => one.properties && !one.required) ?? schema;
    return each.properties;
  };
  const schema = await get("SETTINGS_SCHEMA");
  const { hooks, ...others } = schema;
  walk(others, []);
  found.push("hooks");
  const tops = Object.keys(schema).join("|");
  const dotted = new RegExp(`^(?:${tops})(?:\\.[\\w<>]+)+$`);
  for (const name of firstCells(document("configuration/settings.md"))) {
    if (dotted.test(name)) found.push(name.replace("<SERVER_NAME>", "*"));
  }
  const Server = await get("MCPServerConfig");
  for (const name of Object.keys(new Server())) found.push(`mcpServers.*.${name}`);
  const fields = new Set();
  const Registry = await get("ModelRegistry");
  new Registry({ openai: [recorder(fields, { id: "a", generationConfig: {} })] });
  for (const name of fields) found.push(`modelProviders.*.${name}`);
  for (const name of await get("MODEL_GENERATION_CONFIG_FIELDS")) {
    found.push(`modelProviders.*.generationConfig.${name}`, `model.generationConfig.${name}`);
  }
  found.push(...examples());
  return unique(found);
}

// The fields of models and of servers in the documents' examples.
function examples() {
  const found = [];
  const below = (value, path, depth) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return;
    for (const [name, each] of Object.entries(value)) {
      found.push(`${path}.${name}`);
      if (depth > 0 && ["generationConfig", "oauth", "capabilities"].includes(name)) {
        below(each, `${path}.${name}`, depth - 1);
      }
    }
  };
  for (const name of readdirSync(documents, { recursive: true })) {
    if (!name.endsWith(".md")) continue;
    for (const [, text] of document(name).matchAll(/^```jsonc?\n([^]*?)^```/gm)) {
      let example;
      try {
        example = JSON.parse(text.replace(/^\s*\/\/.*$|\s\/\/ .*$/gm, "").replace(/,(\s*[}\]])/g, "$1"));
      } catch {
        continue; // a fragment
      }
      for (const models of Object.values(example?.modelProviders ?? {})) {
        for (const model of [models].flat()) below(model, "modelProviders.*", 1);
      }
      for (const server of Object.values(example?.mcpServers ?? {})) {
        below(server, "mcpServers.*", 1);
      }
    }
  }
  return found;
}

async function oldSettings() {
  return {
    ...(await get("V1_TO_V2_MIGRATION_MAP")),
    ...(await get("V1_TO_V2_PRESERVE_DISABLE_MAP")),
  };
}

// Runs the parser of the command line, and records what is given to yargs.
async function commandLine() {
  const Yargs = await get("YargsInstance");
  const flags = new Map();
  const commands = [];
  let path = [];
  const { option, command } = Yargs.prototype;
  const take = (name, options) => {
    if (typeof name === "object") return Object.entries(name).forEach(([n, o]) => take(n, o));
    const key = [...path, name].join(" ");
    flags.set(key, { name, command: path.join(" "), aliases: [options?.alias ?? []].flat() });
  };
  Yargs.prototype.option = function (name, options) {
    take(name, options);
    return option.call(this, name, options);
  };
  Yargs.prototype.options = Yargs.prototype.option;
  Yargs.prototype.positional = function () {
    return this;
  };
  Yargs.prototype.command = function (first, description, builder, handler) {
    const entry = typeof first === "object" && !Array.isArray(first) ? first : null;
    const texts = [entry ? [entry.command, entry.aliases ?? []] : first].flat(2);
    const build = entry ? entry.builder : builder;
    const names = texts.map((text) => text.split(" ")[0]).filter((name) => name !== "$0");
    const before = path;
    if (names.length) {
      path = [...path, names[0]];
      commands.push({ name: path.join(" "), aliases: names.slice(1) });
    }
    if (typeof build === "function") build(new Yargs([], ".", undefined, anything()));
    else if (build) take(build);
    path = before;
    return names.length ? this : command.call(this, first, description, builder, handler);
  };
  process.argv = ["node", "qwen", "-p", "x"];
  const parse = await get("parseArguments");
  await parse();
  return { flags: [...flags.values()], commands };
}

async function slashCommands() {
  const Loader = await get("BuiltinCommandLoader");
  const config = anything({
    getShellExecutionSandbox: () => undefined,
    getExecutionEnvironment: () => undefined,
  });
  const found = [];
  const walk = (command, path) => {
    const own = [...path, command.name].join(" ");
    found.push({ name: own, aliases: command.altNames ?? [] });
    for (const each of command.subCommands ?? []) walk(each, [...path, command.name]);
  };
  for (const command of await new Loader(config).loadCommands()) walk(command, []);
  const bundled = readdirSync(join(root, "bundled"));
  const skills = bundled.flatMap((name) => {
    const text = readFileSync(join(root, "bundled", name, "SKILL.md"), "utf8");
    const isForUsers = !/^user-invocable:\s*false/m.test(text);
    return isForUsers ? [/^name:\s*["']?([\w-]+)/m.exec(text)[1]] : [];
  });
  return { built_in: found, skills: unique(skills) };
}

async function tools() {
  const [ids, displays] = [await get("ToolNames"), await get("ToolDisplayNames")];
  const found = Object.entries(ids).map(([key, id]) => ({ id, display: displays[key] ?? "" }));
  const old = {
    ...(await get("ToolNamesMigration")),
    ...(await get("ToolDisplayNamesMigration")),
  };
  return { tools: found, old };
}

async function hooks() {
  const events = Object.values(await get("HookEventName"));
  const entry = new Set();
  const group = new Set();
  for (const definition of Object.values((await get("SETTINGS_SCHEMA")).hooks.properties)) {
    for (const name of Object.keys(definition.items.properties)) group.add(name);
    const one = definition.items.properties.hooks.items;
    for (const name of Object.keys(one.properties)) entry.add(name);
  }
  return {
    events,
    settings: await get("HOOKS_CONFIG_FIELDS"),
    group: unique(group),
    entry: unique(entry),
    input: await hookInputs(),
    output: await hookOutputs(events),
  };
}

// Fires every event at a handler which has no hooks, and records what hooks would be told.
async function hookInputs() {
  const Handler = await get("HookEventHandler");
  const found = {};
  const handler = new Handler(anything(), anything(), anything(), anything(), anything());
  handler.executeHooks = async (event, input) => {
    found[event] = unique([...(found[event] ?? []), ...Object.keys(input)]);
    return {};
  };
  const names = Object.getOwnPropertyNames(Handler.prototype);
  for (const name of names.filter((each) => /^fire\w+Event$/.test(each))) {
    for (const argument of ["text", true, {}, [{}]]) {
      try {
        await handler[name](...Array.from({ length: 12 }, () => argument));
      } catch (error) {
        if (!(error instanceof TypeError)) throw error; // this event has no such argument
      }
    }
  }
  const everywhere = [...Handler.toString().matchAll(/\b([a-z]+(?:_[a-z]+)+)\b(?=\s*[:,}])/g)];
  found.any = unique([...Object.values(found).flat(), ...everywhere.map((each) => each[1])]);
  for (const event of Object.keys(found)) {
    found[event] = found[event].filter((name) => !/^\d+$/.test(name)); // of texts that are spread
  }
  return found;
}

// What Node reads of a hook's answer, and of its `hookSpecificOutput`.
async function hookOutputs(events) {
  const create = await get("createHookOutput");
  const top = new Set();
  const specific = new Set();
  for (const event of events) {
    for (const decision of ["deny", "ask", "allow", undefined]) {
      const inner = recorder(specific, { permissionDecision: decision, decision: { behavior: "deny" } });
      const output = create(event, recorder(top, { decision, hookSpecificOutput: inner }));
      for (let type = output; type && type !== Object.prototype; type = Object.getPrototypeOf(type)) {
        for (const name of Object.getOwnPropertyNames(type)) {
          if (name !== "constructor" && typeof output[name] === "function") output[name]();
        }
      }
    }
  }
  const named = document("features/hooks.md").matchAll(/\bhookSpecificOutput\.(\w+)/g);
  for (const [, name] of named) specific.add(name);
  return { top: unique(top), specific: unique(specific) };
}

// The variables in its documents' tables, and those with its own prefix that its code reads.
async function variables() {
  const found = [];
  for (const name of readdirSync(documents, { recursive: true })) {
    if (name.endsWith(".md")) found.push(...firstCells(document(name)));
  }
  for (const text of sources.values()) {
    for (const read of text.matchAll(/process\.env(?:\.|\[")(QWEN_[A-Z0-9_]+)/g)) found.push(read[1]);
  }
  for (const each of Object.values(await get("AUTH_ENV_MAPPINGS"))) {
    found.push(...Object.values(each).flat());
  }
  return unique(found.filter((name) => /^[A-Z][A-Z0-9]*_[A-Z0-9_]+$/.test(name)));
}

const line = await commandLine();
const said = {
  version: JSON.parse(readFileSync(join(root, "package.json"), "utf8")).version,
  settings: await settings(),
  old_settings: await oldSettings(),
  flags: line.flags,
  commands: line.commands,
  slash_commands: await slashCommands(),
  tools: await tools(),
  hooks: await hooks(),
  variables: await variables(),
};
process.stdout.write(JSON.stringify(said, null, 1), () => process.exit(0));
