// MIDI controllers through the browser. A control is learned by moving it; it does nothing until it stands where the
// value is (pick-up), so that no level leaps. What was learned is kept for each controller.

import { load, save } from "./store.js";

const NEAR = 2 / 127; // of the way: the control is where the value is
const RESTS_MS = 400; // after which a control that was moved for learning has shown what it is
const HAND_MS = 500; // nothing heard for so long: the hand is off
const FEW = 3, MOVED = 6; // messages and steps of 127, less of which worn contacts do by themselves
const SOUNDS_OFF = 120; // the only channel mode message that does something: others come by themselves

// Steps of relative encoders, by the values that they send; as in Ableton Live's manual.
const CODINGS = {
  "twos-complement": (value) => (value <= 64 ? value : value - 128),
  offset: (value) => value - 64,
  signed: (value) => (value <= 64 ? value : 64 - value),
};

// What is printed on three controllers, as in rtsep/live/maps; on any other, controls 1 to 8 are the faders and 16 to
// 23 their mutes. A row: the kind of control, and its numbers in the order of the strips.
const ROWS = ["percussive", "melody", "harmony", "residual", "harmonic", "accompaniment", "microphone", "output"];
const MAPS = {
  nanoKONTROL2: { gain_db: ["cc", 0, 1, 2, 3, 4, 5, 6, 7], mute: ["button", 48, 49, 50, 51, 52, 53, 54, 55], solo: ["button", 32, 33, 34, 35, 36, 37] },
  "MIDI Mix": { gain_db: ["cc", 19, 23, 27, 31, 49, 53, 57, 62], mute: ["note", 1, 4, 7, 10, 13, 16, 19, 22], solo: ["note", 2, 5, 8, 11, 14, 17] },
  "Launch Control XL": { gain_db: ["cc", 77, 78, 79, 80, 81, 82, 83, 84], mute: ["note", 41, 42, 43, 44, 57, 58, 59, 60], solo: ["note", 73, 74, 75, 76, 89, 90] },
};
const ANY = { gain_db: ["cc", 1, 2, 3, 4, 5, 6, 7, 8], mute: ["button", 16, 17, 18, 19, 20, 21, 22, 23] };

function printed(port, exists) {
  const known = Object.keys(MAPS).find((name) => port.toLowerCase().includes(name.toLowerCase()));
  const bindings = {};
  for (const [part, [how, ...numbers]] of Object.entries(known ? MAPS[known] : ANY)) {
    numbers.forEach((number, row) => {
      const id = `${ROWS[row]}.${part}`;
      if (exists(id)) bindings[`${how === "note" ? "note" : "cc"} ${number}`] = { id, kind: how === "cc" ? "absolute" : "toggle" };
    });
  }
  return bindings;
}

export class Midi extends EventTarget {
  /** `desk`: exists(id), position(id), move(id, position), toggle(id), isSwitch(id), silence(), program(number). */
  constructor(desk) {
    super();
    Object.assign(this, { desk, learning: null, ports: [], last: new Map(), ghosts: new Map() });
    this.bound = load("controllers", {}); // port: control: { id, kind }
  }

  get works() { return Boolean(navigator.requestMIDIAccess); }

  /** Ask the browser for the controllers; a sentence if that cannot be. */
  async open() {
    if (this.access) return;
    if (!this.works) throw new Error("This browser has no MIDI. Chrome, Edge and Firefox have.");
    try {
      this.access = await navigator.requestMIDIAccess();
    } catch {
      throw new Error("The browser does not let this page see MIDI. Allow it in the address bar.");
    }
    this.access.onstatechange = () => this.listen();
    this.listen();
  }

  listen() {
    const inputs = [...this.access.inputs.values()].filter(({ state }) => state === "connected");
    for (const input of inputs) input.onmidimessage = ({ data }) => this.hear(input.name, data);
    this.ports = inputs.map(({ name }) => name);
    this.tell("ports");
  }

  // What controls do

  /** The bindings of a port: what is printed on it, and what was learned in its place. */
  bindings(port) {
    const own = this.bound[port] ?? {}, all = printed(port, this.desk.exists);
    const learned = new Set(Object.values(own).map((each) => each?.id));
    for (const [control, { id }] of Object.entries(all)) if (learned.has(id)) delete all[control];
    for (const [control, binding] of Object.entries(own)) {
      if (binding) all[control] = binding;
      else delete all[control]; // forgotten by hand
    }
    return all;
  }

  /** The name of the control that moves a parameter, of the controllers that are there. */
  controlOf(id) {
    for (const port of this.ports)
      for (const [control, binding] of Object.entries(this.bindings(port))) if (binding.id === id) return control;
    return "";
  }

  /** Forget what moves the parameters `ids`; a function that brings it back, or nothing if nothing did. */
  forget(ids) {
    const before = structuredClone(this.bound);
    let count = 0;
    for (const port of new Set([...this.ports, ...Object.keys(this.bound)])) {
      for (const [control, { id }] of Object.entries(this.bindings(port))) {
        if (!ids.includes(id)) continue;
        (this.bound[port] ??= {})[control] = null;
        count++;
      }
    }
    if (!count) return null;
    this.keep();
    return () => {
      this.bound = before;
      this.keep();
    };
  }

  keep() {
    save("controllers", this.bound);
    this.ghosts.clear();
    this.tell("bindings");
  }

  learn(id) {
    this.learning = { id, heard: new Map() };
    this.tell("learning");
  }

  cancel() {
    if (!this.learning) return false;
    clearTimeout(this.learning.timer);
    this.learning = null;
    this.tell("learning");
    return true;
  }

  // What is heard

  hear(port, [status, number = 0, value = 0]) {
    const kind = status & 0xf0;
    if (kind === 0xc0) return this.desk.program(number + 1);
    if (kind === 0xb0 && number >= SOUNDS_OFF) return number === SOUNDS_OFF ? this.desk.silence() : undefined;
    let control = "", at = value / 127;
    if (kind === 0xb0) control = `cc ${number}`;
    else if (kind === 0x90 || kind === 0x80) {
      control = `note ${number}`;
      if (kind === 0x80) at = value = 0;
    } else if (kind === 0xe0) {
      control = "bend";
      at = (number + 128 * value) / 16383;
      value = Math.round(127 * at);
    } else return undefined;
    this.activity = `${control} ${value}`;
    this.tell("activity");
    if (this.learning) return this.study(port, control, value);
    const key = `${port}\n${control}`, binding = this.bindings(port)[control];
    if (!binding || !this.desk.exists(binding.id)) return undefined;
    if (binding.kind === "toggle") {
      if (value > 0 && !(this.last.get(key) > 0)) this.desk.toggle(binding.id);
      this.last.set(key, value);
    } else if (binding.kind in CODINGS) this.turn(binding, value);
    else this.move(key, binding.id, at);
    return undefined;
  }

  turn({ id, kind }, value) {
    this.desk.move(id, Math.min(Math.max(this.desk.position(id) + CODINGS[kind](value) / 127, 0), 1));
  }

  move(key, id, at) {
    const now = performance.now(), held = this.desk.position(id), before = this.last.get(key);
    const caught = before?.caught && (Math.abs(before.gave - held) < NEAR / 4 || now - before.when < HAND_MS);
    const passes = before && (before.at - held) * (at - held) <= 0;
    if (caught || passes || Math.abs(at - held) <= NEAR) {
      this.desk.move(id, at);
      this.last.set(key, { at, when: now, caught: true, gave: this.desk.position(id) });
      this.ghosts.delete(id);
    } else {
      this.last.set(key, { at, when: now, caught: false });
      this.ghosts.set(id, at);
    }
    this.tell("ghosts");
  }

  /** While learning: whichever control has moved most, once it rests. */
  study(port, control, value) {
    const { heard } = this.learning, key = `${port}\n${control}`;
    if (!heard.has(key)) heard.set(key, []);
    heard.get(key).push(value);
    clearTimeout(this.learning.timer);
    this.learning.timer = setTimeout(() => this.conclude(), RESTS_MS);
    this.tell("learning");
  }

  conclude() {
    const { id, heard } = this.learning, tracks = [...heard].sort((a, b) => b[1].length - a[1].length);
    for (const [key, values] of tracks) {
      const [port, control] = key.split("\n"), kind = judge(control, values, this.desk.isSwitch(id));
      if (!kind) continue;
      const own = (this.bound[port] ??= {});
      for (const [other, binding] of Object.entries(own)) if (binding?.id === id) delete own[other];
      own[control] = { id, kind };
      this.learning = null;
      this.last.delete(key);
      this.keep();
      this.tell("learned", { id, control, port });
      this.tell("learning");
      return;
    }
  }

  tell(kind, detail) {
    this.dispatchEvent(new CustomEvent(kind, { detail }));
  }
}

/** What kind of control has sent these values; nothing if it must be moved further. */
function judge(control, values, isSwitch) {
  if (control.startsWith("note")) return values.some(Boolean) ? "toggle" : "";
  const different = new Set(values), most = Math.max(...values), least = Math.min(...values);
  if (control.startsWith("cc")) {
    if ([...different].every((value) => value === 0 || value === 127)) return most ? "toggle" : "";
    // An encoder repeats a value where a fader moves on.
    if (values.length >= FEW && different.size <= 2) {
      const steps = [...different].sort((a, b) => a - b).join();
      if (["1", "127", "1,127"].includes(steps)) return "twos-complement";
      if (["63", "65", "63,65"].includes(steps)) return "offset";
      if (steps === "1,65") return "signed";
    }
  }
  if (values.length < FEW || most - least < MOVED) return "";
  return isSwitch && different.size <= 2 ? "toggle" : "absolute";
}
