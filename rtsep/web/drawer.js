// What stands behind the one button: mode, devices, files to take away, MIDI, and every parameter that is on no strip.

import { level, make } from "./strips.js";
import { download, wav } from "./wav.js";

// Parameters stand together by the first part of their ids; these are the words for the parts.
const TITLES = {
  masks: "How it un-mixes", hpss: "Classic masks", melody: "Voice", templates: "Templates", limiter: "Limiter",
  microphone: "Microphone", output: "Out", bypass: "Bypass", key: "Key",
};
const MODES = {
  live: "The fastest. For playing along.",
  balanced: "Fast, and cleaner.",
  quality: "The cleanest. Too late to play along with.",
};

const BUFFERS = { interactive: "the smallest", balanced: "larger", playback: "the largest" }; // what browsers call them

const title = (word) => word[0].toUpperCase() + word.slice(1);

/** Buttons of which one is pressed: the modes, with what each takes. */
export function modeChooser(engine, choose, name, told = false) {
  const box = make("fieldset", { className: told ? "modes told" : "modes" }, make("legend", {}, "Mode"));
  const inputs = engine.modes.map((mode) => {
    const input = make("input", { type: "radio", name, value: mode.name });
    input.onchange = () => choose(mode.name);
    const late = make("small", { className: "figures" }, `${mode.latency_ms.toFixed(told ? 1 : 0)} ms`);
    box.append(make("label", {}, input, make("span", {}, title(mode.name), " ", late, told ? make("em", {}, MODES[mode.name] ?? "") : null)));
    return input;
  });
  const show = () => inputs.forEach((input) => (input.checked = input.value === engine.mode));
  show();
  return { box, show };
}

export class Drawer {
  /** `desk` is the view: engine, history, mixer, midi, say, fail, act, and what it lets be changed. */
  constructor(box, desk) {
    Object.assign(this, { box, desk, shows: {} });
    const close = make("button", { className: "icon", type: "button" });
    close.setAttribute("aria-label", "Close settings");
    close.innerHTML = '<svg><use href="#i-close"/></svg>';
    close.onclick = () => desk.toggleDrawer(false);
    this.modes = modeChooser(desk.engine, desk.setMode, "mode-drawer", true);
    box.append(
      make("div", { className: "bar" }, make("h2", {}, "Settings"), close),
      ...(desk.engine.remote ? [this.look()] : [this.modes.box, this.kits(), this.sound(), this.files(), this.look(), this.midi()]), ...this.parameters(),
      this.part("Start afresh", make("p", { className: "small" }, "All levels and settings go back to where they were at first. Undo brings them back."),
        this.button("Reset everything", desk.reset)),
    );
    desk.engine.addEventListener("change", ({ detail }) => this.shows[detail.id]?.());
  }

  part(name, ...content) {
    return make("details", { className: "part", open: false }, make("summary", {}, name), make("div", { className: "content" }, ...content));
  }

  button(text, act, look = {}) {
    const made = make("button", { type: "button", ...look }, text);
    made.onclick = this.desk.act(act);
    return made;
  }

  // Templates

  kits() {
    const { desk } = this, { engine } = desk, named = (names) => names.map((name) => desk.looks(name).name.toLowerCase()).join(", ");
    const of = ({ name, splits, parts }) => (splits === "mix" ? `a ${name}: ${named(parts)}` : `${desk.looks(splits).name.toLowerCase()}: ${named(parts)}`);
    const choose = make("select", {}, new Option("nothing", ""), ...engine.kits.map((kit) => new Option(of(kit), kit.name)));
    choose.value = engine.kit;
    choose.onchange = () => desk.setKit(choose.value);
    return make("label", { className: "row kits" }, "Split further", choose);
  }

  // Devices

  sound() {
    const { desk } = this, { engine } = desk;
    this.inputs = make("select");
    this.inputs.onchange = desk.act(() => desk.open({ kind: "microphone", deviceId: this.inputs.value }));
    this.outputs = make("select");
    this.outputs.onchange = desk.act(() => engine.setOutput(this.outputs.value));
    this.outputRow = make("label", { className: "row", hidden: true }, "Output", this.outputs);
    this.inputRow = make("label", { className: "row", hidden: true }, "Microphone", this.inputs);
    this.heard = make("p", { className: "small figures" });
    this.buffer = make("select", {}, ...Object.entries(BUFFERS).map(([hint, words]) => new Option(words, hint)));
    this.buffer.value = engine.buffer;
    this.buffer.onchange = () => desk.setBuffer(this.buffer.value);
    const part = this.part("Devices", this.heard, make("label", { className: "row" }, "Buffer", this.buffer), this.outputRow, this.inputRow);
    part.ontoggle = desk.act(() => part.open && this.devices());
    return part;
  }

  async devices() {
    const { engine } = this.desk, fill = (select, devices, word) => {
      const held = select.value;
      select.replaceChildren(...devices.map(({ id, label }, i) => new Option(label || `${word} ${i + 1}`, id)));
      if (devices.some(({ id }) => id === held)) select.value = held;
    };
    if (engine.canChooseOutput) {
      const outputs = await engine.outputs();
      fill(this.outputs, outputs, "Output");
      this.outputRow.hidden = !outputs.length;
    }
    const all = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
    const inputs = all.filter(({ kind, deviceId }) => kind === "audioinput" && deviceId);
    fill(this.inputs, inputs.map(({ deviceId, label }) => ({ id: deviceId, label })), "Microphone");
    this.inputRow.hidden = !inputs.length;
    this.showLatency();
  }

  showLatency() {
    const { engine_ms, base_ms, output_ms } = this.desk.engine.latency;
    this.heard.textContent = `From input to ear: engine ${engine_ms.toFixed(1)} ms, browser ${base_ms.toFixed(1)} ms, device ${
      output_ms ? `${output_ms.toFixed(1)} ms` : "not told"}.`;
  }

  // Files to take away

  files() {
    const { desk } = this, { engine } = desk;
    this.depth = make("select", {}, new Option("16 bit", "16"), new Option("32 bit float", "32"));
    this.depth.setAttribute("aria-label", "Format of the files");
    this.progress = make("progress", { max: 1, value: 0, hidden: true });
    this.progress.setAttribute("aria-label", "Un-mixing the whole song");
    this.made = make("div", { className: "downloads" });
    const render = this.button("Make files", async () => {
      this.made.replaceChildren();
      [this.progress.hidden, this.progress.value, render.disabled] = [false, 0, true];
      try {
        const { sampleRate, mix, stems } = await engine.render((part) => (this.progress.value = part));
        const song = (engine.name ?? "song").replace(/\.\w{2,4}$/, "");
        const all = [["Mix as you hear it", "mix", mix], ...Object.entries(stems).map(([stem, channels]) => [desk.looks(stem).name, stem, channels])];
        for (const [label, name, channels] of all) {
          const one = make("button", { type: "button" }, label);
          one.onclick = () => download(wav(channels, sampleRate, this.depth.value === "32"), `${song} - ${name}.wav`);
          this.made.append(one);
        }
        desk.say("The files are ready. Choose which to keep.");
      } finally {
        [this.progress.hidden, render.disabled] = [true, false];
      }
    });
    return this.part("Save as files",
      make("p", { className: "small" }, "The whole song through the engine, as the faders stand now: the mix, and each stem."),
      make("div", { className: "line" }, this.depth, render), this.progress, this.made);
  }

  // What is shown

  look() {
    const { desk } = this, names = Object.entries(desk.engine.groups ?? {});
    if (!names.length) return null;
    const groups = make("input", { type: "checkbox", checked: desk.groups });
    groups.onchange = () => desk.showGroups(groups.checked);
    return this.part("Groups",
      make("p", { className: "small" }, "One fader for several stems: ", names.map(([name, stems]) => `${desk.looks(name).name} moves ${stems.map((stem) => desk.looks(stem).name).join(", ")}`).join("; "), "."),
      make("label", { className: "row check" }, groups, "Show the faders of groups"));
  }

  // MIDI

  midi() {
    const { desk } = this, { midi } = desk;
    const told = make("p", { className: "small" }), list = make("ul", { className: "bindings" });
    const connect = this.button("Look for controllers", () => midi.open());
    const show = () => {
      connect.hidden = Boolean(midi.access);
      told.textContent = !midi.works ? "This browser has no MIDI. Chrome, Edge and Firefox have."
        : !midi.access ? "Plug a controller in. Its knobs and faders will move these."
        : midi.ports.length ? `${midi.ports.join(", ")}. To learn a control, choose a fader, press L, and move the control.`
        : "No controller is plugged in.";
      list.replaceChildren(...midi.ports.flatMap((port) => [this.controller(port), ...midi.surface(port).links.map(({ table: { control }, info: { id } }) => {
        const name = desk.nameOf(id), forget = make("button", { className: "plain", type: "button" }, "Forget");
        forget.setAttribute("aria-label", `Forget ${control}, which moves ${name}`);
        forget.onclick = () => desk.forget([id], name);
        return make("li", {}, make("span", { className: "figures" }, control), make("span", {}, name), forget);
      })]));
      read.hidden = !midi.ports.length;
    };
    const file = make("input", { type: "file", accept: ".toml", hidden: true });
    file.onchange = desk.act(async () => desk.say(`${midi.read(await file.files[0].text())} does what the file says.`));
    const read = this.button("Open a controller file", () => file.click());
    for (const kind of ["ports", "bindings"]) midi.addEventListener(kind, show);
    show();
    return (this.midiPart = this.part("MIDI knobs", told, connect, list, read, file));
  }

  /** A controller by itself: its file, and whether its lights follow. */
  controller(port) {
    const { midi } = this.desk, lights = make("input", { type: "checkbox", checked: midi.surface(port).document.feedback });
    lights.onchange = () => midi.feedBack(port, lights.checked);
    const write = this.button("Save to file", () => download(new Blob([midi.file(port)], { type: "application/toml" }), `${port}.toml`), { className: "plain" });
    write.setAttribute("aria-label", `Save to file: ${port}`);
    return make("li", { className: "controller" }, make("label", { className: "row check" }, lights, `Lights of ${port} follow`), write);
  }

  // Parameters

  parameters() {
    const { engine, mixer } = this.desk, groups = new Map();
    const shown = new Set([...Object.keys(mixer.members), "output"].flatMap((name) => [`${name}.gain_db`, `${name}.mute`, `${name}.solo`]));
    for (const id of ["bypass", "key.semitones", "melody.duck"]) shown.add(id);
    for (const parameter of engine.parameters) {
      if (shown.has(parameter.id)) continue;
      const [first] = parameter.id.split(".");
      if (!groups.has(first)) groups.set(first, []);
      groups.get(first).push(parameter);
    }
    return [...groups].map(([first, parameters]) => this.part(TITLES[first] ?? title(first), ...parameters.map((each) => this.row(each))));
  }

  row(parameter) {
    const { desk } = this, { engine, history } = desk, { id, choices, unit, effect } = parameter;
    const name = title(parameter.name), set = (value) => history.set({ [id]: value }), get = () => engine.get(id);
    const learn = make("button", { className: "learn plain", type: "button" }, "Learn");
    learn.setAttribute("aria-label", `Learn a MIDI control for ${name}`);
    learn.onclick = () => desk.learn(id);
    const about = effect ? make("p", { className: "small" }, effect) : null;
    let row;
    if (unit === "switch") {
      const box = make("input", { type: "checkbox" });
      box.onchange = () => set(box.checked ? 1 : 0);
      this.shows[id] = () => (box.checked = get() === 1);
      row = make("div", { className: "setting" }, make("label", { className: "row check" }, box, name), learn, about);
    } else if (choices?.length) {
      const select = make("select", {}, ...choices.map((word, i) => new Option(word, i)));
      select.onchange = () => set(Number(select.value));
      this.shows[id] = () => (select.value = Math.round(get()));
      row = make("div", { className: "setting" }, make("label", { className: "row" }, make("span", {}, name), select), learn, about);
    } else {
      const { input, reading, show } = level(parameter, name, get, set, desk.fail);
      input.onchange = () => history.end();
      this.shows[id] = show;
      row = make("div", { className: "setting" }, make("span", { className: "name" }, name), reading, input, learn, about);
    }
    row.dataset.id = id;
    row.title = id;
    this.shows[id]();
    return row;
  }
}
