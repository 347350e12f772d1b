#!/usr/bin/env bash
# Draws the pictures of the documentation again: make pictures. Needs tmux, to have a terminal to look at.
set -euo pipefail
cd "$(dirname "$0")"

for number in 3 4; do
    streamgru inspect builtin:shoulder --gates "builtin:$number" --steps 0:400 --output "gates-$number.png"
done

# The demo, as it stands in a real terminal after some seconds.
folder=$(mktemp -d)
trap 'TMUX_TMPDIR=$folder tmux kill-server 2>/dev/null || true; rm -rf "$folder"' EXIT
export TMUX_TMPDIR=$folder LC_ALL=C.UTF-8
tmux -f /dev/null new-session -d -x 110 -y 30 "streamgru demo --speed 1 --recordings 4"
sleep 12
tmux capture-pane -e -p >"$folder/screen"
python terminal_svg.py <"$folder/screen" >demo.svg
