// One stem's waveform, drawn by wavesurfer.js from peaks: it never loads or plays sound itself.

import WaveSurfer from "./vendor/wavesurfer.esm.js";

const WAVE_HEIGHT = 64;

/** A waveform that shows a position and tells where somebody clicks. */
export class Waveform {
  #surfer;
  #duration;
  #position = 0;

  constructor(container, { color, duration, onSeek }) {
    this.#duration = duration;
    // wavesurfer paints the played part over the other, so both have to be opaque.
    const ground = getComputedStyle(container).getPropertyValue("--wave-ground");
    this.#surfer = WaveSurfer.create({
      container,
      height: WAVE_HEIGHT,
      peaks: [new Float32Array(2)],
      duration,
      waveColor: `color-mix(in srgb, ${color} 42%, ${ground})`,
      progressColor: color,
      cursorColor: "var(--text)",
      cursorWidth: 1,
      barWidth: 2,
      barGap: 1,
      barRadius: 2,
      barMinHeight: 1,
      hideScrollbar: true,
      autoScroll: false,
      dragToSeek: false,
    });
    this.#surfer.on("interaction", onSeek);
  }

  /** Draw other peaks. */
  async draw(peaks) {
    await this.#surfer.load("", [peaks], this.#duration);
    this.moveTo(this.#position);
  }

  /** Show where the playback is. */
  moveTo(seconds) {
    this.#position = seconds;
    this.#surfer.setTime(seconds);
  }

  destroy() {
    this.#surfer.destroy();
  }
}
