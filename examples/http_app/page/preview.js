// The preview of one project: which segments there are, and a few of them decoded.

import { getPreview, request } from "./api.js";

/** Decoded segments that are kept: with 6 s each, half a minute of every stem, however long the song is. */
export const KEPT_SEGMENTS = 5;

/** The preview's segments of all stems, fetched and decoded on demand. */
export class Preview extends EventTarget {
  #manifest = null;
  #decoded = new Map(); // index -> Map(stem -> AudioBuffer), the latest used last
  #loading = new Map(); // index -> promise
  #decoder = null;
  #refreshing = null;
  #abort = new AbortController();

  constructor(projectId) {
    super();
    this.projectId = projectId;
  }

  get stems() {
    return this.#manifest?.stems ?? [];
  }

  get sampleRate() {
    return this.#manifest?.sample_rate ?? 0;
  }

  /** Gain that undoes the headroom of the segments. */
  get gainDb() {
    return this.#manifest?.gain_db ?? 0;
  }

  get complete() {
    return this.#manifest?.complete ?? false;
  }

  get playableSamples() {
    return this.#manifest?.playable_samples ?? 0;
  }

  get playableSeconds() {
    return this.#manifest ? this.playableSamples / this.sampleRate : 0;
  }

  /** How many segments are decoded now. */
  get keptSegments() {
    return this.#decoded.size;
  }

  /** Ask which segments there are; one question at a time. Dispatches "manifest", and "attempt" where all is new. */
  refresh() {
    this.#refreshing ??= this.#refresh().finally(() => (this.#refreshing = null));
    return this.#refreshing;
  }

  async #refresh() {
    let manifest;
    try {
      manifest = await getPreview(this.projectId);
    } catch (problem) {
      if ([404, 409].includes(problem.status)) return; // nothing is settled yet
      throw problem;
    }
    const anew = this.#manifest !== null && this.#manifest.attempt !== manifest.attempt;
    if (anew) this.#forget();
    this.#manifest = manifest;
    if (anew) this.dispatchEvent(new Event("attempt"));
    this.dispatchEvent(new Event("manifest"));
  }

  #forget() {
    this.#abort.abort();
    this.#abort = new AbortController();
    this.#decoded.clear();
    this.#loading.clear();
    this.#decoder = null;
  }

  /** Give up everything that is under way. */
  close() {
    this.#forget();
  }

  /** The segment that holds a sample, or null where nothing is settled. */
  segmentAt(sample) {
    const segments = this.#manifest?.segments ?? [];
    return segments.find(({ start, samples }) => sample >= start && sample < start + samples) ?? null;
  }

  /** The segments that overlap a stretch. */
  segmentsWithin(start, end) {
    return (this.#manifest?.segments ?? []).filter((one) => one.start < end && one.start + one.samples > start);
  }

  /** The segment that comes after one, or null. */
  following(segment) {
    return this.segmentAt(segment.start + segment.samples);
  }

  /** A decoded segment as Map(stem -> AudioBuffer), or null. */
  find(segment) {
    const buffers = this.#decoded.get(segment.index);
    if (!buffers) return null;
    this.#decoded.delete(segment.index);
    this.#decoded.set(segment.index, buffers);
    return buffers;
  }

  /** Fetch and decode a segment of all stems. Dispatches "segment" with the buffers when they are new. */
  load(segment) {
    const kept = this.find(segment);
    if (kept) return Promise.resolve(kept);
    if (!this.#loading.has(segment.index)) this.#loading.set(segment.index, this.#load(segment));
    return this.#loading.get(segment.index);
  }

  async #load(segment) {
    const { signal } = this.#abort;
    try {
      const pairs = await Promise.all(this.stems.map(async (stem) => [stem, await this.#fetch(stem, segment, signal)]));
      signal.throwIfAborted();
      const buffers = new Map(pairs);
      this.#keep(segment, buffers);
      this.dispatchEvent(new CustomEvent("segment", { detail: { segment, buffers } }));
      return buffers;
    } finally {
      if (!signal.aborted) this.#loading.delete(segment.index);
    }
  }

  #keep(segment, buffers) {
    this.#decoded.set(segment.index, buffers);
    for (const index of this.#decoded.keys()) {
      if (this.#decoded.size <= KEPT_SEGMENTS) break;
      this.#decoded.delete(index);
    }
  }

  async #fetch(stem, segment, signal) {
    const { attempt, urls } = this.#manifest;
    const parts = { attempt, stem, segment: segment.index };
    const path = urls.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(parts[name]));
    const bytes = await (await request(path, { signal })).arrayBuffer();
    // Decoding needs a context of the recording's own rate: no resampling, so that segments join sample by sample.
    this.#decoder ??= new OfflineAudioContext(1, 1, this.sampleRate);
    return this.#decoder.decodeAudioData(bytes);
  }
}
