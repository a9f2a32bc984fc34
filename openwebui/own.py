"""Gives the page what is a person's own at Hermes, by Hermes' routes beside the chats (hermes/private_hermes/own.py).

Who asks is the account of the session, and nothing that a browser sends: the headers that name it are made here, as for a chat, and of a
request its path alone goes on.
"""

from typing import Literal
from urllib.parse import quote

from fastapi import APIRouter, Depends, HTTPException
from open_webui.private.failures import in_words
from open_webui.private.handover import OUT_OF_REACH, call
from open_webui.private.languages import language, translated
from open_webui.utils.auth import get_verified_user

router = APIRouter(prefix="/api/v1/own")


async def ask(method, path, user, **more):
    said = await call(method, f"/own{path}", user, **more)
    if reason := said.get("error"):
        raise HTTPException(502 if reason == OUT_OF_REACH else 400, translated(reason))
    return said


@router.get("")
async def listed(user=Depends(get_verified_user)):
    said = await ask("GET", "", user)
    for job in said["job"]:
        job["reason"] = job["reason"] and in_words(job["reason"], user.role == "admin", language.get())
    return said


@router.post("/{id}/{action}")
async def change(id: str, action: Literal["remove", "pause", "resume"], user=Depends(get_verified_user)):
    return await ask("POST", f"/{quote(id, safe='')}/{action}", user)


@router.get("/costs")
async def costs(chat: str = "", user=Depends(get_verified_user)):
    return await ask("GET", "/costs", user, params={"chat": chat})


def register(main):
    # Before the page's own files, which are looked for under every path.
    main.app.router.routes[:0] = router.routes
