// How well a singer follows the song: the rule of rtsep/live/singing.py, which says what is judged and why.

const TOLERANCE_S = 0.12, CENTER_S = 0.1, SAME_CENTS = 50, OF_LATE = 100, FEW = 10;
const FULL_CENTS = 25, NONE_CENTS = 100, LEAST_S = 1, SURE_S = 0.2, LOST_S = 0.3, JUMP_S = 0.5, PHRASE_S = 0.6;
export const HIT_CENTS = 50, STEP_S = 0.02; // between two pitches that are compared

/** How far `hz` lies above `other` in the octave that brings them nearest: -600 to 600 cents. */
export function centsBetween(hz, other) {
  const cents = 1200 * Math.log2(hz / other) + 600;
  return cents - 1200 * Math.floor(cents / 1200) - 600;
}

export class Singing {
  constructor() {
    Object.assign(this, { times: [], song: [], singer: [], errors: [], onPitch: false });
    Object.assign(this, { distances: [], lately: [], start: 0, lead: 0, earned: 0, sure: 0, lost: 0, phrases: [], sungAt: -Infinity });
  }

  /** Take the pitches at a time, both in Hz, 0 for none; about 50 times a second, at ascending times. */
  hear(time, song, singer) {
    const { times } = this, passed = time - times.at(-1);
    if (times.length && !(passed > 0 && passed < JUMP_S)) {
      this.judge(Infinity);
      this.start = times.length;
    }
    times.push(time);
    this.song.push(song);
    this.singer.push(singer);
    this.judge(time);
  }

  judge(now) {
    const { times, distances, errors } = this;
    for (let i; (i = distances.length) < times.length && times[i] + TOLERANCE_S <= now; ) distances.push(this.distance(i));
    for (let i; (i = errors.length) < times.length && times[i] + TOLERANCE_S + CENTER_S <= now; ) {
      const [first, end] = this.around(i, CENTER_S), near = distances.slice(first, end).filter((each) => !Number.isNaN(each));
      near.sort((a, b) => a - b);
      const error = near.length && this.song[i] > 0 ? near[near.length >> 1] : NaN;
      errors.push(error);
      if (this.song[i] > 0) this.count(times[i], i > this.start ? times[i] - times[i - 1] : 0, error, this.singer[i] > 0);
    }
  }

  /** How far the singer is at the moment `i` from the pitch of the song that is meant; NaN without one. */
  distance(i) {
    const song = this.song[i], singer = this.singer[i], [first, end] = this.around(i, TOLERANCE_S);
    const near = this.song.slice(first, end).filter((hz) => hz > 0);
    if (!(singer > 0) || !near.length) return NaN;
    const usual = this.lately.length < FEW ? 0 : Math.min(Math.max(median(this.lately), -NONE_CENTS), NONE_CENTS);
    if (song > 0) {
      const now = centsBetween(singer, song);
      this.lately.push(now);
      if (this.lately.length > OF_LATE) this.lately.shift();
      if (Math.abs(now - usual) <= SAME_CENTS) return now;
    }
    return near.map((hz) => centsBetween(singer, hz)).reduce((best, each) => (Math.abs(each - usual) < Math.abs(best - usual) ? each : best));
  }

  /** The first of the moments within `reach` of the moment `i`, and behind the last. */
  around(i, reach) {
    const { times } = this;
    let first = i, end = i + 1;
    while (first > this.start && times[first - 1] >= times[i] - reach) first--;
    while (end < times.length && times[end] <= times[i] + reach) end++;
    return [first, end];
  }

  /** Add `seconds` of lead that were sung with `error` (cents, NaN for silence). */
  count(time, seconds, error, sounds) {
    const hit = Math.abs(error) <= HIT_CENTS;
    const marks = Number.isNaN(error) ? 0 : Math.min(Math.max((NONE_CENTS - Math.abs(error)) / (NONE_CENTS - FULL_CENTS), 0), 1);
    this.lead += seconds;
    this.earned += seconds * marks;
    if (!(time - this.sungAt < PHRASE_S && time > this.sungAt)) this.phrases.push({ seconds: 0, earned: 0 });
    this.sungAt = time;
    this.phrases.at(-1).seconds += seconds;
    this.phrases.at(-1).earned += seconds * marks;
    this.sure = hit ? this.sure + seconds * sounds : 0;
    this.lost = hit ? 0 : this.lost + seconds;
    if (this.sure >= SURE_S) this.onPitch = true;
    if (this.lost >= LOST_S) this.onPitch = false;
  }

  /** 0 to 100; null before a second of lead has been judged. */
  get score() {
    return this.lead >= LEAST_S ? (100 * this.earned) / this.lead : null;
  }
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b), half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}
