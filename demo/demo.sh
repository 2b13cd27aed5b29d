#!/usr/bin/env bash
# The main job on the embedded default: no account, no key, and after the first run no network.
set -euo pipefail

# A home and a folder of its own: no settings, logins or .env of yours have a say in it.
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
export QWEN_HOME="$work/home"
models="${XDG_CACHE_HOME:-$HOME/.cache}/qwen-code-demo/models"
mkdir -p "$QWEN_HOME" "$work/project" "$models"
ln -s "$models" "$QWEN_HOME/models"
cd "$work/project"

show() {
  printf '\n$'
  for word in "$@"; do
    case "$word" in
      *[\ \'?]*) printf " '%s'" "$word" ;;
      *) printf ' %s' "$word" ;;
    esac
  done
  printf '\n'
  "$@"
}

show qwen --version
show qwen local pull --source pypi
show qwen --auth-type local -p 'Write a Python function that tells whether a word is a palindrome.'
show qwen auth status --auth-type local
show qwen auth explain --auth-type local
printf '\nYour turn: qwen auth login   (or: qwen local pull, then qwen --auth-type local)\n'
