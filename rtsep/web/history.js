// Undo, step by step. A step is what a person takes for one act: the move of a knob, however many values it passes
// through, or the recall of a preset, however many parameters it sets.

const MOVE_MS = 1000; // a knob that rests this long begins another move
const STEPS = 100;

export class History {
  constructor(engine) {
    this.engine = engine;
    this.steps = [];
  }

  /** Set values by id; `by` is who does it: moves of one hand soon after each other are one step. */
  set(values, by = "hand") {
    const before = {};
    for (const [id, value] of Object.entries(values)) {
      const held = this.engine.get(id);
      if (held === undefined || held === value) continue;
      before[id] = held;
      this.engine.set(id, value);
    }
    const ids = Object.keys(before).join();
    if (!ids) return;
    const last = this.steps.at(-1), now = performance.now();
    if (last && by !== "preset" && last.by === by && last.ids === ids && now < last.at + MOVE_MS) last.at = now;
    else this.steps.push({ before, by, ids, at: now });
    if (this.steps.length > STEPS) this.steps.shift();
  }

  /** Remember a step of another kind: `what` it was done to, and what takes it `back`. */
  add(what, back) {
    this.steps.push({ what, back });
  }

  /** What comes now is a new step: the hand has let go. */
  end() {
    if (this.steps.length) this.steps.at(-1).at = -Infinity;
  }

  /** Take back the last step that is still to be seen: its ids, or its name, or nothing. */
  undo() {
    for (let step; (step = this.steps.pop()); ) {
      if (step.back) {
        step.back();
        return step.what;
      }
      const changed = Object.entries(step.before).filter(([id, value]) => this.engine.get(id) !== value);
      for (const [id, value] of changed) this.engine.set(id, value);
      if (changed.length) return changed.map(([id]) => id);
    }
    return null;
  }
}
