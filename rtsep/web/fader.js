// The way of a fader and the words for a value: the law, formats and readings of rtsep/parameters.py. A parameter in
// decibels that begins at -80 is a fader: its bottom is silence.

const SILENCE_DB = -80, BOTTOM_DB = -60, UNITY = 100 / 127, DETENT_DB = 0.4;

export const isFader = ({ unit, low }) => unit === "dB" && low === SILENCE_DB;
const unity = ({ high }) => (high > 0 ? UNITY : 1);

/** `value` as a position 0 to 1. */
export function toPosition(parameter, value) {
  const { low, high } = parameter;
  if (!isFader(parameter)) return (value - low) / (high - low);
  if (value <= BOTTOM_DB) return 0;
  if (value <= 0) return (1 - value / BOTTOM_DB) * unity(parameter);
  return unity(parameter) + (value / high) * (1 - unity(parameter));
}

/** The value at a position 0 to 1; a fader's lowest position is silence. */
export function toValue(parameter, position) {
  const { low, high, step } = parameter, at = Math.min(Math.max(position, 0), 1);
  if (!isFader(parameter)) {
    const value = low + at * (high - low);
    return step ? low + Math.round((value - low) / step) * step : value;
  }
  if (at === 0) return -Infinity;
  const value = at <= unity(parameter) ? BOTTOM_DB * (1 - at / unity(parameter))
    : ((at - unity(parameter)) / (1 - unity(parameter))) * high;
  return Math.round(1e9 * value) / 1e9 || 0; // -15, and not -15.000000000000007
}

/** What a parameter takes when it is set to `value`: within its range, and silence at the bottom of a fader. */
export function held(parameter, value) {
  if (isFader(parameter) && value <= SILENCE_DB) return -Infinity;
  return Math.min(Math.max(value, parameter.low), parameter.high);
}

// JSON knows no infinity.
export const plain = (value) => (value === -Infinity ? "-inf" : value);
export const revived = (value) => (value === "-inf" ? -Infinity : value);

/** A level, linear, in decibels. */
export const decibels = (level) => (level > 0 ? 20 * Math.log10(level) : -Infinity);

/** A level as a hand sets it: in tenths, and 0 dB holds it a little. */
export const detent = (value) => (Math.abs(value) <= DETENT_DB ? 0 : Math.round(10 * value) / 10);

/** A value as a person reads it. */
export function format({ choices, unit }, value) {
  if (choices?.length) return choices[Math.round(value)];
  if (unit === "dB") return value <= SILENCE_DB ? "-inf dB" : `${(value || 0).toFixed(1)} dB`;
  if (unit === "semitones") return `${value > 0 ? "+" : ""}${value.toFixed(0)} semitones`;
  return unit === "Hz" ? `${value.toFixed(0)} Hz` : value.toFixed(2);
}

/** What a parameter may be, in words. */
export function range(parameter) {
  const { choices, low, high, unit } = parameter;
  if (choices?.length) return choices.join(" or ");
  return `between ${isFader(parameter) ? "-inf" : low} and ${high} ${["switch", "choice"].includes(unit) ? "" : unit}`.trim();
}

/** The value that a text means, or an Error with a sentence. */
export function parse(parameter, text) {
  const { choices, low, high, unit, step } = parameter;
  let word = text.trim().toLowerCase().replace(",", ".").replace("\u2212", "-");
  if (unit && word.endsWith(unit.toLowerCase())) word = word.slice(0, -unit.length).trim();
  if (choices?.length) {
    const same = { 1: "on", true: "on", yes: "on", 0: "off", false: "off", no: "off" };
    const index = choices.indexOf(choices.includes(word) ? word : same[word]);
    if (index >= 0) return index;
  } else {
    const number = /^[-+]?inf(inity)?$/.test(word) ? (word[0] === "-" ? -Infinity : Infinity) : word ? Number(word) : NaN;
    if (isFader(parameter) && number <= SILENCE_DB) return -Infinity;
    if (number >= low && number <= high) return step ? low + Math.round((number - low) / step) * step : number;
  }
  throw new Error(`"${text.trim()}" does not fit here. It must be ${range(parameter)}.`);
}

/** A level moved by a step to a whole decibel; it stops at 0 dB on the way, and below -60 dB it is silence. */
export function stepped(value, step, top) {
  const moved = Math.round(Math.max(value + step, 2 * BOTTOM_DB));
  if ((value < 0 && moved > 0) || (moved < 0 && value > 0)) return 0;
  if (moved < BOTTOM_DB) return step > 0 ? BOTTOM_DB : -Infinity;
  return Math.min(moved, top);
}
