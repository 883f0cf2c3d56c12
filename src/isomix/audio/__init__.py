"""Pure signal: arrays in, arrays out. Everything is ``(channels, samples)`` float32."""
