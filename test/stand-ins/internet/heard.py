"""What is heard in a recording, for the stand-in of OpenRouter: heard.py KIND, the recording on the standard input.

Prints {"seconds", "loud": whether there is a sound in it}. Ends with an error when it isn't of that kind, or is damaged.
"""

import io
import json
import sys

import av

with av.open(io.BytesIO(sys.stdin.buffer.read())) as file:
    if sys.argv[1] not in file.format.name.split(","):
        sys.exit(f"this is {file.format.name}")
    resampler = av.AudioResampler(format="s16", layout="mono", rate=16_000)
    samples = b"".join(bytes(piece.planes[0])[: 2 * piece.samples] for frame in file.decode(audio=0) for piece in resampler.resample(frame))
print(json.dumps({"seconds": len(samples) / 2 / 16_000, "loud": max(map(abs, memoryview(samples).cast("h")), default=0) > 500}))
