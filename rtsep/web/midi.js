// MIDI controllers through the browser: each is bound as its own file says, which this browser keeps, else as the map
// that comes with rtsep for it, else like any controller.

import { Learner } from "./midi-learn.js";
import { Parser, textOf } from "./messages.js";
import { controllerFromToml, controllerToToml, load, save } from "./store.js";
import { Link } from "./takeover.js";

const FEEDBACK_MS = 20, POLL_MS = 50;
const SOUNDS_OFF = 120; // the only channel mode message that does something: others come by themselves

/** Whether one message can move both. */
const overlap = (a, b) => a.control === b.control && (a.channel ?? b.channel) === (b.channel ?? a.channel);

/** One controller: its bindings, and what they know of its controls. */
class Surface {
  constructor(name, document, parameters) {
    Object.assign(this, { name, parameters, parser: new Parser(), channel: 1, links: [] });
    this.workWith(document);
  }

  /** Do what `document` says; bindings that were there before know what they knew. */
  workWith(document) {
    const before = this.links.slice();
    this.document = document;
    this.links = document.binding.filter(({ parameter }) => this.parameters.find(parameter)).map((table) => {
      const at = before.findIndex((link) => JSON.stringify(link.table) === JSON.stringify(table));
      return at < 0 ? new Link(table, this.parameters) : before.splice(at, 1)[0];
    });
    this.refresh();
  }

  refresh() {
    for (const link of this.links) link.shown = null;
  }
}

export class Midi extends EventTarget {
  /** `desk`: find(id), get(id), set(id, value), silence(), program(number), undoable(what, back); `maps` come along. */
  constructor(desk, { controllers, any_controller }) {
    super();
    Object.assign(this, { desk, maps: controllers, any: any_controller, learner: null, ports: [], surfaces: new Map(), outputs: new Map() });
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
    setInterval(() => this.answer(performance.now()), FEEDBACK_MS);
  }

  listen() {
    const there = (ports) => [...ports.values()].filter(({ state }) => state === "connected");
    const inputs = there(this.access.inputs), before = this.outputs;
    for (const input of inputs) input.onmidimessage = ({ data }) => this.hear(input.name, data, performance.now());
    this.ports = inputs.map(({ name }) => name);
    this.outputs = new Map(there(this.access.outputs).map((output) => [output.name, output]));
    for (const name of this.ports) if (!before.has(name)) this.surface(name).refresh(); // it is told everything again
    this.tell("ports");
  }

  // What controls do

  surface(port) {
    if (!this.surfaces.has(port)) this.surfaces.set(port, new Surface(port, this.kept[port] ?? this.printed(port), this.desk));
    return this.surfaces.get(port);
  }

  get kept() { return load("controllers", {}); }

  /** What is printed on a controller. */
  printed(port) {
    const fits = (part) => port.toLowerCase().includes(part.toLowerCase());
    const { binding, feedback = false } = this.maps.find(({ ports }) => ports.some(fits)) ?? this.any;
    return { feedback, binding };
  }

  /** The name of the control that moves a parameter, of the controllers that are there. */
  controlOf(id) {
    return this.ports.flatMap((port) => this.surface(port).document.binding).find(({ parameter }) => parameter === id)?.control ?? "";
  }

  /** Change what controllers do, each by `change`, and keep it; what was done, in words, can be undone. */
  change(what, ports, change) {
    const before = new Map(ports.map((port) => [port, this.surface(port).document]));
    for (const port of ports) this.put(port, change(this.surface(port).document));
    this.desk.undoable(what, () => before.forEach((document, port) => this.put(port, document)));
  }

  put(port, document) {
    this.surface(port).workWith(document);
    save("controllers", { ...this.kept, [port]: document });
    this.tell("bindings");
  }

  /** Forget what moves the parameters `ids`, `what` in words; whether anything did. */
  forget(what, ids) {
    const moves = ({ parameter }) => ids.includes(parameter);
    const ports = this.ports.filter((port) => this.surface(port).document.binding.some(moves));
    const without = (document) => ({ ...document, binding: document.binding.filter((each) => !moves(each)) });
    if (ports.length) this.change(`what moves ${what}`, ports, without);
    return ports.length > 0;
  }

  /** Whether values go back to a controller, for its lights and motors. */
  feedBack(port, on) {
    this.change(`the lights of ${port}`, [port], (document) => ({ ...document, feedback: on }));
  }

  /** What a controller does, as a file of `rtsep midi`. */
  file(port) {
    return controllerToToml({ ports: [port], ...this.surface(port).document });
  }

  /** Do what a file of `rtsep midi` says, with the controller that it is for; its name. */
  read(content) {
    const { ports, ...document } = controllerFromToml(content);
    const port = this.ports.find((each) => ports?.some((part) => each.toLowerCase().includes(part.toLowerCase()))) ?? this.ports[0];
    if (!port) throw new Error("No controller is plugged in. Plug in the one that the file is for.");
    this.change(`what ${port} does`, [port], () => document);
    return port;
  }

  get ghosts() {
    const links = this.ports.flatMap((port) => this.surface(port).links);
    return new Map(links.map((link) => [link.info.id, link.ghost]).filter(([, place]) => place !== null));
  }

  // Learning

  /** The parameter for which a control is being learned. */
  get learning() { return this.learner?.parameter.id ?? null; }

  learn(id) {
    this.learner = new Learner(this.desk.find(id));
    clearInterval(this.polling);
    this.polling = setInterval(() => this.conclude(performance.now()), POLL_MS);
    this.tell("learning");
  }

  cancel() {
    const learned = Boolean(this.learner);
    clearInterval(this.polling);
    this.learner = null;
    if (learned) this.tell("learning");
    return learned;
  }

  conclude(now) {
    const found = this.learner?.poll(now);
    if (!found) return;
    const { port, binding } = found, instead = (document) => ({ ...document, binding: [...document.binding.filter((each) => !overlap(each, binding)), binding] });
    this.cancel();
    this.change(`the control of ${binding.parameter}`, [port], instead);
    this.tell("learned", { id: binding.parameter, control: binding.control, port });
  }

  // What is heard and answered

  hear(port, data, now) {
    const surface = this.surface(port), message = surface.parser.hear(data, now);
    if (!message) return;
    surface.channel = message.channel;
    this.activity = `${textOf(message)} ${message.value}`;
    this.tell("activity");
    if (message.kind === "program") this.desk.program(message.value + 1, message.number);
    else if (message.kind === "mode") message.number === SOUNDS_OFF && this.desk.silence();
    else if (this.learner) {
      this.learner.hear(port, message, now);
      this.tell("learning");
    } else {
      for (const link of surface.links) if (link.hears(message)) link.receive(message, now);
      this.tell("ghosts");
    }
  }

  answer(now) {
    for (const port of this.ports) {
      const surface = this.surface(port), output = this.outputs.get(port);
      if (!output || !surface.document.feedback) continue;
      for (const link of surface.links) for (const message of link.feedback(now, surface.channel)) output.send(message);
    }
  }

  tell(kind, detail) {
    this.dispatchEvent(new CustomEvent(kind, { detail }));
  }
}
