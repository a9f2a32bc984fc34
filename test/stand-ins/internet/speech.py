"""Says something and records it, for `docker exec`: speech.py KIND WORDS...

KIND is wav, ogg (Opus, as Telegram has its voice messages), webm (Opus, as Chromium records), m4a (AAC, as Safari does) or mp3. Prints
the recording in base64. With SECONDS=n in the environment it is repeated for so long, with SILENCE=n it is silent for so long at its end; with
WORDS empty there is silence, of a second.
"""

import base64
import io
import os
import subprocess
import sys
import wave

import av

# Container and codec by kind.
KINDS = {"wav": ("wav", "pcm_s16le"), "ogg": ("ogg", "libopus"), "webm": ("webm", "libopus"), "m4a": ("mp4", "aac"), "mp3": ("mp3", "libmp3lame")}
RATE = 48_000


def say(words):
    """Samples of 16 bits, in one channel, and how many a second has."""
    if not words:
        return bytes(2 * RATE), RATE
    spoken = subprocess.run(["espeak-ng", "--stdout", words], check=True, capture_output=True).stdout
    with wave.open(io.BytesIO(spoken)) as file:
        return file.readframes(file.getnframes()), file.getframerate()


def record(kind, samples, rate):
    container, codec = KINDS[kind]
    kept = io.BytesIO()
    with av.open(kept, "w", format=container) as file:
        stream = file.add_stream(codec, rate=RATE, layout="mono")
        resampler = av.AudioResampler(format=stream.codec_context.format, layout="mono", rate=RATE)
        spoken = av.AudioFrame(format="s16", layout="mono", samples=len(samples) // 2)
        spoken.sample_rate = rate
        spoken.planes[0].update(samples)
        fifo = av.AudioFifo()
        for frame in [*resampler.resample(spoken), *resampler.resample(None)]:
            frame.pts = None
            fifo.write(frame)
        size = stream.codec_context.frame_size or 1024
        while frame := fifo.read(size, partial=True):
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return kept.getvalue()


def main():
    kind, *words = sys.argv[1:]
    samples, rate = say(" ".join(words))
    if seconds := int(os.environ.get("SECONDS", 0)):
        samples = (samples * (seconds * rate * 2 // len(samples) + 1))[: seconds * rate * 2]
    samples += bytes(2 * rate * int(os.environ.get("SILENCE", 0)))
    print(base64.b64encode(record(kind, samples, rate)).decode())


if __name__ == "__main__":
    main()
