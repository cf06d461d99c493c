# Sourced by the scripts in this folder: `part NAME` begins a part, and at the end they print how many seconds each one took.
# `environment FOLDER PACKAGES…` makes an environment, unless it is there for this commit, without compiled kernels.

# Python keeps the bytecode of what is imported: uv does not compile it in advance.
unset PYTHONDONTWRITEBYTECODE

environment() {
    local commit
    commit=$(git rev-parse HEAD)
    [ "$(cat "$1/.installed" 2> /dev/null)" != "$commit" ] || return 0
    [ -x .venv/uv/bin/uv ] || { python3 -m venv .venv/uv && .venv/uv/bin/pip install --quiet uv; }
    python3 -m venv "$1"
    FASTLIN_BUILD_KERNELS=0 .venv/uv/bin/uv pip install --quiet --python "$1" "${@:2}"
    echo "$commit" > "$1/.installed"
}

took=''
part=''

end_part() {
    [ -z "$part" ] || took+=$(printf '%6d s  %s' $((SECONDS - began)) "$part")$'\n'
    part=''
}

part() {
    end_part
    part=$1
    began=$SECONDS
    echo "+ $part"
}

print_parts() {
    end_part
    [ -z "$took" ] || printf 'Parts of %s:\n%s%6d s  in all\n' "$0" "$took" "$SECONDS"
}
trap print_parts EXIT
