# The scripts in this folder source this file. `part NAME` begins a part, and a script prints the seconds of its parts at
# the end. `environment FOLDER PACKAGES…` creates an environment without compiled kernels, unless it exists for this
# commit.

# Python saves the bytecode of imported modules, so uv does not compile all modules in advance.
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
