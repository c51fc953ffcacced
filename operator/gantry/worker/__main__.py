"""`python -m gantry.worker fetch|publish|not-performed`.

Somebody waits for every one of these processes, and most of what they do is importing.
"""

import gc
import os
import sys

# Before anything else is imported: modules are many objects and no garbage, and at the default of 700 publish looks for some a fifth of its time.
gc.set_threshold(50_000, 20, 50)

from .container import main  # noqa: E402

if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # a download or an import that still hangs in a thread must not hold the pod
