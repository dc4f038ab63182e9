# Completion of bash for the programs of RingTMP. Options come from the --help of the program that is
# being typed, so that they are those of that very build; strategies come from the scenario on the line,
# keys and parameters from --list.
#   . packaging/completion.bash        in the build tree; an installed one bash finds by itself

# Lines "OPTION PLACEHOLDER", from "  -V, --version  Print", "  --data=DIR  Look", "  --hosts FILE  A line".
_ringtmp_options() {
    local line
    "$1" --help 2>/dev/null | while IFS= read -r line; do
        if [[ $line =~ ^\ {2,6}(-.,\ )?(--[a-z][a-z-]*)([=\ ]([A-Z][A-Z:=/]*))? ]]; then
            echo "${BASH_REMATCH[2]} ${BASH_REMATCH[4]}"
        fi
    done
}

# Lines "LABEL<tab>KIND" of the strategies in a scenario.
_ringtmp_strategies() {
    local text element label
    [[ -r $1 && -f $1 ]] || return
    text=$(tr '\n' ' ' <"$1")
    grep -oE '<strategy [^>]*' <<<"$text" | while IFS= read -r element; do
        [[ $element =~ \ label=\"([^\"]*)\" ]] || continue
        label=${BASH_REMATCH[1]}
        [[ $element =~ \ kind=\"([^\"]*)\" ]] && printf '%s\t%s\n' "$label" "${BASH_REMATCH[1]}"
    done
}

# What --set may begin with: a key, or LABEL.PARAM with the parameters of that label's kind.
_ringtmp_keys() {
    local list=$("$1" --list 2>/dev/null) label kind parameter
    sed -n 's/^Keys of [^:]*: \(.*\) LABEL.PARAM$/\1/p' <<<"$list" | tr ' ' '\n'
    _ringtmp_strategies "$2" | while IFS=$'\t' read -r label kind; do
        sed -n "/^  $kind: /,/^\$/s/^      \([a-z-]*\)=\".*/\1/p" <<<"$list" |
            while read -r parameter; do echo "$label.$parameter"; done
    done
}

# Lines on standard input that begin with the word $1, quoted as bash wants them, with $2 behind.
_ringtmp_reply() {
    local candidate quoted
    while IFS= read -r candidate; do
        printf -v quoted %q "$candidate"
        [[ $candidate && $quoted == "$1"* ]] && COMPREPLY+=("$quoted$2")
    done
}

_ringtmp_files() { # WORD PATTERN: files that match, and folders to look in
    local path
    compopt -o filenames 2>/dev/null
    while IFS= read -r path; do
        if [[ -d $path || $path == $2 ]]; then COMPREPLY+=("$path"); fi
    done < <(compgen -f -- "$1")
}

_ringtmp_meters() {
    "${1/%ringcal/ringnode}" --meter help 2>/dev/null | sed -n 's/^  \([a-z0-9]*:\{0,1\}\).*/\1/p'
}

_ringtmp_argument() { # PROGRAM SCENARIO PLACEHOLDER WORD: an option's argument
    case $3 in
    FILE | PATH | DATASHEET) _ringtmp_files "$4" '*' ;;
    DIR | FOLDER) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$4") ;;
    LABEL) _ringtmp_reply "$4" '' < <(_ringtmp_strategies "$2" | cut -f 1) ;;
    KEY=VALUE) compopt -o nospace 2>/dev/null; _ringtmp_reply "$4" = < <(_ringtmp_keys "$1" "$2") ;;
    KIND) _ringtmp_reply "$4" '' < <(_ringtmp_meters "$1") ;;
    WHOSE) mapfile -t COMPREPLY < <(compgen -W 'own rank0' -- "$4") ;;
    esac
}

_ringtmp() {
    local program=$1 word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    local i scenario='' merge='' options option placeholder
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        --) program=${program/%ringdeploy/ringnode} ;; # what follows is for ringnode
        --merge) merge=yes ;;
        *.xml) [[ ${COMP_WORDS[i - 1]} == -* || ${COMP_WORDS[i - 1]} == = ]] || scenario=${COMP_WORDS[i]} ;;
        esac
    done
    # "=" is a word of its own: --json=FILE is three.
    if [[ $word == = ]]; then
        word=''
    elif [[ $before == = ]]; then
        before=${COMP_WORDS[COMP_CWORD - 2]}
        if ((COMP_CWORD > 3)) && [[ ${COMP_WORDS[COMP_CWORD - 3]} == --binary ]]; then # ARCH=PATH
            _ringtmp_files "$word" '*'
            return
        fi
    fi
    options=$(_ringtmp_options "$program")
    if [[ $before == --?* ]]; then
        while read -r option placeholder; do
            if [[ $option == "$before" && $placeholder ]]; then
                _ringtmp_argument "$program" "$scenario" "$placeholder" "$word"
                return
            fi
        done <<<"$options"
    fi
    if [[ $word == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(cut -d ' ' -f 1 <<<"$options")" -- "$word")
    elif [[ $merge ]]; then
        _ringtmp_files "$word" '*.json'
    else
        _ringtmp_files "$word" '*.xml'
    fi
}

complete -F _ringtmp ringsim ringnode ringcal ringboard ringdeploy
