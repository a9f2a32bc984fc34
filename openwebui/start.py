"""Switches the garbage collector on again, once all modules of the app are imported; start.pth has switched it off."""

import gc


def register(main):
    # What is there now stays; it needn't be looked through again.
    gc.collect()
    gc.freeze()
    gc.enable()
