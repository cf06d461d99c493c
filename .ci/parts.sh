# Sourced by the scripts beside it: `part NAME` begins a part, and at the end they print how many seconds each one took.
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
