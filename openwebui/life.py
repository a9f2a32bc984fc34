"""Lets something live with the app of Open WebUI: it begins once that has started, and ends before that does."""

from contextlib import asynccontextmanager


def live_with(app, life):
    """`life` makes an async context manager, which is entered after the app has started and left before it stops."""
    lifespan = app.router.lifespan_context

    @asynccontextmanager
    async def both(app):
        async with lifespan(app) as state, life():
            yield state

    app.router.lifespan_context = both
