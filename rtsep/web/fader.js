// The way of a fader and the words for a value: as in Parameter.to_normalized and Parameter.format in Python.

const BOTTOM_DB = -60, UNITY = 100 / 127;

/** `value` as a position 0 to 1. */
export function toPosition({ low, high, unit }, value, silence) {
  if (unit !== "dB" || low !== silence) return (value - low) / (high - low);
  const unity = high > 0 ? UNITY : 1;
  if (value <= BOTTOM_DB) return 0;
  return value <= 0 ? (1 - value / BOTTOM_DB) * unity : unity + (value / high) * (1 - unity);
}

/** The value at a position 0 to 1; a fader's lowest position is silence. */
export function toValue({ low, high, unit, step }, position, silence) {
  if (unit !== "dB" || low !== silence) {
    const value = low + position * (high - low);
    return step ? low + Math.round((value - low) / step) * step : value;
  }
  const unity = high > 0 ? UNITY : 1;
  if (position <= 0) return -Infinity;
  const value = position <= unity ? BOTTOM_DB * (1 - position / unity) : ((position - unity) / (1 - unity)) * high;
  return Math.abs(value) < 0.35 ? 0 : Math.round(10 * value) / 10; // 0 dB holds the hand a little
}

/** A value as a person reads it. */
export function text({ choices, unit }, value) {
  if (choices.length) return choices[Math.round(value)];
  if (unit === "dB") return value === -Infinity ? "-inf dB" : `${value.toFixed(1)} dB`;
  if (unit === "Hz") return `${value.toFixed(0)} Hz`;
  return value.toFixed(2);
}
