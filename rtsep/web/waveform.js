// The overview of a song: its shape, where it plays, and the loop from A to B. The slider over it is a native control;
// with shift a loop is drawn with the pointer.

const BAR_PX = 3;
export const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

/** The shape of a song as bars, mirrored. `color(part)` tells the colour of a bar at a part 0 to 1 of the way. */
export function drawBars(pen, peaks, width, height, color, bar = BAR_PX) {
  const count = Math.floor(width / bar);
  for (let i = 0; i < count; i++) {
    let top = 0;
    const from = Math.floor((i / count) * peaks.length), to = Math.max(from + 1, Math.floor(((i + 1) / count) * peaks.length));
    for (let k = from; k < to; k++) top = Math.max(top, peaks[k]);
    const tall = Math.max(1.5, top * (height - 2));
    pen.fillStyle = color((i + 0.5) / count);
    pen.fillRect(i * bar, (height - tall) / 2, bar - 1, tall);
  }
}

/** A canvas in the pixels of the screen, cleared. */
export function fresh(canvas) {
  const scale = Math.min(devicePixelRatio || 1, 2), width = canvas.clientWidth, height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
  if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale);
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  return { pen, width, height };
}

export class Waveform {
  /** `seek` is a range input of 0 to 1 over the `canvas`; `looped(between)` is told when a loop was drawn. */
  constructor(canvas, seek, engine, looped) {
    Object.assign(this, { canvas, seek, engine, looped, start: null, shown: "" });
    seek.addEventListener("input", () => engine.duration && engine.seek(seek.valueAsNumber * engine.duration));
    seek.addEventListener("pointerdown", (event) => event.shiftKey && engine.duration && this.drag(event));
  }

  drag(event) {
    event.preventDefault();
    const box = this.seek.getBoundingClientRect(), { duration } = this.engine;
    const at = ({ clientX }) => Math.min(Math.max((clientX - box.left) / box.width, 0), 1) * duration;
    const from = at(event);
    const move = (moved) => {
      const to = at(moved);
      if (Math.abs(to - from) > 0.1) this.looped([Math.min(from, to), Math.max(from, to)]);
    };
    addEventListener("pointermove", move);
    addEventListener("pointerup", () => removeEventListener("pointermove", move), { once: true });
  }

  /** One press sets A, the next B, a third ends the loop. What happened, in words. */
  mark() {
    const { engine } = this;
    if (engine.loop) {
      this.looped(null);
      return "The loop is off.";
    }
    if (this.start === null) {
      this.start = engine.position;
      return `A is at ${clock(this.start)}. Press again for B.`;
    }
    const ends = [this.start, engine.position].sort((a, b) => a - b);
    this.start = null;
    if (ends[1] - ends[0] < 0.2) return "A and B lie too close together. No loop was set.";
    this.looped(ends);
    return `Looping from ${clock(ends[0])} to ${clock(ends[1])}.`;
  }

  draw(style) {
    const { engine, canvas } = this, { peaks, duration, loop } = engine, position = engine.position ?? 0;
    const at = duration ? position / duration : 0;
    const state = [canvas.clientWidth, canvas.clientHeight, duration, loop, this.start, style.text, engine.name, Boolean(peaks),
      Math.round(at * canvas.clientWidth)].join();
    if (state === this.shown) return;
    this.shown = state;
    const { pen, width, height } = fresh(canvas);
    if (!duration) return;
    if (document.activeElement !== this.seek || engine.playing) this.seek.value = at;
    this.seek.setAttribute("aria-valuetext", `${clock(position)} of ${clock(duration)}`);
    if (loop) {
      const [from, to] = loop.map((seconds) => (seconds / duration) * width);
      pen.fillStyle = style.soft;
      pen.fillRect(from, 0, to - from, height);
    }
    const inside = (part) => !loop || (part * duration >= loop[0] && part * duration <= loop[1]);
    const shape = peaks ?? new Float32Array(1);
    drawBars(pen, shape, width, height, (part) => (part <= at ? style.text : inside(part) ? style.second : style.line));
    const flags = loop ? [[loop[0], "A"], [loop[1], "B"]] : this.start === null ? [] : [[this.start, "A"]];
    for (const [seconds, letter] of flags) {
      const x = (seconds / duration) * width, left = letter === "B";
      pen.fillStyle = style.accent;
      pen.fillRect(x - (left ? 2 : 0), 0, 2, height);
      pen.fillRect(left ? x - 14 : x, 0, 14, 14);
      pen.fillStyle = style.ground;
      pen.font = "600 11px system-ui, sans-serif";
      pen.fillText(letter, left ? x - 11 : x + 3.5, 11);
    }
    pen.fillStyle = style.text;
    pen.fillRect(Math.min(at * width, width - 2), 0, 2, height);
  }
}
