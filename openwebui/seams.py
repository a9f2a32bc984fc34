"""The list of all that this deployment changes in Open WebUI 0.12.4, and of what it stands on there.

    python3 -m open_webui.private.seams

Run while the image is built, with an empty DATA_DIR. Ends with a sentence for each place that isn't as it was. Then it adds a call of
`install` to the end of each file of Open WebUI's that is named here, before others import from it, and proves that they have got ours.

A row: the place in Open WebUI, as "module:name.name"; the beginning of the SHA-256 of its source as it was when ours was written for it;
our file; what for. A row of `RELIED_ON` may have a phrase in the place of the SHA-256, which has to stand in that source. Open WebUI has
no official way for any of it: plugins are code in its database, which an admin session could change, so they are off.
"""

import gc
import importlib
import subprocess
import sys
from pathlib import Path

from . import replacing

# What is replaced, by `@replaces` in our file, by the module at whose end it is put in its place.
REPLACED = {
    # Before all routes, and all models of these.
    "open_webui.env": [
        ("fastapi.routing:APIRoute.__init__", "780ff510da36", "routes", "A route is looked into at its first request."),
        ("pydantic._internal._config:ConfigWrapper.for_model", "8b063e4859b2", "unused", "Models that nothing uses aren't built."),
    ],
    "open_webui.utils.middleware": [
        ("open_webui.utils.middleware:save_response_stream", "f54e72d78310", "answers", "An answer is stored while it is written."),
        ("open_webui.utils.middleware:process_chat_payload", "3cdf5d8d9ba8", "handover", "Hermes gets each file that a message comes with."),
        ("open_webui.utils.middleware:process_chat_payload", "3cdf5d8d9ba8", "turns", "What is ready for Hermes lets the next message begin."),
        ("open_webui.utils.middleware:chat_completion_files_handler", "22ff2bc07a13", "scans", "A scan's pages go along as pictures."),
        ("open_webui.utils.middleware:replace_skill_mentions_with_labels", "f9349d7dcf86", "titles", "A title can be read."),
    ],
    "open_webui.utils.chat": [
        ("open_webui.utils.chat:generate_chat_completion", "fdb1ec4d8d51", "continued", "An answer is gone on with."),
    ],
    "open_webui.utils.files": [
        ("open_webui.utils.files:convert_markdown_base64_images", "58e97200633a", "files", "Files of an answer are stored."),
    ],
    "open_webui.routers.openai": [
        ("open_webui.routers.openai:stream_wrapper", "9c5fef92873c", "failures", "A lost connection is a sentence in the answer."),
        ("open_webui.routers.openai:generate_chat_completion", "7843bd0800ae", "failures", "The same, where Hermes doesn't run; a failure is told once."),
        ("open_webui.routers.openai:get_all_models_responses", "0b465d2db8d5", "names", "The agent's name."),
        ("aiohttp.client:ClientSession._request", "32986b8105fa", "way_out", "No redirect is followed, whoever answers."),
        ("aiohttp.connector:TCPConnector._create_connection", "1fc9f0b5725d", "way_out", "The app reaches Hermes alone, by a Unix socket."),
    ],
    "open_webui.routers.files": [
        ("open_webui.routers.files:index_file", "7d7a93f8044c", "uploads", "What keeps an upload from being read stands in its place."),
        ("open_webui.retrieval.loaders.main:Loader.load", "2d5d5a8e4832", "uploads", "The extractor reads uploads."),
        ("open_webui.storage.provider:LocalStorageProvider.upload_file", "03f82fe23c6f", "uploads", "A file costs no memory."),
        ("open_webui.retrieval.vector.async_client:AsyncVectorDBClient.delete", "e9472d4e085f", "uploads", "There is no index to delete from."),
    ],
    "open_webui.routers.audio": [
        ("open_webui.routers.audio:_transcribe_openai", "1ee21f62197e", "voice", "Hermes turns speech into text; nothing of it is kept."),
        ("open_webui.routers.audio:_transcribe_whisper", "2d368d0b0bae", "voice", "Without a voice it is a sentence."),
        ("open_webui.routers.audio:transcription", "03d3a0748b03", "voice", "A size is looked at first."),
    ],
    "open_webui.routers.utils": [
        ("open_webui.routers.utils:download_db", "2b768d0143f3", "database", "An admin gets the database whole."),
    ],
    "open_webui.main": [
        ("open_webui.main:SPAStaticFiles.file_response", "a5b4f20447da", "assets", "The page's files are compressed, and kept by browsers."),
        ("uvicorn.server:Server.main_loop", "afccb353a119", "start", "It looks less often whether it is to end."),
    ],
}

# Values that Open WebUI computes at each start, though any of them does for good: what comes of it here stands in the file.
COMPUTED = [
    ("open_webui.models.auths:PLACEHOLDER_HASH", "f234cb12a39a", "seams", "With it a refused sign-in takes as long, whether or not there is such an account."),
]

# Our modules that have `register(module)` called at the end of one of Open WebUI's.
REGISTERED = {
    "open_webui.env": ["routes"],
    "open_webui.routers.audio": ["voice"],
    "open_webui.routers.utils": ["database"],
    "open_webui.main": ["identity", "languages", "leftovers", "loops", "own", "reports", "turns", "start"],
}

# Who else has to have ours, because it is imported from a place above.
IMPORTED = {
    "open_webui.utils.chat:generate_openai_chat_completion": "open_webui.routers.openai:generate_chat_completion",
    "open_webui.routers.pipelines:get_all_models_responses": "open_webui.routers.openai:get_all_models_responses",
    "open_webui.utils.middleware:convert_markdown_base64_images": "open_webui.utils.files:convert_markdown_base64_images",
    "open_webui.main:chat_completion_handler": "open_webui.utils.chat:generate_chat_completion",
    "open_webui.main:process_chat_payload": "open_webui.utils.middleware:process_chat_payload",
}

# What is used without being replaced.
RELIED_ON = [
    ("open_webui.models.chats:ChatTable.upsert_message_to_chat_by_id_and_message_id", "07012374d73d", "answers reports", "Stores a message."),
    ("open_webui.models.chats:ChatTable.insert_new_chat", "4d85fca2bcd5", "reports", "Makes a chat under an id of ours."),
    ("open_webui.models.chats:ChatTable.mark_chat_unread_by_id", "26ff595e3d88", "reports", "Marks it as unread."),
    ("open_webui.models.chats:ChatTable.insert_chat_files", "d8fb37f390ef", "files", "Whose file it is."),
    ("open_webui.models.users:UsersTable.get_super_admin_user", "ceb586cae0e3", "reports", "The first admin."),
    ("open_webui.models.users:UsersTable.update_user_settings_by_id", "324bf0a2c83f", "languages", "Keeps a language."),
    ("open_webui.models.files:FilesTable.insert_new_file", "a7c651ba70ee", "files", "Makes a file."),
    ("open_webui.models.files:FilesTable.update_file_data_by_id", "35ed6a5e92c3", "uploads", "The text of a file."),
    ("open_webui.utils.access_control.files:has_access_to_file", "5adf1e2bceb5", "handover scans", "Who may read a file."),
    ("open_webui.utils.headers:include_user_info_headers", "9a7fe44e7fba", "handover own", "Tells Hermes who asks."),
    ("open_webui.utils.auth:get_verified_user", "7320fe27888b", "own", "Whose session it is."),
    ("open_webui.utils.misc:update_message_content", "02b1743c4fd7", "handover", "Adds a line to a message."),
    ("open_webui.config:run_migrations", "2369f688c582", "app_start", "Left out where it would do nothing."),
    ("open_webui.config", "if ENABLE_DB_MIGRATIONS:\n    run_migrations()", "app_start", "The same."),
    ("open_webui.env", "os.getenv('ENABLE_DB_MIGRATIONS', 'True')", "app_start", "The same."),
    ("open_webui.main:lifespan", "app.state.periodic_socket_authentication = asyncio.create_task(", "loops", "A loop of Open WebUI's."),
    ("open_webui.main:lifespan", "app.state.periodic_usage_pool_cleanup = asyncio.create_task(", "loops", "The same."),
    ("open_webui.main:lifespan", "app.state.periodic_session_pool_cleanup = asyncio.create_task(", "loops", "The same."),
    ("open_webui.main:lifespan", "app.state.scheduler_worker_loop = asyncio.create_task(", "loops", "The same."),
    ("open_webui.tasks", "response_streams: ", "answers", "Answers that are being written."),
    ("open_webui.tasks", "tasks: ", "answers", "The same, as tasks."),
]


def install(name):
    """Puts in its place what belongs to the end of a module of Open WebUI. Raises as `replacing.find`."""
    for place, _, module, _ in REPLACED.get(name, ()):
        importlib.import_module(f"{__package__}.{module}")
        replacing.put(place, module)
    for module in REGISTERED.get(name, ()):
        importlib.import_module(f"{__package__}.{module}").register(sys.modules[name])


def main():
    """What isn't as it was, a sentence each; otherwise adds the calls."""
    importlib.import_module("open_webui.main")
    rows = [row for rows in REPLACED.values() for row in rows]
    if problems := replacing.changed([*rows, *COMPUTED, *RELIED_ON]):
        sys.exit("\n".join(problems))
    for place, *_ in COMPUTED:
        owner, name, value = replacing.find(place)
        file = Path(owner.__file__)
        file.write_text(file.read_text().replace(replacing.source(place), f"{name} = {value!r}"))
    for name in dict.fromkeys([*REPLACED, *REGISTERED]):
        with open(sys.modules[name].__file__, "a") as file:
            file.write("\nfrom open_webui.private import seams as private_seams\nprivate_seams.install(__name__)\n")
    sys.exit(subprocess.run([sys.executable, "-m", __spec__.name, "prove"]).returncode)


def prove():
    """In a process that has imported what was added: whether all that use it have ours."""
    importlib.import_module("open_webui.main")
    missing = [f"{user} isn't what stands in {place}" for user, place in IMPORTED.items() if replacing.find(user)[2] is not replacing.find(place)[2]]
    # What start.py has frozen isn't among the objects.
    gc.unfreeze()
    for name in ("routes", "unused"):
        missing += importlib.import_module(f"{__package__}.{name}").problems()
    missing += [f"{place} isn't replaced" for place, module in replacing.functions if not hasattr(replacing.find(place)[2], "__wrapped__")]
    sys.exit("\n".join(missing) or None)


if __name__ == "__main__":
    prove() if sys.argv[1:] else main()
