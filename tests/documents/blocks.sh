#!/bin/bash
# Takes the commands and files out of the documents: each block fenced as `LANGUAGE WORD` in README.md and docs becomes
# DIRECTORY/FILE-LINE.WORD.LANGUAGE. The word says which test runs it; tests/tests/documents.rs knows all words.
# usage: blocks.sh DIRECTORY WORDS...
set -euo pipefail
directory=$(realpath -m "${1:?usage: blocks.sh DIRECTORY WORDS...}"); shift
cd "$(dirname "$0")/../.."
mkdir -p "$directory"
awk -v directory="$directory" -v words=" $* " '
    /^```/ {
        if (open) { open = 0; script = ""; next }
        open = 1
        if (!$2 || !index(words, " " $2 " ")) next
        name = FILENAME; sub(/.*\//, "", name); sub(/\.md$/, "", name)
        script = sprintf("%s/%s-%03d.%s.%s", directory, name, FNR, $2, substr($1, 4))
        next
    }
    script != "" { print >script }
' README.md $(find docs -name '*.md' | sort)
