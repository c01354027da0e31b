#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# In public headers, each function has a comment: before it, or behind it on its line.
# Functions on adjoining lines may share the one before the first.
. "$(dirname "$0")/lib.sh"

while IFS= read -r line; do
	finding "$line has no comment"
done < <(files -path 'include/*' -name '*.h' -exec awk '
	FNR == 1 { commented = 0; inside = 0 }
	/\*\/[ \t]*$/ { commented = 1 }
	/^[a-z].*[ *][a-z_0-9]+\(/ && !/^(typedef|#|static inline)/ {
		inside = 1
		if (!commented && !/\*\/[ \t]*$/)
			print FILENAME ":" FNR ": " $0
	}
	# A declaration may have several lines; the comment counts until a blank line.
	inside && /;/ { inside = 0; next }
	/^[ \t]*$/ { commented = 0 }
	/^(struct|enum|union|#)/ { commented = 0 }' {} +)
verdict
