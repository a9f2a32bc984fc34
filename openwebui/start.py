"""What half a CPU needs once all modules of the app are imported (docs/figures.md).

- The garbage collector is switched on again; app_start.py has switched it off.
- Uvicorn looks twice a second whether it is to end. It would look ten times, which is a third of what the app does while nobody is there.
"""

import asyncio
import gc

from .replacing import replaces


@replaces("uvicorn.server:Server.main_loop")
async def main_loop(original, self):
    # With 0 it also notes the time, for the answers' headers.
    while not await self.on_tick(0):
        await asyncio.sleep(0.5)


def register(main):
    # What is there now stays; it needn't be looked through again, now or ever.
    gc.freeze()
    gc.enable()
