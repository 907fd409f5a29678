// Learning a binding from what a hand does. The rules are those of rtsep/live/midi_learn.py, where they are explained.

import { isFader } from "./fader.js";
import { textOf } from "./messages.js";

const RESTS_MS = 400, TAP_MS = 500;
const MOVED = 6 / 127; // of its way: worn contacts do less
const FEW = 3, ALTERNATIONS = 4, FULL = 64, REMEMBERED = 128;
// The values that stand for one step in some coding, with the more that an accelerated encoder sends at once.
const STEPS = [[1, 1, 16], [63, 48, 63], [65, 65, 80], [127, 112, 127]];
// By the step of the first turn, which is asked to be down, and that of the one back.
const TURNS = {
  "63 65": "offset", "65 63": "offset", "127 1": "twos-complement", "1 127": "twos-complement", "65 1": "signed", "1 65": "signed-reversed",
};

export class Learner {
  /** `parameter` is what is known of the one that is to be moved. */
  constructor(parameter) {
    this.parameter = parameter;
    this.status = "Move a fader, press a button, or turn an encoder slowly down.";
    [this.tracks, this.alternations, this.before] = [new Map(), new Map(), new Map()];
  }

  /** Take a message of a port into account. */
  hear(port, message, now) {
    if (message.kind === "mode" || message.kind === "program") return;
    const key = keyOf(port, message), track = this.tracks.get(key) ?? { port, message, count: 0, heard: [] };
    this.tracks.set(key, track);
    track.count++;
    track.heard.push({ now, ...message });
    if (track.heard.length > REMEMBERED) track.heard.shift();
    const last = this.before.get(port) ?? message, [upper, lower] = last.number < message.number ? [last, message] : [message, last];
    if (upper.kind === "cc" && upper.number < 32 && keyOf(port, lower) === keyOf(port, below(upper)))
      this.alternations.set(keyOf(port, upper), (this.alternations.get(keyOf(port, upper)) ?? 0) + 1);
    this.before.set(port, message);
    const found = this.judge(port, message, track);
    [track.binding, track.status] = typeof found === "string" ? [null, found] : [found, ""];
    this.status = this.leader.status;
  }

  /** { port, binding } once a control has shown what it is, and rests. */
  poll(now) {
    const track = this.leader;
    return track?.binding && now >= track.heard.at(-1).now + RESTS_MS ? { port: track.port, binding: track.binding } : null;
  }

  get leader() {
    const worth = ({ binding, count }) => (binding ? 1e9 : 0) + count;
    return [...this.tracks.values()].reduce((best, each) => (!best || worth(each) > worth(best) ? each : best), null);
  }

  /** What a control is, or what is to be done next to find out. */
  judge(port, message, track) {
    const goOn = `${textOf(message)}: move it further.`, { heard } = track, values = heard.map(({ value }) => value);
    const positions = heard.filter(({ bits }) => bits).map(({ value, bits }) => value / (2 ** bits - 1));
    const moved = positions.length >= FEW && Math.max(...positions) - Math.min(...positions) >= MOVED;
    if (message.kind === "note") return values.some(Boolean) ? this.toggle(message) : goOn;
    if (message.kind !== "cc") return moved || heard.length - positions.length >= FEW ? this.binding(message) : goOn;
    if (message.number >= 32 && this.isPair(port, { ...message, number: message.number - 32 })) return goOn;
    if (this.isPair(port, message)) return moved ? this.binding(message, { bits: 14 }) : goOn;
    if (isButton(values)) return this.button(message, heard);
    const turns = turnsIn(values);
    if (turns.length) {
      const kind = TURNS[`${turns[0]} ${turns.at(-1)}`];
      return kind ? this.binding(message, { kind }) : `${textOf(message)} is an encoder: now turn it back up.`;
    }
    return moved && new Set(values).size >= FEW ? this.binding(message) : goOn;
  }

  /** Whether a control and its lower half are heard in turns. */
  isPair(port, upper) {
    const count = (message) => this.tracks.get(keyOf(port, message))?.count ?? 0;
    return (this.alternations.get(keyOf(port, upper)) ?? 0) >= Math.max(ALTERNATIONS, (count(upper) + count(below(upper))) / 2);
  }

  /** A momentary button toggles; a latching one, which says by itself what is on, is absolute. */
  button(message, heard) {
    const tapped = heard.some((press, i) => press.value > 0 && heard[i + 1]?.value === 0 && heard[i + 1].now - press.now <= TAP_MS);
    if (tapped) return this.toggle(message);
    return heard.length >= FEW ? this.binding(message) : `${textOf(message)}: press it again, or go on.`;
  }

  /** A fader toggles between silence and its default: its top would be a fright. */
  toggle(message) {
    return this.binding(message, { kind: "toggle", ...(isFader(this.parameter) ? { high: this.parameter.default } : {}) });
  }

  binding(message, more = {}) {
    return { control: textOf(message), parameter: this.parameter.id, channel: message.channel, ...more };
  }
}

const keyOf = (port, { kind, channel, number }) => `${port}\n${kind} ${channel} ${number}`;
const below = (upper) => ({ ...upper, number: upper.number + 32 });

/** Whether there are presses and releases in turns, and nothing else. */
function isButton(values) {
  const inTurns = values.slice(1).every((after, i) => (values[i] === 0) !== (after === 0));
  return inTurns && values.every((value) => value === 0 || value >= FULL);
}

/** The steps of an encoder's turns, the first one first; nothing if this is no encoder. */
function turnsIn(values) {
  const steps = values.flatMap((value) => STEPS.filter(([, from, to]) => from <= value && value <= to).map(([step]) => step));
  const single = values.filter((value) => STEPS.some(([step]) => step === value)).length;
  const repeats = values.slice(1).filter((after, i) => values[i] === after).length;
  if (steps.length < values.length || single < Math.max(FEW, values.length / 2) || repeats < FEW - 1) return [];
  return [...new Set(steps)].filter((step) => steps.filter((each) => each === step).length > 1);
}
