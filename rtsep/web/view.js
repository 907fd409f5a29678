// What is seen and touched. Everything that sounds is behind `engine`: parameters, frames, events.

import LocalEngine from "./engine-local.js";
import { text, toPosition, toValue } from "./fader.js";
import { Knobs } from "./midi.js";
import { Spectrogram, noteName } from "./spectrogram.js";
import * as store from "./store.js";
import { wav } from "./wav.js";

const LOOKS = {
  percussive: ["D", "Drums", "#E69F00"], melody: ["V", "Voice", "#56B4E9"], harmony: ["H", "Harmony", "#009E73"],
  residual: ["R", "Rest", "#999999"],
};
const STEPS = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: 6, PageDown: -6 }; // dB
const TOO_SLOW = 0.85, TOO_SLOW_S = 2;
const HOLD_S = 1.5, FALL_DB_PER_S = 20 / 1.7; // of the peaks that meters hold

const $ = (id) => document.getElementById(id);
const engine = await LocalEngine.load();
const find = (id) => engine.parameters.find((parameter) => parameter.id === id);
const words = (id) => text(find(id), engine.get(id));
const silence = engine.about.silence_db;

// Messages

function say(sentence, bad = false, ...buttons) {
  $("message").classList.toggle("bad", bad);
  $("message").replaceChildren(sentence, ...buttons.map(([label, act]) => button(label, act)));
}

function button(label, act, look = {}) {
  return Object.assign(document.createElement("button"), { textContent: label, onclick: act, type: "button" }, look);
}

/** Do what a person asked for; what goes wrong is said. */
const act = (doing) => async (...given) => {
  try {
    return await doing(...given);
  } catch (error) {
    return say(error.message, true);
  }
};

// Undo: each touch of a control is one step

const history = [];

function set(id, value, sameTouch = false) {
  if (!sameTouch || history.at(-1)?.id !== id) history.push({ id, before: engine.get(id) });
  engine.set(id, value);
}

function undo() {
  const step = history.pop();
  if (!step) return say("There is nothing to undo.");
  engine.set(step.id, step.before);
  return say(`Undone: ${find(step.id).name} is at ${words(step.id)} again.`);
}

// Strips

const strips = [];
let chosen = 0;

function strip(prefix, [letter, name, colour]) {
  const gain = `${prefix}.gain_db`, mute = `${prefix}.mute`, solo = find(`${prefix}.solo`) && `${prefix}.solo`;
  const box = document.createElement("section");
  box.className = "strip";
  box.style.setProperty("--color", colour);
  box.setAttribute("aria-label", name);
  box.innerHTML = `<h2><b>${letter}</b> ${name}</h2><div class="slide"><div class="scale" aria-hidden="true"></div>
    <input type="range" min="0" max="1" step="0.0005" aria-label="${name} level"><canvas aria-hidden="true"></canvas></div>
    <output></output>`;
  for (const db of [12, 0, -12, -24, -36, -48]) {
    const mark = Object.assign(document.createElement("span"), { textContent: db });
    mark.style.bottom = `${100 * toPosition(find(gain), db, silence)}%`;
    box.querySelector(".scale").append(mark);
  }
  const [slider, meter, told] = ["input", "canvas", "output"].map((kind) => box.querySelector(kind));
  let touched = false;
  slider.oninput = () => {
    set(gain, toValue(find(gain), slider.valueAsNumber, silence), touched);
    touched = true;
  };
  slider.onchange = () => (touched = false);
  slider.onfocus = () => choose(strips.findIndex((each) => each.box === box));
  slider.ondblclick = () => type(gain);
  box.append(switchButton(mute, "M", `Mute ${name}`));
  if (solo) box.append(switchButton(solo, "S", `Solo ${name}`));
  else box.append(switchButton("bypass", "Bypass", "Bypass: hear the input as it is"));
  const show = () => {
    slider.value = toPosition(find(gain), engine.get(gain), silence);
    told.value = words(gain);
    slider.setAttribute("aria-valuetext", `${name} ${words(gain)}${engine.get(mute) ? ", muted" : ""}`);
  };
  show();
  strips.push({ box, gain, mute, solo, name, meter, show, peak: -Infinity, until: 0, over: false });
  $("strips").append(box);
}

function switchButton(id, label, name) {
  const made = button(label, () => set(id, engine.get(id) ? 0 : 1));
  made.setAttribute("aria-label", name);
  made.title = name;
  const show = () => made.setAttribute("aria-pressed", engine.get(id) ? "true" : "false");
  engine.addEventListener("change", ({ detail }) => detail.id === id && show());
  show();
  return made;
}

function choose(number) {
  chosen = Math.min(Math.max(number, 0), strips.length - 1);
  strips.forEach(({ box }, i) => box.classList.toggle("chosen", i === chosen));
}

function type(id) {
  const given = prompt(`${find(id).name} in dB`, text(find(id), engine.get(id)).replace(" dB", ""));
  if (given === null) return;
  const value = /^-inf/i.test(given.trim()) ? -Infinity : parseFloat(given.replace(",", "."));
  if (Number.isNaN(value)) say(`${given} is no level. Type a number of decibels, or -inf.`, true);
  else set(id, value);
}

function drawMeter(each, level, now) {
  const { meter } = each, pen = meter.getContext("2d"), style = getComputedStyle(each.box);
  [meter.width, meter.height] = [meter.clientWidth, meter.clientHeight];
  const place = (db) => Math.max(0, 1 - Math.max(db, -60) / -60) * meter.height;
  if (level >= each.peak) [each.peak, each.until] = [level, now + HOLD_S];
  else if (now > each.until) each.peak -= FALL_DB_PER_S / 40;
  each.over ||= level >= 0;
  pen.fillStyle = style.getPropertyValue("--color");
  pen.fillRect(0, meter.height - place(level), meter.width, place(level));
  pen.fillRect(0, meter.height - place(each.peak) - 2, meter.width, 2);
  if (each.over) {
    pen.fillStyle = style.getPropertyValue("--bad");
    pen.fillRect(0, 0, meter.width, 6);
  }
}

for (const stem of engine.stems) strip(stem, LOOKS[stem] ?? [stem[0].toUpperCase(), stem, "#999999"]);
strip("output", ["", "Out", "#9aa0a6"]);
strips.forEach((each) => (each.meter.onclick = () => (each.over = false)));
choose(0);

// The picture

const names = engine.stems.map((stem) => LOOKS[stem]?.[1] ?? stem);
const spectrogram = new Spectrogram($("spectrogram"), engine.stems.map((stem) => LOOKS[stem]?.[2] ?? "#999999"));
$("shown").append(new Option("who is who", "mix"), ...names.map((name, s) => new Option(name, s)));
$("shown").onchange = ({ target }) => spectrogram.show(target.value === "mix" ? "mix" : Number(target.value));
$("spectrogram").onpointermove = ({ offsetX, offsetY }) => ($("hover").value = spectrogram.at(offsetX, offsetY, names));
$("spectrogram").onpointerleave = () => ($("hover").value = "");

const minutes = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

function drawWave() {
  const wave = $("wave"), pen = wave.getContext("2d"), { peaks, duration, loop } = engine;
  [wave.width, wave.height] = [wave.clientWidth * devicePixelRatio, wave.clientHeight * devicePixelRatio];
  if (!peaks) return;
  const style = getComputedStyle(document.body), at = (seconds) => (seconds / duration) * wave.width;
  if (loop) {
    pen.fillStyle = style.getPropertyValue("--line");
    pen.fillRect(at(loop[0]), 0, at(loop[1]) - at(loop[0]), wave.height);
  }
  for (let x = 0; x < wave.width; x++) {
    const height = peaks[Math.floor((x / wave.width) * peaks.length)] * wave.height;
    pen.fillStyle = style.getPropertyValue(x < at(engine.position) ? "--accent" : "--second");
    pen.fillRect(x, (wave.height - height) / 2, 1, height);
  }
}

let latest = null, slowSince = 0, seen = 0;

engine.addEventListener("frame", ({ detail }) => {
  latest = detail;
  if (engine.playing) spectrogram.add(detail);
  const now = performance.now() / 1000;
  if (detail.load < TOO_SLOW || engine.get("masks") === 0) slowSince = now;
  if (now - slowSince > TOO_SLOW_S) {
    slowSince = now + 60;
    const share = `${Math.round(100 * detail.load)} %`;
    say(`This device is short of time: ${share} load.`, true, ["Use the classic masks, which take a third", () => {
      set("masks", 0);
      say("The classic masks are in use: they tell voice and drums apart less well.");
    }]);
  }
});

function draw() {
  requestAnimationFrame(draw);
  spectrogram.draw();
  const now = performance.now() / 1000;
  if (!latest || now - seen < 1 / 40) return;
  seen = now;
  strips.forEach((each, s) => drawMeter(each, s < engine.stems.length ? latest.stems[s] : latest.output, now));
  $("note").value = latest.f0 && engine.playing ? noteName(latest.f0) : "";
  const { engine_ms, base_ms, output_ms } = engine.latency;
  $("latency").textContent = `latency ${engine_ms.toFixed(1)} ms + browser and device ${(base_ms + output_ms).toFixed(0)} ms`;
  $("load").textContent = `load ${Math.round(100 * latest.load)} %`;
  $("late").textContent = latest.late ? `${latest.late} blocks late` : "";
  if (engine.duration) {
    $("time").value = `${minutes(engine.position)} / ${minutes(engine.duration)}`;
    if (document.activeElement !== $("seek")) $("seek").value = engine.position / engine.duration;
    drawWave();
  }
}
requestAnimationFrame(draw);

// What to hear

const open = act(async (source) => {
  say("Loading the engine, then the sound ...");
  await engine.open(source);
  await engine.play();
  spectrogram.clear();
  say(source.kind === "microphone" ? "Wear headphones, or it may howl." : "");
  $("name").textContent = engine.name;
  for (const id of ["toggle", "time", "loop"]) $(id).hidden = engine.duration === null && id !== "toggle";
  $("seek").disabled = engine.duration === null;
  showStart(false);
  playing();
  hint();
  await listOutputs();
});

function showStart(shown) {
  $("start").hidden = !shown;
  $("open").hidden = false;
  $("open").setAttribute("aria-expanded", String(shown));
}

$("open").onclick = () => showStart($("start").hidden);

function hint() {
  if (hint.done) return;
  hint.done = true;
  strips[0].box.classList.add("pulse");
  if (!$("message").textContent) say("Pull the drums down.");
}

function playing() {
  $("toggle").textContent = engine.playing ? "Pause" : "Play";
  $("toggle").setAttribute("aria-pressed", engine.playing ? "true" : "false");
}

const toggle = act(async () => {
  if (!engine.name) return open({ kind: "song", ...engine.songs[0] });
  if (engine.playing) engine.pause();
  else await engine.play();
  return playing();
});

$("demo").onclick = () => open({ kind: "song", ...engine.songs[0] });
$("file").onchange = ({ target }) => target.files[0] && open({ kind: "file", file: target.files[0] });
$("microphone").onclick = () => open({ kind: "microphone" });
$("tab").hidden = !navigator.mediaDevices?.getDisplayMedia;
$("tab").onclick = () => open({ kind: "tab" });
$("toggle").onclick = toggle;
$("seek").oninput = ({ target }) => engine.seek(target.valueAsNumber * engine.duration);
engine.addEventListener("ended", () => {
  engine.playing = false;
  playing();
});
engine.addEventListener("error", ({ detail }) => say(detail.message, true));

let loopStart = null;
$("loop").onclick = () => {
  if (engine.loop) [engine.loop, loopStart] = [null, null];
  else if (loopStart === null) loopStart = engine.position;
  else [engine.loop, loopStart] = [[Math.min(loopStart, engine.position), Math.max(loopStart, engine.position)], null];
  $("loop").textContent = loopStart === null ? "A-B" : "A ...";
  $("loop").setAttribute("aria-pressed", engine.loop || loopStart !== null ? "true" : "false");
};

document.ondragover = (event) => {
  event.preventDefault();
  document.body.classList.add("dropping");
};
document.ondragleave = ({ relatedTarget }) => relatedTarget ?? document.body.classList.remove("dropping");
document.ondrop = (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  const [file] = event.dataTransfer.files;
  if (file) open({ kind: "file", file });
};

// The drawer

$("drawer-button").onclick = () => {
  $("drawer").hidden = !$("drawer").hidden;
  $("drawer-button").setAttribute("aria-expanded", String(!$("drawer").hidden));
};

function showModes() {
  for (const choice of $("modes").children) choice.setAttribute("aria-checked", String(choice.dataset.mode === engine.mode));
}

for (const { name, latency_ms } of engine.modes) {
  const choice = button(`${name}, ${latency_ms.toFixed(0)} ms`, act(async () => {
    await engine.setMode(name);
    showModes();
  }));
  choice.setAttribute("role", "radio");
  choice.dataset.mode = name;
  $("modes").append(choice);
}
showModes();

function listPresets() {
  $("presets").replaceChildren(new Option("choose", ""), ...Object.keys(store.load()).sort().map((name) => new Option(name)));
}

function apply(values) {
  for (const [id, kept] of Object.entries(values)) if (find(id)) set(id, store.value(kept));
}

$("presets").onchange = ({ target }) => target.value && apply(store.load()[target.value]);
$("keep").onclick = () => {
  const name = prompt("A name for these levels", $("presets").value || "mine")?.trim();
  if (!name) return;
  store.keep(name, engine.values);
  listPresets();
  $("presets").value = name;
};
$("drop").onclick = () => {
  store.drop($("presets").value);
  listPresets();
};
$("write").onclick = () => offer(new Blob([store.toToml(engine.values, engine.parameters)]), `${$("presets").value || "levels"}.toml`).click();
$("read").onchange = act(async ({ target }) => apply(store.fromToml(await target.files[0].text(), engine.parameters)));
$("undo").onclick = undo;
listPresets();

function offer(blob, name) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name, textContent: name });
  $("downloads").append(link);
  return link;
}

$("render").onclick = act(async () => {
  $("downloads").replaceChildren();
  $("progress").hidden = false;
  try {
    const { sampleRate, mix, stems } = await engine.render((part) => ($("progress").value = part));
    for (const [name, channels] of Object.entries({ mix, ...stems })) offer(wav(channels, sampleRate), `${name}.wav`);
    say("Ready: the files stand below the button.");
  } finally {
    $("progress").hidden = true;
  }
});

$("record").onclick = act(async ({ target }) => {
  const on = target.getAttribute("aria-pressed") !== "true";
  target.setAttribute("aria-pressed", String(on));
  const made = await engine.record(on);
  if (made) offer(wav(made.channels, made.sampleRate), "recording.wav");
});

async function listOutputs() {
  if (!engine.canChooseOutput || $("outputs").length) return;
  const outputs = await engine.outputs();
  $("outputs-label").hidden = outputs.length < 2;
  $("outputs").append(...outputs.map(({ id, label }, i) => new Option(label || `output ${i + 1}`, id)));
  $("outputs").onchange = act(({ target }) => engine.setOutput(target.value));
}

function setting(parameter) {
  const { id, name, choices } = parameter, box = document.createElement("label");
  box.className = "setting";
  box.append(name);
  if (choices.length) {
    const list = document.createElement("select");
    list.append(...choices.map((word, i) => new Option(word, i)));
    list.onchange = () => set(id, Number(list.value));
    box.append(list);
    return [box, () => (list.value = engine.get(id))];
  }
  const told = document.createElement("output"), slider = document.createElement("input");
  Object.assign(slider, { type: "range", min: 0, max: 1, step: 0.001 });
  slider.oninput = () => set(id, toValue(parameter, slider.valueAsNumber, silence), true);
  box.append(told, slider);
  return [box, () => {
    slider.value = toPosition(parameter, engine.get(id), silence);
    slider.setAttribute("aria-valuetext", words(id));
    told.value = words(id);
  }];
}

const settings = {};
const onStrips = new Set(strips.flatMap(({ gain, mute, solo }) => [gain, mute, solo, "bypass"]));
for (const [group, parameters] of Object.entries(Object.groupBy(engine.parameters, ({ id }) => id.split(".")[0]))) {
  const rest = parameters.filter(({ id }) => !onStrips.has(id));
  if (!rest.length) continue;
  const box = document.createElement("fieldset");
  box.append(Object.assign(document.createElement("legend"), { textContent: LOOKS[group]?.[1] ?? group }));
  for (const parameter of rest) {
    const [row, show] = setting(parameter);
    settings[parameter.id] = show;
    show();
    box.append(row);
  }
  $("more").append(box);
}

// MIDI

const knobs = new Knobs(
  (id, position) => set(id, toValue(find(id), position, silence), true),
  (id) => toPosition(find(id), engine.get(id), silence),
  (sentence) => {
    $("midi-told").textContent = sentence;
    strips.forEach(({ box }) => box.classList.remove("learning"));
    say(sentence);
  },
);
$("midi").onclick = act(() => knobs.open());

const learn = act(async () => {
  await knobs.open();
  knobs.learn(strips[chosen].gain);
  strips[chosen].box.classList.add("learning");
  say(`Move a control: it will move ${strips[chosen].name}. Escape ends.`);
});

// What changes, from wherever

engine.addEventListener("change", ({ detail: { id } }) => {
  strips.forEach((each) => (each.gain === id || each.mute === id) && each.show());
  settings[id]?.();
  store.keepSession(engine.values);
});

for (const [id, kept] of Object.entries(store.session())) if (find(id)) engine.set(id, store.value(kept));

// Keys, as in the terminal

document.onkeydown = (event) => {
  const { key, ctrlKey, metaKey, target } = event;
  if ((ctrlKey || metaKey) && key === "z") return undo();
  if (ctrlKey || metaKey || target.matches("select, input[type=text], input[type=number]")) return undefined;
  const { gain, mute, solo, box } = strips[chosen], onFader = target.type === "range" && box.contains(target);
  if (key === " " && !target.matches("button, label")) toggle();
  else if (/^[1-9]$/.test(key) && strips[key - 1]) {
    choose(key - 1);
    strips[chosen].box.querySelector("input").focus();
  } else if (key === "m") set(mute, engine.get(mute) ? 0 : 1);
  else if (key === "s" && solo) set(solo, engine.get(solo) ? 0 : 1);
  else if (key === "b") set("bypass", engine.get("bypass") ? 0 : 1);
  else if (key === "l") learn();
  else if (key === "u") undo();
  else if (key === "Escape") {
    knobs.learning = null;
    $("drawer").hidden = true;
    strips.forEach((each) => each.box.classList.remove("learning"));
  } else if (onFader && key === "Home") set(gain, 0);
  else if (onFader && key === "End") set(gain, -Infinity);
  else if (onFader && key === "Enter") type(gain);
  else if (onFader && key in STEPS) {
    const bottom = -60, held = Math.max(engine.get(gain), bottom) + STEPS[key];
    set(gain, held <= bottom ? -Infinity : Math.round(10 * held) / 10);
  } else return undefined;
  event.preventDefault();
  return undefined;
};

if ("serviceWorker" in navigator) navigator.serviceWorker.register("sw.js").catch(() => {}); // without it, only online
