// A worker: the melody of a whole song, ahead of its sound, as fast as the machine can.

import { BLOCK, Core } from "./core.js";
import { STEP_S } from "./singing.js";

const TOLD_S = 2;

self.onmessage = ({ data: { code, image, info, values, sound } }) => {
  const core = new Core(code, image, info), { channels, sample_rate, melody_late_s } = info;
  for (const [number, value] of values) core.set(number, value);
  const late = melody_late_s * sample_rate, length = sound[0].length;
  let hz = [], first = 0;
  for (let start = 0; start < length + late; start += BLOCK) {
    for (let c = 0; c < channels; c++)
      for (let i = 0; i < BLOCK; i++) core.input[i * channels + c] = sound[c][start + i] ?? 0;
    core.process();
    const f0 = core.measure()[2];
    // What is known after this block is the melody of a moment before it.
    while ((first + hz.length) * STEP_S * sample_rate <= start + BLOCK - late) hz.push(f0);
    if (hz.length * STEP_S >= TOLD_S || start + BLOCK >= length + late) {
      self.postMessage({ first, hz: Float32Array.from(hz) });
      first += hz.length;
      hz = [];
    }
  }
  self.postMessage({ done: true });
};
