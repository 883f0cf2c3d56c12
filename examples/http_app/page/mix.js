// The mix document of a song: what the mixer shows, the player plays and the export renders.

import { PLAIN_TRACK } from "./graph.js";

const place = (projectId) => `isomix.mix.${projectId}`;

/** A mix that changes nothing. */
export function plainMix(stems) {
  return {
    stems: Object.fromEntries(stems.map((stem) => [stem, { ...PLAIN_TRACK }])),
    gain_db: 0,
    start_seconds: 0,
    end_seconds: null,
  };
}

/** The mix this browser remembers for a project, for the stems there are. */
export function recallMix(projectId, stems) {
  const mix = plainMix(stems);
  let kept = null;
  try {
    kept = JSON.parse(localStorage.getItem(place(projectId)));
  } catch {
    // what cannot be read is as good as nothing
  }
  if (!kept) return mix;
  for (const stem of stems) Object.assign(mix.stems[stem], kept.stems?.[stem]);
  return { ...mix, gain_db: kept.gain_db ?? 0 };
}

/** Remember a mix in this browser. */
export function rememberMix(projectId, mix) {
  localStorage.setItem(place(projectId), JSON.stringify(mix));
}

/** Forget a project's mix. */
export function forgetMix(projectId) {
  localStorage.removeItem(place(projectId));
}
