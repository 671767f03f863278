package strict

import "fmt"

// number reads one number of the JSON grammar. Its length and exponent are
// bounded because exact number types downstream compute every digit.
func (s *scanner) number() bool {
	start := s.pos
	s.eat('-')
	switch {
	case s.eat('0'):
	case s.digits() > 0:
	default:
		return s.syntax("a digit")
	}
	if s.eat('.') && s.digits() == 0 {
		return s.syntax("a digit")
	}
	exponent := 0
	if s.eat('e') || s.eat('E') {
		if !s.eat('+') {
			s.eat('-')
		}
		from := s.pos
		if s.digits() == 0 {
			return s.syntax("a digit")
		}
		exponent = magnitude(s.doc[from:s.pos], s.o.Exponent)
	}
	switch n := s.pos - start; {
	case n > s.o.NumberLen:
		s.note(LongNumber, start, fmt.Sprintf("a number of %d characters, at most %d are accepted", n, s.o.NumberLen))
	case exponent > s.o.Exponent:
		s.note(LongNumber, start, fmt.Sprintf("an exponent beyond %d", s.o.Exponent))
	}
	return true
}

func (s *scanner) digits() (n int) {
	for s.pos < len(s.doc) && '0' <= s.doc[s.pos] && s.doc[s.pos] <= '9' {
		s.pos++
		n++
	}
	return n
}

// magnitude reads digits and stops once the result is above most, so that no
// number of digits can overflow it.
func magnitude(digits []byte, most int) (n int) {
	for _, d := range digits {
		if n = n*10 + int(d-'0'); n > most {
			break
		}
	}
	return n
}
