// The signal graph of a mix: the same for what is played and for what is rendered.

/** A gain in dB as a factor. */
export const factor = (db) => 10 ** (db / 20);

/** A track as a mix document has it where it says nothing. */
export const PLAIN_TRACK = Object.freeze({
  gain_db: 0,
  pan: 0,
  mute: false,
  solo: false,
  fade_in_seconds: 0,
  fade_out_seconds: 0,
});

const SMOOTH_SECONDS = 0.012;

/** Factor of every stem, mute and solo included. */
export function heardFactors(stems, mix) {
  const tracks = stems.map((stem) => [stem, { ...PLAIN_TRACK, ...mix.stems[stem] }]);
  const someSolo = tracks.some(([, track]) => track.solo);
  return new Map(
    tracks.map(([stem, track]) => [stem, track.mute || (someSolo && !track.solo) ? 0 : factor(track.gain_db)]),
  );
}

function makeChannel(context, headroomDb) {
  // A mono stem becomes stereo first, so that the panner's stereo law holds for it as it does in the export.
  const input = new GainNode(context, {
    gain: factor(headroomDb),
    channelCount: 2,
    channelCountMode: "explicit",
    channelInterpretation: "speakers",
  });
  const fadeIn = new GainNode(context);
  const fadeOut = new GainNode(context);
  const gain = new GainNode(context);
  const panner = new StereoPannerNode(context);
  const meter = new AnalyserNode(context, { fftSize: 1024 });
  input.connect(fadeIn).connect(fadeOut).connect(gain).connect(panner);
  panner.connect(meter);
  return { input, fadeIn, fadeOut, gain, panner, meter };
}

/** Stems -> headroom -> fades -> gain -> pan -> master -> destination. */
export class MixGraph {
  /** `headroomDb` is what the preview's manifest says a player has to add. */
  constructor(context, stems, headroomDb) {
    this.context = context;
    this.channels = new Map(stems.map((stem) => [stem, makeChannel(context, headroomDb)]));
    this.master = new GainNode(context);
    this.meters = [0, 1].map(() => new AnalyserNode(context, { fftSize: 1024 }));
    for (const { panner } of this.channels.values()) panner.connect(this.master);
    const splitter = new ChannelSplitterNode(context, { numberOfOutputs: 2 });
    this.master.connect(splitter);
    this.meters.forEach((meter, side) => splitter.connect(meter, side));
    this.master.connect(context.destination);
  }

  /** Make it sound as a mix document says; `smooth` avoids clicks while it plays. */
  apply(mix, { smooth = false } = {}) {
    const factors = heardFactors([...this.channels.keys()], mix);
    for (const [stem, channel] of this.channels) {
      this.#set(channel.gain.gain, factors.get(stem), smooth);
      this.#set(channel.panner.pan, mix.stems[stem]?.pan ?? 0, smooth);
    }
    this.#set(this.master.gain, factor(mix.gain_db), smooth);
  }

  #set(param, value, smooth) {
    if (smooth) param.setTargetAtTime(value, this.context.currentTime, SMOOTH_SECONDS);
    else param.value = value;
  }

  /**
   * Schedule a stretch of all stems at one moment of the context's clock.
   *
   * `piece` is { start, from, to }: the segment's first sample and the stretch of the recording, in samples.
   * Returns the sources, so that they can be stopped.
   */
  schedule(buffers, piece, when, sampleRate) {
    return [...this.channels].map(([stem, { input }]) => {
      const source = new AudioBufferSourceNode(this.context, { buffer: buffers.get(stem) });
      source.connect(input);
      source.onended = () => source.disconnect();
      source.start(when, (piece.from - piece.start) / sampleRate, (piece.to - piece.from) / sampleRate);
      return source;
    });
  }

  /**
   * Put the fades of a stretch on the clock; positions are seconds of the recording, `end` is where it ends.
   *
   * The stretch lies within the mix or outside of it, never across its bounds. Outside nothing is faded.
   */
  scheduleFades(mix, end, from, to, when) {
    const start = mix.start_seconds;
    const stop = mix.end_seconds ?? end;
    const inside = (from + to) / 2 > start && (from + to) / 2 < stop;
    for (const [stem, { fadeIn, fadeOut }] of this.channels) {
      const { fade_in_seconds: rise, fade_out_seconds: fall } = { ...PLAIN_TRACK, ...(inside && mix.stems[stem]) };
      const rising = (position) => (rise ? Math.min(1, (position - start) / rise) : 1);
      const falling = (position) => (fall ? Math.min(1, (stop - position) / fall) : 1);
      ramp(fadeIn.gain, rising, start + rise, from, to, when);
      ramp(fadeOut.gain, falling, stop - fall, from, to, when);
    }
  }

  /** Forget the fades from a moment on. */
  cancelFades(when) {
    for (const { fadeIn, fadeOut } of this.channels.values()) {
      fadeIn.gain.cancelScheduledValues(when);
      fadeOut.gain.cancelScheduledValues(when);
    }
  }

  close() {
    this.master.disconnect();
  }
}

/** Draw a curve of two straight lines that meet at `bend` onto a parameter, between two positions. */
function ramp(param, curve, bend, from, to, when) {
  param.setValueAtTime(curve(from), when);
  if (bend > from && bend < to) param.linearRampToValueAtTime(curve(bend), when + bend - from);
  if (curve(from) !== curve(to)) param.linearRampToValueAtTime(curve(to), when + to - from);
}
