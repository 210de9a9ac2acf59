#!/usr/bin/env bash
# Rebuild mini from PyPI and Debian packages alone: bash recipes/mini/run.sh [WORK_FOLDER] [MINUTES]
# Every step skips what is done, so a killed run goes on where it was. About 6 GB; two cores, 24 GiB.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=${1:-$HOME/auricle-work}
minutes=${2:-88}
python=${PYTHON:-python3}
data=$work/data packages=$work/packages start=$work/start run=$work/run
export MALLOC_ARENA_MAX=2 # glibc otherwise keeps what ragged batches once took

step() { echo "=== $*"; }

step "0 tools: Debian's synthesisers, the recipe's Python packages"
apt-get install -y -qq flite flite1-dev festival festvox-kdlpc16k festvox-us-slt-hts espeak-ng
"$python" -m pip install --quiet -e ".[recipe]"

step "1 parts: Whisper-base's encoder, SmolLM2-135M-Instruct, a random projector"
"$python" recipes/mini/parts.py --packages "$packages" --out "$start"
"$python" recipes/mini/check_parts.py --packages "$packages" --start "$start"

step "2 human speech: prompts, an audiobook (test only), object names, three adventure games; noise"
"$python" recipes/mini/human.py --data "$data" --packages "$packages"
"$python" recipes/mini/talkies.py --data "$data" --packages "$packages"
"$python" recipes/mini/noise.py --data "$data" --packages "$packages"

step "3 synthetic speech: 32,000 texts, 12 distinct voices"
"$python" recipes/mini/texts.py --data "$data" --packages "$packages"
"$python" recipes/mini/synthesise.py --data "$data" --packages "$packages" --hours 4 --workers 2

step "4 the text model's own answers, replayed in training"
[ -s "$data/replay.jsonl" ] || "$python" recipes/mini/replay.py --start "$start" --out "$data/replay.jsonl"

step "5 training: $minutes minutes"
"$python" recipes/mini/train.py --data "$data" --start "$start" --run "$run" --minutes "$minutes"

step "6 manifests of what was trained on and what is held out"
"$python" recipes/mini/manifest.py --data "$data"

step "7 quantise, ship, score"
"$python" recipes/mini/ship.py --model "$run/model" --start "$start" --out src/auricle/assets/mini
"$python" recipes/mini/score.py --data "$data" --model "$run/model" --dtype bfloat16 --json "$work/bf16.json"
"$python" recipes/mini/score.py --data "$data" --model mini --json "$work/mini.json"
