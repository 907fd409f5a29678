// What outlives a visit, in this browser: presets, the levels and choices of the last time, what MIDI controls do.
// Presets and controllers go in and out as the TOML files of the command line (rtsep preset, rtsep midi).

import { format, parse, plain, revived } from "./fader.js";
import { parseControl } from "./messages.js";
import { KINDS, TAKEOVERS, USUAL } from "./takeover.js";

const PLACE = "rtsep.";
const NAME = /^[\p{L}\p{N}_](?:[\p{L}\p{N}_ -]{0,62}[\p{L}\p{N}_])?$/u;
const FORMAT = 1;

/** What is kept under `key`. A private window keeps nothing; the sound goes on. */
export function load(key, otherwise) {
  try {
    return JSON.parse(localStorage.getItem(PLACE + key), (_, value) => revived(value)) ?? otherwise;
  } catch {
    return otherwise;
  }
}

export function save(key, content) {
  try {
    localStorage.setItem(PLACE + key, JSON.stringify(content, (_, value) => plain(value)));
    return true;
  } catch {
    return false;
  }
}

// A song, while the page is loaded anew

const SOURCE = "source";

/** Keep what is open, a file's content as well. Where the page has no cache it is forgotten, like a microphone. */
export async function putSource(source) {
  const { kind, name, url, file } = source ?? {};
  if (kind === "song" || (file && "caches" in globalThis)) sessionStorage.setItem(SOURCE, JSON.stringify({ kind, name, url }));
  if (file && "caches" in globalThis) await (await caches.open(SOURCE)).put(SOURCE, new Response(file));
}

/** What was kept, once. */
export async function takeSource() {
  const text = sessionStorage.getItem(SOURCE);
  sessionStorage.removeItem(SOURCE);
  if (!text) return null;
  const source = JSON.parse(text);
  if (source.kind !== "file") return source;
  const content = await caches.match(SOURCE, { cacheName: SOURCE });
  await caches.delete(SOURCE);
  return content ? { ...source, file: new File([await content.blob()], source.name) } : null;
}

// Presets

/** Every fader and switch of the mix at rest, so that nothing of the preset before is left. */
export function flat(engine) {
  const names = [...engine.stems, ...Object.keys(engine.groups ?? {})];
  const ids = names.flatMap((name) => [`${name}.gain_db`, `${name}.mute`, `${name}.solo`]);
  return Object.fromEntries(ids.filter((id) => engine.get(id) !== undefined).map((id) => [id, 0]));
}

/** All presets: those that come with the engine first. */
export function presets(engine) {
  const level = ([id, value]) => [id, revived(value)];
  const shipped = engine.presets.map(({ values, ...more }) => ({ ...more, values: Object.fromEntries(Object.entries(values).map(level)), shipped: true }));
  const own = Object.entries(load("presets", {})).map(([name, kept]) => ({ name, ...kept, shipped: false }));
  return [...shipped, ...own.sort((a, b) => a.name.localeCompare(b.name))];
}

/** Keep a preset; what a file said beside its values (program, bank, parameters of others) stays with it. */
export function keep(engine, name, values, more = {}) {
  if (engine.presets.some((each) => each.name.toLowerCase() === name.toLowerCase()))
    throw new Error(`"${name}" comes with rtsep. Choose another name.`);
  if (!NAME.test(name)) throw new Error("A name has letters, digits, spaces and -, at most 64 of them.");
  const all = load("presets", {});
  if (!save("presets", { ...all, [name]: { ...all[name], ...more, values } }))
    throw new Error("This browser keeps nothing for this page. Save the preset to a file.");
}

export function drop(name) {
  const { [name]: gone, ...others } = load("presets", {});
  save("presets", others);
  return () => save("presets", { ...load("presets", {}), [name]: gone });
}

/** A preset as the text of a file. */
export function toToml({ values, program, bank, others = {} }, parameters) {
  const lines = [`format = ${FORMAT}`];
  if (program !== undefined) lines.push(`program = ${program}`);
  if (bank !== undefined) lines.push(`bank = ${bank}`);
  lines.push("", "[parameters]");
  for (const parameter of parameters) {
    const value = values[parameter.id];
    if (value !== undefined) lines.push(`${JSON.stringify(parameter.id)} = ${number(parameter, value)}`);
  }
  for (const [id, text] of Object.entries(others)) lines.push(`${JSON.stringify(id)} = ${text}`);
  return lines.join("\n") + "\n";
}

function number(parameter, value) {
  if (parameter.choices?.length) return JSON.stringify(format(parameter, value));
  if (value === -Infinity) return "-inf";
  return Number.isInteger(value) ? `${value}.0` : String(value);
}

/** What such a file says: { values, program, bank, others }, or an Error with a sentence. */
export function fromToml(content, parameters) {
  const { top, tables } = tablesOf(content), preset = { values: {}, others: {} };
  for (const key of ["program", "bank"]) if (key in top) preset[key] = Number(top[key].text);
  for (const [id, { text, quoted }] of Object.entries(tables.parameters?.[0] ?? {})) {
    if (!quoted && id.includes(".")) throw new Error(`Write an id in quotes, as in "${id}" = ${text}.`);
    const parameter = parameters.find((each) => each.id === id);
    if (parameter) preset.values[id] = parse(parameter, unquoted(text));
    else preset.others[id] = text;
  }
  return preset;
}

// Controllers: the files of rtsep midi

const TEXTS = ["control", "parameter", "kind", "takeover"], NUMBERS = ["channel", "bits", "on", "off", "low", "high"];

/** What a controller does as the text of a file. */
export function controllerToToml({ ports, feedback, binding }) {
  const lines = [`format = ${FORMAT}`, `ports = ${JSON.stringify(ports)}`, `feedback = ${feedback}`];
  for (const each of binding) {
    lines.push("", "[[binding]]");
    for (const [key, value] of Object.entries(each))
      if (value !== null) lines.push(`${key} = ${value === -Infinity ? "-inf" : JSON.stringify(value)}`);
  }
  return lines.join("\n") + "\n";
}

/** What such a file says: { ports, feedback, binding }, or an Error with a sentence. */
export function controllerFromToml(content) {
  const { top, tables } = tablesOf(content), plainly = (table) => Object.fromEntries(Object.entries(table).map(([key, { text }]) => [key, valueOf(text)]));
  const { ports, feedback = false } = plainly(top), binding = (tables.binding ?? []).map(plainly);
  if (!binding.length) throw new Error("This file binds no control: it has no [[binding]].");
  binding.forEach((each, i) => {
    const wrong = (key) => new Error(`Binding ${i + 1} (${each.control ?? "no control"}): ${key} is ${each[key] ?? "missing"}.`);
    for (const key of ["control", "parameter"]) if (!(key in each)) throw wrong(key);
    parseControl(each.control);
    for (const [key, value] of Object.entries(each)) {
      if (TEXTS.includes(key) && typeof value !== "string") throw wrong(key);
      if (NUMBERS.includes(key) && typeof value !== "number") throw wrong(key);
    }
    if (!KINDS.includes(each.kind ?? USUAL.kind)) throw wrong("kind");
    if (!TAKEOVERS.includes(each.takeover ?? USUAL.takeover)) throw wrong("takeover");
  });
  return { ports, feedback: feedback === true, binding };
}

// TOML, as far as files of rtsep have it

/** Entries at the top, and the tables by name, each time they occur: { key: { text, quoted } }. */
function tablesOf(content) {
  const top = {}, tables = {};
  let table = top;
  for (const raw of content.replace(/^\uFEFF/, "").split(/\r?\n/)) {
    const line = uncommented(raw).trim();
    if (!line) continue;
    const head = line.match(/^\[\[?\s*"?([^\]"]+?)"?\s*\]?\]$/);
    if (head) {
      (tables[head[1]] ??= []).push((table = {}));
      continue;
    }
    const found = line.match(/^("(?:[^"\\]|\\.)*"|'[^']*'|[\w.-]+)\s*=\s*(.+)$/);
    if (!found) throw new Error(`This is no file of rtsep: it says "${line.slice(0, 40)}".`);
    const key = unquoted(found[1]);
    table[key] = { text: found[2], quoted: key !== found[1] };
  }
  const written = Number(top.format?.text);
  if (written > FORMAT) throw new Error("A newer rtsep wrote this file. Load this page anew, then try again.");
  if (written !== FORMAT) throw new Error(`This is no file of rtsep: it must begin with format = ${FORMAT}.`);
  return { top, tables };
}

function valueOf(text) {
  if (/^["']/.test(text)) return unquoted(text);
  if (text === "true" || text === "false") return text === "true";
  if (/^\[.*\]$/.test(text)) return text.slice(1, -1).split(",").map((each) => each.trim()).filter(Boolean).map(valueOf);
  if (/^[-+]?inf$/.test(text)) return text[0] === "-" ? -Infinity : Infinity;
  return Number(text.replaceAll("_", ""));
}

function uncommented(line) {
  let quote = "";
  for (let i = 0; i < line.length; i++) {
    if (quote) {
      if (quote === '"' && line[i] === "\\") i++;
      else if (line[i] === quote) quote = "";
    } else if (line[i] === '"' || line[i] === "'") quote = line[i];
    else if (line[i] === "#") return line.slice(0, i);
  }
  return line;
}

function unquoted(text) {
  if (text.startsWith("'")) return text.slice(1, -1);
  try {
    return text.startsWith('"') ? JSON.parse(text) : text;
  } catch {
    return text.slice(1, -1);
  }
}
