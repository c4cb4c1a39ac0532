#!/bin/sh
# Runs a command on the screen there is, else on a virtual one.
if [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ] || [ "$(uname)" != Linux ]; then
    exec "$@"
fi
COLDATOMS_HEADLESS=1 exec xvfb-run -a -s "-screen 0 1600x1000x24" "$@"
