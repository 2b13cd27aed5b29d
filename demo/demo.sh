#!/usr/bin/env bash
# The whole story on this machine alone: sign in at an emulated service with a real approval page, ask
# the embedded model through that sign-in, see what was used and what is left, sign out.
set -euo pipefail

# A home and a folder of its own: no settings, logins or .env of yours have a say in it.
work="$(mktemp -d)"
models="${XDG_CACHE_HOME:-$HOME/.cache}/qwen-code-demo/models"
export QWEN_HOME="$work/home"
mkdir -p "$QWEN_HOME" "$work/project" "$models"
ln -s "$models" "$QWEN_HOME/models"
cd "$work/project"
touch .env
for name in $(compgen -e); do
  case "$name" in LLAMA_* | OPENAI_* | AZURE_OPENAI_* | *_API_KEY | QWEN_OAUTH_*) unset "$name" ;; esac
done

emulator=
finish() {
  if [ -n "$emulator" ]; then kill "$emulator" 2> /dev/null || true; wait "$emulator" 2> /dev/null || true; fi
  rm -rf "$work"
}
trap finish EXIT

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

approve=(--approve)
if [ -t 0 ] && [ -t 1 ]; then
  printf '\nThe sign-in has a page to approve it. Do that yourself, in a browser on this machine? [y/N] '
  if read -r -t 30 answer && [[ "$answer" == [yY]* ]]; then approve=(); fi
fi
printf '\n$ qwen emulator --local %s&\n' "${approve[*]:+${approve[*]} }"
qwen emulator --local --interval 1 "${approve[@]}" --json > "$work/emulator.json" &
emulator=$!
for _ in $(seq 600); do
  [ -s "$work/emulator.json" ] && break
  kill -0 "$emulator" 2> /dev/null || { echo "the emulator did not start" >&2; exit 1; }
  sleep 0.1
done
address="$(python -c 'import json, sys; print(json.load(open(sys.argv[1]))["base_url"])' "$work/emulator.json")"
export QWEN_OAUTH_BASE_URL="$address"
printf '$ export QWEN_OAUTH_BASE_URL=%s\n' "$address"

show qwen auth login --method qwen-oauth
show qwen -p 'Write a Python function that tells whether a word is a palindrome.'
show qwen auth status
show qwen auth explain
show qwen auth logout
printf '\nYour turn: qwen auth login   (or: qwen local pull, then qwen --auth-type local)\n'
