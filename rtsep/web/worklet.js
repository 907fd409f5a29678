// On the audio thread: blocks of sound through the engine, and some forty times a second what there is to see.

import { BLOCK, Core } from "./core.js";

const BLOCKS_TOLD = 9; // 24 ms at 48 kHz
const BLOCKS_RECORDED = 32;

class Rtsep extends AudioWorkletProcessor {
  constructor({ processorOptions }) {
    super();
    const { code, image, info, values } = processorOptions;
    this.core = new Core(code, image, info);
    for (const [number, value] of values) this.core.set(number, value);
    this.channels = info.channels;
    this.deadline = (1000 * BLOCK) / sampleRate; // ms
    this.blocks = this.spent = this.late = 0;
    this.recorded = null;
    this.alive = true;
    this.port.onmessage = ({ data }) => {
      if (data.set) this.core.set(...data.set);
      if (data.record !== undefined) {
        if (!data.record && this.recorded) this.tellRecorded();
        this.recorded = data.record ? [] : null;
      }
      if (data.end) this.alive = false;
    };
  }

  process([given], [out]) {
    const started = Date.now(), { core, channels } = this;
    for (let c = 0; c < channels; c++) {
      const channel = given[c] ?? given[0]; // one channel is heard on both sides; without any it is silent
      for (let i = 0; i < BLOCK; i++) core.input[i * channels + c] = channel ? channel[i] : 0;
    }
    core.process();
    for (let c = 0; c < out.length; c++) {
      const channel = out[c], from = Math.min(c, channels - 1);
      for (let i = 0; i < BLOCK; i++) channel[i] = core.output[i * channels + from];
    }
    if (this.recorded) {
      this.recorded.push(core.output.slice());
      if (this.recorded.length === BLOCKS_RECORDED) this.tellRecorded();
    }
    const took = Date.now() - started; // whole milliseconds, right in the mean
    this.spent += took;
    if (took > Math.ceil(this.deadline)) this.late++;
    if (++this.blocks % BLOCKS_TOLD === 0) {
      const load = this.spent / (BLOCKS_TOLD * this.deadline);
      this.port.postMessage({ levels: core.measure().slice(), bands: core.bands(), notes: core.notes(), load, late: this.late, at: currentTime });
      this.spent = 0;
    }
    return this.alive;
  }

  tellRecorded() {
    this.port.postMessage({ recorded: this.recorded });
    this.recorded = [];
  }
}

registerProcessor("rtsep", Rtsep);
