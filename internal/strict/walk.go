package strict

import (
	"bytes"
	"iter"
)

// Kind says what a value is.
type Kind uint8

// The kinds of a JSON value. Invalid is what is none of them.
const (
	Invalid Kind = iota
	Object
	Array
	Text
	Number
	Bool
	Null
)

// KindOf tells the kind of a value by its first character.
func KindOf(value []byte) Kind {
	value = trim(value)
	if len(value) == 0 {
		return Invalid
	}
	switch c := value[0]; {
	case c == '{':
		return Object
	case c == '[':
		return Array
	case c == '"':
		return Text
	case c == '-' || '0' <= c && c <= '9':
		return Number
	case c == 't' || c == 'f':
		return Bool
	case c == 'n':
		return Null
	default:
		return Invalid
	}
}

// Unquote returns what a text value says, and "" for any other value.
func Unquote(value []byte) string { return unquote(trim(value)) }

// Fields yields the members of an object in the order in which they stand in
// it, each value as written without the space around it. Values are views of
// object. The document must have passed Check: of other text it yields
// something, but never fails. Any other value has no fields.
func Fields(object []byte) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		object = trim(object)
		if KindOf(object) != Object {
			return
		}
		for i := next(object, 1); i < len(object) && object[i] == '"'; {
			end := skip(object, i)
			key := object[i:end:end]
			i = next(object, end)
			end = skip(object, i)
			if !yield(unquote(key), object[i:end:end]) {
				return
			}
			i = next(object, end)
		}
	}
}

// Elements yields the values of an array under the rules of Fields.
func Elements(array []byte) iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		array = trim(array)
		if KindOf(array) != Array {
			return
		}
		i := next(array, 1)
		for n := 0; i < len(array) && array[i] != ']'; n++ {
			end := skip(array, i)
			if !yield(n, array[i:end:end]) || end == i {
				return
			}
			i = next(array, end)
		}
	}
}

func trim(value []byte) []byte { return bytes.Trim(value, " \t\r\n") }

// next passes space, commas and colons.
func next(b []byte, i int) int {
	for i < len(b) {
		switch b[i] {
		case ' ', '\t', '\r', '\n', ',', ':':
			i++
		default:
			return i
		}
	}
	return i
}

// skip returns the end of the value that starts at i.
func skip(b []byte, i int) int {
	depth := 0
	for i < len(b) {
		switch b[i] {
		case '"':
			i = skipText(b, i)
		case '{', '[':
			depth++
			i++
		case '}', ']':
			if depth == 0 {
				return i
			}
			depth--
			i++
		case ' ', '\t', '\r', '\n', ',', ':':
			if i++; depth == 0 {
				return i - 1
			}
			continue
		default:
			i = skipWord(b, i)
		}
		if depth == 0 {
			return i
		}
	}
	return len(b)
}

func skipText(b []byte, i int) int {
	for i++; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(b)
}

// skipWord passes a number, true, false or null.
func skipWord(b []byte, i int) int {
	if n := bytes.IndexAny(b[i:], " \t\r\n,:{}[]\""); n > 0 {
		return i + n
	}
	return len(b)
}
