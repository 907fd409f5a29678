// Karaoke: the notes of the song before they sound, the singer's pitch on them, and a number at the end.

import { HIT_CENTS, STEP_S, Singing, centsBetween } from "./singing.js";
import { midi, note } from "./spectrogram.js";
import { level, make } from "./strips.js";
import { fresh } from "./waveform.js";

const AHEAD_S = 4, PAST_S = 2; // the present is a third from the left
const COMET_S = 1.2, ROWS = 14; // semitones that are seen at least
const GUIDE = "melody.gain_db", DUCK = "melody.duck", GUIDE_DB = -18;
const VOICE = "microphone.gain_db", ROOM = "microphone.reverb_db";
const LEAP = 0.7, BREAK_S = 0.08, SHORT_S = 0.1; // semitones to another note; a gap within one; what is no note

/** What a track of pitches sings: { from, to, pitch }, in s and semitones. */
export function notesOf(hz) {
  const notes = [];
  let now = null;
  const end = () => {
    if (now && now.to - now.from >= SHORT_S) notes.push({ from: now.from, to: now.to, pitch: now.sum / now.count });
    now = null;
  };
  hz.forEach((each, i) => {
    const time = i * STEP_S, pitch = each > 0 ? midi(each) : null;
    if (now && time - now.to > BREAK_S) end();
    if (pitch === null) return;
    if (now && Math.abs(pitch - now.sum / now.count) > LEAP) end();
    now ??= { from: time, to: time, sum: 0, count: 0 };
    now.to = time + STEP_S;
    now.sum += pitch;
    now.count++;
  });
  end();
  return notes;
}

export class Karaoke {
  /** `desk` is the view: engine, history, act, say, fail, changed. */
  constructor(canvas, box, desk) {
    Object.assign(this, { canvas, box, desk, on: false, queue: [] });
    const { engine } = desk;
    this.faders = {
      [GUIDE]: fader(desk, GUIDE, "Guide", "how loud the song's own voice stays"),
      [VOICE]: fader(desk, VOICE, "My voice", "for headphones: through loudspeakers it howls"),
      [ROOM]: fader(desk, ROOM, "Room", "how much of a small room is around my voice"),
    };
    this.duck = make("input", { type: "checkbox", checked: true });
    this.score = make("output", { className: "score figures" });
    this.next = make("p", { className: "small" });
    box.append(
      make("div", { className: "sung" }, this.score, this.next), ...Object.values(this.faders).map(({ row }) => row),
      make("label", { className: "row check" }, this.duck, "The guide rests while I am on pitch"),
    );
    engine.addEventListener("sung", ({ detail }) => this.hear(detail));
    engine.addEventListener("frame", ({ detail }) => this.on && this.catchUp(detail));
    engine.addEventListener("change", ({ detail }) => this.faders[detail.id]?.show());
    engine.addEventListener("ended", () => this.on && this.end());
  }

  /** Begin to sing to the song that is open, or end it. */
  async show(on) {
    const { engine, history } = this.desk;
    await engine.hearSinger(on);
    this.on = on;
    if (on) {
      this.before = engine.get(GUIDE);
      history.set({ [GUIDE]: Math.min(this.before, GUIDE_DB) });
      this.begin();
    } else {
      this.stop?.();
      engine.set(DUCK, 0);
      history.set({ [GUIDE]: this.before });
    }
    this.canvas.hidden = this.box.hidden = !on;
    this.desk.changed(on);
    for (const each of Object.values(this.faders)) each.show();
  }

  /** What the session is to keep meanwhile: the level that the voice had before it became the guide. */
  get kept() {
    return this.on ? { [GUIDE]: this.before } : {};
  }

  /** A song is open: find its notes, ahead of its sound. */
  begin() {
    this.stop?.();
    Object.assign(this, { track: [], notes: [], trail: [], singing: new Singing(), done: false, low: null });
    this.score.value = "Sing!";
    this.showQueue();
    if (!this.desk.engine.song) return;
    this.stop = this.desk.engine.follow((first, hz) => {
      hz.forEach((each, i) => (this.track[first + i] = each));
      this.notes = notesOf(this.track);
    });
  }

  /** Another song, to be sung after this one. */
  add(source) {
    this.queue.push(source);
    this.showQueue();
  }

  showQueue() {
    this.next.textContent = this.queue.length ? `Next: ${this.queue.map(({ name }) => name).join(", ")}` : "";
  }

  /** Where the worker has not come yet, the song is known as it sounds. */
  catchUp({ position, f0 }) {
    const step = Math.floor((position - this.desk.engine.info.melody_late_s) / STEP_S);
    for (const each of [step, step + 1]) if (each >= 0) this.track[each] ??= f0; // a frame lasts a little longer than a step
  }

  hear({ at, hz }) {
    const { engine } = this.desk, heard = this.track[Math.round(at / STEP_S)];
    if (!this.on || heard === undefined) return;
    const song = heard * 2 ** (engine.get("key.semitones") / 12);
    this.singing.hear(at, song, hz);
    this.trail.push({ at, hz, song });
    while (this.trail[0].at < at - 2 * COMET_S || this.trail[0].at > at) this.trail.shift();
    engine.set(DUCK, Number(this.duck.checked && this.singing.onPitch));
    const { score } = this.singing;
    this.score.value = score === null ? "Sing!" : `${Math.round(score)}`;
  }

  /** The song is over: the number, and the next. */
  end() {
    const { engine, say, open } = this.desk, { score } = this.singing, next = this.queue.shift();
    engine.set(DUCK, 0);
    this.done = true;
    const told = score === null ? "Nothing was sung." : `${Math.round(score)} of 100.`;
    if (next) say(`${told} Next is ${next.name}.`, ["Sing it", () => open(next)]);
    else say(`${told} Again?`, ["Sing it again", () => this.desk.again()]);
  }

  // The picture

  draw(style) {
    if (!this.on) return;
    if (this.done && this.desk.engine.playing) this.begin(); // it was started again
    const { pen, width, height } = fresh(this.canvas), now = this.desk.engine.position ?? 0;
    pen.fillStyle = "#08090b";
    pen.fillRect(0, 0, width, height);
    if (this.done) this.drawPhrases(pen, width, height, style);
    else this.drawNotes(pen, width, height, now);
  }

  drawNotes(pen, width, height, now) {
    const { engine } = this.desk;
    const key = engine.get("key.semitones"), scale = width / (AHEAD_S + PAST_S), x = (time) => (time - now + PAST_S) * scale;
    const seen = this.notes.filter(({ from, to }) => to > now - PAST_S && from < now + AHEAD_S);
    const pitches = seen.map(({ pitch }) => pitch + key);
    if (pitches.length) {
      const low = (Math.min(...pitches) + Math.max(...pitches)) / 2 - Math.max(ROWS, Math.max(...pitches) - Math.min(...pitches) + 4) / 2;
      this.low = this.low === null ? low : this.low + 0.08 * (low - this.low);
    }
    const low = this.low ?? 55, rows = Math.max(ROWS, pitches.length ? Math.max(...pitches) - low + 2 : 0), step = height / rows;
    const y = (pitch) => height - (pitch - low) * step;
    pen.font = "11px system-ui, sans-serif";
    for (let pitch = Math.ceil(low); pitch < low + rows; pitch++) {
      const { name } = note(440 * 2 ** ((pitch - 69) / 12)), plain = name.length === 2;
      pen.fillStyle = plain ? "rgb(255 255 255 / 7%)" : "rgb(255 255 255 / 3%)";
      pen.fillRect(0, Math.round(y(pitch)), width, 1);
      pen.fillStyle = "#9aa0a6";
      if (plain && step > 9) pen.fillText(name, 6, y(pitch) + 4);
    }
    for (const { from, to, pitch } of seen) {
      const past = to < now;
      pen.fillStyle = past ? "#2d5a75" : from <= now ? "#9fd8f7" : "#56B4E9";
      pen.beginPath();
      pen.roundRect(x(from) + 1, y(pitch + key) - Math.min(step, 16) / 2, Math.max((to - from) * scale - 2, 3), Math.min(step, 16), 4);
      pen.fill();
    }
    pen.fillStyle = "#e8eaed";
    pen.fillRect(PAST_S * scale, 0, 2, height);
    this.drawComet(pen, x, y, now);
  }

  /** The singer, where the song is at that moment: a disc on pitch, a point upwards for sharp, downwards for flat. */
  drawComet(pen, x, y, now) {
    let last = null;
    for (const { at, hz, song } of this.trail) {
      if (!(hz > 0)) continue;
      const off = song > 0 ? centsBetween(hz, song) : null, pitch = off === null ? midi(hz) : midi(song) + off / 100;
      const hit = off !== null && Math.abs(off) <= HIT_CENTS, age = Math.min(Math.max((now - at) / (2 * COMET_S), 0), 1);
      pen.globalAlpha = 1 - 0.8 * age;
      pen.fillStyle = off === null ? "#9aa0a6" : hit ? "#2bd4a0" : "#ff9a5c";
      const place = [x(at), y(pitch)];
      shape(pen, ...place, 3 + 3 * (1 - age), hit || off === null ? 0 : Math.sign(off));
      last = { place, off, hit };
    }
    pen.globalAlpha = 1;
    if (!last || last.off === null) return;
    pen.fillStyle = last.hit ? "#2bd4a0" : "#ff9a5c";
    pen.font = "600 14px system-ui, sans-serif";
    const cents = Math.round(last.off), sign = cents > 0 ? "+" : cents < 0 ? "\u2212" : "";
    pen.fillText(last.hit ? `${sign}${Math.abs(cents)}` : cents > 0 ? "sharp" : "flat", last.place[0] + 12, last.place[1] + 5);
  }

  /** At the end: a bar for each phrase, as high as it was sung well. */
  drawPhrases(pen, width, height, style) {
    const { phrases, score } = this.singing, all = phrases.filter(({ seconds }) => seconds > 0.3);
    pen.fillStyle = "#e8eaed";
    pen.font = `700 ${Math.round(Math.min(height * 0.3, 96))}px system-ui, sans-serif`;
    pen.textAlign = "center";
    pen.fillText(score === null ? "\u2013" : Math.round(score), width / 2, height * 0.4);
    pen.textAlign = "left";
    const wide = Math.min((width - 40) / Math.max(all.length, 1), 40), left = (width - wide * all.length) / 2, top = height * 0.5;
    all.forEach(({ seconds, earned }, i) => {
      const part = earned / seconds, high = (height - top - 20) * part;
      pen.fillStyle = "#363c44";
      pen.fillRect(left + i * wide + 2, top, wide - 4, height - top - 20);
      pen.fillStyle = part > 0.66 ? "#2bd4a0" : part > 0.33 ? style.accent : "#ff9a5c";
      pen.fillRect(left + i * wide + 2, height - 20 - high, wide - 4, high);
    });
  }
}

/** A level with its name and what it does: { row, show }. */
function fader({ engine, history, fail }, id, name, hint) {
  const parameter = engine.parameters.find((each) => each.id === id);
  const { input, reading, show } = level(parameter, name, () => engine.get(id), (value) => history.set({ [id]: value }), fail);
  return { row: make("div", { className: "setting" }, make("b", {}, name), reading, input, make("p", { className: "small" }, hint)), show };
}

function shape(pen, x, y, size, way) {
  pen.beginPath();
  if (way === 0) pen.arc(x, y, size, 0, 7);
  else {
    pen.moveTo(x, y - way * size * 1.4);
    pen.lineTo(x + size * 1.2, y + way * size);
    pen.lineTo(x - size * 1.2, y + way * size);
  }
  pen.fill();
}
