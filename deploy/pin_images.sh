#!/usr/bin/env bash
# Writes into files which image each `NAME:TAG@sha256:…` is now: a tag may be moved, a digest may not.
#
#     bash deploy/pin_images.sh deploy/Dockerfile          # before `docker build`
#     bash deploy/pin_images.sh cluster.yaml               # after `docker push`; or deploy/rayjob.yaml
#
# Needs `docker` with buildx, logged in to the registries; asks them, and downloads no image.
set -euo pipefail

fail() { echo "pin_images: $1" >&2; exit 2; }

[ $# -ge 1 ] || fail "files wanted, such as deploy/Dockerfile"
command -v docker >/dev/null || fail "the 'docker' command is missing"
for file in "$@"; do
    [ -f "$file" ] || fail "there is no file '$file'"
    names=$(grep -oE '[a-z0-9][a-z0-9./_-]*:[A-Za-z0-9._-]+@sha256:[0-9a-f]{64}' "$file" | sed 's/@.*//' | sort -u) \
        || fail "'$file' names no image as NAME:TAG@sha256:…"
    for name in $names; do
        digest=$(docker buildx imagetools inspect "$name" --format '{{.Manifest.Digest}}') \
            || fail "no registry has '$name'; push it first, or log in"
        [[ $digest =~ ^sha256:[0-9a-f]{64}$ ]] || fail "'$name' has no digest but '$digest'"
        sed -i "s|${name}@sha256:[0-9a-f]*|${name}@${digest}|g" "$file"
        echo "$file: $name@$digest"
    done
done
