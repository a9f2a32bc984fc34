"""Names in the sandbox, and limits: bytes and seconds."""

HOME = "/root"
# In the sandbox: what was exported, and a file or two for each command that runs.
FOLDER = "/tmp/.hermes"
# The processes of a command have this in their environment, wherever they go: by it they are found again.
MARK = "HERMES_COMMAND"
# Bytes of a command's output that are kept at its beginning and at its end. The tools for files need all of a file.
KEPT = (4 << 20, 4 << 20)
# What the model reads. Hermes keeps 50,000 (tool_output_limits.py, MAX_STDOUT_BYTES in code_execution_tool.py). This is a little less,
# so that the model finds our sentence in the middle, and not Hermes'.
KEPT_OF_COMMAND = (20_000, 29_000)
# A process in the background. Hermes asks for it every two seconds and keeps 200,000 (MAX_OUTPUT_CHARS in process_registry.py).
KEPT_OF_BACKGROUND = (100_000, 200_000)
# The script of a job. What it prints is paid for in each run that it wakes the model for.
KEPT_OF_SCRIPT = (6_000, 6_000)
# Bytes in all that Modal takes as arguments of an exec (ARG_MAX_BYTES in modal/sandbox.py), less those of the runner.
MAX_ARGUMENTS = (1 << 16) - 4096
# Bytes of standard input in one call (MAX_BUFFER_SIZE in modal/io_streams.py is twice that).
PIECE = 1 << 20

# All in seconds. Modal ends a sandbox by itself after so long without a command, if the gateway doesn't live to do it.
LEFT_ALONE = 900
FIRST_SAVE = 40
SAVE_EVERY = 300
SAVE_AGAIN = 60
# What Modal may take to save a disk. Its client's own limit of 55 s is too short for large ones.
SAVE = 600
# Between SIGTERM and SIGKILL the platform gives a minute (maxShutdownDelaySeconds in index.ts); some of it is for what comes after.
STOP_WITHIN = 52
# The longest life that Modal gives (modal.com/docs/guide/sandbox, "Timeouts"); a sandbox is exchanged before that.
LIFE = 24 * 3600
EXCHANGE = LIFE - 1800
# What Modal may take to start one. The first of all waits until its image is built.
START = 300
CALL = 60
# A process in the background is asked for every two seconds (_env_poller_loop in process_registry.py); after so long none runs.
POLLED = 60
# A time-out tells what was printed until then; it must come from the sandbox before it comes from here.
MARGIN = 15
