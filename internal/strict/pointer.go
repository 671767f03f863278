package strict

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxName bounds one name inside a pointer: a guest chooses the names, and
// every problem carries a pointer.
const maxName = 128

// Join appends a name to a JSON pointer (RFC 6901), escaping it and cutting
// what is longer than 128 bytes.
func Join(pointer, name string) string {
	if len(name) > maxName {
		end := maxName
		for end > 0 && !utf8.RuneStart(name[end]) {
			end--
		}
		name = name[:end] + "..."
	}
	if strings.ContainsAny(name, "~/") {
		name = strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
	}
	return pointer + "/" + name
}

// Index appends a list index to a JSON pointer.
func Index(pointer string, i int) string {
	return pointer + "/" + strconv.Itoa(i)
}
