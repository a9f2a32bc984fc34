#!/usr/bin/env bash
#
# Makes sure that the base images of this repository's Dockerfiles exist in the local Docker engine,
# also where no container registry can be reached.
#
#   build.sh [IMAGE | DOCKERFILE ...]
#
# A Dockerfile (a path that ends in /Dockerfile) stands for every image named by FROM and COPY --from in it. Default: the
# repository's Dockerfiles without those of test/engine, which not every run needs.
#
# For each image, in this order: one that is here already is kept; otherwise it is pulled; otherwise a
# stand-in of the same name is built from packages (Debian, PyPI, the Go module proxy). A stand-in carries
# the label `stand-in`; the next run that reaches a registry replaces it by the real image, and a run after
# a change of the recipe (any file in this folder) builds it again. One line per image says what it is now.
#
# A stand-in proves that our own layers build and work on the same interpreter, distribution and application
# version. What it does not imitate:
#   python:*       Python is Debian's build of the minor version in the tag (a venv at /usr/local, so that
#                  paths, `pip` and `python -m venv` are as in the official image): another patch level, pip
#                  and set of compiled-in options, no IDLE or headers. The host's own certificate
#                  authorities are trusted, by pip too (/etc/pip.conf), because a network without a
#                  registry usually inspects TLS.
#   */open-webui:* Built from the PyPI wheel of the version in the tag with its own requirements-slim.txt:
#                  direct dependencies have upstream's versions, indirect ones the newest. Own start.sh
#                  without upstream's Ollama, CUDA and Hugging Face Space branches. No build number.
#   tailscale/*    Only the static binaries `tailscale` and `tailscaled`, for COPY --from: no shell, no
#                  containerboot, no iptables, and without upstream's Kubernetes build tags.
#   golang:*       The Go release of the tag, from the Go module proxy, on the python:* stand-in: no C compiler, no git.
#   moby/buildkit:* Compiled from the Go module of the tag, on the python:* stand-in with Debian's runc: no emulators,
#                  CNI plugins or git, and without upstream's wrapper that mends cgroup v2 under Kubernetes.
# Sizes, layers and digests are never those of the real images.
#
# Needs for stand-ins: Linux on amd64, root and mmdebstrap, which is installed where it is missing. Exits non-zero with
# one sentence when an image can neither be found, pulled nor imitated.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(cd "$here/../../.." && pwd)
LABEL=stand-in
# A reachable registry delivers in a minute or two, an unreachable one fails by itself within 15 s.
PULL_SECONDS=600

die() {
  echo "bases: $*" >&2
  exit 1
}

need_python() { # IMAGE
  [ -n "$python" ] || die "the stand-in for $1 is built on a python:* image: name one as well"
}

need_golang() {
  docker image inspect "$golang" >/dev/null 2>&1 || ensure "$golang"
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
  local image=$1 found reason started=$SECONDS
  if found=$(recipe_in "$image") && [ -z "$found" ]; then
    echo "bases: $image: here"
  elif reason=$(pull "$image"); then
    echo "bases: $image: pulled"
  elif [ "$found" = "$recipe" ]; then
    echo "bases: $image: stand-in, here"
  else
    echo "bases: $image: building a stand-in, because it can't be pulled: ${reason##*$'\n'}"
    stand_in "$image"
    echo "bases: $image: stand-in, built in $((SECONDS - started)) s"
  fi
}

stand_in() {
  case $1 in
    *@sha256:*) die "the digest of $1 can't be imitated: reach a registry, or give a tag only" ;;
    python:*-slim-*) python_stand_in "$1" ;;
    */open-webui:v*-slim) open_webui_stand_in "$1" ;;
    tailscale/tailscale:v*) tailscale_stand_in "$1" ;;
    golang:*) golang_stand_in "$1" ;;
    moby/buildkit:v*) buildkit_stand_in "$1" ;;
    *) die "there is no recipe for a stand-in for $1 in test/containers/bases" ;;
  esac
}

python_stand_in() {
  local image=$1 tag=${1#*:}
  local suite=${tag##*-} version
  version=$(cut -d . -f 1,2 <<<"${tag%%-*}")
  if ! command -v mmdebstrap >/dev/null; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
      die "the stand-in for $image is made by root with Debian's mmdebstrap: reach a registry, or run this as root on Debian"
    fi
    echo "bases: installing mmdebstrap with apt-get"
    logged "$image" sh -c 'apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends mmdebstrap'
  fi
  # usr-is-merged: otherwise apt picks usrmerge, which drags 45 MB of Perl along. The dpkg options stay in
  # the image, as in Debian's slim images.
  PYTHON_VERSION=$version logged "$image" mmdebstrap --variant=minbase \
    --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
    --include=usr-is-merged,ca-certificates,netbase,tzdata,python3,python3-venv \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/info/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --customize-hook="$here/python/customize.sh" \
    "$suite" "$scratch/python.tar"
  docker import --change "LABEL $LABEL=$recipe" \
    --change 'ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin' \
    --change 'ENV LANG=C.UTF-8' --change 'CMD ["python3"]' \
    "$scratch/python.tar" "$image" >/dev/null
}

open_webui_stand_in() {
  local image=$1 version=${1##*:v}
  need_python "$image"
  logged "$image" docker build --tag "$image" --label "$LABEL=$recipe" \
    --build-arg "PYTHON=$python" --build-arg "VERSION=${version%-slim}" "$here/open-webui"
}

golang_stand_in() {
  local image=$1 tag=${1#*:}
  need_python "$image"
  logged "$image" docker build --tag "$image" --label "$LABEL=$recipe" \
    --build-arg "PYTHON=$python" --build-arg "VERSION=${tag%%-*}" "$here/golang"
}

tailscale_stand_in() {
  local image=$1 version=${1##*:v}
  need_golang
  logged "$image" docker build --tag "$image" --label "$LABEL=$recipe" \
    --build-arg "GOLANG=$golang" --build-arg "VERSION=$version" "$here/tailscale"
}

buildkit_stand_in() {
  local image=$1 version=${1##*:}
  need_python "$image"
  need_golang
  logged "$image" docker build --tag "$image" --label "$LABEL=$recipe" \
    --build-arg "PYTHON=$python" --build-arg "GOLANG=$golang" --build-arg "VERSION=$version" "$here/buildkit"
}

# Runs a long command quietly; its output appears only when it fails.
logged() { # IMAGE COMMAND ...
  local image=$1 log
  log=$(mktemp "$scratch/log.XXXXXX")
  shift
  if ! "$@" >"$log" 2>&1; then
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

[ $# -gt 0 ] || set -- "$repository"/{hermes,openwebui,test/*}/Dockerfile
images=$(for name; do case $name in */Dockerfile) images_of "$name" ;; *) echo "$name" ;; esac; done | sort -u)
python=$(grep -m 1 '^python:' <<<"$images" || true)
# What the other stand-ins in Go are compiled in.
golang=$(grep -o -m 1 'golang:[^ ]*' "$repository/test/control/Dockerfile")
recipe=$(cat "$here"/*.sh "$here"/*/* | cksum | tr ' ' -)

scratch=$(mktemp -d "${TMPDIR:-/tmp}/bases.XXXXXX")
export TMPDIR=$scratch
jobs=
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Other stand-ins are built on Python's. Compiling Go takes the processor while PyPI mostly waits for the network.
chains "$(grep '^python:' <<<"$images")"
chains "$(grep -v -e '^python:' -e '^golang:' -e '^tailscale/' -e '^moby/' <<<"$images")" \
  "$(grep '^golang:' <<<"$images"; grep -e '^tailscale/' -e '^moby/' <<<"$images")"
