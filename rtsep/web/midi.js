// MIDI knobs through the browser: learn, and pick up a value before it moves.

const KEPT = "rtsep controls";

export class Knobs {
  /** `moved(id, position)` takes a knob's way 0 to 1; `position(id)` tells where the value is; `told(text)` what happened. */
  constructor(moved, position, told) {
    Object.assign(this, { moved, position, told, learning: null });
    this.bound = JSON.parse(localStorage.getItem(KEPT) ?? "{}"); // "channel controller": id
    this.last = {};
  }

  async open() {
    if (!navigator.requestMIDIAccess) throw new Error("This browser knows no MIDI. Chromium, Edge and Firefox do.");
    let access;
    try {
      access = await navigator.requestMIDIAccess();
    } catch {
      throw new Error("The browser does not let this page see controllers. Allow MIDI in the address bar.");
    }
    const listen = () => {
      for (const input of access.inputs.values()) input.onmidimessage = ({ data }) => this.hear(data);
      const names = [...access.inputs.values()].map(({ name }) => name);
      this.told(names.length ? `${names.join(", ")}: choose a fader, press L, and move a knob.` : "No controller is plugged in.");
    };
    access.onstatechange = listen;
    listen();
  }

  learn(id) {
    this.learning = id;
  }

  hear([status, number, value]) {
    if ((status & 0xf0) !== 0xb0 || number >= 120) return;
    const control = `${(status & 15) + 1} ${number}`, at = value / 127;
    if (this.learning) {
      this.bound[control] = this.learning;
      localStorage.setItem(KEPT, JSON.stringify(this.bound));
      this.told(`cc ${number} moves ${this.learning}.`);
      this.learning = null;
    }
    const id = this.bound[control];
    if (!id) return;
    const held = this.position(id), before = this.last[control] ?? at;
    this.last[control] = at;
    // Nothing happens until the knob is where the value is, or passes it: no level leaps.
    const there = Math.abs(at - held) <= 2 / 127 || Math.min(before, at) <= held && held <= Math.max(before, at);
    if (there || this.caught === control) {
      this.caught = control;
      this.moved(id, at);
    }
  }

  /** A value was moved by something else: its knob must be picked up again. */
  release() {
    this.caught = null;
  }
}
