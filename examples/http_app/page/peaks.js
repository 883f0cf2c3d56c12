// Peaks of a recording: the server's, and those of what is decoded while it is still being made.

import { requestJson } from "./api.js";

const LIVE_BINS = 1200;

/** Fetch a stem's peaks (BBC audiowaveform JSON, version 2) as one magnitude per bin, -1 to 1. */
export async function fetchPeaks(url, signal) {
  const { data, bits, channels } = await requestJson(url, { signal });
  const full = 2 ** (bits - 1);
  const step = 2 * channels;
  const peaks = new Float32Array(data.length / step);
  for (let bin = 0; bin < peaks.length; bin += 1) {
    let highest = 0;
    for (let at = bin * step; at < (bin + 1) * step; at += 1) highest = Math.max(highest, Math.abs(data[at]));
    peaks[bin] = Math.min(1, highest / full);
  }
  return peaks;
}

/** The same peaks as they are drawn: the loudest of all stems fills its lane, and what is soft is lifted a little. */
export function scalePeaks(peaks, loudest) {
  return peaks.map((value) => (loudest > 0 ? (value / loudest) ** 0.8 : 0));
}

/** The loudest of several stems' peaks. */
export function loudestOf(all) {
  return all.reduce((most, peaks) => peaks.reduce((one, value) => Math.max(one, value), most), 0);
}

/** Peaks that grow with every decoded segment. */
export class LivePeaks {
  constructor(totalSamples) {
    this.totalSamples = totalSamples;
    this.values = new Float32Array(LIVE_BINS);
  }

  /** Take in a segment's audio at its place; `gain` undoes the headroom. */
  add(start, buffer, gain) {
    for (let side = 0; side < buffer.numberOfChannels; side += 1) {
      const audio = buffer.getChannelData(side);
      for (let index = 0; index < audio.length; index += 3) {
        const bin = Math.floor(((start + index) / this.totalSamples) * LIVE_BINS);
        const value = Math.abs(audio[index]) * gain;
        if (bin < LIVE_BINS && value > this.values[bin]) this.values[bin] = value;
      }
    }
  }
}
