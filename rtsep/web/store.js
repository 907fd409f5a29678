// Presets and the levels of the last time, in this browser; presets go in and out as the files of the command line.

const PRESETS = "rtsep presets", SESSION = "rtsep session";

export function load(key = PRESETS) {
  try {
    return JSON.parse(localStorage.getItem(key)) ?? {};
  } catch {
    return {}; // nothing is kept here, or what is kept is not ours
  }
}

function save(key, content) {
  try {
    localStorage.setItem(key, JSON.stringify(content));
  } catch {
    // A private window keeps nothing; the sound goes on.
  }
}

export const session = () => load(SESSION);
export const keepSession = (values) => save(SESSION, plain(values));
export const keep = (name, values) => save(PRESETS, { ...load(), [name]: plain(values) });

export function drop(name) {
  const { [name]: _, ...others } = load();
  save(PRESETS, others);
}

/** JSON knows no infinity: silence is null. */
function plain(values) {
  return Object.fromEntries(Object.entries(values).map(([id, value]) => [id, value === -Infinity ? null : value]));
}

export const value = (kept) => (kept === null ? -Infinity : kept);

/** A preset as rtsep preset writes it. */
export function toToml(values, parameters) {
  const lines = parameters.filter(({ id }) => id in values).map(({ id, choices }) => {
    const given = value(values[id]);
    const told = choices.length ? `"${choices[given]}"` : given === -Infinity ? "-inf" : Number.isInteger(given) ? `${given}.0` : given;
    return `"${id}" = ${told}`;
  });
  return `format = 1\n\n[parameters]\n${lines.join("\n")}\n`;
}

/** The values in such a file, by id. */
export function fromToml(content, parameters) {
  if (!/^\s*format\s*=\s*1\s*$/m.test(content)) throw new Error("This is no preset of rtsep: it must begin with format = 1.");
  const values = {};
  for (const line of content.split("\n")) {
    const found = line.match(/^\s*"?([a-z_.]+)"?\s*=\s*("([^"]*)"|[-+.\w]+)/);
    const parameter = found && parameters.find(({ id }) => id === found[1]);
    if (!parameter) continue;
    const given = found[3] !== undefined ? parameter.choices.indexOf(found[3]) : Number(found[2].replace("inf", "Infinity"));
    if (Number.isNaN(given) || (found[3] !== undefined && given < 0)) throw new Error(`${found[1]} cannot be ${found[2]}.`);
    values[parameter.id] = given;
  }
  return values;
}
