// Plays the preview on one clock: segments are scheduled a little ahead, at exact samples.

import { MixGraph } from "./graph.js";

const TICK_MS = 100;
/** Audio that is scheduled ahead; a hidden tab's timer may sleep for a second. */
const AHEAD_SECONDS = 3;
/** From asking for sound to its first sample. */
const LEAD_SECONDS = 0.06;
/** Segments that are fetched beyond the one that plays. */
const PREFETCHED = 2;

/**
 * One player for one preview.
 *
 * Its `state` is "paused", "playing" or "buffering" (it waits for what is not settled or not here yet, and goes on by
 * itself). "state" is dispatched when it changes, "firstsound" once, "failed" where a segment cannot be had.
 */
export class Player extends EventTarget {
  #context = null;
  #graph = null;
  #pieces = []; // what is scheduled: { when, from, to, sources }, positions in samples
  #head = { when: 0, sample: 0 }; // where the next piece goes
  #timer = null;
  #state = "paused";
  #loop = null;
  #heard = false;
  #closing = new AbortController();
  #awaited = new Set(); // indices of segments that are being loaded
  #missing = new Set(); // of those that were not there, until the next manifest

  constructor(preview, mix, durationSeconds) {
    super();
    this.preview = preview;
    this.mix = mix;
    this.durationSeconds = durationSeconds;
    const { signal } = this.#closing;
    const onManifest = () => {
      this.#missing.clear();
      this.#tick();
    };
    preview.addEventListener("manifest", onManifest, { signal });
    preview.addEventListener("attempt", () => this.#startAnew(), { signal });
  }

  get state() {
    return this.#state;
  }

  get wanted() {
    return this.#state !== "paused";
  }

  /** The graph that plays, once it plays: its meters are read from it. */
  get graph() {
    return this.#graph;
  }

  /** Samples of the recording; the preview knows once it is complete. */
  get totalSamples() {
    const { complete, playableSamples, sampleRate } = this.preview;
    return complete ? playableSamples : Math.max(playableSamples, Math.round(this.durationSeconds * sampleRate));
  }

  /** Seconds of the recording that are heard now. */
  get position() {
    const rate = this.preview.sampleRate;
    if (!rate) return 0;
    if (!this.wanted || !this.#pieces.length) return this.#head.sample / rate;
    return this.#sampleAt(this.#context.currentTime - (this.#context.outputLatency || 0)) / rate;
  }

  /** Play from where it stands; from the start if that is the end. */
  async play() {
    if (this.wanted || !this.preview.sampleRate) return;
    this.#openContext();
    this.#setState("buffering");
    await this.#context.resume();
    if (!this.wanted) return;
    if (this.#head.sample >= this.totalSamples) this.#head.sample = this.#loop?.start ?? 0;
    this.#head.when = 0;
    this.#timer ??= setInterval(() => this.#tick(), TICK_MS);
    this.#tick();
  }

  pause() {
    if (!this.wanted) return;
    const sample = Math.round(this.position * this.preview.sampleRate);
    this.#drop();
    this.#head = { when: 0, sample };
    clearInterval(this.#timer);
    this.#timer = null;
    this.#setState("paused");
  }

  /** Go to a moment of the recording. */
  seek(seconds) {
    const rate = this.preview.sampleRate;
    this.#drop();
    this.#head = { when: 0, sample: Math.round(Math.min(Math.max(0, seconds), this.durationSeconds) * rate) };
    this.#tick();
  }

  /** Loop a stretch of seconds, or nothing (null); what sounds now goes on without a gap. */
  setLoop(stretch) {
    const rate = this.preview.sampleRate;
    this.#loop = stretch && { start: Math.round(stretch.start * rate), end: Math.round(stretch.end * rate) };
    this.#reschedule();
  }

  /** Sound as the mix document says, from now on. */
  applyMix({ fades = false } = {}) {
    this.#graph?.apply(this.mix, { smooth: true });
    if (fades) this.#reschedule();
  }

  /** Fetch what comes first, so that it is there when somebody presses play. */
  prepare() {
    const segment = this.preview.segmentAt(this.#head.sample);
    if (segment && !this.preview.find(segment)) this.#load(segment);
  }

  async close() {
    this.pause();
    this.#closing.abort();
    const context = this.#context;
    this.#context = null;
    await context?.close();
  }

  #openContext() {
    if (this.#context) return;
    this.#context = new AudioContext({ sampleRate: this.preview.sampleRate, latencyHint: "interactive" });
    this.#graph = new MixGraph(this.#context, this.preview.stems, this.preview.gainDb);
    this.#graph.apply(this.mix);
  }

  #startAnew() {
    const { position } = this;
    if (this.#graph) {
      this.#drop();
      this.#graph.close();
      this.#graph = new MixGraph(this.#context, this.preview.stems, this.preview.gainDb);
      this.#graph.apply(this.mix);
    }
    this.seek(position);
  }

  #sampleAt(time) {
    const piece = this.#pieces.findLast(({ when }) => when <= time) ?? this.#pieces[0];
    const passed = Math.round((time - piece.when) * this.preview.sampleRate);
    return Math.min(piece.to, piece.from + Math.max(0, passed));
  }

  #drop(when = 0) {
    for (const { sources } of this.#pieces) for (const source of sources) source.stop(when);
    this.#graph?.cancelFades(when);
    this.#pieces = when ? this.#pieces.filter((piece) => piece.when < when) : [];
  }

  #reschedule() {
    if (!this.wanted || !this.#pieces.length) return;
    const rate = this.preview.sampleRate;
    const when = Math.ceil((this.#context.currentTime + LEAD_SECONDS) * rate) / rate;
    if (when >= this.#head.when) return;
    const sample = this.#sampleAt(when);
    this.#drop(when);
    this.#head = { when, sample };
    this.#tick();
  }

  #tick() {
    if (!this.wanted) return this.prepare();
    while (this.#head.when < this.#context.currentTime + AHEAD_SECONDS && this.#scheduleNext());
    const now = this.#context.currentTime;
    while (this.#pieces.length > 1 && this.#pieces[1].when < now - 1) this.#pieces.shift();
    const playing = this.#head.when > now;
    if (!playing && this.#head.sample >= this.totalSamples) return this.pause();
    this.#setState(playing ? "playing" : "buffering");
    if (playing) this.#prefetch();
  }

  /** Schedule one more piece; false if nothing can be scheduled now. */
  #scheduleNext() {
    const loopEnd = Math.min(this.#loop?.end ?? Infinity, this.totalSamples);
    if (this.#loop && this.#head.sample >= loopEnd) this.#head.sample = this.#loop.start;
    const segment = this.preview.segmentAt(this.#head.sample);
    const buffers = segment && this.preview.find(segment);
    if (segment && !buffers) this.#load(segment);
    if (!buffers) return false;
    const rate = this.preview.sampleRate;
    const from = this.#head.sample;
    const to = Math.min(segment.start + segment.samples, ...this.#bounds().filter((bound) => bound > from));
    const soonest = Math.ceil((this.#context.currentTime + LEAD_SECONDS) * rate) / rate;
    const when = this.#head.when > this.#context.currentTime ? this.#head.when : soonest;
    const sources = this.#graph.schedule(buffers, { start: segment.start, from, to }, when, rate);
    this.#graph.scheduleFades(this.mix, this.totalSamples / rate, from / rate, to / rate, when);
    this.#pieces.push({ when, from, to, sources });
    // Counted in samples, so that no rounding adds up over a long song.
    this.#head = { when: (Math.round(when * rate) + to - from) / rate, sample: to };
    this.#tellFirstSound();
    return true;
  }

  #bounds() {
    const rate = this.preview.sampleRate;
    const { start_seconds: start, end_seconds: end } = this.mix;
    return [this.#loop?.end ?? Infinity, Math.round(start * rate), Math.round((end ?? Infinity) * rate)];
  }

  #tellFirstSound() {
    if (this.#heard) return;
    this.#heard = true;
    performance.mark("isomix-first-sound");
    this.dispatchEvent(new Event("firstsound"));
  }

  #prefetch() {
    let segment = this.preview.segmentAt(Math.min(this.#head.sample, this.totalSamples - 1));
    for (let count = 0; segment && count < PREFETCHED; count += 1) {
      if (!this.preview.find(segment)) return this.#load(segment);
      segment = this.preview.following(segment);
    }
  }

  async #load(segment) {
    if (this.#awaited.has(segment.index) || this.#missing.has(segment.index)) return;
    this.#awaited.add(segment.index);
    try {
      await this.preview.load(segment);
    } catch (error) {
      if ([404, 409].includes(error.status))
        this.#missing.add(segment.index); // of a lost attempt: wait for the next
      else if (error.name !== "AbortError") this.#fail(error);
    } finally {
      this.#awaited.delete(segment.index);
    }
    if (this.wanted) this.#tick();
  }

  #fail(error) {
    this.pause();
    this.dispatchEvent(new CustomEvent("failed", { detail: error }));
  }

  #setState(state) {
    if (state === this.#state) return;
    this.#state = state;
    this.dispatchEvent(new Event("state"));
  }
}
