"""Reads one picture that somebody sent, in a process of its own: gives it as models take it.

    python3 -I -S picture_reader.py LIBRARIES <picture >{"pictures": [JPEG in base64, …]} or {"problem": what to do, as the end of a sentence}

Pictures are foreign data, and what decodes them is large and written in C. So before the first byte is looked at, this process gives up
all that decoding doesn't need: memory and time beyond a limit, threads, and every call of the kernel but those of `ALLOWED`. Whoever
takes it over can compute, and write on its output. Run by pictures.py; document_reader.py gives up the same.
"""

import base64
import ctypes
import io
import json
import resource
import signal
import struct
import sys

# In bytes and seconds. A HEIC of 24 megapixels, as new phones make them, takes 220 MB. Where the container hasn't that much, the kernel ends
# this process first.
MEMORY, SECONDS, OUTPUT = 256 << 20, 30, 32 << 20
# The same as openwebui/common.py: how many pages are shown, and their longer side in pixels.
SHOWN, SIDE = 8, 1568
FORMATS = ("TIFF", "BMP", "AVIF", "HEIF", "JPEG2000", "ICO", "PNG", "JPEG", "GIF", "WEBP")
# The calls of x86-64 by their numbers: read, fstat, lseek, mmap, mprotect, munmap, brk, rt_sigprocmask, rt_sigreturn,
# ioctl (of a stream: whether it is a terminal), mremap, madvise, sched_yield, gettimeofday, getrusage, futex, sched_getaffinity,
# clock_gettime, exit, exit_group, getrandom, rseq; gettid, set_robust_list and set_tid_address of threads; getpid and tgkill, by which a
# library ends its own process.
ALLOWED = (0, 5, 8, 9, 10, 11, 12, 14, 15, 16, 25, 28, 24, 96, 98, 202, 204, 228, 60, 231, 318, 334, 186, 273, 218, 39, 234)
WRITE, CLONE, CLONE3, THREAD, X86_64 = 1, 56, 435, 0x10000, 0xC000003E
BROKEN = "it is damaged, or not what its name says"
TOO_LARGE = "it has too many pixels; send it smaller, or as a photo"
TOO_MANY = f"it has %d pages, and {SHOWN} can be shown at most; work with them in the sandbox"


def confine(memory=MEMORY):
    """Leaves this process what it needs, for good; `memory` in bytes. Raises OSError where the kernel takes no filter."""
    with open("/proc/self/oom_score_adj", "w") as score:
        score.write("1000")
    for limit, value in ((resource.RLIMIT_DATA, memory), (resource.RLIMIT_FSIZE, OUTPUT), (resource.RLIMIT_CORE, 0)):
        resource.setrlimit(limit, (value, value))
    # Ends the process, whatever a library is at: nothing handles it.
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    load, equal, any_of, give = 0x20, 0x15, 0x45, 0x06
    number, architecture, first = 0, 4, 16  # where struct seccomp_data has them
    allow, refuse, kill = 0x7FFF0000, 0x50000 | 1, 0x80000000  # 1: EPERM
    code = [(load, 0, 0, architecture), (equal, 1, 0, X86_64), (give, 0, 0, kill), (load, 0, 0, number)]
    for call in ALLOWED:
        code += [(equal, 0, 1, call), (give, 0, 0, allow)]
    # A thread of its own, as libde265 has one for HEIC, and no process. The flags of clone3 lie in memory, which a filter doesn't see: 38 is
    # ENOSYS, upon which libc takes clone.
    code += [(equal, 0, 1, CLONE3), (give, 0, 0, 0x50000 | 38)]
    code += [(equal, 0, 4, CLONE), (load, 0, 0, first), (any_of, 0, 1, THREAD), (give, 0, 0, allow), (give, 0, 0, refuse)]
    # Writes on its output and on that for errors.
    code += [(equal, 0, 4, WRITE), (load, 0, 0, first), (equal, 1, 0, 1), (equal, 0, 1, 2), (give, 0, 0, allow), (give, 0, 0, refuse)]
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in code))
    header = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(code), ctypes.addressof(program)))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    # PR_SET_NO_NEW_PRIVS; PR_SET_SECCOMP with SECCOMP_MODE_FILTER.
    if prctl(38, 1, 0, 0, 0) or prctl(22, 2, ctypes.byref(header), 0, 0):
        raise OSError(ctypes.get_errno(), "the kernel takes no filter")


def jpeg(picture, transposed):
    """A picture as a JPEG, in base64, no larger than one looks at it."""
    picture.draft("RGB", (SIDE, SIDE))
    if picture.mode in ("1", "P", "PA"):
        # What has a palette can't be made smaller smoothly.
        picture = picture.convert("L" if picture.mode == "1" else "RGBA")
    # Before all else, for each copy of a large picture counts.
    picture.thumbnail((SIDE, SIDE))
    picture = transposed(picture)
    picture = picture.convert("RGBA" if "A" in picture.mode or "transparency" in picture.info else "L" if picture.mode == "L" else "RGB")
    if picture.mode == "RGBA":
        # What can be seen through is seen on white.
        white = picture.copy()
        white.paste("white", (0, 0, *picture.size))
        white.alpha_composite(picture)
        picture = white.convert("RGB")
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=80)
    return base64.b64encode(file.getvalue()).decode()


def read(data, images):
    image, ops, sequence = images
    picture = image.open(io.BytesIO(data), formats=FORMATS)
    # Of what moves, its beginning.
    count = getattr(picture, "n_frames", 1) if picture.format == "TIFF" else 1
    if count > SHOWN:
        return {"problem": TOO_MANY % count}
    return {"pictures": [jpeg(page, ops.exif_transpose) for page, _ in zip(sequence.Iterator(picture), range(count), strict=False)]}


def main():
    sys.path.append(sys.argv[1])
    import pi_heif
    from PIL import AvifImagePlugin, Image, ImageOps, ImageSequence

    # A limit of memory counts what each thread may take.
    AvifImagePlugin.DEFAULT_MAX_THREADS = pi_heif.options.DECODE_THREADS = 1
    pi_heif.register_heif_opener()
    Image.init()
    # What is imported with the first picture of a kind.
    for kind in ("PNG", "JPEG"):
        Image.new("RGB", (1, 1)).save(io.BytesIO(), kind)
    data = sys.stdin.buffer.read()
    confine()
    try:
        said = read(data, (Image, ImageOps, ImageSequence))
    except (MemoryError, Image.DecompressionBombError):
        said = {"problem": TOO_LARGE}
    except Exception:
        said = {"problem": BROKEN}
    print(json.dumps(said))


if __name__ == "__main__":
    main()
