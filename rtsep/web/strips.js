// The mixer: a strip for each stem, for groups, and for what goes out. Faders are native sliders whose way follows the
// law of the engine's faders; the meters lie beside them on the same scale.

import { detent, format, parse, stepped, toPosition, toValue } from "./fader.js";
import { fresh } from "./waveform.js";

const MARKS = [12, 6, 0, -6, -12, -24, -36, -48, -Infinity];
const STEPS = { ArrowUp: 1, ArrowDown: -1, PageUp: 6, PageDown: -6 }; // dB
const NARROW_PX = 195;
const HOLD_MS = 1500, FALL_DB_PER_MS = 20 / 1700; // of a peak programme meter of type I (IEC 60268-10)

/** Make an element: make("p", { className: "told" }, "text", child). */
export function make(kind, look = {}, ...content) {
  const made = document.createElement(kind);
  for (const [name, value] of Object.entries(look)) {
    if (name in made && name !== "list") made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...content.filter((each) => each !== null && each !== undefined));
  return made;
}

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

/** A value that can be typed: a button that becomes a field. `label` says whose. */
export function typed(parameter, label, get, set, fail) {
  const text = make("span"), unit = make("small");
  const button = make("button", { className: "value figures", type: "button", title: "Type a value" }, text, unit);
  const field = make("input", { className: "value figures", type: "text", hidden: true, autocomplete: "off", spellcheck: false });
  if (!parameter.choices?.length) field.inputMode = "text"; // a decimal keyboard of a phone may have no minus
  field.setAttribute("aria-label", `${label}, ${parameter.unit || "value"}`);
  let after = null;
  const open = () => {
    after = document.activeElement;
    field.value = format(parameter, get()).replace(/ \w+$/, "");
    [button.hidden, field.hidden] = [true, false];
    field.focus();
    field.select();
  };
  const close = (keep) => {
    if (field.hidden) return;
    [button.hidden, field.hidden] = [false, true];
    if (keep) {
      try {
        set(parse(parameter, field.value));
      } catch (error) {
        fail(error.message);
      }
    }
    (after?.isConnected && after !== document.body ? after : button).focus();
  };
  button.onclick = open;
  field.onblur = () => close(false);
  field.onkeydown = (event) => {
    event.stopPropagation();
    if (event.key === "Enter") close(true);
    else if (event.key === "Escape") close(false);
    else return;
    event.preventDefault();
  };
  const show = () => {
    const [, value, rest] = format(parameter, get()).match(/^(\S+)(.*)$/);
    text.textContent = value.replace("-inf", "\u2212\u221e").replace("-", "\u2212");
    unit.textContent = rest;
    button.setAttribute("aria-label", `${label} ${format(parameter, get())}. Type a value`);
  };
  return { button, field, open, show };
}

/** A slider for a parameter, moved by its law. Keys: arrows, pages, Home 0 dB or the default, End silence, Enter types. */
export function slider(parameter, label, get, set, open) {
  const input = make("input", { type: "range", min: 0, max: 1, step: 0.0005 });
  input.setAttribute("aria-label", label);
  const level = parameter.unit === "dB";
  let before = null;
  input.addEventListener("pointerdown", () => (before = { value: get(), at: performance.now(), last: before }));
  input.oninput = () => {
    const value = toValue(parameter, input.valueAsNumber);
    set(level ? detent(value) : value);
  };
  input.ondblclick = () => {
    if (before?.last && performance.now() - before.last.at < 1000) set(before.last.value); // the first click has moved it
    open();
  };
  input.onkeydown = (event) => {
    const { key } = event;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (key === "Enter") open();
    else if (key === "Home") set(level ? Math.min(0, parameter.high) : parameter.default);
    else if (key === "End" && level) set(toValue(parameter, 0));
    else if (key in STEPS && level) set(Math.max(stepped(get(), STEPS[key], parameter.high), parameter.low < -79 ? -Infinity : parameter.low));
    else if (key in STEPS && parameter.step) set(Math.min(Math.max(get() + Math.sign(STEPS[key]) * parameter.step, parameter.low), parameter.high));
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return input;
}

/** A slider and its value, which can be typed: { input, reading, show }. */
export function level(parameter, name, get, set, fail) {
  const value = typed(parameter, name, get, set, fail), input = slider(parameter, name, get, set, value.open);
  const show = () => {
    input.value = toPosition(parameter, get());
    input.style.setProperty("--at", input.value);
    input.setAttribute("aria-valuetext", `${name} ${format(parameter, get())}`);
    value.show();
  };
  return { input, reading: make("span", { className: "reading" }, value.button, value.field), show };
}

class Strip {
  constructor(mixer, prefix, look) {
    const { engine, history, fail } = mixer;
    Object.assign(this, { mixer, engine, prefix, look, ids: {}, held: -Infinity, heldAt: 0, level: -Infinity, clipped: false });
    const has = (id) => (mixer.find(id) ? id : null);
    this.gain = `${prefix}.gain_db`;
    this.mute = has(`${prefix}.mute`);
    this.solo = has(`${prefix}.solo`);
    const parameter = mixer.find(this.gain);
    const get = () => engine.get(this.gain), set = (value) => history.set({ [this.gain]: value });
    this.value = typed(parameter, `${look.name} level`, get, set, fail);
    this.input = slider(parameter, `${look.name} level`, get, set, this.value.open);
    this.input.onchange = () => history.end();
    this.input.onfocus = () => mixer.choose(this);
    this.ghost = make("i", { className: "ghost", hidden: true });
    this.canvas = make("canvas", { className: "meter", "aria-hidden": "true" });
    this.clip = make("button", { className: "clip", type: "button", hidden: true, title: "It was too loud. Press to clear." }, "clip");
    this.clip.setAttribute("aria-label", `${look.name} has clipped. Clear`);
    this.clip.onclick = () => mixer.clear();
    this.peak = make("p", { className: "peak figures", title: "The loudest of the last moment" });
    this.told = make("p", { className: "told" });
    this.learn = make("button", { className: "learn plain", type: "button" }, "Learn");
    this.learn.setAttribute("aria-label", `Learn a MIDI control for ${look.name}`);
    this.learn.onclick = () => mixer.learn(this.gain);
    this.box = make("section", { className: "strip", "aria-label": look.name });
    this.box.style.setProperty("--c", look.color === "text" ? "var(--text)" : look.color);
    const badge = make("b", { className: "badge", "aria-hidden": "true" }, look.letter ?? icon("out"));
    const marks = make("div", { className: "marks", "aria-hidden": "true" });
    for (const db of MARKS.filter((each) => each <= parameter.high)) {
      const mark = make("span", { className: db === 0 ? "zero" : [12, 6, -6, -36].includes(db) ? "minor" : "" });
      mark.textContent = db === -Infinity ? "\u2212\u221e" : String(db).replace("-", "\u2212");
      mark.style.setProperty("--at", toPosition(parameter, db));
      marks.append(mark);
    }
    const switches = make("div", { className: "switches" });
    const add = (id, text, name, wide) => id && switches.append(mixer.switch(id, text, name, wide));
    add(this.mute, "M", `Mute ${look.name}`);
    add(this.solo, "S", `Solo ${look.name}`);
    if (prefix === "output") {
      add(has("bypass"), "Bypass", "Bypass: hear the input as it is", "wide");
      add(has("limiter"), "Limiter", "Limiter: holds what is too loud below its ceiling", "wide extra");
    }
    const track = make("div", { className: "track" }, this.input, this.ghost);
    track.style.setProperty("--zero", toPosition(parameter, 0));
    this.box.append(
      make("h2", {}, badge, make("span", {}, look.name)),
      make("div", { className: "slide" }, marks, track, this.canvas),
      make("div", { className: "side" }, make("div", { className: "reading" }, this.value.button, this.value.field), switches,
        make("div", { className: "foot" }, this.clip, this.peak, this.told, this.learn)),
    );
    this.box.addEventListener("pointerdown", () => mixer.choose(this));
    this.show();
  }

  show() {
    const { engine, look } = this, parameter = this.mixer.find(this.gain), value = engine.get(this.gain);
    const at = toPosition(parameter, value), muted = this.mute && engine.get(this.mute) === 1;
    if (document.activeElement !== this.input || Math.abs(this.input.valueAsNumber - at) > 0.002) this.input.value = at;
    this.box.style.setProperty("--at", at);
    this.value.show();
    const silenced = muted ? ", muted" : !this.mixer.sounds(this) ? ", silent while another is solo" : "";
    this.input.setAttribute("aria-valuetext", `${look.name} ${format(parameter, value)}${silenced}`);
    this.box.classList.toggle("silent", Boolean(silenced));
  }

  /** The level (dBFS) of this moment: shown at once when it rises, falling like a needle. */
  see(level, now) {
    const spent = this.seenAt ? Math.min(now - this.seenAt, 200) : 25;
    this.seenAt = now;
    this.level = Math.max(level, this.level - 3 * FALL_DB_PER_MS * spent);
    if (level >= this.held) [this.held, this.heldAt] = [level, now];
    else if (now > this.heldAt + HOLD_MS) this.held -= FALL_DB_PER_MS * spent;
    if (level >= 0 && !this.clipped) {
      this.clipped = true;
      this.clip.hidden = false;
    }
  }

  draw(style) {
    const state = `${this.level.toFixed(1)} ${this.held.toFixed(1)} ${this.canvas.clientWidth} ${this.canvas.clientHeight} ${style.line}`;
    if (state === this.drawn) return;
    this.drawn = state;
    const { pen, width, height } = fresh(this.canvas), parameter = this.mixer.find("output.gain_db");
    const upright = height > width, long = upright ? height : width, wide = upright ? width : height;
    // Levels lie on the way of the fader, so that one scale serves both; the ends are where its cap turns round.
    const inset = upright ? 11 : 14;
    const place = (db) => inset + toPosition(parameter, Math.min(db, parameter.high)) * (long - 2 * inset);
    const bar = (from, to, color) => {
      pen.fillStyle = color;
      if (upright) pen.fillRect(0, height - to, wide, Math.max(to - from, 0));
      else pen.fillRect(from, 0, Math.max(to - from, 0), wide);
    };
    bar(inset, place(12), style.well);
    const top = place(Math.max(this.level, -60));
    bar(inset, Math.min(top, place(0)), this.look.color === "text" ? style.text : this.look.color);
    if (this.level > 0) bar(place(0), top, style.bad);
    if (this.held > -58) bar(place(this.held) - 1, place(this.held) + 1, this.held >= 0 ? style.bad : style.text);
    bar(place(0) - 0.5, place(0) + 0.5, style.second);
  }
}

export class Mixer {
  /** `hooks`: fail(sentence), learn(id). `looks` are by the name of a stem: { letter, name, color }. */
  constructor(place, engine, history, looks, hooks) {
    Object.assign(this, { place, engine, history, looks, ...hooks, strips: [], switches: [] });
    this.table = new Map(engine.parameters.map((parameter) => [parameter.id, parameter]));
    this.members = Object.fromEntries(engine.stems.map((stem) => [stem, [stem]]));
    Object.assign(this.members, engine.groups ?? {});
    engine.addEventListener("change", ({ detail }) => this.changed(detail.id));
    new ResizeObserver(() => this.fit()).observe(place);
  }

  /** Where strips are narrow, their parts stand closer. */
  fit() {
    this.place.classList.toggle("narrow", this.place.clientWidth / this.strips.length < NARROW_PX);
  }

  find(id) { return this.table.get(id); }

  build(groups) {
    const before = this.chosen?.prefix;
    this.switches = this.switches.filter(({ made }) => !this.place.contains(made));
    this.strips = [];
    const names = [...this.engine.stems, ...(groups ? Object.keys(this.engine.groups ?? {}) : []), "output"];
    for (const name of names) if (this.find(`${name}.gain_db`)) this.strips.push(new Strip(this, name, this.looks(name)));
    this.place.replaceChildren(...this.strips.map(({ box }) => box));
    this.fit();
    this.choose(this.strips.find(({ prefix }) => prefix === before) ?? this.strips[0]);
  }

  switch(id, text, name, wide = "") {
    const made = make("button", { className: `switch ${wide}`, type: "button", title: name }, text);
    made.setAttribute("aria-label", name);
    made.onclick = () => this.toggle(id);
    const show = () => made.setAttribute("aria-pressed", String(this.engine.get(id) === 1));
    this.switches.push({ id, made, show });
    show();
    return made;
  }

  toggle(id) {
    this.history.set({ [id]: this.engine.get(id) === 1 ? 0 : 1 });
    this.history.end();
  }

  choose(strip) {
    this.chosen = strip;
    for (const each of this.strips) each.box.classList.toggle("chosen", each === strip);
  }

  clear() {
    for (const strip of this.strips) [strip.clipped, strip.clip.hidden, strip.held] = [false, true, -Infinity];
  }

  changed(id) {
    for (const each of this.switches) if (each.id === id) each.show();
    const all = id.endsWith(".solo") || id.endsWith(".mute");
    for (const strip of this.strips) if (all || strip.gain === id) strip.show();
  }

  /** The gains with which the stems are heard: their own faders, those of their groups, mutes and solos. */
  gains() {
    const { engine, members } = this, rows = Object.entries(members);
    const solos = rows.filter(([name]) => engine.get(`${name}.solo`) === 1);
    return engine.stems.map((stem) => {
      if (engine.get("bypass") === 1) return 1;
      if (solos.length && !solos.some(([, stems]) => stems.includes(stem))) return 0;
      let gain = 1;
      for (const [name, stems] of rows) {
        if (!stems.includes(stem)) continue;
        gain *= engine.get(`${name}.mute`) === 1 ? 0 : 10 ** ((engine.get(`${name}.gain_db`) ?? 0) / 20);
      }
      return gain;
    });
  }

  /** Whether no solo elsewhere silences a strip. */
  sounds({ prefix }) {
    if (!(prefix in this.members)) return true;
    const solos = Object.entries(this.members).filter(([name]) => this.engine.get(`${name}.solo`) === 1);
    return !solos.length || this.members[prefix].some((stem) => solos.some(([, stems]) => stems.includes(stem)));
  }

  /** The peaks as figures: not as often as the meters, or nobody could read them. */
  tell() {
    for (const { held, peak } of this.strips) {
      const text = held > -60 ? `peak ${held.toFixed(1).replace("-", "\u2212")}` : "";
      if (peak.textContent !== text) peak.textContent = text;
    }
  }

  /** What the meters show: the stems behind their faders. */
  see(frame, gains, now) {
    const { stems } = this.engine;
    for (const strip of this.strips) {
      let power = 0;
      for (const stem of this.members[strip.prefix] ?? []) {
        const s = stems.indexOf(stem);
        power += 10 ** (frame.stems[s] / 10) * gains[s] ** 2;
      }
      strip.see(strip.prefix === "output" ? frame.output : 10 * Math.log10(power), now);
    }
  }

  draw(style) {
    for (const strip of this.strips) strip.draw(style);
  }
}
