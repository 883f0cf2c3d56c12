// A mix document rendered in the browser, from the preview alone.

import { MixGraph } from "./graph.js";

/**
 * Render a mix document with an OfflineAudioContext, through the very graph that plays it.
 *
 * Memory grows with the mix: this is for tests and short mixes. The server renders exports.
 */
export async function renderOffline(preview, mix) {
  await preview.refresh();
  const rate = preview.sampleRate;
  const end = preview.playableSamples;
  const first = Math.min(Math.round(mix.start_seconds * rate), end);
  const last = mix.end_seconds === null ? end : Math.min(Math.round(mix.end_seconds * rate), end);
  const context = new OfflineAudioContext(2, last - first, rate);
  const graph = new MixGraph(context, preview.stems, preview.gainDb);
  graph.apply(mix);
  for (const segment of preview.segmentsWithin(first, last)) {
    const buffers = await preview.load(segment);
    const from = Math.max(first, segment.start);
    const to = Math.min(last, segment.start + segment.samples);
    const when = (from - first) / rate;
    graph.schedule(buffers, { start: segment.start, from, to }, when, rate);
    graph.scheduleFades(mix, end / rate, from / rate, to / rate, when);
  }
  return context.startRendering();
}
