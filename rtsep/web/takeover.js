// One binding at work: from a control's position to a value, and from the value to its light. The rules are those of
// rtsep/live/takeover.py, where they are explained.

import { isFader, toPosition, toValue } from "./fader.js";
import { Pair, encode, parseControl } from "./messages.js";

const STEP = 1 / 127, NEAR = STEP + 1e-9; // of a control with 7 bits, and of an encoder
const RESTS_MS = 500, AGAIN_MS = 100, THROTTLE_MS = 30;

/** What the value of a message of a relative encoder means in steps, by the kind of its binding. */
export const CODINGS = {
  "twos-complement": (value) => (value <= 64 ? value : value - 128),
  offset: (value) => value - 64,
  signed: (value) => (value <= 64 ? value : 64 - value),
  "signed-reversed": (value) => (value > 64 ? value - 64 : -value),
};
export const KINDS = ["absolute", "toggle", "momentary", ...Object.keys(CODINGS)];
export const TAKEOVERS = ["pick-up", "jump", "scale"];
export const USUAL = { channel: null, kind: "absolute", bits: 7, low: null, high: null, invert: false, takeover: "pick-up", on: 127, off: 0 };

export class Link {
  /** `parameters` are get(id), set(id, value) and find(id), which tells what is known of a parameter. */
  constructor(binding, parameters) {
    Object.assign(this, { table: binding, parameters, binding: { ...USUAL, ...binding }, info: parameters.find(binding.parameter) });
    Object.assign(this, parseControl(binding.control));
    const { kind, low, high, takeover, bits } = this.binding, { info } = this;
    [this.low, this.high] = [low ?? (isFader(info) ? -Infinity : info.low), high ?? info.high];
    this.lit = ["toggle", "momentary"].includes(kind) || info.unit === "switch";
    this.waits = kind === "absolute" && takeover !== "jump" && !info.choices.length;
    this.bits = this.kind === "bend" ? 14 : bits;
    this.pair = new Pair();
    Object.assign(this, { position: null, written: null, aim: 0, held: false, channel: null, heardAt: -Infinity, sentAt: -Infinity, shown: null });
  }

  get value() { return this.parameters.get(this.info.id); }

  /** Whether this binding is for a message. */
  hears({ kind, channel, number }) {
    const fits = number === this.number || (this.binding.bits === 14 && number === this.number + 32);
    return fits && kind === this.kind && (this.binding.channel ?? channel) === channel;
  }

  /** Do what the control asks for. */
  receive(message, now) {
    const before = this.heardAt, { kind } = this.binding;
    [this.heardAt, this.channel] = [now, message.channel];
    if (message.bits === 0) this.turn(message.value);
    else if (kind in CODINGS) this.turn(CODINGS[kind](message.value));
    else if (kind === "absolute") this.move(message, now);
    else if (this.held !== message.value > 0 || (this.held && now > before + AGAIN_MS)) {
      this.held = message.value > 0;
      this.press();
    }
  }

  press() {
    if (!this.held) this.shown = null; // many a button puts its own light out when it is let go
    if (this.binding.kind === "momentary") this.write(this.held !== this.binding.invert ? this.high : this.low);
    else if (this.held) this.write(this.value === this.high ? this.low : this.high);
  }

  /** Go some steps up; one across 0 dB ends there. */
  turn(steps) {
    if (!steps) return;
    const { info } = this, count = this.binding.invert ? -steps : steps;
    let value;
    if (info.step) value = this.value + count * info.step;
    else {
      const before = toPosition(info, this.value), unity = toPosition(info, 0), after = Math.round((before + count * STEP) * 1e9) / 1e9;
      const passes = isFader(info) && (before - unity) * (after - unity) < 0;
      value = this.at(passes ? unity : after, STEP);
    }
    this.write(Math.min(Math.max(value, this.low), this.high));
  }

  /** The control has been moved: bring the value along, if the takeover lets it. */
  move(message, now) {
    let { value, bits } = message;
    if (this.binding.bits === 14) {
      const come = message.number === this.number ? this.pair.msb(value, now) : this.pair.lsb(value, now);
      if (!come) return;
      [value, bits] = come;
    } else if (this.kind !== "cc") this.bits = bits;
    const before = this.position;
    this.position = value / (2 ** bits - 1);
    this.shown = Math.round(this.position * (2 ** this.bits - 1));
    const aim = this.takenOver(before, this.position);
    if (aim === null) return;
    this.write(this.valueAt(aim));
    this.aim = aim;
  }

  /** The position that the value is to take when the control comes from `before`; null if it is to stay. */
  takenOver(before, position) {
    const { takeover } = this.binding, caught = this.written === this.value;
    if (takeover === "jump" || this.info.choices.length || (caught && takeover === "pick-up")) return position;
    const place = caught ? this.aim : this.positionOf(this.value);
    if (takeover === "scale" && before !== null) {
      if (position > before) return 1 - ((1 - place) * (1 - position)) / (1 - before);
      return position < before ? (place * position) / before : null;
    }
    this.written = null;
    const passed = before !== null && (before - place) * (position - place) <= 0;
    return passed || Math.abs(position - place) <= NEAR ? position : null;
  }

  write(value) {
    this.parameters.set(this.info.id, value);
    this.written = this.value;
  }

  /** The value at a place of the parameter's whole travel; a fader has a detent at 0 dB, one `step` wide. */
  at(normalized, step) {
    if (isFader(this.info) && Math.abs(normalized - toPosition(this.info, 0)) <= step / 2) return 0;
    return toValue(this.info, normalized);
  }

  /** The value for a position of the control. */
  valueAt(given) {
    const position = this.binding.invert ? 1 - given : given;
    if (position === 0 || position === 1) return position ? this.high : this.low;
    const start = toPosition(this.info, this.low), end = toPosition(this.info, this.high);
    const value = this.at(start + position * (end - start), (end - start) * STEP);
    return Math.min(Math.max(value, this.low), this.high);
  }

  /** The position of the control for a value; the nearer end for one beyond its ends. */
  positionOf(value) {
    const start = toPosition(this.info, this.low), end = toPosition(this.info, this.high);
    const position = Math.min(Math.max((toPosition(this.info, value) - start) / (end - start), 0), 1);
    return this.binding.invert ? 1 - position : position;
  }

  /** Where in the parameter's travel the control stands, if it is known, is elsewhere and has to be fetched. */
  get ghost() {
    if (!this.waits || this.position === null) return null;
    const place = toPosition(this.info, this.valueAt(this.position));
    return Math.abs(place - toPosition(this.info, this.value)) > NEAR ? place : null;
  }

  /** The messages that the control is to be told now; on `channel` if neither the binding nor the control has one. */
  feedback(now, channel) {
    if (this.waits) return []; // what has to be picked up does not move by itself
    const { on, off, invert, kind } = this.binding;
    const value = this.lit ? ((this.value === this.high) !== invert ? on : off) : Math.round(this.positionOf(this.value) * (2 ** this.bits - 1));
    const moving = kind === "absolute" && now < this.heardAt + RESTS_MS;
    if (value === this.shown || moving || now < this.sentAt + THROTTLE_MS) return [];
    [this.shown, this.sentAt] = [value, now];
    return encode({ kind: this.kind, channel: this.binding.channel ?? this.channel ?? channel, number: this.number }, value, this.lit ? 7 : this.bits);
  }
}
