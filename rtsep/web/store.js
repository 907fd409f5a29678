// What outlives a visit, in this browser: presets, the levels and choices of the last time, what MIDI controls do.
// Presets go in and out as the TOML files of the command line (rtsep preset export and import).

import { format, parse, plain, revived } from "./fader.js";

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
  const preset = { values: {}, others: {} };
  let table = "", written;
  for (const raw of content.replace(/^\uFEFF/, "").split(/\r?\n/)) {
    const line = uncommented(raw).trim();
    if (!line) continue;
    const head = line.match(/^\[\s*"?([^\]"]+?)"?\s*\]$/);
    if (head) {
      table = head[1];
      continue;
    }
    const found = line.match(/^("(?:[^"\\]|\\.)*"|'[^']*'|[\w.-]+)\s*=\s*(.+)$/);
    if (!found) throw new Error(`This is no preset of rtsep: it says "${line.slice(0, 40)}".`);
    const key = unquoted(found[1]), text = found[2];
    if (table === "" && key === "format") written = Number(text);
    else if (table === "" && (key === "program" || key === "bank")) preset[key] = Number(text);
    else if (table === "parameters") {
      if (found[1] === key && key.includes("."))
        throw new Error(`Write an id in quotes, as in "${key}" = ${text}.`);
      const parameter = parameters.find(({ id }) => id === key);
      if (parameter) preset.values[key] = parse(parameter, unquoted(text));
      else preset.others[key] = text;
    }
  }
  if (written > FORMAT) throw new Error("A newer rtsep wrote this file. Load this page anew, then try again.");
  if (written !== FORMAT) throw new Error(`This is no file of rtsep: it must begin with format = ${FORMAT}.`);
  return preset;
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
