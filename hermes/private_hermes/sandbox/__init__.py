"""Runs the agent's commands, files and code in Modal: a sandbox for each person, whose files are never lost.

Hermes 0.19.0 has a Modal environment of its own. With it no file is written, one Stop ends everybody's sandbox, a dead one is never
noticed, and a billing error throws the saved files away. So this is another one, on Hermes' base class (tools/environments/base.py).
Of this, Hermes 0.22 has fixed the writing of files alone; it has a place where an environment like this one is registered
(`register_terminal_environment_provider`).

people.py decides which person a command belongs to. All of a person's chats and jobs share one (PersonSandbox); the folder, what
was exported and an activated environment are each chat's own (ChatEnvironment).

When: a sandbox is made for the first command and not before. It is saved within the first minute and every few minutes while it is
used, and saved and ended when it was idle, and when the gateway stops. One that a killed gateway left behind, or that couldn't be saved
before the platform's minute was over, is saved and ended at the next start. Two saves are kept for each person, in the order of
sandboxes.json on the disk. A save that Modal doesn't find stays in that list until two newer ones have taken its place.

How: a command is a script in the arguments of an exec, or at the head of its standard input where it is long. It runs under `timeout`
in a group of processes that can be ended by itself. What it writes comes back with its exit code as the last line, so that a command
costs two calls; what is too much is left out in the sandbox, before it costs memory here.

What goes in is the command, the files that the agent writes and those that the person gives (handover.py); what comes out is what a
command prints, and a file that an answer names (files.py). Hermes' ways to copy skills, caches and credentials in, and changes of skills
out (tools/environments/file_sync.py), have no part in it.

Where: each module imports those above it and none below.

    limits.py         bytes, seconds, and names in the sandbox
    settings.py       the variables SANDBOX_*
    scripts/          the programs that run in a sandbox, in bash
    modal_client.py   Modal's client, and what its errors mean
    records.py        what is saved, on the disk
    person.py         a person's sandbox: made, used, saved, ended
    everybody.py      all of them, from the start of the gateway to its stop
    environment.py    what Hermes sees
"""
