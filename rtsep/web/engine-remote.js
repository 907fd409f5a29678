// The engine of `rtsep live --web`: what the page shows and moves, at the other end of a websocket.

import { BANDS } from "./core.js";
import { decibels, held, plain, revived } from "./fader.js";

const NUMBERS = 7; // of a frame, before the levels of the stems: see Remote._heard in rtsep/live/remote.py
const AGAIN_MS = 1000;

export default class RemoteEngine extends EventTarget {
  /** Get ready; `base` is the address of the page, which carries the token behind its #. */
  static async load({ base = new URL(".", location.href).href } = {}) {
    const engine = new RemoteEngine();
    engine.base = base;
    engine.about = await engine.ask();
    engine.parameters = engine.about.parameters;
    const { defaults } = engine.modes[0];
    for (const [id, value] of Object.entries(defaults)) defaults[id] = revived(value);
    engine.values = Object.fromEntries(engine.parameters.map((each) => [each.id, each.default]));
    Object.assign(engine, { remote: true, number: 0, moved: {}, state: { name: "", playing: false, duration: null, loop: null } });
    engine.connect();
    return engine;
  }

  get stems() { return this.about.stems; }
  get groups() { return this.about.groups; }
  get modes() { return this.about.modes; }
  get mode() { return this.about.modes[0].name; }
  get presets() { return this.about.presets; }
  get songs() { return []; }

  // Parameters

  get(id) { return this.values[id]; }

  set(id, value) {
    const parameter = this.parameters.find((each) => each.id === id);
    if (!parameter) throw new Error(`There is no parameter ${id}.`);
    const taken = held(parameter, value);
    if (taken === this.values[id]) return;
    this.moved[id] = ++this.number;
    this.send({ set: { [id]: plain(taken) }, number: this.number });
    this.take(id, taken);
  }

  take(id, value) {
    if (!(id in this.values) || value === this.values[id]) return;
    this.values[id] = value;
    this.tell("change", { id, value });
  }

  // The sound

  get name() { return this.state.name; }
  get playing() { return this.state.playing; }
  get duration() { return this.state.duration; }
  get position() { return this.heard ?? 0; }
  get loop() { return this.state.loop; }
  set loop(between) { this.send({ loop: between }); }
  get latency() { return { engine_ms: this.state.engine_ms ?? this.modes[0].latency_ms, base_ms: 0, output_ms: this.state.device_ms ?? 0 }; }

  async play() { this.send({ play: true }); }
  pause() { this.send({ play: false }); }
  seek(seconds) { this.send({ seek: seconds }); }

  // The connection

  async ask() {
    const answer = await fetch(this.base + "parameters.json").catch(() => null);
    if (!answer?.ok) throw new Error("The engine cannot be reached. Is rtsep live --web still running?");
    return answer.json();
  }

  connect() {
    const socket = new WebSocket(`${this.base.replace(/^http/, "ws")}engine?token=${encodeURIComponent(location.hash.slice(1))}`);
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => (typeof data === "string" ? this.learn(JSON.parse(data)) : this.hear(new Float32Array(data)));
    socket.onclose = () => this.lost();
    this.socket = socket;
  }

  send(message) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  /** Look for the engine until it is back. It may have other stems then: the page is loaded anew. */
  lost() {
    this.state = { ...this.state, playing: false };
    [this.number, this.moved] = [0, {}];
    if (!this.away) this.tell("gone", { known: this.heard !== undefined });
    this.away = true;
    setTimeout(async () => {
      const about = await this.ask().catch(() => null);
      if (about && JSON.stringify(about.parameters) !== JSON.stringify(this.parameters)) location.reload();
      else this.connect();
    }, AGAIN_MS);
  }

  /** News of values and of the song. A value that this page has moved meanwhile stays as it was moved. */
  learn({ values = {}, heard, state }) {
    if (this.away) this.tell("back");
    this.away = false;
    for (const [id, value] of Object.entries(values)) {
      if (this.moved[id] > heard) continue;
      delete this.moved[id];
      this.take(id, revived(value));
    }
    if (!state) return;
    if (state.name !== this.state.name || state.duration !== this.state.duration) this.look();
    this.state = state;
    this.tell("state", state);
  }

  /** The shape of the song. */
  async look() {
    const answer = await fetch(this.base + "peaks").catch(() => null);
    if (!answer?.ok) return;
    const peaks = new Float32Array(await answer.arrayBuffer());
    this.peaks = peaks.length ? peaks : null;
    this.tell("state", this.state);
  }

  hear(numbers) {
    const [input, output, f0, confidence, load, late, position] = numbers, end = NUMBERS + this.stems.length;
    this.heard = position;
    this.tell("frame", {
      input: decibels(input), output: decibels(output), f0, confidence, stems: [...numbers.slice(NUMBERS, end)].map(decibels),
      bands: numbers.slice(end, end + this.stems.length * BANDS), notes: numbers.slice(end + this.stems.length * BANDS), load, late, position,
    });
  }

  tell(kind, detail) {
    this.dispatchEvent(new CustomEvent(kind, { detail }));
  }
}
