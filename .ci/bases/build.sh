#!/usr/bin/env bash
#
# Makes sure that the base images of this repository's Dockerfiles exist in the local Docker engine,
# also where no container registry can be reached.
#
#   build.sh [IMAGE | DOCKERFILE ...]
#
# A Dockerfile (a path that ends in /Dockerfile) stands for every image named by FROM and COPY --from in it. Default: the
# repository's Dockerfiles without those of test/stand-ins/{builder,registry}, which not every run needs.
#
# For each image, in this order: one that is here already is kept; otherwise it is pulled; otherwise a
# stand-in of the same name is built from packages (Debian, PyPI, the Go module proxy). A stand-in carries
# the label `stand-in`; the next run that reaches a registry replaces it by the real image, and a run after
# a change of its recipe (the files in its folder here) builds it again. One line per image says what it is now.
#
# Of an image with a digest (NAME:TAG@sha256:...) the stand-in has the name and tag only, and a line says so. Docker finds
# no stand-in under a digest: whoever builds the Dockerfile takes the digest off (withoutImitatedDigests in test/harness/docker.ts).
#
# A stand-in proves that our own layers build and work on the same interpreter, distribution and application
# version. What it does not imitate:
#   python:*       Python is Debian's build of the minor version in the tag (a venv at /usr/local, so that paths, `pip` and
#                  `python -m venv` are as in the official image): another patch level, pip and set of compiled-in
#                  options, no IDLE or headers. In the place of 3.12, which no Debian has had, stands Debian 12's 3.11,
#                  on Debian 13 all the same. The host's own certificate authorities are trusted, by pip too
#                  (/etc/pip.conf), because a network without a registry usually inspects TLS.
#   */open-webui:* Built from the PyPI wheel of the version in the tag with its own requirements-slim.txt, on the
#                  python:* stand-in of upstream's Python and Debian: direct dependencies have upstream's versions,
#                  indirect ones the newest. Own start.sh without upstream's Ollama, CUDA and Hugging Face Space
#                  branches. Of upstream's Debian packages only curl and jq. No build number.
#   tailscale/*    Only the static binaries `tailscale` and `tailscaled`, for COPY --from: no shell, no
#                  containerboot, no iptables, and without upstream's Kubernetes build tags.
#   restic/*       Only the static binary, for COPY --from: no shell, no FUSE, no ssh.
#   golang:*       The Go release of the tag, from the Go module proxy, on a python:* stand-in: no C compiler, no git. Its build
#                  cache has what Tailscale is made of.
#   moby/buildkit:* Compiled from the Go module of the tag, on a python:* stand-in with Debian's runc: no emulators,
#                  CNI plugins or git, and without upstream's wrapper that mends cgroup v2 under Kubernetes.
# Sizes, layers and digests are never those of the real images.
#
# Needs for stand-ins: Linux on amd64, root and mmdebstrap, which is installed where it is missing. Exits non-zero with
# one sentence when an image can neither be found, pulled nor imitated.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(cd "$here/../.." && pwd)
LABEL=stand-in
# What upstream's Dockerfile of the slim image starts from.
OPEN_WEBUI_PYTHON=python:3.12-slim-trixie
# A reachable registry delivers in a minute or two, an unreachable one fails by itself within 15 s.
PULL_SECONDS=600

die() {
  echo "bases: $*" >&2
  exit 1
}

# Makes sure of an image that a stand-in is built on: one that is here already is a real one, or of this recipe.
need() { # IMAGE
  local found
  if ! found=$(recipe_in "$1") || [[ -n $found && $found != "$(recipe_of "$1")" ]]; then ensure "$1"; fi
}

# What makes a stand-in what it is: the folders whose files get into it.
recipe_of() { # IMAGE
  local folders
  case $1 in
    python:*) folders=python ;;
    */open-webui:*) folders="python open-webui" ;;
    moby/buildkit:*) folders="python buildkit" ;;
    *) folders=${1%%[:/]*} ;;
  esac
  (cd "$here" && for folder in $folders; do cat "$folder"/*; done) | cksum | tr ' ' -
}

# Prints the images that the given Dockerfile starts from or copies from, without its own stages. Knows
# `ARG NAME=default`, the form in which one version serves two FROM lines.
images_of() {
  awk '
    toupper($1) == "ARG" && (i = index($2, "=")) { value[substr($2, 1, i - 1)] = substr($2, i + 1) }
    toupper($1) == "FROM" { i = ($2 ~ /^--/) ? 3 : 2; use($i); if (toupper($(i + 1)) == "AS") stage[$(i + 2)] }
    toupper($1) == "COPY" { for (i = 2; i <= NF; i++) if (sub(/^--from=/, "", $i)) use($i) }
    function use(image, name) {
      name = image
      if (gsub(/^\$\{?|\}$/, "", name)) image = value[name]
      if (image != "scratch" && image !~ /^[0-9]+$/ && !(image in stage)) print image
    }' "$1"
}

# Fails when the image is missing; otherwise prints the recipe of a stand-in, or nothing for a real image.
recipe_in() {
  docker image inspect --format "{{index .Config.Labels \"$LABEL\"}}" "$1" 2>/dev/null
}

# Prints why it failed.
pull() {
  local limit=()
  # macOS has none; --foreground keeps it in the process group that clean_up ends.
  if command -v timeout >/dev/null; then limit=(timeout --foreground "$PULL_SECONDS"); fi
  { ${limit[@]+"${limit[@]}"} docker pull --quiet --platform linux/amd64 "$1" >/dev/null; } 2>&1
}

ensure() {
  local image=$1 found recipe reason started=$SECONDS
  if found=$(recipe_in "$image") && [ -z "$found" ]; then
    echo "bases: $image: here"
    return
  elif reason=$(pull "$image"); then
    echo "bases: $image: pulled"
    return
  elif [[ $image == *@* ]]; then
    echo "bases: $image: the digest is taken off, because it can't be pulled: ${reason##*$'\n'}"
    ensure "${image%@*}"
    return
  fi
  recipe=$(recipe_of "$image")
  if [ "$found" = "$recipe" ]; then
    echo "bases: $image: stand-in, here"
  else
    echo "bases: $image: building a stand-in, because it can't be pulled: ${reason##*$'\n'}"
    stand_in "$image" "$recipe"
    echo "bases: $image: stand-in, built in $((SECONDS - started)) s"
  fi
}

stand_in() { # IMAGE RECIPE
  case $1 in
    python:*-slim-*) python_stand_in "$@" ;;
    */open-webui:v*-slim) open_webui_stand_in "$@" ;;
    tailscale/tailscale:v*) tailscale_stand_in "$@" ;;
    restic/restic:*) restic_stand_in "$@" ;;
    golang:*) golang_stand_in "$@" ;;
    moby/buildkit:v*) buildkit_stand_in "$@" ;;
    *) die "there is no recipe for a stand-in for $1 in .ci/bases" ;;
  esac
}

need_mmdebstrap() { # IMAGE
  command -v mmdebstrap >/dev/null && return
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    die "the stand-in for $1 is made by root with Debian's mmdebstrap: reach a registry, or run this as root on Debian"
  fi
  echo "bases: installing mmdebstrap with apt-get"
  logged "$1" sh -c 'apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends mmdebstrap'
}

python_stand_in() {
  local image=$1 recipe=$2 tag=${1#*:} version root
  version=$(cut -d . -f 1,2 <<<"${tag%%-*}")
  # Both chains may come here at once, and apt-get does one thing at a time.
  {
    ! command -v flock >/dev/null || flock 9 # not on macOS, which gets a sentence instead
    need_mmdebstrap "$image"
  } 9>"$scratch/apt"
  root=$(mktemp "$scratch/python.XXXXXX.tar")
  logged "$image" "$here/python/build.sh" "$version" "${tag##*-}" "$root"
  docker import --change "LABEL $LABEL=$recipe" \
    --change 'ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin' \
    --change 'ENV LANG=C.UTF-8' --change 'CMD ["python3"]' \
    "$root" "$image" >/dev/null
}

open_webui_stand_in() {
  local version=${1##*:v}
  need "$OPEN_WEBUI_PYTHON"
  dockerfile_stand_in "$@" open-webui "PYTHON=$OPEN_WEBUI_PYTHON" "VERSION=${version%-slim}"
}

golang_stand_in() {
  local tag=${1#*:}
  need "$python"
  dockerfile_stand_in "$@" golang "PYTHON=$python" "VERSION=${tag%%-*}" "TAILSCALE=${tailscale##*:v}"
}

tailscale_stand_in() {
  need "$golang"
  dockerfile_stand_in "$@" tailscale "GOLANG=$golang" "VERSION=${1##*:v}"
}

restic_stand_in() {
  need "$golang"
  dockerfile_stand_in "$@" restic "GOLANG=$golang" "VERSION=${1##*:}"
}

buildkit_stand_in() {
  need "$python"
  need "$golang"
  dockerfile_stand_in "$@" buildkit "PYTHON=$python" "GOLANG=$golang" "VERSION=${1##*:}"
}

dockerfile_stand_in() { # IMAGE RECIPE FOLDER ARGUMENT=VALUE ...
  local image=$1 recipe=$2 folder=$3 argument arguments=()
  shift 3
  for argument; do arguments+=(--build-arg "$argument"); done
  logged "$image" docker build --tag "$image" --label "$LABEL=$recipe" "${arguments[@]}" "$here/$folder"
}

# Runs a long command quietly; its output appears only when it fails.
logged() { # IMAGE COMMAND ...
  local image=$1 log reason
  log=$(mktemp "$scratch/log.XXXXXX")
  shift
  if ! "$@" >"$log" 2>&1; then
    reason=$(sed -n 's/^bases: //p' "$log")
    [ -z "$reason" ] || die "the stand-in for $image can't be built: $reason"
    tail -n 40 "$log" >&2
    die "building the stand-in for $image failed; the end of its log stands above"
  fi
}

ensure_each() { # NAMES, separated by white space
  local image
  trap 'exit 143' TERM # with a trap, bash outlives the builder that it waits for; see clean_up
  for image in $1; do ensure "$image"; done
}

chains() { # NAMES ...: each list by itself, side by side
  local names job
  jobs=
  set -m # each in a process group of its own
  for names; do
    ensure_each "$names" &
    jobs+=" $!"
  done
  set +m
  for job in $jobs; do wait "$job"; done
}

# Ends the builders, whole process groups, and waits for them: they clean up inside the folder removed here.
clean_up() {
  local job
  trap '' INT TERM
  for job in $jobs; do kill -- "-$job" 2>/dev/null || true; done
  wait 2>/dev/null
  rm -rf "$scratch"
}

docker version >/dev/null 2>&1 || die "no Docker engine answers: start Docker, or set DOCKER_HOST"

[ $# -gt 0 ] || set -- "$repository"/{hermes,openwebui,test/stand-ins/{tailscale,internet,modal,laptop}}/Dockerfile
images=$(for name; do case $name in */Dockerfile) images_of "$name" ;; *) echo "$name" ;; esac; done | sort -u)
# What the other stand-ins are built on, and compiled in.
python=$(grep -o -m 1 'python:[^ @]*' "$repository/hermes/Dockerfile")
golang=$(grep -o -m 1 'golang:[^ @]*' "$repository/test/stand-ins/tailscale/Dockerfile")
tailscale=$(grep -o -m 1 'tailscale/tailscale:v[^ @]*' "$repository/openwebui/Dockerfile")

scratch=$(mktemp -d "${TMPDIR:-/tmp}/bases.XXXXXX")
export TMPDIR=$scratch
jobs=
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Compiling Go takes the processor while Debian and PyPI mostly wait for the network. No stand-in is built in both: Open WebUI's
# has a Python of its own.
chains "$(grep -F -x "$OPEN_WEBUI_PYTHON" <<<"$images"; grep -v -e '^python:' -e '^golang:' -e '^tailscale/' -e '^restic/' -e '^moby/' <<<"$images")" \
  "$(grep '^python:' <<<"$images" | grep -v -F -x "$OPEN_WEBUI_PYTHON"; grep '^golang:' <<<"$images"; grep -e '^tailscale/' -e '^restic/' -e '^moby/' <<<"$images")"
