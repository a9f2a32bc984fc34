"""Switches the garbage collector on again, once all modules of the app are imported; app_start.py has switched it off."""

import gc


def register(main):
    # What is there now stays; it needn't be looked through again, now or ever.
    gc.freeze()
    gc.enable()
