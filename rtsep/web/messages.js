// What controllers send: controls, and the values they take. The rules are those of rtsep/live/messages.py, where they
// are explained; a browser gives whole messages, so no running status is to be known here.

const NOTE_OFF = 0x8, NOTE_ON = 0x9, CONTROL_CHANGE = 0xb, PROGRAM = 0xc, BEND = 0xe, SYSTEM = 0xf0;
const BANK = 0, BANK_LSB = 32, DATA = 6, DATA_LSB = 38, INCREMENT = 96, DECREMENT = 97, FIRST_MODE = 120, RESET = 121;
const SELECTORS = { nrpn: [99, 98], rpn: [101, 100] }; // control changes that say which parameter is meant: MSB, LSB
const NULL = 16383; // the parameter that is none
const TOGETHER_MS = 50; // a pair's halves are no further apart
const LARGEST = { cc: FIRST_MODE - 1, note: 127, nrpn: 16383, rpn: 16383 };

/** A control in words: "cc 7", "nrpn 1000", "bend". */
export const textOf = ({ kind, number }) => (kind === "bend" ? kind : `${kind} ${number}`);

/** Kind and number of the control that `text` names, or an Error with a sentence. */
export function parseControl(text) {
  const word = String(text).trim().toLowerCase();
  if (word === "bend") return { kind: "bend", number: 0 };
  const found = word.match(/^(cc|note|nrpn|rpn) *(\d{1,5})$/);
  if (!found || Number(found[2]) > LARGEST[found[1]]) throw new Error(`"${text}" is no control: it must be like "cc 7", "note 36", "nrpn 1000" or "bend".`);
  return { kind: found[1], number: Number(found[2]) };
}

/** A value of 14 bits that comes as two of 7; moves stay monotone. */
export class Pair {
  constructor() {
    Object.assign(this, { upper: null, lower: 0, fine: false, leads: false, began: false, waits: false, heardAt: -Infinity });
  }

  /** The upper half has come: what is the value, and its bits? */
  msb(value, now) {
    if (this.rested(now)) this.leads = false;
    else if (this.began) this.leads = true;
    const before = this.upper ?? value;
    if (!this.leads && value !== before) this.lower = value > before ? 0 : 127;
    [this.upper, this.began, this.waits] = [value, false, false];
    return this.fine ? [(value << 7) | this.lower, 14] : [value, 7];
  }

  /** The lower half has come: what is the value, and its bits? Nothing if it waits for the upper one. */
  lsb(value, now) {
    this.began = this.rested(now);
    const inVain = this.waits;
    [this.waits, this.lower, this.fine] = [true, value, true];
    return this.upper === null || (this.leads && !inVain) ? null : [(this.upper << 7) | value, 14];
  }

  rested(now) {
    const before = this.heardAt;
    this.heardAt = now;
    return now > before + TOGETHER_MS;
  }
}

/** Makes messages of what one port sends: { kind, channel, number, value, bits }; a step has 0 bits. */
export class Parser {
  constructor() {
    this.channels = Array.from({ length: 16 }, () => ({ bank: [0, 0], selected: "rpn", nrpn: [127, 127], rpn: [127, 127] }));
    this.pairs = new Map();
  }

  hear([status, first = 0, second = 0], now) {
    const channel = (status & 15) + 1, state = this.channels[status & 15];
    if (status >= SYSTEM) return null;
    switch (status >> 4) {
      case NOTE_OFF: return { kind: "note", channel, number: first, value: 0, bits: 7 };
      case NOTE_ON: return { kind: "note", channel, number: first, value: second, bits: 7 };
      case PROGRAM: return { kind: "program", channel, number: (state.bank[0] << 7) | state.bank[1], value: first, bits: 7 };
      case BEND: return { kind: "bend", channel, number: 0, value: (second << 7) | first, bits: 14 };
      case CONTROL_CHANGE: return this.controlChange(state, channel, first, second, now);
      default: return null;
    }
  }

  controlChange(state, channel, number, value, now) {
    for (const [kind, selectors] of Object.entries(SELECTORS)) {
      if (!selectors.includes(number)) continue;
      state.selected = kind;
      state[kind][selectors.indexOf(number)] = value;
      return null;
    }
    const kind = state.selected, parameter = (state[kind][0] << 7) | state[kind][1];
    if ([DATA, DATA_LSB, INCREMENT, DECREMENT].includes(number) && parameter !== NULL) {
      const control = { kind, channel, number: parameter };
      if (number === INCREMENT || number === DECREMENT) return { ...control, value: number === INCREMENT ? 1 : -1, bits: 0 };
      const key = `${kind} ${channel} ${parameter}`, pair = this.pairs.get(key) ?? new Pair();
      this.pairs.set(key, pair);
      const come = number === DATA ? pair.msb(value, now) : pair.lsb(value, now);
      return come && { ...control, value: come[0], bits: come[1] };
    }
    if (number === RESET) Object.assign(state, { selected: "rpn", nrpn: [127, 127], rpn: [127, 127] });
    if (number === BANK || number === BANK_LSB) state.bank[Number(number === BANK_LSB)] = value;
    return { kind: number >= FIRST_MODE ? "mode" : "cc", channel, number, value, bits: 7 };
  }
}

/** The messages that bring a control to `value`, of 7 or 14 bits. */
export function encode({ kind, channel, number }, value, bits) {
  const [upper, lower] = bits === 14 ? [value >> 7, value & 127] : [value, null];
  const changes = (...pairs) => pairs.filter(([, to]) => to !== null).map(([which, to]) => [(CONTROL_CHANGE << 4) | (channel - 1), which, to]);
  if (kind === "note") return [[(NOTE_ON << 4) | (channel - 1), number, value]];
  if (kind === "bend") return [[(BEND << 4) | (channel - 1), value & 127, value >> 7]];
  if (!SELECTORS[kind]) return changes([number, upper], [number + 32, lower]);
  const [msb, lsb] = SELECTORS[kind], [none, neither] = SELECTORS.rpn;
  return changes([msb, number >> 7], [lsb, number & 127], [DATA, upper], [DATA_LSB, lower], [none, 127], [neither, 127]);
}
